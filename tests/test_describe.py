"""From puzzles to English and back: prompts, what is taken, and what teaches, with a server."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("openai", reason="needs the openai extra")

import llm_server
from etude import config, roles, store, tables
from etude.arm import Arm
from etude.derive import derive
from etude.describe import counted, describe, summary
from etude.english import (
    LONGEST,
    describing_prompt,
    docstring_of,
    fault_of,
    task_opening,
    task_prompt,
    task_text,
)
from etude.errors import RecipeError
from etude.forecast.work import count_work
from etude.lineage import trace
from etude.propose import propose
from etude.puzzle import parse
from etude.readings import vetting
from etude.select import select
from etude.solve import judge, solve
from etude.train import documents_of
from etude.types import Prompt
from etude.vet import vet
from llm_server import SENTENCES, Running

PUZZLE = parse("def f(x: List[int], n=2, total=3):\n    return len(x) == n and sum(x) == total")
SOLUTION = "def g(n=2, total=3):\n    return [total] + [0] * (n - 1)"
SENTENCE = "Return a list of n integers whose sum is total."


# prompts and replies


def test_a_describer_sees_the_puzzle_and_a_solver_the_docstring_alone() -> None:
    for layout in ("paper", "chat"):
        asked = describing_prompt(PUZZLE, layout=layout)
        assert "sum(x) == total" in asked.text
        assert asked.text.endswith(asked.opening)
        told = task_prompt(PUZZLE, SENTENCE, layout=layout)
        assert told.text.endswith(told.opening)
        assert SENTENCE in told.text
        assert "sum(x)" not in told.text
        assert "def f" not in told.text


@pytest.mark.parametrize(
    ("reply", "taken"),
    [
        (SENTENCE, SENTENCE),
        (f"  {SENTENCE}\n\nMore words.", SENTENCE),
        (f'```\n"{SENTENCE}"\n```', SENTENCE),
        (f"```python\n`{SENTENCE}`\n```", SENTENCE),
        (f"```text\n{SENTENCE}\n```", SENTENCE),
        (f'"""{SENTENCE}\n"""', SENTENCE),
        (f'"""\n{SENTENCE}\n"""', SENTENCE),
        ('Return the word "dog"', 'Return the word "dog"'),
        ('"dog" comes before "cat"', '"dog" comes before "cat"'),
        ("", ""),
        ("\n```\n```\n", ""),
    ],
)
def test_the_sentence_of_a_reply(reply: str, taken: str) -> None:
    assert docstring_of(Prompt("", "", chat=True), reply) == taken


def test_a_line_goes_on_where_the_prompt_ends() -> None:
    asked = describing_prompt(PUZZLE, layout="paper")
    assert asked.line
    assert docstring_of(asked, " a list of\tn  integers.\ndef f(") == "Return a list of n integers."


@pytest.mark.parametrize(
    ("docstring", "fault"),
    [
        (SENTENCE, ""),
        ("Return it.", "too few words"),
        ("", "too few words"),
        ("1 2 3 4 5 6", "too few words"),
        ("Return " + "very " * LONGEST + "much.", "too long"),
        ('Return a list of integers."""', "not plain text"),
        ('Return the word named "dog"', "not plain text"),
        ("Return a list of n integers \\x41 here.", "not plain text"),
        ("Return a list of \x1b[31m red integers.", "not plain text"),
        ("Return a list with len(x)==n and sum(x)  == total.", "code"),
        ("Return the list [total] + [0] * (n - 1) for this.", "code"),
    ],
)
def test_what_is_no_docstring(docstring: str, fault: str) -> None:
    assert fault_of(docstring, PUZZLE, SOLUTION) == fault


@pytest.mark.parametrize(
    "body", ["n" + " + 1" * 600, "not " * 1_500 + "n", "9" * 5_000], ids=["sum", "not", "number"]
)
def test_code_that_python_cannot_write_again_is_compared_as_it_stands(body: str) -> None:
    assert fault_of(SENTENCE, PUZZLE, f"def g(n=2, total=3): return {body}") == ""
    number = parse(f"def f(x: int, n=2): return x == {'9' * 5_000}")
    assert fault_of(SENTENCE, number, SOLUTION) == ""
    told = "Return the number 999 == 999 as a list."
    assert fault_of(told, PUZZLE, f"def g(): return [999==999, {body}]") == "code"


