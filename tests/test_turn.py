"""Solutions turned round into puzzles: each has an answer, and is solved by what undoes it."""

from __future__ import annotations

import io
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etude import config, store, tables
from etude.arm import Arm
from etude.console import Console
from etude.derive import derive
from etude.errors import RecipeError
from etude.export.making import STAGES
from etude.holes import Opened, given
from etude.holes import opened as templates
from etude.lineage import trace
from etude.lineage.words import show_chain
from etude.puzzle import parse
from etude.readings import vetting
from etude.select import select
from etude.train import _selected
from etude.turn import turn
from etude.turned import NAMES, turned
from etude.types import Event, Puzzle
from round_tables import write_judged

LISTS = "def f(x: List[int], nums=[3, 9, 5], a=4): return len(x) == a"
WORDS = "def f(x: str, s='dog', t='cat'): return x.count(s) == 9"
ROWS = [
    (LISTS, "def g(nums=[3, 9, 5], a=4): return [i + a for i in nums]", "wrong", "[7, 13, 9]"),
    (LISTS, "def g(nums=[3, 9, 5], a=4): return [i - a for i in nums]", "wrong", "[-1, 5, 1]"),
    (LISTS, "def g(nums=[3, 9, 5], a=4): return nums[1:]", "wrong", "[9, 5]"),
    (LISTS, "def g(nums=[3, 9, 5], a=4): return nums[:1] * 3", "wrong", "[3, 3, 3]"),
    (WORDS, "def g(s='dog', t='cat'): return t + s", "wrong", "'catdog'"),
    (WORDS, "def g(s='dog', t='cat'): return t[len(s):]", "wrong", "''"),
    (WORDS, "def g(s='dog', t='cat'): return t", "wrong", "'cat'"),
    (WORDS, "def g(s='dog', t='cat'): return t[:-1]", "wrong", "'ca'"),
    (WORDS, "def g(s='dog', t='cat'): return s * 2", "wrong", "'dogdog'"),
]
SHOWN = ("source", "solution")
VALUES = {
    "int": ["7"],
    "str": ["'cat'"],
    "list[int]": ["[3, 9]"],
    "list[list[str]]": ["[['cat']]"],
}
Open = Callable[..., Arm]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    arms: list[Arm] = []

    def open_arm(*wanted: str) -> Arm:
        settings = ["repair.borrow=99", "repair.pose=5", "repair.turn=9", *wanted]
        run = store.Run.open(tmp_path / f"run-{len(arms)}", config.load("smoke", settings), {})
        arms.append(Arm(run, "verified", lambda _: None))
        write_judged(arms[-1].round(1), ROWS)
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm.close()


def every(body: str, kinds: tuple[str, ...], answer_type: str) -> set[str]:
    """All that is made of a body by chance, but for the order of inputs and their names."""
    made = (turned(Opened(body, kinds), answer_type, VALUES, random.Random(n)) for n in range(200))
    return {f"{one.puzzle.answer_type}: {condition(one.puzzle)}" for one in made if one is not None}


def condition(puzzle: Puzzle) -> str:
    """With the inputs of a kind named as `NAMES` are, in the order in which they are read."""
    text = puzzle.source.partition("return ")[2]
    kinds = {value.written: value.kind for value in given(puzzle) if not value.is_literal}
    names = {kind: iter(own) for kind, own in NAMES.items()}
    read = dict.fromkeys(one for one in re.findall(r"[a-z]+", text) if one in kinds)
    new = {name: next(names[kinds[name]]) for name in read}
    return re.sub(r"[a-z]+", lambda found: new.get(found[0], found[0]), text)


def test_any_of_what_a_solution_reads_is_asked_for() -> None:
    assert every(" return [i - _hole0_ for i in _hole1_]", ("int", "list[int]"), "List[int]") == {
        "int: [i - x for i in nums] == u", "int: nums == [i - x for i in u]",
        "List[int]: [i - a for i in x] == nums", "List[int]: nums == [i - a for i in x]",
        "List[int]: [i - a for i in nums] == x", "List[int]: x == [i - a for i in nums]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kinds", "answer_type", "told"),
    [
        (
            " return _hole0_ if _hole0_ > 3 else -_hole0_",
            ("int",),
            "int",
            "(x if x > 3 else -x) == a",
        ),
        (" return [a for a in _hole0_]", ("list[int]",), "List[int]", "[a for a in x] == nums"),
        (" return _hole0_ + _hole1_", ("int", "int"), "int", "x + a == b"),
        (
            " return [a for a in _hole1_ if a > _hole0_]",
            ("int", "list[int]"),
            "List[int]",
            "[a for a in nums if a > x] == u",
        ),
    ],
)
def test_what_is_made_parses_to_what_was_meant(
    body: str, kinds: tuple[str, ...], answer_type: str, told: str
) -> None:
    found = every(body, kinds, answer_type)
    assert any(told in one for one in found)


