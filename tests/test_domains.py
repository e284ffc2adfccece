"""The contract of a domain, kept by each: what it writes is read again, and the judge decides.

And a run of the domain `regex`, small: killed and continued it ends with the same tables, and the
readers read it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude import config, domains, suites
from etude.domains import Domain
from etude.domains.regex import families, grammar, notation
from etude.engines.samples import ended
from etude.errors import InputError, RecipeError
from etude.judge import Judge, Limits
from etude.prompts import Layout
from etude.puzzle import NotAPuzzle
from etude.seeds import load_seeds
from etude.tables import MEASURED
from etude.types import Outcome, Prompt, Puzzle

HOSTILE = Path(__file__).parents[1].parent / "shared" / "hostile.json"
SPLIT = 7
LAYOUT: Layout = "line"
SAME = {
    "python": [
        "def f(x: int, a=7, b=73): return x + a == b",
        "def f(answer: int, n=7, m=73):\n    '''Words.'''\n    return answer+n == m",
    ],
    "regex": [
        "over ab: starts a & not ends b",
        "  over ab:not ends b&starts  a ",
    ],
}
"""By domain, one puzzle in two layouts."""
TRIVIAL = {
    "python": ["def f(x: int, a=7): return x < a", "def f(x: str, s='cat'): return x in s"],
    "regex": [
        "over ab: length 0 up",
        "over ab: not length 0",
        "over 0a: only a",
        "over 01: length 1",
    ],
}
"""By domain, puzzles that teach nothing, for a trivial answer solves them."""
BROKEN = {
    "python": ["def f(x: bool): return x", "def f(x: int, a=7): return x == 3"],
    "regex": [
        *("over ba: starts a", "over aab: starts a", "over a: starts a", "over ab: starts c"),
        *("over ab: starts a & starts a", "over ab: starts a & not starts a", "over ab: at 0 a"),
        *("over ab: length 9", "over ab: follows a a", "over ab: only ab", "over ab: has a or a"),
    ],
}
"""By domain, puzzles that break a rule."""


@pytest.fixture(params=list(domains.DOMAINS.values()), ids=lambda domain: domain.name)
def domain(request: pytest.FixtureRequest) -> Domain:
    found: Domain = request.param
    return found


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5, memory_bytes=256 << 20)) as made:
        yield made


def pairs(domain: Domain) -> list[tuple[Puzzle, str]]:
    """Its seeds, and its held-out problems with their reference solutions."""
    seeds = [(pair.puzzle, pair.solution) for pair in domain.seed_pairs(0, 1, SPLIT)]
    held_out = domain.held_out(SPLIT)
    return seeds + [(one.puzzle, one.solution) for one in held_out if one.puzzle]


def test_every_seed_and_every_reference_solution_is_accepted(domain: Domain, judge: Judge) -> None:
    """Under the limits of the recipes."""
    known = pairs(domain)
    judged = judge.verify_all((puzzle, [solution]) for puzzle, solution in known)
    found = [(solution, v.outcome) for (_, solution), [v] in zip(known, judged, strict=True)]
    assert [one for one in found if one[1] is not Outcome.ACCEPTED] == []


def test_the_suite_holds_what_no_seed_shows(domain: Domain) -> None:
    problems = domain.held_out(SPLIT)
    assert suites.load(domain.own, split_seed=SPLIT) == problems
    assert {one.part for one in problems} == {"constants", "families"}
    assert len({one.name for one in problems}) == len({one.id for one in problems}) == len(problems)
    seeds = domain.seed_pairs(0, 2, SPLIT)
    assert not {pair.puzzle.id for pair in seeds} & {one.id for one in problems}
    held = {one.name.split("/")[0] for one in problems if one.part == "families"}
    assert held
    assert not held & {pair.family for pair in seeds}
    assert domain.held_out(SPLIT + 1) != problems
    assert domain.seed_pairs(1, 2, SPLIT) != seeds == domain.seed_pairs(0, 2, SPLIT)


def test_what_was_parsed_is_parsed_again(domain: Domain) -> None:
    for puzzle, _ in pairs(domain):
        assert domain.parse(puzzle.source) == puzzle
        assert domain.parse(domain.shown(puzzle)).id == puzzle.id
        domain.check_rules(puzzle, paper=False)


def test_an_id_does_not_depend_on_the_layout(domain: Domain) -> None:
    first, second = map(domain.parse, SAME[domain.name])
    assert (first.id, first.form, first.answer_type) == (second.id, second.form, second.answer_type)


def test_prompts_lead_to_the_texts_that_are_trained_on(domain: Domain) -> None:
    """A model that has learned a text by heart gives its puzzle, and its solution, when asked."""
    asked, _ = domain.proposal_prompt([], random.Random(0), layout=LAYOUT, fits=None, most=0)
    for puzzle, solution in pairs(domain):
        text = domain.example_text(puzzle.source, solution, layout=LAYOUT)
        assert text.endswith(domain.example_tail(solution, LAYOUT))
        proposed = domain.proposed(asked.text, continued(asked, text), LAYOUT)
        assert domain.parse(proposed) == puzzle
        prompt = domain.solving_prompt(puzzle, (), layout=LAYOUT)
        assert domain.solution(prompt, continued(prompt, text)) == solution


def continued(prompt: Prompt, text: str) -> str:
    """What an engine returns when the model writes `text` on."""
    assert text.startswith(prompt.text)
    rest = text[len(prompt.text) :]
    sample = ended(prompt, rest + "x", stopped=False)  # the next line has begun
    assert sample is not None
    assert ended(prompt, rest[: len(sample.text)], stopped=False) is None, "it may go on"
    return sample.text


def test_trivial_puzzles_are_caught(domain: Domain, judge: Judge) -> None:
    puzzles = [domain.parse(text) for text in TRIVIAL[domain.name]]
    asked = [(one, domain.trivial_answers(one.answer_type, paper=False)) for one in puzzles]
    for puzzle, outcomes in zip(puzzles, judge.satisfied_all(asked), strict=True):
        assert Outcome.ACCEPTED in outcomes, puzzle.source


def test_broken_rules_are_found(domain: Domain) -> None:
    for text in BROKEN[domain.name]:
        puzzle = domain.parse(text)
        with pytest.raises(NotAPuzzle):
            domain.check_rules(puzzle, paper=False)


def test_what_a_file_holds_is_a_pair_of_the_domain(domain: Domain, tmp_path: Path) -> None:
    rows = [
        {"puzzle": domain.shown(pair.puzzle), "solution": typed(domain, pair.solution)}
        for pair in domain.seed_pairs(0, 1, SPLIT)[:5]
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = config.load("regex" if domain.name == "regex" else "tiny")
    seeds = recipe.seeds.model_copy(update={"source": str(path)})
    read = load_seeds(recipe.model_copy(update={"seeds": seeds}))
    expected = [(pair.puzzle, pair.solution) for pair in domain.seed_pairs(0, 1, SPLIT)[:5]]
    assert [(pair.puzzle, pair.solution) for pair in read] == expected
    path.write_text(json.dumps({"puzzle": "nothing", "solution": "nothing"}) + "\n")
    with pytest.raises(InputError, match=r"line 1: a pair must be .* Mend or remove the line"):
        load_seeds(recipe.model_copy(update={"seeds": seeds}))


def typed(domain: Domain, solution: str) -> str:
    """A solution as a person writes it."""
    return domain.example_tail(solution, LAYOUT).strip()


def test_pretraining_texts_are_of_the_domain_and_not_of_its_meaning(
    domain: Domain, judge: Judge
) -> None:
    rng = random.Random(0)
    asked, _ = domain.proposal_prompt([], rng, layout=LAYOUT, fits=None, most=0)
    jobs = []
    for _ in range(200):
        text = domain.document(rng)
        puzzle = domain.parse(domain.proposed(asked.text, continued(asked, text), LAYOUT))
        prompt = domain.solving_prompt(puzzle, (), layout=LAYOUT)
        jobs.append((puzzle, [domain.solution(prompt, continued(prompt, text))]))
    accepted = [v.outcome is Outcome.ACCEPTED for [v] in judge.verify_all(jobs)]
    assert sum(accepted) < 0.4 * len(accepted), "what is learned is the syntax"


# Regular expressions


@pytest.mark.parametrize("family", families.FAMILIES, ids=lambda family: family.name)
def test_a_family_is_right_whatever_is_drawn(family: families.Family, judge: Judge) -> None:
    rng = random.Random(family.name)
    drawn = [families.drawn(family, rng) for _ in range(4)]
    puzzles = [notation.puzzle_of(one.text) for one in drawn]
    solutions = [[notation.solution_of(one.answer)] for one in drawn]
    found = [v.outcome for [v] in judge.verify_all(zip(puzzles, solutions, strict=True))]
    assert found == [Outcome.ACCEPTED] * 4, drawn
    asked = [(puzzle, list(families.TRIVIAL)) for puzzle in puzzles]
    assert not any(Outcome.ACCEPTED in said for said in judge.satisfied_all(asked)), drawn


@pytest.mark.parametrize(
    ("puzzle", "right", "wrong"),
    [
        ("over ab: starts a or bb", ["(a|bb).*"], ["a.*", "(a|b).*", "(a|bb)"]),
        ("over ab: has ab or ba", [".*(ab|ba).*"], [".*ab.*"]),
        ("over ab: length 2 to 3", ["...?", ".{2,3}"], ["..", ".{1,3}", ".{2,4}"]),
        ("over ab: length odd", [".(..)*"], ["(..)*", ".{1}|.{3}|.{5}"]),
        ("over ab: count a odd", ["(b*ab*ab*)*b*ab*|b*ab*(b*ab*ab*)*"], ["b*ab*"]),
        ("over abc: at 2 b", [".b.*"], ["b.*", "..b.*"]),
        ("over abc: back 2 b", [".*b."], [".*b", ".*b.."]),
        ("over abc: only ac", ["[ac]*", "[^b]*"], ["[ac]+", "[ac]{0,4}"]),
        ("over abc: repeats ab", ["(ab)*"], ["(ab)+", "(ab|c)*"]),
        ("over abc: follows a b", ["([^a]|ab)*"], [".*ab.*"]),
        ("over ab: before a b", ["a*b*"], ["a+b*", "b*a*"]),
        ("over abc: sorted", ["a*b*c*"], ["a*c*b*", "a?b*c*"]),
        ("over ab: alike", ["(.).*\\1|.?"], ["(.).*\\1", ".*"]),
        ("over ab: varied", ["b?(ab)*a?"], ["(ab)*", "(ab)*a?"]),
        ("over ab: double", ["(.*)\\1"], ["(..)*", "(.)\\1"]),
        ("over ab: not has ab", ["b*a*"], ["b*", ".*"]),
        ("over abcd: starts a & ends d", ["a.*d"], ["a.*", ".*d"]),
    ],
)
def test_a_clause_asks_what_the_document_says(
    puzzle: str, right: list[str], wrong: list[str], judge: Judge
) -> None:
    sources = [notation.solution_of(answer) for answer in [*right, *wrong]]
    [verdicts] = judge.verify_all([(notation.puzzle_of(puzzle), sources)])
    expected = ["accepted"] * len(right) + ["wrong"] * len(wrong)
    assert [str(verdict.outcome) for verdict in verdicts] == expected


def test_listing_the_words_is_no_answer(judge: Judge) -> None:
    """It is as long as the list: longer than an answer may be, or than the shortest one needs."""
    puzzle = notation.puzzle_of("over ab: length 2")
    answers = ["aa|ab|ba|bb", "..", "[ab][ab]"]
    [verdicts] = judge.verify_all([(puzzle, [notation.solution_of(one) for one in answers])])
    assert [str(one.outcome) for one in verdicts] == ["wrong", "accepted", "accepted"]
    nothing = notation.puzzle_of("over ab: starts a & not has a")
    [verdicts] = judge.verify_all([(nothing, [notation.solution_of(one) for one in ("", "(?!)")])])
    assert {str(one.outcome) for one in verdicts} == {"wrong"}, "a puzzle without words has none"


ENDLESS = "((((.*)*)*)*)*!"
BOMBS = {
    ENDLESS: {"timeout"},
    "(((a|a)*)*)*(((b|b)*)*)*!": {"timeout", "wrong"},
    "((a{0,99}){0,99}){0,99}!": {"timeout", "wrong", "memory"},
    "a{999999999}": {"raised", "wrong", "memory"},
    "a{99999999999999999999}": {"raised"},
    "(((((a{900}){900}){900}){900}){900})": {"raised", "wrong", "memory", "timeout"},
    "(?<=a*)b": {"raised"},
    "(?<=" + "(a|b)" * 5 + ")b": {"wrong"},
    "(?i)A.*B": {"accepted"},
    "(?x) a .* b # words": {"accepted"},
    "(?s:a.*b)": {"accepted"},
    "(?L)a": {"raised"},
    "(?P<n>a).*b": {"accepted"},
    "(?P=n)": {"raised"},
    "(": {"raised"},
    "\\": {"raised"},
    "[": {"raised"},
    "": {"wrong"},
    "\0": {"wrong"},
    "a.*b\n": {"wrong"},
    "a.*b\r": {"wrong"},
    "a.*b\u2028": {"wrong"},
    "'": {"wrong"},
    "\\'": {"wrong"},
    "a.*b'; __import__('os').abort() #'": {"wrong"},
    "')\nimport os; os.abort()\n('": {"raised"},
    "'\nimport os; os.abort()\n'": {"wrong"},
    '"""\nraise SystemExit\n"""': {"wrong"},
    "{a}{0}%s%d": {"wrong"},
    "\ud800": {"wrong"},
    "a" * 100_000: {"wrong"},
    "(" * 30: {"raised"},
    "(" * 20_000: {"wrong"},
    "a.*b" + "|a.*b" * 200_000: {"wrong", "unparsed", "memory"},
}
"""Answers to `over ab: starts a & ends b`, and what the judge may find."""


def test_hostile_answers_are_judged_like_any_other(judge: Judge) -> None:
    puzzle = notation.puzzle_of("over ab: starts a & ends b")
    [verdicts] = judge.verify_all([(puzzle, [notation.solution_of(one) for one in BOMBS])])
    found = [(answer[:40], str(one.outcome)) for answer, one in zip(BOMBS, verdicts, strict=True)]
    allowed = BOMBS.values()
    assert [one for one, may in zip(found, allowed, strict=True) if one[1] not in may] == []
    after = judge.verify(puzzle, notation.solution_of("a.*b"))
    assert after.outcome is Outcome.ACCEPTED, "the judge lives"


@given(st.text())
def test_any_text_is_an_answer_that_is_read_back(text: str) -> None:
    source = notation.solution_of(text)
    assert "\n" not in source.removeprefix("def g():\n")
    escaped = text.encode("utf-8", "backslashreplace").decode()
    assert notation.answer_of(source) == escaped


@given(st.text() | st.from_regex(r"over [a-d]{1,3}:( ?(not |)[a-z]+ [a-d0-9]{0,3} ?&?){1,4}"))
def test_any_text_is_a_puzzle_or_none_and_never_code(text: str) -> None:
    try:
        puzzle = notation.puzzle_of(text)
    except NotAPuzzle:
        return
    assert notation.text_of(puzzle.source) == notation.read(text).text
    assert set(puzzle.source) <= set(notation.program(notation.read(text)))


HOSTILE_PUZZLES = [
    "over ab: starts '); import os; os.abort(); ('",
    "over ab: starts a\n& ends b",
    'over ab: starts """',
    "over ab: starts \0",
    "over ab: starts \ud800",
    "over ab: starts \u0430",
    "over ab: length \u0663",
    "over ab: length 99999999999999999999",
    "over " + "ab" * 100_000 + ": starts a",
    "over abcdefghijklmnopqrstuvwxyz: starts a",
    "over ab: " + "starts a & " * 100_000,
    "over ab: " + "not " * 30 + "starts a",
    "over ab: starts {0} or {1}",
    "over ab: __class__ a",
    "over ab:",
    "over ab: &",
    "over",
    "",
    "def f(x: str):\n    'over ab: starts a'\n    return True",
]