def test_a_text_is_a_whole_function_that_ends_with_its_code() -> None:
    made = task_text(PUZZLE, SENTENCE, SOLUTION)
    assert made is not None
    text, code = made
    assert text.endswith(task_opening(PUZZLE, SENTENCE) + code)
    function = ast.parse(text).body[-1]
    assert isinstance(function, ast.FunctionDef)
    assert ast.get_docstring(function) == SENTENCE
    assert [ast.unparse(one) for one in function.body[1:]] == ["return [total] + [0] * (n - 1)"]
    assert task_text(PUZZLE, SENTENCE, "def g(n=2): return (") is None


@pytest.mark.parametrize(
    "solution",
    [
        "def g(n=5, total=3): return [n]",  # accepted as it was called: with its own default
        "def g(n=2, total=3, c=5): return [c]",
        "def g(*a, **k): return list(a)",
        "import math\ndef g(n=2, total=3): return [math.gcd(n, total)]",
        "K = 3\ndef g(n=2, total=3): return [K]",
        "@staticmethod\ndef g(n=2, total=3): return [n]",
        'def g():\n    def h():\n        """a\n  b"""\n    return [h.__doc__]',
    ],
)
def test_no_text_is_of_other_code_than_was_accepted(solution: str) -> None:
    assert task_text(PUZZLE, SENTENCE, solution) is None


@pytest.mark.parametrize(
    "solution",
    [
        "def g():\n    return [1]",
        "def g(total: int = 3, *, n=2) -> List[int]:\n    return [1]",
        "from typing import List\n\ndef g(n=2):\n    return [1]",
        'def g(n=2):\n    """Words that nobody tried."""\n    return [1]',
    ],
)
def test_what_differs_in_words_alone_is_written(solution: str) -> None:
    made = task_text(PUZZLE, SENTENCE, solution)
    assert made is not None
    assert made[1] == "    return [1]\n"
    assert "nobody tried" not in made[0]


def test_it_wants_a_model_that_knows_english() -> None:
    with pytest.raises(RecipeError, match="layout line knows no English"):
        config.load("smoke", ["describe.tries=1"])


# the stage


@pytest.fixture(scope="module")
def process() -> Iterator[Running]:
    with llm_server.running() as started:
        yield started


def settings_of(url: str) -> list[str]:
    return [
        *("propose.samples=12", "propose.per_unit=12", "propose.per_prompt=4"),
        *("vet.max_puzzles=4", "solve.samples=6", "solve.puzzles_per_unit=2"),
        *("judge.cpu_seconds=0.3", "select.max_solve_rate=1.0", "model.precision=fp32"),
        *("prompt.layout=paper", "describe.tries=6", "describe.attempts=3"),
        *(
            f"{stage}.engine.{name}"
            for stage in ("propose", "solve")
            for name in (
                *("kind=openai", f"model={llm_server.MODEL}", f"url={json.dumps(url)}"),
                *("retries=1", "choices=4"),
            )
        ),
    ]


@pytest.fixture
def arm(process: Running, tmp_path: Path) -> Iterator[Arm]:
    process.plan(teaches=True)
    run = store.Run.open(tmp_path / "run", config.load("smoke", settings_of(process.url)), {})
    with Arm(run, "verified", lambda _: None) as opened:
        propose(opened, 1, "student", "student")
        vet(opened, 1)
        judge(opened, 1, solve(opened, 1, "student", "student"))
        select(opened, 1)
        assert describe(opened, 1, "student") is not None
        yield opened