@pytest.mark.parametrize(
    ("body", "kinds", "answer_type"),
    [
        (" return _hole0_", ("int",), "int"),  # nothing is done
        (" return 3 + 4", (), "int"),  # nothing is read
        (" a = _hole0_\n return a", ("int",), "int"),  # no expression
        (" return x + _hole0_", ("int",), "int"),
        (" return len(_hole0_)", ("list[list[int]]",), "int"),  # no value is known
        (" return {_hole0_}", ("int",), "Set[int]"),
        (" return _hole0_ + " + " + ".join(map(str, range(30))), ("int",), "int"),
        (" return [i for i in _hole0_]", ("list[list[str]]",), "List[List[str]]"),  # has no name
        (" return _hole0_ + f\"{len('\u200b')}\"", ("str",), "str"),  # can't be written again
        (" return " + "-" * 350 + "_hole0_", ("int",), "int"),
    ],
)
def test_of_what_nothing_is_made(body: str, kinds: tuple[str, ...], answer_type: str) -> None:
    assert not every(body, kinds, answer_type)


def test_what_looks_like_a_hole_in_a_text_is_none() -> None:
    found = every(" return _hole0_ + '_ho' 'le9_'", ("str",), "str")
    assert "str: s + '_hole9_' == x" in found
    nobody = "def g(nums=[3]): return [_\uff48ole9_ for _\uff48ole9_ in nums]"  # a name, to Python
    assert not templates(nobody, parse("def f(x: List[int], nums=[3]): return x == nums"))


def test_no_name_is_one_that_stands_in_the_solution() -> None:
    body = Opened(" return list(map(lambda a: _hole0_ - a, _hole1_))", ("int", "list[int]"))
    made = [turned(body, "List[int]", VALUES, random.Random(number)) for number in range(50)]
    sources = [one.puzzle.source for one in made if one is not None]
    assert sources
    assert all(re.search(r"lambda a: [bcx] - a", one) for one in sources)


