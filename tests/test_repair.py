"""Repairs: the solutions one edit away, which of them are tried, and what they teach."""

from __future__ import annotations

import ast
import random
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude import config, store, tables
from etude.arm import Arm
from etude.derive import derive
from etude.edits import LONGEST, MOST, edits
from etude.errors import RecipeError
from etude.lineage import trace
from etude.puzzle import parse
from etude.readings import vetting
from etude.repair import counted, repair, summary
from etude.select import select
from etude.tiny.grammar import document
from etude.vary import vary
from round_tables import write_judged


def bodies(solution: str) -> set[str]:
    return {one.partition("return ")[2] for one in edits(solution)}


@pytest.mark.parametrize(
    ("body", "other"),
    [
        ("a + b", "a - b"),
        ("a - b", "b - a"),  # the operands the other way round
        ("a + b", "a"),
        ("a * 3", "a * 4"),
        ("a * 3", "b * 3"),
        ("a + b", "-(a + b)"),
        ("max(s)", "min(s)"),
        ("sorted(s)", "s"),
        ("s.upper()", "s.lower()"),
        ("s[::-1]", "s"),
        ("s", "s[::-1]"),
        ("[i + a for i in s]", "[i - a for i in s]"),
        ("[i for i in s]", "[i for i in b]"),
        ("(a + b) * 2", "(a - b) * 2"),  # brackets stay where they are needed
        ("'x'.join([s])", "'x'.join([a])"),
        ("-a", "a"),
    ],
)
def test_edits_of_an_expression(body: str, other: str) -> None:
    assert other in bodies(f"def g(a=7, b=21, s='dog'): return {body}")


@pytest.mark.parametrize(
    "solution",
    [
        "def g(a=7): return",
        "def g(a=7): pass",
        "def g(a=7): return (",
        "def h(a=7): return a",
        "",
        "def g(a=7): return " + "a + " * 99 + "a",
        "def g(a=7): return '" + "a" * 400 + "'",
        "def g(a=7): return " + "-" * 200 + "a",
    ],
)
def test_what_cannot_be_edited_has_none(solution: str) -> None:
    assert edits(solution) == []


def test_truth_values_and_what_stands_in_texts_stay() -> None:
    assert {one.replace(" .", ".") for one in bodies("def g(): return True")} == {
        one.replace("_", "True")
        for one in (
            *("_[::-1]", "_[0]", "_[-1]", "_[1:]", "_[:-1]", "-_", "_ + 1", "_ - 1", "_ * 2"),
            *("[_]", "str(_)", "int(_)", "list(_)", "sorted(_)", "_.upper()", "_.lower()"),
        )
    }
    changed = bodies("def g(a=1, b=2): return f'{a + b}'")
    assert changed
    assert all("a + b" in one for one in changed)


def test_only_one_place_of_a_longer_solution_changes() -> None:
    solution = "def g(a=7):\n    b = a + 1  # one more\n    c = [b]\n    return c * 2"
    made = edits(solution)
    lines = solution.split("\n")
    for one in made:
        changed = [place for place, line in enumerate(one.split("\n")) if line != lines[place]]
        assert len(changed) == 1
    assert "def g(a=7):\n    b = a - 1  # one more\n    c = [b]\n    return c * 2" in made


@given(st.integers(0, 10**6))
def test_every_edit_is_another_text_with_the_same_header(seed: int) -> None:
    _, solution = document(random.Random(seed))
    made = edits(solution)
    assert len(set(made)) == len(made)
    assert solution not in made
    header = solution.partition("return ")[0]
    for one in made:
        ast.parse(one)
        assert one.startswith(header)
    assert made == edits(solution)


