"""Wrong answers as right ones to other puzzles: the constants, the judge's word, the vetting."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etude import config, store, tables
from etude.arm import Arm
from etude.derive import derive
from etude.errors import RecipeError
from etude.hindsight import hindsight
from etude.judge import Judge
from etude.lineage import trace
from etude.puzzle import NotAPuzzle, parse
from etude.rewrites import kind_of, rewrites
from etude.select import select
from etude.suites import load
from etude.vary import vary
from round_tables import write_judged


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(x: int, a=7, b=900): return x + a == b", ["b"]),
        ("def f(x: int, a=7, b=900): return b == x + a", ["b"]),
        ("def f(x: int, a=7, b=900): return x > 3 and (x < 9 and b == x + a)", ["b"]),
        ("def f(x: str, n=3, s='a'): return len(x) == n and x[0] == s", ["n", "s"]),
        ("def f(x: str, n=3): return x.count('a') == n and len(x) == n", ["n"]),
        ("def f(x: str, n=3):\n    y = x * 2\n    return len(y + x) == n", ["n"]),
        ("def f(x: int, n=3): return x + n == n", []),  # it stands on both sides
        ("def f(x: int, n=3): return x > 900 or x == n", []),
        ("def f(x: int, n=3): return not x == n", []),
        ("def f(x: int, n=3): return x < n", []),
        ("def f(x: int, n=3): return 3 == n and x > 900", []),  # no matter what the answer is
        ("def f(x: bool, n=True): return x == n", []),
        ("def f(x: int, n=3):\n    n = 4\n    return x == n", []),
        ("def f(x: int, n=[]): return [x] == n", []),
        ("def f(x: int, n=3):\n    if x == n: return True\n    return False", []),
    ],
)
def test_which_inputs_can_be_rewritten(source: str, found: list[str]) -> None:
    assert [one.name for one in rewrites(parse(source))] == found


def test_a_program_of_no_answer_is_none() -> None:
    (rewrite,) = rewrites(parse("def f(x: int, n=3): return x == n"))
    with pytest.raises((NotAPuzzle, ValueError)):
        rewrite.program("x = 3")


def test_the_judge_finds_the_value_of_the_other_side() -> None:
    source = "def f(x: List[int], k=2, n=3):\n    y: List[int] = x * k\n    return sum(y) + k == n"
    (rewrite,) = rewrites(parse(source))
    with Judge(1) as judge:
        accepts = f"def f(x: {rewrite.kind}): return True"
        assert judge.verify(accepts, rewrite.program("[4, 1]")).answer == "12"
        assert judge.verify(accepts, rewrite.program("['a']")).outcome == "raised"
    assert kind_of([[1.5]]) == "List[List[float]]"


SUM = "def f(x: int, a=7, b=900): return x + a == b"
LENGTH = "def f(x: str, s='dog', n=11): return len(x) == n and x.startswith(s * 3)"
ROWS = [
    (SUM, "def g(a=7, b=900): return a * 211", "1477"),  # fits b = 1484, whatever a is
    (SUM, "def g(a=7, b=900): return b", "900"),  # b = 907 changes its answer
    (SUM, "def g(a=7, b=900): return 'no'", "'no'"),
    (LENGTH, "def g(s='dog', n=11): return s * 4", "'dogdogdogdog'"),  # fits n = 12
    (LENGTH, "def g(s='dog', n=11): return 'dogdogdogdogs'", "'dogdogdogdogs'"),  # fits n = 13
    (LENGTH, "def g(s='dog', n=11): return s", "'dog'"),  # the other condition does not hold
]


def write(place: Path) -> None:
    """A round as far as `judge`, in which every answer is wrong."""
    write_judged(place, [(source, text, "wrong", answer) for source, text, answer in ROWS])


Open = Callable[..., Arm]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    arms: list[Arm] = []

    def open_arm(*settings: str, folder: str = "run") -> Arm:
        wanted = ["hindsight.per_puzzle=2", *settings]
        run = store.Run.open(tmp_path / folder, config.load("smoke", wanted), {})
        arms.append(Arm(run, "verified", lambda _: None))
        if not (arms[-1].round(1) / "judge").exists():
            write(arms[-1].round(1))
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm.close()


def found_in(arm: Arm, number: int = 1) -> list[store.Row]:
    folder = hindsight(arm, number)
    assert folder is not None
    return store.read_stage(folder)


def test_only_what_the_judge_accepts_is_kept(opened: Open) -> None:
    arm = opened()
    rows = found_in(arm)
    kept = {row["source"]: row["solution"] for row in rows if row["fate"] == "kept"}
    assert kept == {
        SUM.replace("900", "1484"): "def g(a=7, b=1484): return a * 211",
        LENGTH.replace("11", "12"): "def g(s='dog', n=12): return s * 4",
        LENGTH.replace("11", "13"): "def g(s='dog', n=13): return 'dogdogdogdogs'",
    }
    missed = {row["source"]: (row["outcome"], row["fate"]) for row in rows if not row["fate"]}
    assert missed[SUM.replace("900", "907")] == ("wrong", None)  # its answer is 907 then
    assert missed[LENGTH.replace("11", "3")] == ("wrong", None)
    for source, solution in kept.items():
        assert arm.judge.verify(source, solution).outcome == "accepted"


def test_at_most_so_many_of_a_puzzle(opened: Open) -> None:
    rows = found_in(opened("hindsight.per_puzzle=1"))
    fates = [row["fate"] for row in rows if row["puzzle_id"] == parse(LENGTH).id and row["fate"]]
    assert fates == ["kept", "over the limit"]


def test_new_puzzles_are_vetted_as_proposals_are(opened: Open) -> None:
    arm = opened("vet.max_per_form=2")  # one is the puzzle that was missed
    fates = [row["fate"] for row in found_in(arm) if row["fate"]]
    assert sorted(fates) == ["kept", "kept", "same form"]

    again = opened(folder="other")
    vetted = store.unit_path(again.round(1) / "vet", 0)
    rows = store.read_table(vetted)
    known = parse(SUM.replace("900", "1484"))
    rows.append(rows[0] | {"puzzle_id": known.id, "source": known.source, "fate": "trivial"})
    vetted.unlink()
    store.write_table(vetted, rows, tables.VET)
    (row,) = [row for row in found_in(again) if row["derived_id"] == known.id]
    assert row["fate"] == "duplicate"


def test_a_held_out_problem_is_no_new_puzzle(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = opened()
    problem = next(one for one in load("tiny") if one.puzzle is not None)
    mine = type(problem)(name="mine", part="x", puzzle=parse(SUM.replace("900", "1484")))
    monkeypatch.setattr(arm, "_problems", [mine])
    fates = {row["source"]: row["fate"] for row in found_in(arm) if row["fate"]}
    assert fates[SUM.replace("900", "1484")] == "held out"
    assert sorted(fates.values()) == ["held out", "kept", "kept"]


def test_what_was_kept_in_a_round_is_not_kept_in_the_next(opened: Open) -> None:
    arm = opened()
    first = [row["derived_id"] for row in found_in(arm) if row["fate"] == "kept"]
    write(arm.round(2))
    later = {row["derived_id"]: row["fate"] for row in found_in(arm, 2) if row["fate"]}
    assert [later[one] for one in first] == ["duplicate"] * 3


def test_pairs_may_be_asked_to_generalise(opened: Open) -> None:
    arm = opened("vary.tries=6", "hindsight.general=true")
    fates = {row["source"]: row["fate"] for row in found_in(arm) if row["fate"]}
    assert set(fates.values()) == {"special"}  # of each, another constant would be needed
    with pytest.raises(RecipeError, match="needs vary"):
        config.load("smoke", ["hindsight.general=true"])


def test_rewritten_pairs_become_examples_and_say_of_what(opened: Open) -> None:
    arm = opened()
    found_in(arm)
    assert vary(arm, 1) is None
    assert store.read_stage(select(arm, 1)) == []
    folder = derive(arm, 1)
    assert folder is not None
    rows = store.read_stage(folder)
    assert [row["origin"] for row in rows] == ["hindsight"] * 3
    assert {row["puzzle_id"] for row in rows} == {parse(SUM).id, parse(LENGTH).id}
    chain = trace(arm.run.folder, rows[0]["example_id"])
    assert [link.kind for link in chain.links][:4] == [
        "derived",
        "tried",
        "candidate",
        "verdict",
    ]
    assert chain.links[1].content["input"] == "b"
    assert chain.links[3].content["outcome"] == "wrong"


def test_a_puzzle_that_may_not_teach_gives_nothing(opened: Open) -> None:
    arm = opened()
    found_in(arm)
    puzzle = parse(LENGTH)
    row = dict.fromkeys(tables.PROBE.names) | {"puzzle_id": puzzle.id, "stable": False}
    store.write_table(store.unit_path(arm.round(1) / "probe", 0), [row], tables.PROBE)
    select(arm, 1)
    folder = derive(arm, 1)
    assert folder is not None
    assert {row["puzzle_id"] for row in store.read_stage(folder)} == {parse(SUM).id}


def test_what_was_found_is_found_again(opened: Open) -> None:
    arm = opened()

    def made() -> list[store.Row]:
        rows = found_in(arm)
        return [{k: v for k, v in row.items() if k not in tables.MEASURED} for row in rows]

    first = made()
    shutil.rmtree(arm.round(1) / "hindsight")
    assert made() == first


def test_without_the_lever_nothing_is_written(opened: Open) -> None:
    arm = opened("hindsight.per_puzzle=0")
    assert hindsight(arm, 1) is None
    assert not (arm.round(1) / "hindsight").exists()