def test_what_undoes_the_solution_teaches(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etude.turned.FORWARD", 0.5)  # of nine, some of both
    arm = opened()
    folder = turn(arm, 1)
    assert folder is not None
    rows = store.read_stage(folder)
    made = {row["turned_id"] for row in rows}
    solved = vetting.turned(arm.run.folder, 1)
    assert 6 < solved["turned round"] == len(made) <= 9
    assert 0 < solved["solved"] < len(made)
    select(arm, 1)
    derived = derive(arm, 1)
    assert derived is not None
    examples = store.read_stage(derived)
    assert {one["origin"] for one in examples} == {"turned"} <= STAGES.keys()
    taught: set[tuple[frozenset[str], str]] = set()
    for one in examples:
        assert arm.judge.verify(one["source"], one["solution"]).outcome == "accepted"
        assert one["puzzle_id"] in {parse(LISTS).id, parse(WORDS).id}
        told = [re.sub(r"\bu\b", "nums", re.sub(r"\bb\b", "a", one[key])) for key in SHOWN]
        asked, given_back = (text.partition("return ")[2] for text in told)
        taught.add((frozenset(asked.split(" == ")), given_back))
    shifted = "[i + a for i in nums]"
    assert (frozenset({"[i - a for i in x]", "nums"}), shifted) in taught  # undone
    assert (frozenset({shifted, "x"}), shifted) in taught  # done


@pytest.mark.parametrize("most", [1, 3, 4])
def test_so_many_examples_of_a_turned_puzzle_teach(opened: Open, most: int) -> None:
    arm = opened(f"repair.per_turned={most}")
    folder = turn(arm, 1)
    assert folder is not None
    select(arm, 1)
    derived = derive(arm, 1)
    assert derived is not None
    made = {row["derived_id"]: row["turned_id"] for row in store.read_stage(folder)}
    of = Counter(made[one["derived_id"]] for one in store.read_stage(derived))
    assert max(of.values()) == most


def write_derived(arm: Arm, **of: int) -> None:
    """Further examples of round 1, so many of each origin."""
    rows = [
        dict.fromkeys(tables.DERIVE.names, "x") | {"origin": origin, "text": f"{origin} {number}"}
        for origin, count in of.items()
        for number in range(count)
    ]
    store.write_table(store.unit_path(arm.round(1) / "derive", 0), rows, tables.DERIVE)


def test_a_rounds_training_takes_a_share_of_the_turned_ones(opened: Open) -> None:
    arm = opened()
    write_derived(arm, repair=7, turned=200)
    taken = {
        share: [row["text"] for _, row in _selected(arm, [1], frozenset(), share)]
        for share in (0, 0.2, 0.6, 1)
    }
    assert [one for one in taken[1] if "repair" in one] == taken[0]
    assert (len(taken[0]), len(taken[1])) == (7, 207)
    assert 20 < len(taken[0.2]) - 7 < 60
    assert set(taken[0]) < set(taken[0.2]) < set(taken[0.6]) < set(taken[1])  # the same ones again


def test_the_controls_training_takes_as_many(opened: Open) -> None:
    arm = opened()
    write_derived(arm, repair=7, turned=200)
    control = Arm(arm.run, "unverified", lambda _: None)
    write_derived(control, redrawn=207)
    for share in (0.2, 1):
        counts = [sum(1 for _ in _selected(one, [1], frozenset(), share)) for one in (arm, control)]
        assert counts[0] == counts[1]
    control.close()


def test_an_example_is_traced_to_the_attempt_that_was_turned(opened: Open) -> None:
    arm = opened()
    turn(arm, 1)
    select(arm, 1)
    derived = derive(arm, 1)
    assert derived is not None
    examples = store.read_stage(derived)
    assert examples
    for one in examples:
        links = trace(arm.run.folder, one["example_id"]).links
        assert [link.kind for link in links][:3] == ["derived", "tried", "candidate"]
        tried = links[1].content
        for made in (one["derived_id"], tried["turned_id"]):
            chain = trace(arm.run.folder, made)
            assert chain.kind == "made"
            assert chain.links[0].content["turned"] == tried["turned"]
            told = [link.content for link in chain.links if link.kind == "candidate"]
            assert tried["attempt_id"] in {row["candidate_id"] for row in told}
        assert tried["attempt_id"] in {row["candidate_id"] for row in candidates(arm)}
        shown = {link.content["candidate_id"] for link in links if link.kind == "candidate"}
        assert shown == {tried["attempt_id"], one["candidate_id"]}
        assert [link.kind for link in links].count("turned") == 1  # of all, how many
        for json_lines in (False, True):
            out = io.StringIO()
            console = Console(json_lines=json_lines, file=out)
            show_chain(console, trace(arm.run.folder, one["example_id"]))
            assert "turned" in out.getvalue()


def forward(arm: Arm) -> list[store.Row]:
    """What was asked forward in the first round, as it was judged."""
    return [row for row in store.read_stage(arm.round(1) / "turn") if row["way"] == "forward"]


def test_what_a_trivial_answer_satisfies_is_not_asked_forward(opened: Open) -> None:
    arm = opened()
    empty = LISTS, "def g(nums=[3, 9, 5], a=4): return [i for i in nums if i > a + 999]"
    turning = (*empty, "wrong", "[]")
    plain = (LISTS, "def g(nums=[3, 9, 5], a=4): return [i + a for i in nums]", "wrong", "[7]")
    sides: set[bool] = set()
    for number, rows in ((1, [plain, *ROWS]), (2, [turning, *ROWS])):
        write_judged(arm.round(number), rows)
        turn(arm, number)
        made = store.read_stage(arm.round(number) / "turn")
        judged = {row["turned"] for row in made if row["way"] == "forward"}
        assert not any("999" in one for one in judged)
        sides.update("999" in row["turned"] for row in made)
    assert sides == {False, True}  # it was made, and left


def test_no_held_out_problem_is_asked_forward(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = opened()
    turn(arm, 1)
    (one, *_) = forward(arm)
    other = opened()
    monkeypatch.setattr("etude.turn.held_out", lambda _: {one["derived_id"]})
    turn(other, 1)
    asked = {row["derived_id"] for row in forward(other)}
    assert asked
    assert one["derived_id"] not in asked


@pytest.mark.parametrize(
    ("answer", "outcome", "asked"),
    [
        ("[7]", "mistyped", "List[int]"),  # what it gave, not what its puzzle asks for
        ("[7, 13", "mistyped", None),
        (None, "mistyped", None),
        ("True", "mistyped", None),
        (None, "raised", None),
        ("[7]", "wrong", "int"),
    ],
)
def test_what_an_attempt_gave_says_what_is_asked_for(
    opened: Open,
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    outcome: str,
    asked: str | None,
) -> None:
    monkeypatch.setattr("etude.turned.FORWARD", 1)
    arm = opened()
    number = "def f(x: int, nums=[3, 9, 5], a=4): return x == nums[a] + 2"
    solution = "def g(nums=[3, 9, 5], a=4): return [i + a for i in nums]"
    write_judged(arm.round(2), [(number, solution, outcome, answer)])
    turn(arm, 2)
    made = {row["turned"] for row in store.read_stage(arm.round(2) / "turn")}
    types = {parse(one).answer_type for one in made}
    assert types == ({asked} if asked else set())


def taught(arm: Arm) -> list[store.Row]:
    """The further examples of the first round."""
    select(arm, 1)
    derived = derive(arm, 1)
    assert derived is not None
    return store.read_stage(derived)


def test_a_puzzle_that_rests_on_chance_does_not_teach(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etude.turned.FORWARD", 1)
    by_chance = "def g(s='dog', t='cat'): return str(hash(s) % 1000) + t"
    rows = [*ROWS, (WORDS, by_chance, "wrong", "'12cat'")]
    found = {}
    for rule in ("drop", "report"):
        arm = opened(f"probe.unstable={rule}", "repair.turn=99")
        write_judged(arm.round(1), rows)
        turn(arm, 1)
        accepted = {row["turned"] for row in forward(arm) if row["outcome"] == "accepted"}
        assert any("hash" in one for one in accepted)
        found[rule] = {"hash" in row["source"] for row in taught(arm)}
    assert found == {"drop": {False}, "report": {False, True}}


def test_attempts_at_a_puzzle_that_may_not_teach_teach_nothing(opened: Open) -> None:
    arm = opened()
    turn(arm, 1)
    of = parse(LISTS).id
    row = dict.fromkeys(tables.PROBE.names) | {"puzzle_id": of, "stable": False}
    store.write_table(store.unit_path(arm.round(1) / "probe", 0), [row], tables.PROBE)
    assert {row["puzzle_id"] for row in taught(arm)} == {parse(WORDS).id}


def test_what_behaves_as_a_held_out_problem_does_is_left_where_the_recipe_asks_for_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The problem `sort_words/0` has another text, and no other form tells that they are one."""
    monkeypatch.setattr("etude.turned.FORWARD", 1)
    words = ["rain", "fish", "moon"]
    asked = f"def f(x: List[str], words={words}): return len(x) == 9"
    sorting = f"def g(words={words}): return sorted(words, key=lambda one: (one, 1))"
    found, told = [], list[Event]()
    for levels in ('["exact"]', '["exact", "behaviour"]'):
        arm = opened(f"decontaminate.levels={levels}")
        arm.tell = told.append
        write_judged(arm.round(1), [(asked, sorting, "wrong", str(sorted(words)))])
        turn(arm, 1)
        found.append({row["source"] for row in forward(arm) if row["outcome"] == "accepted"})
    (left,) = found[0] - found[1]
    assert f"={words}" in left
    assert found[1] < found[0]
    assert told[-1].summary.endswith("1 near a held-out problem, dropped")


def test_there_are_no_more_units_than_attempts(opened: Open) -> None:
    arm = opened("repair.turn=1_000_000_000", "solve.samples=8")
    folder = turn(arm, 1)
    assert folder is not None
    assert len(list(folder.glob("*.parquet"))) == 1


def candidates(arm: Arm) -> list[store.Row]:
    return store.read_stage(arm.round(1) / "solve")


def test_no_form_is_made_twice(opened: Open) -> None:
    arm = opened("repair.turn=3")
    turn(arm, 1)
    write_judged(arm.round(2), ROWS)
    turn(arm, 2)
    forms = [
        [parse(source).form for source in {row["turned"] for row in store.read_stage(folder)}]
        for folder in (arm.round(1) / "turn", arm.round(2) / "turn")
    ]
    assert [len(one) for one in forms] == [3, 3]
    assert not set(forms[0]) & set(forms[1])


def test_without_it_nothing_is_made(opened: Open) -> None:
    assert turn(opened("repair.turn=0"), 1) is None


def test_what_it_needs_is_said() -> None:
    with pytest.raises(RecipeError, match=r"repair\.turn makes .* above 0, or repair\.turn = 0"):
        config.load("smoke", ["repair.borrow=9", "repair.turn=9"])
