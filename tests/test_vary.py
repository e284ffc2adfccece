"""Variants of puzzles: how they are drawn, what the judge says of them, what becomes of them."""

from __future__ import annotations

import ast
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude import config, store, tables
from etude.arguments import function_of, inputs_of
from etude.arm import Arm, Tell
from etude.constants import powers
from etude.derive import derive
from etude.errors import RecipeError
from etude.exposure import trained_on
from etude.generality import Generality, generalities, preferred
from etude.lineage import trace
from etude.prompts import example_text
from etude.puzzle import parse, syntax_tree
from etude.readings import vetting
from etude.select import select
from etude.suites import load
from etude.train import _selected, documents_of
from etude.types import Event
from etude.variants import values_of, variants, with_defaults, words_of
from etude.vary import HELD_OUT, vary
from round_tables import write_judged

LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=6,
)


def kinds(value: object) -> set[type]:
    """The types of the constants in a value."""
    if isinstance(value, dict):
        return kinds([*value, *value.values()])
    if isinstance(value, list | tuple):
        return set().union(*map(kinds, value))
    return {type(value)}


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3), st.integers(0, 5))
def test_a_variant_is_another_puzzle_of_the_same_types(values: list[object], seed: int) -> None:
    inputs = ", ".join(f"v{place}={value!r}" for place, value in enumerate(values))
    puzzle = parse(f"def f(x: int, {inputs}): return x == v0  # as written")
    made = variants(puzzle, 3, words=("cat", "fish"), seed=seed)
    assert made == variants(puzzle, 3, words=("cat", "fish"), seed=seed)
    assert len({puzzle.id, *(one.puzzle.id for one in made)}) == len(made) + 1
    for one in made:
        assert one.puzzle.source.endswith("): return x == v0  # as written")
        found = values_of(inputs_of(function_of(syntax_tree(one.puzzle.source))))
        for place, old in enumerate(values):
            assert type(found[f"v{place}"]) is type(old)
            assert kinds(found[f"v{place}"]) <= kinds(old)


@pytest.mark.parametrize(
    "inputs",
    ["", "a=None", "a=b''", "a=[]", "a=1e999", "a=10**5", "a=len('abc')", f"a={'9' * 3000}"],
)
def test_what_has_no_simple_inputs_has_no_variants(inputs: str) -> None:
    assert variants(parse(f"def f(x: int, {inputs}): return x == 3"), 4) == []


@pytest.mark.parametrize(
    ("inputs", "holds"),
    [
        ("a=7, b=56", lambda a, b: b % a == 0),
        ("a=12, b=40", lambda a, b: a < b),
        ("a=-12, b=3.5", lambda a, b: a < b),
        ("a=[3, 1, 4], b=2", lambda a, b: b < len(a)),
        ("a=[3, 9, 40], b=9", lambda a, b: b in a and a == sorted(a)),
        ("a='banana', b='an'", lambda a, b: b in a),
        ("a=['sky', 'leaf'], b='leaf'", lambda a, b: b in a),
        ("a=7, b=7", lambda a, b: a == b),
        ("a=2.75, b=0.3", lambda a, b: a * 4 == int(a * 4) and round(b, 1) == b),
        ("a='Red Sky 12', b=3", lambda a, b: a.istitle() and a[-2:].isdecimal()),
    ],
)
def test_what_holds_between_inputs_holds_again(inputs: str, holds: Callable[..., bool]) -> None:
    puzzle = parse(f"def f(x: int, {inputs}): return x == a and x == b")
    made = variants(puzzle, 6, words=("sun", "rain", "wolf"))
    assert len(made) == 6
    for one in made:
        found = values_of(inputs_of(function_of(syntax_tree(one.puzzle.source))))
        assert holds(**found), one.puzzle.inputs