@pytest.mark.parametrize(
    ("solution", "other"),
    [
        ("def g(a=7): return-a", "def g(a=7): return a"),
        ("def g(a=7): return(a+1)*2", "def g(a=7): return (a + 1) * 3"),
        ("def g(é=7):\r\n b='é';return(é)-1", "def g(é=7):\r\n b='é';return é + 1"),
    ],
)
def test_an_expression_that_follows_a_word_at_once_stays_apart(solution: str, other: str) -> None:
    made = edits(solution)
    assert other in made
    names = {node.id for one in made for node in ast.walk(ast.parse(one))
             if isinstance(node, ast.Name)}  # fmt: skip
    assert not [name for name in names if name.startswith("return")]


def test_a_text_of_many_names_has_no_thousands_of_edits() -> None:
    names = [chr(0x4E00 + number) for number in range(60)]
    line = f" x={','.join([names[0]] * 29)}\n"
    solution = f"def g({','.join(names)}):\n{line * 4}"
    assert len(solution) <= LONGEST
    assert 400 < len(edits(solution)) <= MOST


def test_what_python_warns_of_in_a_solution_is_told_to_nobody() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert edits("def g(a=7):\n    b = '\\d'\n    return b + a")
    assert told == []


DIFFERENCE = "def f(x: int, a=7, b=21): return x + a == b"
NEVER = "def f(x: int, a=7): return x > a and x < a"
SOLVED = "def f(x: int, a=7): return x - a == 3"
ROWS = [
    (DIFFERENCE, "def g(a=7, b=21): return b + a", "wrong"),
    (DIFFERENCE, "def g(a=7, b=21): return a - b", "wrong"),
    (DIFFERENCE, "def g(a=7, b=21): return b + a", "wrong"),
    (DIFFERENCE, "def g(a=7, b=21): return b -", "unparsed"),
    (NEVER, "def g(a=7): return a", "wrong"),
    (SOLVED, "def g(a=7): return a + 3", "accepted"),
    (SOLVED, "def g(a=7): return a + 4", "wrong"),
]


def write(place: Path) -> None:
    """A round as far as `judge`."""
    write_judged(place, [(*row, None) for row in ROWS])


Open = Callable[..., Arm]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    arms: list[Arm] = []

    def open_arm(*settings: str, folder: str = "run") -> Arm:
        wanted = ["repair.tries=60", *settings]
        run = store.Run.open(tmp_path / folder, config.load("smoke", wanted), {})
        arms.append(Arm(run, "verified", lambda _: None))
        write(arms[-1].round(1))
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm.close()


def found_in(arm: Arm) -> list[store.Row]:
    folder = repair(arm, 1)
    assert folder is not None
    return store.read_stage(folder)


def test_edits_of_wrong_attempts_solve_what_no_attempt_did(opened: Open) -> None:
    arm = opened()
    rows = found_in(arm)
    assert {row["puzzle_id"] for row in rows} == {parse(DIFFERENCE).id, parse(NEVER).id}
    accepted = {row["solution"]: row for row in rows if row["outcome"] == "accepted"}
    right = accepted["def g(a=7, b=21): return b - a"]
    assert right["puzzle_id"] == right["derived_id"] == parse(DIFFERENCE).id
    assert right["near"] == 2  # an operator away from one, the operands from the other
    for row in accepted.values():
        assert arm.judge.verify(row["source"], row["solution"]).outcome == "accepted"
    counts = vetting.repaired(arm.run.folder, 1)
    assert counts["unsolved puzzles"] == 2
    assert counts["puzzles repaired"] == 1
    assert "2 unsolved puzzles" in summary(counts)


def test_what_was_accepted_by_chance_alone_repairs_nothing(opened: Open) -> None:
    arm = opened()
    path = store.unit_path(arm.round(1) / "repair", 0)
    rows = [row | {"stable": False} for row in found_in(arm)]
    store.write_table(path, rows, tables.REPAIR)
    counts = vetting.repaired(arm.run.folder, 1)
    assert counts["puzzles repaired"] == 0
    assert counts == counted(path.parent)