@pytest.mark.parametrize("text", HOSTILE_PUZZLES, ids=lambda text: repr(text[:20]))
def test_hostile_puzzles_are_none(text: str) -> None:
    with pytest.raises(NotAPuzzle):
        notation.puzzle_of(text)


def test_attacks_on_the_judge_are_no_puzzles_and_answers_refused(judge: Judge) -> None:
    if not HOSTILE.exists():
        pytest.skip("shared/hostile.json is not here")
    puzzle = notation.puzzle_of("over ab: starts a & ends b")
    texts = [case["solution"] for case in json.loads(HOSTILE.read_text())]
    for case in json.loads(HOSTILE.read_text()):
        with pytest.raises(NotAPuzzle):
            notation.puzzle_of(case["puzzle"])
    [verdicts] = judge.verify_all([(puzzle, [notation.solution_of(text) for text in texts])])
    assert {str(verdict.outcome) for verdict in verdicts} <= {"wrong", "raised"}


def test_an_edited_program_is_no_puzzle_of_the_domain() -> None:
    """Its docstring would say something else than it asks."""
    source = notation.puzzle_of("over ab: starts a").source
    with pytest.raises(NotAPuzzle):
        notation.puzzle_of(source.replace("a0='a'", "a0='b'"))


def test_random_puzzles_are_written_and_read_alike() -> None:
    rng = random.Random(3)
    for _ in range(300):
        stated = grammar.puzzle(rng)
        assert notation.read(stated.text) == stated
        assert notation.text_of(notation.puzzle_of(stated.text).source) == stated.text


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("seeds.source=tiny", 'seeds.source must be of the domain "regex" but is "tiny"'),
        ("evaluate.suite=p3", 'evaluate.suite must be of the domain "regex" but is "p3"'),
        ("prompt.layout=paper", 'needs prompt.layout = "line"'),
        ("vet.rules=paper", 'needs vet.rules = "etude"'),
        ("domain=sql", "domain is 'sql'"),
        ("domain=python", 'seeds.source must be of the domain "python" but is "regex"'),
    ],
)
def test_settings_that_are_of_another_domain_are_refused(setting: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        config.load("regex", [setting])


# A run

SHRUNK = (
    *("pretrain.documents=1500", "pretrain.learning_rate=5e-3", "model.hidden=64"),
    *("model.layers=2", "model.heads=2", "model.ffn=128", "run.rounds=1", "seeds.per_family=1"),
    *("seeds.epochs=12", "seeds.learning_rate=3e-3", "propose.samples=96", "propose.per_unit=48"),
    *("propose.per_prompt=48", "vet.max_puzzles=12", "solve.samples=3", "solve.puzzles_per_unit=4"),
    *("select.max_solve_rate=1.0", "train.epochs=1", "final.epochs=1", "final.seed_repeat=1"),
    *("evaluate.samples=1", "evaluate.final_samples=1", "evaluate.ks=[1]", "controls.arms=[]"),
    "evaluate.max_new_tokens=12",
)


def command(run: Path) -> list[str]:
    words = [word for one in SHRUNK for word in ("--set", one)]
    return [sys.executable, "-m", "etude", "run", "regex", *words, "--out", str(run)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regex") / "run"
    made = subprocess.run(command(folder), capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def tables(run: Path) -> dict[str, bytes]:
    """Every table of a run as bytes, without the measured columns."""
    found = {}
    for path in sorted(run.rglob("*.parquet")):
        table = pq.read_table(path)
        table = table.drop_columns([name for name in table.column_names if name in MEASURED])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        found[str(path.relative_to(run))] = sink.getvalue().to_pybytes()
    return found


@pytest.mark.long
@pytest.mark.slow
def test_a_run_that_was_killed_ends_with_the_same_tables(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    process = subprocess.Popen(
        command(again),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(again.glob("round-01/solve/0*.parquet")):
        assert process.poll() is None, "it was to be killed before it ended"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    subprocess.run(command(again), check=True, capture_output=True)
    expected, found = tables(run), tables(again)
    assert expected.keys() == found.keys()
    assert [path for path in expected if expected[path] != found[path]] == []


def etude(*words: object) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "etude", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1", "COLUMNS": "200"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout


@pytest.mark.long
@pytest.mark.slow
def test_the_readers_read_a_run_of_the_domain(run: Path, tmp_path: Path) -> None:
    assert "round 1" in etude("show", run)
    vetted = pq.read_table(next(run.glob("round-01/vet/*.parquet"))).to_pylist()
    kept = next(row for row in vetted if row["fate"] == "kept")
    told = etude("why", kept["puzzle_id"], run)
    assert notation.text_of(kept["source"]) in told
    problem = domains.named("regex").held_out(SPLIT)[0]
    assert problem.puzzle is not None
    assert notation.text_of(problem.puzzle.source) in etude("why", problem.name, run)
    etude("check", run)
    etude("report", run, "--out", tmp_path / "report.html")
    etude("dedup", run)
    etude("diversity", run)
    etude("export", run, "--include-seeds", "--out", tmp_path / "pairs")
    shown = [pq.read_table(path).to_pylist() for path in (tmp_path / "pairs").rglob("*.parquet")]
    rows = [row for one in shown for row in one if "puzzle" in row]  # beside the list of puzzles
    assert rows
    for row in rows:
        puzzle = notation.text_of(row["puzzle"])
        answer = notation.answer_of(row["solution"])
        assert row["prompt"] + row["completion"] == f"{puzzle}\nre: {answer}\n"
