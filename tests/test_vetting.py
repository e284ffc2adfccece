"""The stages `probe` and `screen` on tables written by hand and the real judge, and what `select`
leaves out for them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude import config, store, tables
from etude.answers import accepted_answers, verdicts
from etude.arguments import changed, trimmed, unused_arguments
from etude.arm import Arm, limits_of, load_held_out
from etude.behaviour import Known, key_of
from etude.decontaminate import Screen, Trained
from etude.errors import InputError
from etude.judge import Judge
from etude.judge.looks import FIRST, SECOND
from etude.pool import Strangers
from etude.probe import is_stable, probe
from etude.puzzle import parse
from etude.readings import vetting
from etude.screen import screen
from etude.select import select
from etude.session import check_inputs
from etude.stats import share_interval
from etude.suites import load
from etude.tiny.grammar import document
from etude.types import Outcome

HELD_OUT = next(one for one in load("tiny") if one.name == "reverse/3")
assert HELD_OUT.puzzle is not None

GOOD = "def f(x: str, s='q', a=5): return x == s * a"
WEAK = "def f(x: str): return len(x) >= 0"
CHANCE = "def f(x: str):\n    import random\n    return random.random() < 0.5 or x == 'qq'"
IDLE = "def f(x: str, s='zq', a=7): return x == s * 2 and a + x.count('k') > 0"
FORM = "def f(x: str, s='puzzle'): return x[::-1] == s"
BEHAVES = "def f(x: str, s='red'): return s == ''.join(reversed(x))"
ROWS = [
    (GOOD, "def g(s='q', a=5): return s * a", "qqqqq"),
    (WEAK, "def g(): return 'zzz'", "zzz"),
    (CHANCE, "def g(): return 'qq'", "qq"),
    (IDLE, "def g(s='zq', a=7): return s * 2", "zqzq"),
    (FORM, "def g(s='puzzle'): return s[::-1]", "elzzup"),
    (BEHAVES, "def g(s='red'): return s[::-1]", "der"),
]
IDS = {source: parse(source).id for source, *_ in ROWS}


def write(run: Path, rows: list[tuple[str, str, str]], number: int = 1) -> None:
    """A round as far as `judge`: of each puzzle one accepted candidate and one wrong one."""
    folder = store.round_folder(run, number)
    vetted, candidates, verdicts = [], [], []
    for source, solution, answer in rows:
        puzzle = parse(source)
        shared: dict[str, Any] = {"puzzle_id": puzzle.id}
        vetted.append(
            shared | {"fate": "kept", "source": source, "answer_type": puzzle.answer_type,
                      "inputs": puzzle.inputs, "form": puzzle.form}
        )  # fmt: skip
        for draw, text in enumerate((solution, "def g(): return 0")):
            shared["candidate_id"] = f"{puzzle.id[:15]}{draw}"
            candidates.append(shared | {"draw": draw, "source": text, "finished": True})
            outcome = Outcome.WRONG if draw else Outcome.ACCEPTED
            verdicts.append(shared | {"outcome": outcome, "answer": repr(answer)})
    for stage, made, schema in (
        ("vet", vetted, tables.VET),
        ("solve", candidates, tables.SOLVE),
        ("judge", verdicts, tables.JUDGE),
    ):
        store.write_table(store.unit_path(folder / stage, 0), made, schema)


Open = Callable[..., Arm]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=limits_of(config.load("smoke").judge)) as judge:
        yield judge


@pytest.fixture
def opened(tmp_path: Path, judge: Judge) -> Iterator[Open]:
    """Arms of one run. They share a judge: to start its sandboxes takes longer than a test."""
    arms: list[Arm] = []

    def open_arm(*asked: str, name: str = "verified") -> Arm:
        folder = tmp_path / "run"
        recipe = config.load("smoke", ["seeds.per_family=1", *asked])
        arms.append(Arm(store.Run.open(folder, recipe, {}), name, lambda event: None))
        arms[-1]._judge = judge
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm._judge = None
        arm.close()


def by_source(stage: Path) -> dict[str, store.Row]:
    names = {puzzle: source for source, puzzle in IDS.items()}
    return {names[row["puzzle_id"]]: row for row in store.read_stage(stage)}


def test_each_puzzle_is_probed_for_what_it_is(opened: Open) -> None:
    arm = opened()
    write(arm.folder, ROWS)
    rows = by_source(probe(arm, 1))
    assert list(rows) == [source for source, *_ in ROWS]
    assert [source for source, row in rows.items() if row["weak"]] == [WEAK]
    assert [source for source, row in rows.items() if row["stable"] is not True] == [CHANCE]
    assert {source: row["idle_arguments"] for source, row in rows.items()} == {
        source: ["a"] if source == IDLE else [] for source, *_ in ROWS
    }
    assert rows[WEAK]["satisfied"] == rows[WEAK]["strangers"] == 20
    assert rows[WEAK]["signature"].startswith("a")
    row = rows[GOOD]
    assert (row["attempts"], row["accepted"], row["solve_rate"]) == (2, 1, 0.5)
    assert (row["low"], row["high"]) == (share_interval(1, 2).low, share_interval(1, 2).high)
    assert row["satisfied"] == 0


def test_the_same_round_is_probed_and_screened_to_the_same_bytes(opened: Open) -> None:
    arm = opened()
    write(arm.folder, ROWS[:4])
    for stage in (probe, screen):
        path = store.unit_path(stage(arm, 1), 0)
        first = path.read_bytes()
        shutil.rmtree(path.parent)
        stage(arm, 1)
        assert path.read_bytes() == first


def test_strangers_are_answers_of_other_puzzles_and_of_earlier_rounds(opened: Open) -> None:
    """No seed of the tiny world has a list of truth values as its answer."""
    arm = opened()
    one = "def f(x: List[bool], a=3): return x == [True] * a"
    other = "def f(x: List[bool], a=3): return sum(x) >= a"
    write(arm.folder, [(one, "def g(a=3): return [True] * a", [True] * 3)])  # type: ignore[list-item]
    write(arm.folder, [(other, "def g(): return [True] * 4", [True] * 4)], 2)  # type: ignore[list-item]
    (first,) = store.read_stage(probe(arm, 1))
    (second,) = store.read_stage(probe(arm, 2))
    assert (first["strangers"], second["strangers"], second["satisfied"]) == (0, 1, 1)
    assert first["weak"] is False


def test_select_drops_what_the_recipe_says(opened: Open) -> None:
    arm = opened("probe.weak='drop'", "decontaminate.levels=['form', 'behaviour']")
    write(arm.folder, ROWS)
    probe(arm, 1)
    screen(arm, 1)
    kept = {row["puzzle_id"] for row in store.read_stage(select(arm, 1))}
    assert kept == {IDS[GOOD], IDS[IDLE]}
    assert vetting.dropped(arm.folder, 1) == {
        "near a held-out problem": 2,
        "of an unstable puzzle": 1,
        "of a weak puzzle": 1,
    }


def test_by_default_only_unstable_puzzles_are_dropped(opened: Open) -> None:
    arm = opened()
    write(arm.folder, ROWS)
    probe(arm, 1)
    screen(arm, 1)
    kept = {row["puzzle_id"] for row in store.read_stage(select(arm, 1))}
    assert kept == set(IDS.values()) - {IDS[CHANCE]}


def test_hits_stand_with_both_texts_and_their_level(opened: Open) -> None:
    arm = opened()
    write(arm.folder, ROWS)
    rows = store.read_stage(screen(arm, 1))
    found = {(row["level"], row["puzzle_id"]) for row in rows if row["problem"] == "reverse/3"}
    assert found >= {("form", IDS[FORM]), ("behaviour", IDS[BEHAVES])}
    assert ("behaviour", IDS[FORM]) not in found
    (row,) = [row for row in rows if row["level"] == "behaviour"]
    assert (row["problem_text"], row["example_text"]) == (HELD_OUT.puzzle.source, BEHAVES)  # type: ignore[union-attr]
    assert not any(row["dropped"] for row in rows)


def test_how_often_a_held_out_family_was_re_invented(opened: Open) -> None:
    arm = opened()
    write(arm.folder, ROWS)
    assert vetting.reinvented(arm.folder) == []
    screen(arm, 1)
    select(arm, 1)
    (found,) = vetting.reinvented(arm.folder)
    assert found.puzzles == {IDS[FORM], IDS[BEHAVES]}
    assert (found.behaviour, found.taught) == ({IDS[BEHAVES]}, 2)
    assert found.families == {"reverse"}
    assert "2 puzzles (2 by round; 1 of them by behaviour), 2 taught" in vetting.reinvented_words(
        [found]
    )


def test_a_suite_of_a_persons_own_is_kept_out_too(opened: Open, tmp_path: Path) -> None:
    own = tmp_path / "mine.jsonl"
    own.write_text(f'{{"name": "mine", "puzzle": "{GOOD}"}}\n')
    arm = opened(f"decontaminate.suites=['tiny', '{own}']")
    assert [name for name, one in load_held_out(arm.recipe) if one.name == "mine"] == [str(own)]
    write(arm.folder, ROWS[:1])
    rows = store.read_stage(screen(arm, 1))
    assert {row["level"] for row in rows if row["problem"] == "mine"} == {
        "exact", "canonical", "form", "8-gram",
    }  # fmt: skip
    assert {row["level"] for row in rows if row["dropped"]} == {"exact", "canonical"}
    assert store.read_stage(select(arm, 1)) == []


def test_with_report_nothing_is_dropped(opened: Open) -> None:
    arm = opened("decontaminate.action='report'", "decontaminate.levels=['form']")
    write(arm.folder, ROWS[4:])
    assert not any(row["dropped"] for row in store.read_stage(screen(arm, 1)))


def test_a_suite_that_is_none_is_refused_before_the_start() -> None:
    recipe = config.load("smoke", ["decontaminate.suites=['p4']"])
    with pytest.raises(InputError, match=r"decontaminate\.suites must name suites or files"):
        check_inputs(recipe)


def test_the_control_takes_as_many_pairs_none_of_them_near(opened: Open) -> None:
    verified = opened("decontaminate.levels=['form']")
    write(verified.folder, ROWS)
    control = opened("decontaminate.levels=['form']", name="unverified")
    write(control.folder, ROWS)
    for arm in (verified, control):
        screen(arm, 1)
        select(arm, 1)
    made, others = (store.read_stage(a.round(1) / "select") for a in (verified, control))
    assert len(made) == len(others) == 5
    assert IDS[FORM] not in {row["puzzle_id"] for row in others}


def test_the_control_is_screened_as_far_as_it_is_taken(opened: Open) -> None:
    """Four of its first five pairs are near; what stands in for them is looked at, too."""
    asked = ("decontaminate.levels=['8-gram']", "decontaminate.share=0.2")
    arms = opened(*asked), opened(*asked, name="unverified")
    for arm in arms:
        write(arm.folder, ROWS)
        screen(arm, 1)
        select(arm, 1)
    made, others = (store.read_stage(arm.round(1) / "select") for arm in arms)
    assert len(made) == len(others) == 4
    held = Screen(arms[0].problems, share=0.2).held
    texts = [Trained(row["example_id"], row["text"]) for row in others]
    assert not any(met.level == "8-gram" for one in texts for met in held(one))


@pytest.mark.parametrize(
    ("own", "looks", "stable"),
    [
        (1, ["arr", "arr"], True),
        (1, ["arr", "ara"], False),
        (1, ["rrr", "rrr"], False),  # was accepted before
        (1, ["att", "arr"], True),  # nothing is said of what came to no end
        (0, ["tt", "tt"], None),
        (0, ["", ""], None),
        (0, ["rr", "rr", "ra"], False),
    ],
)
def test_stable_is_what_all_looks_say(own: int, looks: list[str], stable: bool | None) -> None:
    assert is_stable(own, looks) is stable


def test_answers_in_one_process_have_the_chance_of_their_own_but_in_a_later_look(
    opened: Open,
) -> None:
    """By itself each answer meets the same chance; asked again, another one, and each its own."""
    puzzle = parse("def f(x: int):\n    import random\n    return random.random() < 0.5")
    judge = opened().judge
    first, again = (
        next(judge.satisfied_all([(puzzle, range(40))], look=look)) for look in (FIRST, SECOND)
    )
    assert len(set(first)) == 1
    assert len(set(again)) == 2


def test_accepted_answers_leave_out_chance_and_what_was_cut(tmp_path: Path) -> None:
    rows = [
        {"puzzle_id": "p", "outcome": "accepted", "answer": answer, "stable": stable}
        for answer, stable in [
            ("1", None),
            ("2", False),
            ("[1, 2", True),
            (None, None),
            ("1", True),
        ]
    ]
    store.write_table(store.unit_path(tmp_path, 0), rows, tables.JUDGE)
    assert accepted_answers(verdicts(tmp_path)) == {"p": (1,)}


@pytest.mark.parametrize(
    ("source", "unused"),
    [
        ("def f(x: int, a=7): return x + a == 9", []),
        ("def f(x: int, a=7): return x == 9", ["a"]),
        ("def f(x: int, *, a=7):\n    a = 3\n    return True", ["x", "a"]),
    ],
)
def test_arguments_that_are_never_read(source: str, unused: list[str]) -> None:
    assert unused_arguments(parse(source)) == unused


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("def f(x: int, a=7, b=9): return x > b", "def f(x: int, b=9): return x > b"),
        ("def f(x: int, a=7): return x > 3", "def f(x: int): return x > 3"),
        ("def f(x: int, a=1, /, b=2, *, c=3, d=4): return x == d + a",
         "def f(x: int, a=1, /, *, d=4): return x == d + a"),
        ("def f(x: List[int], a='é', *, b=9) -> bool:\n    'Why.'\n    y = b\n    return x[0] > y",
         "def f(x: List[int], *, b=9) -> bool:\n    'Why.'\n    y = b\n    return x[0] > y"),
        ("def f(x: str, é='é', t='b'): z = 'é'; return t in x + z",
         "def f(x: str, t='b'): z = 'é'; return t in x + z"),
    ],
)  # fmt: skip
def test_inputs_that_are_never_read_can_be_left_out(source: str, left: str) -> None:
    assert trimmed(parse(source)) == parse(left)


def test_an_answer_that_is_never_read_stays() -> None:
    one = parse("def f(x: int, a=7): return a == 7")
    assert trimmed(one) == one


@given(st.integers(0, 10**6))
def test_a_trimmed_puzzle_reads_all_that_it_has_left(seed: int) -> None:
    puzzle = parse(document(random.Random(seed))[0])
    made = trimmed(puzzle)
    assert unused_arguments(made) == []
    assert made.source.partition(": return ")[2] == puzzle.source.partition(": return ")[2]
    assert (made == puzzle) == (unused_arguments(puzzle) == [])


DEFAULTS = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9),
    st.booleans(), st.lists(st.integers(), max_size=4), st.none(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(DEFAULTS, st.integers(0, 1))
def test_a_changed_argument_has_another_value_of_its_type(value: object, turn: int) -> None:
    puzzle = parse(f"def f(x: int, b=1, a={value!r}): return x == a or b")
    found = changed(puzzle, turn)
    if "a" in found:
        made = parse(found["a"].source)
        new = eval(made.inputs.partition("a=")[2])
        assert type(new) is type(value)
        assert new != value
        assert made.inputs.startswith("b=1")
    else:
        assert value is None or value == [] or (isinstance(value, bool) and turn == 1)


@given(st.integers(1, 500), st.data())
def test_the_interval_of_a_share_holds_it(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    made = share_interval(successes, trials)
    assert 0 <= made.low <= made.value <= made.high <= 1
    mirrored = share_interval(trials - successes, trials)
    assert mirrored.low == pytest.approx(1 - made.high)


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263 and 1 of 29."""
    made = share_interval(81, 263)
    assert (round(made.low, 4), round(made.high, 4)) == (0.2553, 0.3662)
    made = share_interval(1, 29)
    assert (round(made.low, 4), round(made.high, 4)) == (0.0061, 0.1718)


@pytest.mark.parametrize(("successes", "trials"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_no_share_without_trials(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="a share needs"):
        share_interval(successes, trials)


KINDS = [parse(f"def f(x: {kind}, a={n}): return x == a") for kind in ("int", "str") for n in "123"]
GIVEN = st.lists(
    st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 9), max_size=4)), max_size=20
)


@given(GIVEN, st.sampled_from(KINDS), st.integers(0, 12), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_strangers_are_drawn_as_from_a_list_of_them(
    given: list[tuple[Any, list[int]]], asked: Any, most: int, seed: int
) -> None:
    strangers = Strangers()
    listed: dict[bytes, tuple[object, set[str]]] = {}
    for puzzle, answers in given:
        strangers.add([Known(puzzle, tuple(answers))])
        if puzzle.answer_type == asked.answer_type:
            for answer in answers:
                listed.setdefault(key_of(answer), (answer, set()))[1].add(puzzle.id)
    others = [answer for answer, givers in listed.values() if givers != {asked.id}]
    wanted = random.Random(seed).sample(others, min(most, len(others)))
    assert strangers.drawn(asked, most, random.Random(seed)) == wanted