def test_those_are_tried_first_that_most_attempts_are_near_to(opened: Open) -> None:
    rows = found_in(opened("repair.tries=2"))
    (right,) = [row for row in rows if row["outcome"] == "accepted"]
    assert right["solution"] == "def g(a=7, b=21): return b - a"
    assert right["near"] == right["tried"] == 2


def test_repairs_become_examples_and_say_of_what(opened: Open) -> None:
    arm = opened("repair.per_puzzle=9")
    found_in(arm)
    rates = [row["solve_rate"] for row in store.read_stage(select(arm, 1))]
    assert rates == [0.5]  # that of the model's own attempts
    folder = derive(arm, 1)
    assert folder is not None
    rows = store.read_stage(folder)
    assert {(row["origin"], row["source"]) for row in rows} == {("repair", DIFFERENCE)}
    (row,) = [row for row in rows if row["solution"] == "def g(a=7, b=21): return b - a"]
    links = trace(arm.run.folder, row["example_id"]).links
    assert [link.kind for link in links][:4] == ["derived", "tried", "candidate", "verdict"]
    assert links[1].content["near"] == 2
    assert links[3].content["outcome"] == "wrong"
    (told,) = [link.content for link in links if link.kind == "repairs"]
    assert told["tried"] > told["accepted"] > 0


def test_repairs_are_asked_to_generalise_as_solutions_are(opened: Open) -> None:
    arm = opened("vary.tries=6", "vary.rule=require", "vary.examples=2", "repair.per_puzzle=3")
    vary(arm, 1)
    rows = found_in(arm)
    own = [row for row in rows if row["derived_id"] == row["puzzle_id"]]
    special = {row["solution"] for row in own if row["outcome"] == "accepted"}
    assert special > {"def g(a=7, b=21): return b - a"}  # such as `a + a`, by chance
    select(arm, 1)
    folder = derive(arm, 1)
    assert folder is not None
    made = [row for row in store.read_stage(folder) if row["origin"] == "repair"]
    assert {row["solution"].partition("return ")[2] for row in made} == {"b - a", "-(a - b)"}
    assert len({row["derived_id"] for row in made}) == 3  # the puzzle and two variants
    for row in made:
        assert arm.judge.verify(row["source"], row["solution"]).outcome == "accepted"


def test_a_variant_that_is_held_out_is_asked_of_nobody(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = opened("vary.tries=6")
    own = {parse(one).id for one, *_ in ROWS}
    asked = {row["derived_id"] for row in found_in(arm) if row["way"]} - own
    assert asked
    again = opened("vary.tries=6", folder="other")
    problem = next(one for one in again.problems if one.puzzle is not None)
    source = next(
        row["source"] for row in store.read_stage(arm.round(1) / "repair")
        if row["derived_id"] in asked
    )  # fmt: skip
    mine = type(problem)(name="mine", part="x", puzzle=parse(source))
    monkeypatch.setattr(again, "_problems", [mine])
    left = {row["derived_id"] for row in found_in(again)}
    assert mine.id not in left
    assert left > asked - {mine.id}


def test_a_puzzle_that_may_not_teach_gives_nothing(opened: Open) -> None:
    arm = opened()
    found_in(arm)
    row = dict.fromkeys(tables.PROBE.names)
    row |= {"puzzle_id": parse(DIFFERENCE).id, "stable": False}
    store.write_table(store.unit_path(arm.round(1) / "probe", 0), [row], tables.PROBE)
    select(arm, 1)
    folder = derive(arm, 1)
    assert folder is not None
    assert store.read_stage(folder) == []


def test_without_the_lever_nothing_is_written(opened: Open) -> None:
    arm = opened("repair.tries=0")
    assert repair(arm, 1) is None
    assert not (arm.round(1) / "repair").exists()


@pytest.mark.parametrize("setting", ["repair.tries=4", "repair.borrow=4", "vet.unused=trim"])
def test_it_reads_python_alone(setting: str) -> None:
    with pytest.raises(RecipeError, match=setting.partition("=")[0]):
        config.load("regex", [setting])