def test_docstrings_are_tried_by_solving_from_them_alone(arm: Arm) -> None:
    told = store.read_stage(arm.round(1) / "describe")
    tried = store.read_stage(arm.round(1) / "retell")
    taught = {row["puzzle_id"] for row in store.read_stage(arm.round(1) / "select")}
    assert {row["puzzle_id"] for row in told} == taught
    assert len(told) == 6 * len(taught)
    assert {(row["docstring"], row["fault"]) for row in told} == {
        (SENTENCES[0], ""),
        (SENTENCES[1], ""),
        (SENTENCES[2], "code"),
        *((sentence, "again") for sentence in SENTENCES),  # each is drawn twice
    }
    by_id = {row["description_id"]: row["docstring"] for row in told}
    outcomes = {(by_id[row["description_id"]], row["outcome"]) for row in tried}
    assert outcomes == {
        (SENTENCES[0], "accepted"),
        (SENTENCES[0], "wrong"),
        (SENTENCES[1], "wrong"),
    }
    assert all(len(row["attempts"]) == (0 if row["fault"] else 3) for row in told)
    counts = vetting.told(arm.run.folder, 1)
    assert counts["docstrings"] == len(told)
    assert 0 < counts["solved by"] < counts["tried"] < counts["docstrings"]
    assert f"{counts['solved by']} solved by" in summary(counts)
    notes = store.read_notes(arm.round(1) / "describe", roles.NOTE_KEY)
    assert all(json.loads(note)["requests"] > 2 for note in notes)  # of both samplings


def test_a_docstring_that_was_solved_by_chance_alone_counts_for_nothing(arm: Arm) -> None:
    for path in store.segments(arm.round(1) / "retell"):
        rows = [row | {"stable": False} for row in store.read_table(path)]
        store.write_table(path, rows, tables.RETELL)
    counts = vetting.told(arm.run.folder, 1)
    assert counts["solved by"] == 0
    assert counts == +counted(arm.round(1))


def test_a_docstring_that_was_solved_by_teaches(arm: Arm) -> None:
    folder = derive(arm, 1)
    assert folder is not None
    rows = store.read_stage(folder)
    taught = {row["puzzle_id"] for row in store.read_stage(arm.round(1) / "select")}
    assert {row["origin"] for row in rows} == {"description"}
    assert {row["puzzle_id"] for row in rows} == taught
    for row in rows:
        assert f'"""{SENTENCES[0]}"""' in row["text"]
        assert row["text"].endswith(row["solution"])
        function = row["text"].partition("\n\n")[2]
        assert arm.judge.verify(row["source"], function).outcome == "accepted"
    (document, *_) = documents_of(arm, [(1, rows[0])], "solution")
    assert document.text[document.prompt_characters :] == rows[0]["solution"]
    links = trace(arm.run.folder, rows[0]["example_id"]).links
    assert [link.kind for link in links][:2] == ["derived", "tried"]
    assert "candidate" in [link.kind for link in links]
    assert links[1].content["docstring"] == SENTENCES[0]
    (told,) = [link.content for link in links if link.kind == "retellings"]
    assert told["tried"] > told["accepted"] > 0


def test_attempts_of_no_utf8_are_kept_as_tables_hold_them(
    arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("describe", "retell"):
        shutil.rmtree(arm.round(1) / stage)
    monkeypatch.setattr(type(arm.domain), "solution", lambda *_: "def g(a=7, b=7): return '\ud800'")
    assert describe(arm, 1, "student") is not None
    (source,) = {row["source"] for row in store.read_stage(arm.round(1) / "retell")}
    assert source == "def g(a=7, b=7): return '\\ud800'"


def test_a_puzzle_that_may_not_teach_is_not_told(arm: Arm) -> None:
    first, *others = sorted({row["puzzle_id"] for row in store.read_stage(arm.round(1) / "select")})
    row = dict.fromkeys(tables.PROBE.names) | {"puzzle_id": first, "stable": False}
    store.write_table(store.unit_path(arm.round(1) / "probe", 0), [row], tables.PROBE)
    folder = derive(arm, 1)
    assert folder is not None
    assert {row["puzzle_id"] for row in store.read_stage(folder)} == set(others)


def test_a_forecast_knows_of_it() -> None:
    sized = ["prompt.layout=paper", "describe.tries=2", "describe.attempts=3", "describe.most=5"]
    works = count_work(config.load("paper-125m", sized), pairs=10, problems=10)
    (first, *_) = [work for work in works if work.stage == "describe"]
    assert (first.prompts, first.samples, first.checks) == (5 + 10, 10 + 30, 30)
    assert not [work for work in works if work.stage == "describe" and work.arm == "unverified"]
