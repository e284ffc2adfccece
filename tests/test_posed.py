"""Puzzles posed anew: each has an answer, and only what is right for all of them teaches."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from etude import config, store, tables
from etude.arm import Arm
from etude.console import Console
from etude.derive import derive
from etude.errors import RecipeError
from etude.lineage import trace
from etude.lineage.words import show_chain
from etude.posed import is_small, posed
from etude.puzzle import parse
from etude.readings import vetting
from etude.repair import repair, summary
from etude.rewrites import rewrites
from etude.select import select
from round_tables import write_judged

PREFIX = "def f(x: str, s='dog', t='cat'): return t == s + x"
SUFFIX = "def f(x: str, v='tree', w='e'): return x + w == v[1:] + v"
TIMES = "def f(x: int, a=7): return x * a == 24"
ROWS = [
    (PREFIX, "def g(s='dog', t='cat'): return t", "wrong", "'cat'"),
    (SUFFIX, "def g(v='tree', w='e'): return w[len(v):]", "wrong", "'milk'"),
    (SUFFIX, "def g(v='tree', w='e'): return v * 2", "wrong", "'treetree'"),
    (SUFFIX, "def g(v='tree', w='e'): return v + w", "wrong", "'salt'"),
    (SUFFIX, "def g(v='tree', w='e'): return 'gold'", "wrong", "'gold'"),
    (TIMES, "def g(a=7): return 24 // a", "wrong", "345"),
    (TIMES, "def g(a=7): return a", "wrong", "811"),
    (TIMES, "def g(a=7): return 24", "wrong", "450"),
    (TIMES, "def g(a=7): return 24 * a", "wrong", "7"),
]
ANSWERS = {"int": ["345", "811", "450", "702"], "str": ["'milk'", "'salt'", "'gold'"]}
Open = Callable[..., Arm]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    arms: list[Arm] = []

    def open_arm(*wanted: str, rows: Sequence[tuple[str, str, str, str | None]] = ROWS) -> Arm:
        settings = ["repair.borrow=99", "repair.pose=5", *wanted]
        run = store.Run.open(tmp_path / f"run-{len(arms)}", config.load("smoke", settings), {})
        arms.append(Arm(run, "verified", lambda _: None))
        write_judged(arms[-1].round(1), rows)
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm.close()


def posed_of(arm: Arm, *sources: str) -> list[list[str]]:
    puzzles = [parse(one) for one in sources]
    found = posed(arm, puzzles, ANSWERS, 5, random.Random(3))
    return [[one.source for one in found.get(puzzle.id, [])] for puzzle in puzzles]


def solved(arm: Arm, sources: list[str], solution: str) -> bool:
    return all(
        arm.judge.verify(one, solution.format(parse(one).inputs)).outcome == "accepted"
        for one in sources
    )


def test_inputs_and_literals_get_the_value_that_an_answer_gives(opened: Open) -> None:
    arm = opened()
    prefix, times = posed_of(arm, PREFIX, TIMES)
    assert len(prefix) >= 3
    assert solved(arm, prefix, "def g({}): return t[len(s):]")
    assert {parse(one).form for one in prefix} == {parse(PREFIX).form}
    assert len({one.partition("==")[2] for one in times}) >= 3  # another literal each time
    assert all(int(one.rpartition(" ")[2]) % int(parse(one).inputs[2:]) == 0 for one in times)


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int, a=7): return x > a",  # nothing is compared
        "def f(x: int, a=7): return x - x == a",  # the same whatever the answer is
        "def f(x: str, a=7): return len(x) - len(x) + a == 7",
        "def f(x: int, a=0): return len(str(x)) == a",  # answers that are always tried have it
        "def f(x: int, a=7): return x ** 9 == a",  # too large
        "def f(x: int, a='q'): return x + 1 == a",  # another type
        "def f(x: List[int], a=7): return x[0] == a",  # there is no answer of this type
        "def f(x: int, a=7): return x + b == a",
    ],
)
def test_what_has_no_such_value_is_left(opened: Open, source: str) -> None:
    assert not posed(opened(), [parse(source)], ANSWERS, 5, random.Random(3))


def test_a_held_out_problem_is_not_posed(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = opened()
    (whole,) = posed_of(arm, PREFIX)
    again = opened()
    problem = next(one for one in again.problems if one.puzzle is not None)
    mine = type(problem)(name="mine", part="x", puzzle=parse(whole[1]))
    monkeypatch.setattr(again, "_problems", [mine])
    (left,) = posed_of(again, PREFIX)
    assert left == [one for one in whole if one != whole[1]]


@pytest.mark.parametrize("literal", ["", None, "1" * 6, f"'{'a' * 60}'", "[1, 2, 1000000]"])
def test_large_values_are_not_asked_about(literal: str | None) -> None:
    assert not is_small(literal)
    assert is_small("[99999, 'abc']")


def test_only_what_undoes_the_puzzle_teaches(opened: Open) -> None:
    arm = opened()
    folder = repair(arm, 1)
    assert folder is not None
    rows = [row for row in store.read_stage(folder) if row["way"] == "posed"]
    by_puzzle = {name: [row for row in rows if row["puzzle_id"] == parse(name).id]
                 for name in (PREFIX, TIMES)}  # fmt: skip
    assert len({row["derived_id"] for row in by_puzzle[TIMES]}) >= 3
    counts = vetting.repaired(arm.run.folder, 1)
    assert counts["posed anew and solved"] == 2
    assert "2 posed anew and solved" in summary(counts)
    select(arm, 1)
    made = derive(arm, 1)
    assert made is not None
    examples = store.read_stage(made)
    assert [one["origin"] for one in examples] == ["posed"] * 4
    for one in examples:
        assert arm.judge.verify(one["source"], one["solution"]).outcome == "accepted"
        body = one["solution"].partition("return ")[2]
        if one["puzzle_id"] == parse(PREFIX).id:
            assert body == "t[len(s):]"
        else:
            assert body == f"{one['source'].rpartition(' ')[2]} // a"
    links = trace(arm.run.folder, examples[0]["example_id"]).links
    assert [link.kind for link in links][:2] == ["derived", "tried"]
    assert links[1].content["way"] == "posed"
    made_links = trace(arm.run.folder, examples[0]["derived_id"]).links
    told = ["tried", "candidate", "verdict", "derived", "puzzle"]  # the attempt that was tried
    assert [link.kind for link in made_links][:5] == told
    assert made_links[0].content["outcome"] == "accepted"
    assert made_links[3].content["example_id"] == examples[0]["example_id"]
    for json_lines in (False, True):
        out = io.StringIO()
        for one in examples:
            show_chain(
                Console(json_lines=json_lines, file=out), trace(arm.run.folder, one["example_id"])
            )
        assert out.getvalue().count("posed") == 8  # the origin, and the way


@pytest.mark.parametrize(("most", "puzzles"), [(1, 1), (3, 3), (99, 4)])
def test_so_many_of_what_one_puzzle_was_posed_as_teach(
    opened: Open, most: int, puzzles: int
) -> None:
    arm = opened(f"repair.per_puzzle={most}")
    assert repair(arm, 1) is not None
    select(arm, 1)
    made = derive(arm, 1)
    assert made is not None
    for name in (PREFIX, TIMES):
        own = [row for row in store.read_stage(made) if row["puzzle_id"] == parse(name).id]
        assert len(own) <= most
        assert puzzles <= len({row["derived_id"] for row in own}) <= max(most, puzzles)


def test_what_was_made_of_a_puzzle_that_comes_again_is_not_made_again(opened: Open) -> None:
    made: list[list[store.Row]] = []
    for _ in range(2):
        arm = opened("retry.puzzles=9")
        if made:
            before = store.unit_path(arm.round(1) / "derive", 0)
            store.write_table(before, made[0][1:], tables.DERIVE)
        write_judged(arm.round(2), ROWS)
        repair(arm, 2)
        select(arm, 2)
        folder = derive(arm, 2)
        assert folder is not None
        made.append(store.read_stage(folder))
    assert made[0][1:]
    assert made[1] == made[0][:1]


def test_one_wrong_verdict_is_enough(opened: Open) -> None:
    arm = opened()
    folder = repair(arm, 1)
    assert folder is not None
    path = store.unit_path(folder, 0)
    rows = store.read_table(path)
    last = {row["puzzle_id"]: at for at, row in enumerate(rows) if row["way"] == "posed"}
    for at in last.values():
        rows = [
            row | {"outcome": "wrong"} if row["derived_id"] == rows[at]["derived_id"] else row
            for row in rows
        ]
    store.write_table(path, rows, tables.REPAIR)
    assert vetting.repaired(arm.run.folder, 1)["posed anew and solved"] == 0
    select(arm, 1)
    made = derive(arm, 1)
    assert made is not None
    assert store.read_stage(made) == []


def test_without_it_no_puzzle_is_made(opened: Open) -> None:
    folder = repair(opened("repair.pose=0"), 1)
    assert folder is not None
    assert {row["way"] for row in store.read_stage(folder)} == {None}


def test_what_it_is_made_of_is_said_when_it_is_missing() -> None:
    with pytest.raises(RecipeError, match=r"repair\.pose needs solutions to try"):
        config.load("smoke", ["repair.pose=4"])
    with pytest.raises(RecipeError, match=r"at least 3"):
        config.load("smoke", ["repair.pose=2", "repair.borrow=9"])


def test_a_text_that_names_an_argument_twice_has_no_rewrites() -> None:
    with pytest.raises(ValueError, match="two arguments of one name"):
        parse("def f(x: str, words=['a'], words=['b']): return x == words")
    assert [one.name for one in rewrites(parse(TIMES), literals=True)] == [""]
    assert rewrites(parse(TIMES)) == []