def test_the_search_for_variants_ends_where_there_are_no_more() -> None:
    puzzle = parse("def f(x: int, a=True): return x == a + 1")
    assert [one.puzzle.inputs for one in variants(puzzle, 10**15)] == ["a=False"]


def test_squares_are_mostly_drawn_as_squares() -> None:
    puzzle = parse("def f(x: int, a=1369): return x * x == a")
    drawn = [int(one.defaults["a"]) for one in variants(puzzle, 20)]
    assert all(1000 <= one <= 9999 for one in drawn)
    assert sum(one in powers(1369) for one in drawn) > 5


def test_words_come_from_the_puzzles_that_are_given() -> None:
    shown = [parse("def f(x: str, a=['Frog', 'deer'], b=3): return x == a[0]")]
    assert words_of(shown) == ["deer", "frog"]
    puzzle = parse("def f(x: str, a='bird'): return x == a * 2")
    drawn = {one.defaults["a"] for one in variants(puzzle, 5, words=words_of(shown))}
    assert drawn & {"'deer'", "'frog'"}


TEXTS = [
    "def g(a=@): return 9 - a",
    "def g(a = @ ): return 9 - a",
    "import math\r\ndef h(a=7): return a\r\ndef g(*, a=(@)):\r\n    'é'\r\n    return h(9 - a)",
    "def g(b='ü', a=@): return 9 - a",
    "def g(): return 9 - 7",
    "g = lambda a=7: 9 - a",
    "def g(a=@):\n    def g(a=7): return 9 - a\n    return g(a)",
    "def g(a=7): pass\ndef g(a=@): return 9 - a",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_solution_keeps_all_of_its_text_but_the_defaults(text: str) -> None:
    puzzle = parse("def f(x: int, a=7): return x + a == 9")
    variant = variants(puzzle, 1)[0]
    made = with_defaults(text.replace("@", "7"), puzzle, variant)
    assert made == text.replace("@", variant.defaults["a"])


def test_a_broken_solution_is_changed_only_where_the_prompt_began_it() -> None:
    puzzle = parse("def f(x: int, a=7): return x + a == 9")
    variant = variants(puzzle, 1)[0]
    made = with_defaults("def g(a=7): return 9 - (", puzzle, variant)
    assert made == f"def g({variant.puzzle.inputs}): return 9 - ("
    assert with_defaults("def g(a=7) return 9 - (", puzzle, variant) is None


def judged(candidate: str, variant: str, outcome: str, *, stable: bool | None = None) -> store.Row:
    return {
        "puzzle_id": "p",
        "variant_id": variant,
        "candidate_id": candidate,
        "outcome": outcome,
        "stable": stable,
    }


def test_the_share_is_one_of_the_variants_that_can_be_solved() -> None:
    rows = [judged("a", v, "accepted" if v in "123" else "wrong") for v in "123456"]
    rows += [judged("b", v, "accepted" if v in "4" else "wrong") for v in "123456"]
    rows += [judged("c", "1", "accepted", stable=False), judged("c", "2", "wrong")]
    rows.append(judged("a", "7", HELD_OUT) | {"candidate_id": None})
    found = generalities(rows)["p"]
    assert found == {"a": Generality(3, 4, 6), "b": Generality(1, 4, 6), "c": Generality(0, 4, 6)}
    assert [one.reaches(0.5) for one in found.values()] == [True, False, False]
    assert found["a"].share == 0.75
    assert Generality(0, 0, 6).share is None
    assert not Generality(0, 0, 6).reaches(0.5)
    assert Generality(1, 1, 1).reaches(1.0)  # no second one was possible


def test_only_what_generalises_teaches_where_something_does() -> None:
    rows = [{"candidate_id": name} for name in "abc"]
    found = {"a": Generality(1, 4, 6), "b": Generality(4, 4, 6)}
    none = {"a": Generality(1, 4, 6)}

    def names(known: dict[str, Generality] | None, rule: str) -> str:
        chosen = preferred(rows, known, rule, 0.5)  # type: ignore[arg-type]
        return "".join(row["candidate_id"] for row in chosen)

    assert [names(found, rule) for rule in ("ignore", "prefer", "require")] == ["abc", "b", "b"]
    assert [names(none, rule) for rule in ("ignore", "prefer", "require")] == ["abc", "abc", ""]
    assert names(None, "require") == "abc"  # nothing to vary: nothing is known


def test_no_more_variants_are_wanted_than_are_tried() -> None:
    with pytest.raises(RecipeError, match="at most vary"):
        config.load("smoke", ["vary.examples=2"])


REVERSE = next(one.puzzle for one in load("tiny") if one.name == "reverse/3")
assert REVERSE is not None
GENERAL = "def f(x: int, a=7, b=12): return x + a == b * 20"
FIXED = "def f(x: str, s='dog'): return x[::-1] == s * 2 and len(x) > 2"
BARE = "def f(x: int): return x * x == 144 * 144"
ROWS: list[tuple[str, list[str]]] = [
    (
        GENERAL,
        [
            "def g(a=7, b=12): return 233",
            "def g(a=7, b=12): return b * 20 - a",
            "def g(a=7, b=12): return 20 * b - a  # longer",
        ],
    ),
    (FIXED, ["def g(s='dog'): return 'godgod'"]),
    (BARE, ["def g(): return 144"]),
]
WRONG = "def g(): return None"


def write(place: Path) -> None:
    """A round as far as `judge`: of each puzzle its accepted candidates and a wrong one."""
    write_judged(
        place,
        [
            (source, text, "wrong" if text == WRONG else "accepted", None)
            for source, solutions in ROWS
            for text in [*solutions, WRONG]
        ],
    )


Open = Callable[..., Arm]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    arms: list[Arm] = []

    def open_arm(
        *settings: str,
        name: str = "verified",
        folder: str = "run",
        tell: Tell = lambda _: None,
    ) -> Arm:
        wanted = ["vary.tries=6", "vary.examples=2", "select.max_solve_rate=1", *settings]
        run = store.Run.open(tmp_path / folder, config.load("smoke", wanted), {})
        arms.append(Arm(run, name, tell))
        if not (arms[-1].round(1) / "judge").exists():
            write(arms[-1].round(1))
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm.close()


def taught(arm: Arm) -> dict[str, list[str]]:
    """By puzzle, the solutions that were selected."""
    sources = {r["candidate_id"]: r["source"] for r in store.read_stage(arm.round(1) / "solve")}
    found: dict[str, list[str]] = {source: [] for source, _ in ROWS}
    names = {parse(source).id: source for source in found}
    for row in store.read_stage(select(arm, 1)):
        found[names[row["puzzle_id"]]].append(sources[row["candidate_id"]])
    return found


def test_the_judge_tells_a_rule_from_a_constant(opened: Open) -> None:
    arm = opened()
    folder = vary(arm, 1)
    assert folder is not None
    rows = store.read_stage(folder)
    constant, rule, longer = ROWS[0][1]
    by = generalities(rows)
    own = by[parse(GENERAL).id].values()
    assert sorted((one.solved, one.solvable, one.tried) for one in own) == [
        (0, 6, 6),
        (6, 6, 6),
        (6, 6, 6),
    ]
    assert set(by[parse(FIXED).id].values()) == {Generality(0, 0, 6)}
    assert parse(BARE).id not in by  # it has no inputs
    texts = {row["solution"] for row in rows if row["outcome"] == "accepted"}
    assert len(texts) == 12
    assert all("b * 20 - a" in text or "20 * b - a" in text for text in texts)
    assert taught(arm) == {GENERAL: [rule, longer], FIXED: ROWS[1][1], BARE: ROWS[2][1]}
    assert constant not in taught(arm)[GENERAL]


def test_with_require_a_puzzle_without_a_general_solution_teaches_nothing(opened: Open) -> None:
    arm = opened("vary.rule='require'")
    vary(arm, 1)
    assert taught(arm) == {GENERAL: ROWS[0][1][1:], FIXED: [], BARE: ROWS[2][1]}


def test_with_ignore_the_shortest_teach_as_before(opened: Open) -> None:
    arm = opened("vary.rule='ignore'")
    vary(arm, 1)
    assert taught(arm)[GENERAL] == ROWS[0][1][:2]


def test_without_the_lever_nothing_is_written(opened: Open) -> None:
    arm = opened("vary.tries=0", "vary.examples=0")
    assert vary(arm, 1) is None
    select(arm, 1)
    assert derive(arm, 1) is None
    assert not {"vary", "derive"} & {path.name for path in arm.round(1).iterdir()}


def derived(arm: Arm) -> list[store.Row]:
    folder = derive(arm, 1)
    assert folder is not None
    return store.read_stage(folder)


def test_accepted_variants_become_examples_and_say_of_what(opened: Open) -> None:
    arm = opened()
    vary(arm, 1)
    select(arm, 1)
    rows = derived(arm)
    assert [row["origin"] for row in rows] == ["variant"] * 2
    accepted = {
        (row["candidate_id"], row["variant"], row["solution"])
        for row in store.read_stage(arm.round(1) / "vary")
        if row["outcome"] == "accepted"
    }
    for row in rows:
        assert (row["candidate_id"], row["source"], row["solution"]) in accepted
        assert row["puzzle_id"] == parse(GENERAL).id
        assert row["derived_id"] == parse(row["source"]).id != row["puzzle_id"]
        assert row["text"] == example_text(row["source"], row["solution"], layout="line")
        assert arm.judge.verify(row["source"], row["solution"]).outcome == "accepted"
    chain = trace(arm.run.folder, rows[0]["example_id"])
    kinds = [link.kind for link in chain.links]
    assert chain.kind == "derived"
    assert kinds[:4] == ["derived", "tried", "candidate", "verdict"]
    assert kinds.count("variants") == 3  # one a solution that was tried
    assert chain.links[0].content["origin"] == "variant"


def test_derived_examples_are_trained_on_by_their_own_solution(opened: Open) -> None:
    arm = opened()
    vary(arm, 1)
    select(arm, 1)
    rows = derived(arm)
    chosen = list(_selected(arm, [1], frozenset()))
    assert len(chosen) == 6
    assert [row["text"] for _, row in chosen[-2:]] == [row["text"] for row in rows]
    documents = documents_of(arm, chosen, "solution")
    for document, row in zip(documents[-2:], rows, strict=True):
        assert document.text[document.prompt_characters :] == row["solution"] + "\n"
    assert [document.text for document in documents[:4]] == [row["text"] for _, row in chosen[:4]]
    assert list(_selected(arm, [1], frozenset({parse(GENERAL).id}))) == chosen[2:4]
    seen = trained_on(arm.round(1) / "train")
    assert seen is not None
    assert {row["derived_id"] for row in rows} <= {one.puzzle_id for one in seen}


def test_the_control_takes_as_many_and_asks_nobody(opened: Open) -> None:
    loop = opened()
    vary(loop, 1)
    select(loop, 1)
    wanted = len(derived(loop))
    control = opened(name="unverified")
    select(control, 1)
    rows = derived(control)
    assert len(rows) == wanted > 0
    assert {row["origin"] for row in rows} == {"redrawn"}
    pairs = {row["candidate_id"] for row in store.read_stage(control.round(1) / "select")}
    assert {row["candidate_id"] for row in rows} <= pairs
    assert not (control.round(1) / "vary").exists()


def test_the_control_redraws_each_pair_before_one_of_them_again(opened: Open) -> None:
    loop = opened("vary.examples=6")
    vary(loop, 1)
    select(loop, 1)
    wanted = len(derived(loop))
    control = opened("vary.examples=6", name="unverified")
    select(control, 1)
    times = Counter(row["candidate_id"] for row in derived(control))
    assert sum(times.values()) == wanted > len(times) > 1
    assert max(times.values()) - min(times.values()) <= 1


def test_a_control_that_has_fewer_says_so(opened: Open) -> None:
    loop = opened("vary.examples=6")
    vary(loop, 1)
    select(loop, 1)
    wanted = len(derived(loop))
    told: list[Event] = []
    control = opened("vary.examples=6", name="unverified", tell=told.append)
    select(control, 1)
    rows = store.read_stage(control.round(1) / "select")
    store.write_table(store.unit_path(control.round(1) / "select", 0), rows[:0], tables.SELECT)
    assert derived(control) == []
    assert f"{wanted} fewer than the loop" in told[-1].summary


def first_variant(arm: Arm) -> str:
    """The first variant of GENERAL that the recipe's seed draws."""
    return variants(parse(GENERAL), 1, words=words_of(arm.shown), seed=0)[0].puzzle.source


def test_a_held_out_problem_slips_in_through_no_variant(opened: Open, tmp_path: Path) -> None:
    source = first_variant(opened(folder="other"))
    suite = tmp_path / "suite.jsonl"
    lines = [{"name": f"{n}", "puzzle": text} for n, text in enumerate([source, FIXED])]
    suite.write_text("\n".join(map(json.dumps, lines)))
    arm = opened(f"decontaminate.suites=['{suite}']")
    vary(arm, 1)
    select(arm, 1)
    dropped = derived(arm)
    assert source not in {row["source"] for row in dropped}
    (note,) = store.read_notes(arm.round(1) / "derive", tables.DROPPED)
    assert json.loads(note) == {"near a held-out problem": 1}


def test_the_rule_of_the_vetting_holds_for_variants(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = opened()
    source = first_variant(arm)
    problem = next(one for one in load("tiny") if one.puzzle is not None)
    mine = type(problem)(name="mine", part="constants", puzzle=parse(source))
    monkeypatch.setattr(arm, "_problems", [problem, mine])
    folder = vary(arm, 1)
    assert folder is not None
    rows = [row for row in store.read_stage(folder) if row["variant_id"] == parse(source).id]
    assert [(row["outcome"], row["candidate_id"]) for row in rows] == [(HELD_OUT, None)]
    assert set(generalities(store.read_stage(folder))[parse(GENERAL).id].values()) == {
        Generality(5, 5, 5),
        Generality(0, 5, 5),
    }


def test_what_was_made_is_made_again_byte_for_byte(opened: Open) -> None:
    arm = opened()

    def made() -> list[store.Row]:
        vary(arm, 1)
        select(arm, 1)
        derive(arm, 1)
        rows = store.read_stage(arm.round(1) / "vary") + store.read_stage(arm.round(1) / "derive")
        return [{k: v for k, v in row.items() if k not in tables.MEASURED} for row in rows]

    first = made()
    for stage in ("vary", "select", "derive"):
        shutil.rmtree(arm.round(1) / stage)
    assert made() == first
    assert Counter(row.get("origin") for row in first)["variant"] == 2
    assert all(ast.parse(row["solution"]) for row in first if row.get("variant"))


def test_what_is_held_out_is_no_variant_that_was_tried(tmp_path: Path) -> None:
    rows = [
        dict.fromkeys(tables.VARY.names) | {"puzzle_id": "p", "variant_id": name, "outcome": said}
        for name, said in (("a", "accepted"), ("a", "wrong"), ("b", "wrong"), ("c", "held out"))
    ]
    store.write_table(store.unit_path(tmp_path / "round-01" / "vary", 0), rows, tables.VARY)
    found = vetting.varied(tmp_path, 1)
    assert found == {"variants": 2, "solved": 1, "held out": 1}
