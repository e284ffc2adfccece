"""Difficulty: what is believed of puzzles, and what is decided by it, on small tables."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude import config, store, tables
from etude.arm import Arm
from etude.budget import FEWEST, budget, levels, missed, shared_out, words
from etude.config import DifficultySection
from etude.difficulty import Belief, Rates, Round, Tried, learnability, rates, tried_in
from etude.errors import RecipeError
from etude.parents import parents
from etude.prompts import proposal_prompt, shuffled
from etude.propose import propose
from etude.select import select, worthiest
from etude.solve import judge, solve
from round_tables import PUZZLES, Opening, judged, kept, opening_in

few_examples = settings(max_examples=30)
SECTION = DifficultySection(prior=4, decay=0.5)

counts = st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
tried = st.builds(
    lambda id, form, kind, own: Tried(id, form, kind, *own),
    st.integers(0, 5), st.integers(0, 2), st.integers(0, 1), counts,
)  # fmt: skip
rounds = st.lists(
    st.lists(tried, max_size=6, unique_by=lambda one: one.id).map(lambda rows: Round(iter(rows))),
    max_size=4,
)
beliefs = st.lists(st.builds(Belief, st.floats(0.01, 50), st.floats(0.01, 50)), max_size=15)


def test_what_was_never_tried_is_believed_to_be_like_the_rest() -> None:
    known = Rates([Round(iter([Tried(1, 1, 1, 10, 10), Tried(2, 2, 1, 10, 0)]))], SECTION)
    assert Rates([], SECTION).belief(9, 9, 9) == Belief(2, 2)
    assert known.belief(9, 1, 1).mean > known.belief(9, 9, 9).mean > known.belief(9, 2, 1).mean
    assert known.belief(9, 9, 1).mean == 0.5


def test_the_lines_of_the_docstring_are_what_is_counted() -> None:
    first = Round(iter([Tried(1, 1, 1, 8, 2), Tried(2, 1, 1, 8, 8)]))
    latest = Round(iter([Tried(1, 1, 1, 4, 4)]))
    found = Rates([first, latest], SECTION).belief(1, 1, 1)
    total, weight = 0.5 * 0.25 + 0.5 * 1 + 1, 2.0
    mean = 0.5
    for _ in ("all", "type", "form"):
        mean = (4 * mean + total) / (4 + weight)
    assert found.a == pytest.approx(4 * mean + 0.5 * 2 + 4)
    assert found.b == pytest.approx(4 * (1 - mean) + 0.5 * 6)


@few_examples
@given(rounds, tried)
def test_a_rate_is_one_whatever_was_seen(made: list[Round], asked: Tried) -> None:
    belief = Rates(made, SECTION).belief(asked.id, asked.form, asked.answer_type)
    assert belief.a > 0 < belief.b
    assert 0 < belief.mean < 1
    assert 0 < learnability(belief.mean) <= 0.25


@few_examples
@given(rounds, tried, st.booleans())
def test_one_more_success_never_lowers_what_is_expected(
    made: list[Round], asked: Tried, failed: bool
) -> None:
    """And one more failure never raises it."""
    seen = asked._replace(accepted=0 if failed else asked.attempts)
    before = Rates([*made, Round(iter([]))], SECTION)
    after = Rates([*made, Round(iter([seen]))], SECTION)
    old, new = (one.belief(*seen[:3]).mean for one in (before, after))
    assert new <= old + 1e-12 if failed else new >= old - 1e-12


@few_examples
@given(st.integers(1, 60), st.integers(0, 60))
def test_with_many_attempts_the_prior_no_longer_matters(attempts: int, accepted: int) -> None:
    share = min(accepted, attempts) / attempts
    many = Tried(1, 1, 1, attempts * 10_000, min(accepted, attempts) * 10_000)
    assert Rates([Round(iter([many]))], SECTION).belief(1, 1, 1).mean == pytest.approx(
        share, abs=1e-3
    )


@few_examples
@given(st.floats(0.01, 50), st.floats(0.01, 50), st.integers(0, 60))
def test_the_chance_to_miss_falls_with_every_attempt(a: float, b: float, attempts: int) -> None:
    belief = Belief(a, b)
    assert missed(belief, 0) == 1
    assert missed(belief, 1) == pytest.approx(1 - belief.mean)
    assert missed(belief, attempts) >= missed(belief, attempts + 1) > 0


@few_examples
@given(beliefs, st.integers(1, 20))
def test_attempts_are_shared_out_within_bounds_and_to_the_last(
    known: list[Belief], even: int
) -> None:
    few, _, many = levels(even)
    shares = shared_out(known, even)
    assert sum(shares) == even * len(known)
    assert set(shares) <= {few, even, many}
    assert min(few, even) >= min(FEWEST, even)
    assert many <= 2 * even


@few_examples
@given(beliefs, st.integers(1, 20))
def test_the_harder_never_pays_for_the_easier(known: list[Belief], even: int) -> None:
    shares = shared_out(known, even)
    few, _, many = levels(even)
    if few < even and many in shares:
        pay = min(one.mean for one, share in zip(known, shares, strict=True) if share == few)
        get = max(one.mean for one, share in zip(known, shares, strict=True) if share == many)
        assert pay > get


@few_examples
@given(beliefs, st.integers(1, 20))
def test_more_puzzles_are_expected_to_be_solved_than_if_all_were_alike(
    known: list[Belief], even: int
) -> None:
    shares = shared_out(known, even)
    adaptive = sum(1 - missed(one, share) for one, share in zip(known, shares, strict=True))
    assert adaptive >= sum(1 - missed(one, even) for one in known) - 1e-9


def test_hard_puzzles_get_more_easy_ones_less_and_hopeless_ones_the_same() -> None:
    hard, hopeless, easy = Belief(1, 12), Belief(1, 100_000), Belief(90, 10)
    assert shared_out([hopeless, easy, hard, easy], 12) == [12, 6, 24, 6]
    assert shared_out([hard] * 5, 12) == [12] * 5, "nothing is known apart"
    assert shared_out([hopeless, easy, easy], 12) == [12, 12, 12]


def test_heavy_ones_rather_come_first_and_weightless_ones_last() -> None:
    rng = random.Random(0)
    orders = [shuffled(4, rng, [0.0, 1.0, 8.0, 1.0]) for _ in range(400)]
    assert {order[-1] for order in orders} == {0}
    firsts = Counter(order[0] for order in orders)
    assert 0.7 < firsts[2] / 400 < 0.9, "8 of 10"
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)


def test_without_weights_a_prompt_is_what_it_was() -> None:
    sources = [f"def f(x: int, a={n}): return x == a" for n in range(9)]
    _, shown = proposal_prompt(sources, random.Random(3), fits=lambda _: True)
    order = list(range(9))
    random.Random(3).shuffle(order)
    assert shown == order


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    with opening_in(tmp_path) as opened:
        yield opened


def expected(arm: Arm, number: int, name: str) -> float:
    return rates(arm, number).of(PUZZLES[name]).mean


def test_rounds_that_are_over_tell_what_is_to_be_expected(opening: Opening) -> None:
    arm = opening()
    judged(arm, 1, easy=8, middling=4, hard=0)
    assert expected(arm, 1, "easy") == 0.5, "nothing was seen before the first round"
    assert expected(arm, 2, "easy") > expected(arm, 2, "middling") > expected(arm, 2, "hard")
    assert expected(arm, 2, "other") > 0.5 > expected(arm, 2, "like hard"), "by their forms"


def test_a_round_that_is_over_is_read_once(opening: Opening) -> None:
    arm = opening()
    judged(arm, 1, easy=8, hard=0)
    judged(arm, 2, middling=4)
    before = expected(arm, 2, "easy")
    store.unit_path(arm.round(1) / "judge", 0).unlink()
    assert expected(arm, 3, "easy") == pytest.approx(before, abs=0.1)


def test_what_was_accepted_by_chance_was_not_solved(opening: Opening) -> None:
    arm = opening()
    judged(arm, 1, easy=8)
    path = store.unit_path(arm.round(1) / "judge", 0)
    rows = [row | {"stable": False} for row in store.read_table(path)]
    store.write_table(path, rows, tables.JUDGE)
    [found] = tried_in(arm.round(1))
    assert (found.attempts, found.accepted) == (8, 0)


ADAPTIVE = "solve.budget=adaptive"


def test_attempts_go_where_they_are_expected_to_solve_most(opening: Opening) -> None:
    arm = opening(ADAPTIVE, "difficulty.prior=1")
    judged(arm, 1, easy=8, hard=1, middling=4)
    kept(arm, 2, "other", "like hard", "easy")
    assert budget(arm, 2) == [4, 16, 4]
    folder = judge(arm, 2, solve(arm, 2, "recorded", "recorded"))
    tried = Counter(row["puzzle_id"] for row in store.read_stage(arm.round(2) / "solve"))
    assert [tried[puzzle.id] for puzzle in arm.puzzles(2)] == [4, 16, 4]
    rows = store.read_stage(folder)
    assert len(rows) == len({row["candidate_id"] for row in rows}) == 24
    assert words(arm, 2) == "2 x 4, 1 x 16"
    [taught] = store.read_stage(select(arm, 2))
    assert taught["puzzle_id"] == PUZZLES["like hard"].id
    assert taught["solve_rate"] == 1 / 16, "of all its attempts"


def test_a_unit_that_is_lost_is_sampled_as_it_was(opening: Opening) -> None:
    given_ = (ADAPTIVE, "difficulty.prior=1", "solve.puzzles_per_unit=2")
    arm = opening(*given_)
    judged(arm, 1, easy=8, hard=1, middling=4)
    kept(arm, 2, "other", "like hard", "easy")
    judge(arm, 2, solve(arm, 2, "recorded", "recorded"))
    path = store.unit_path(arm.round(2) / "solve", 0)
    before = path.read_bytes()
    path.unlink()
    again = opening(*given_)
    solve(again, 2, "recorded", "recorded")
    assert path.read_bytes() == before


def test_an_adaptive_budget_that_knows_nothing_is_the_even_one(opening: Opening) -> None:
    arm = opening(ADAPTIVE)
    kept(arm, 1, "easy", "hard", "middling")
    assert budget(arm, 1) == [8, 8, 8]
    assert words(arm, 1) == "3 x 8"


def test_the_control_shares_its_attempts_out_evenly(opening: Opening) -> None:
    arm = opening(ADAPTIVE, "difficulty.prior=1", name="unverified")
    judged(arm, 1, easy=8, hard=1, middling=4)
    kept(arm, 2, "other", "like hard", "easy")
    assert budget(arm, 2) == [8, 8, 8]


POOL = ("propose.pool=2", "propose.parents=learnable", "prompt.few_shot=true")


def test_prompts_rather_show_what_is_learnable_people_wrote_it_or_not(opening: Opening) -> None:
    arm = opening(*POOL, "difficulty.prior=1")
    judged(arm, 1, easy=8, middling=4, hopeless=0)
    found = parents(arm, 2)
    own = found.puzzles[len(arm.shown) :]
    assert [puzzle.id for puzzle in own] == [PUZZLES["easy"].id, PUZZLES["middling"].id]
    assert [(puzzle.source, puzzle.form) for puzzle in own] == [
        (PUZZLES[name].source, PUZZLES[name].form) for name in ("easy", "middling")
    ]
    assert found.weights is not None
    assert len(found.weights) == len(found.puzzles)
    easy, middling = found.weights[-2:]
    assert easy < middling


def test_the_pool_is_drawn_by_weight_and_is_no_larger_than_it_may_be(opening: Opening) -> None:
    arm = opening(*POOL, "propose.pool=1", "difficulty.prior=0.01")
    judged(arm, 1, easy=8, middling=4)
    assert [puzzle.id for puzzle in parents(arm, 2).puzzles[len(arm.shown) :]] == [
        PUZZLES["middling"].id
    ]
    assert len(parents(arm, 1).puzzles) == len(arm.shown), "no round came before"


def test_a_round_says_how_many_of_its_parents_are_self_made(opening: Opening) -> None:
    one = ("propose.samples=1", "propose.per_prompt=1", "prompt.shown=1")
    arm = opening("propose.pool=9", "prompt.few_shot=true", *one)
    judged(arm, 1, easy=8, middling=4, hard=0)
    shown = [puzzle.source.replace("def f(", "def f1(") for puzzle in parents(arm, 2).puzzles]
    asked = [{"prompt": f"{text}\ndef f2(", "samples": ["x: int): return x"]} for text in shown]
    Path(arm.recipe.engine.recordings).write_text("\n".join(map(json.dumps, asked)))
    heard: list[str] = []
    arm.tell = lambda event: heard.append(event.summary)
    propose(arm, 2, "recorded", "recorded")
    assert heard[-1] == "1 asked  1 finished  2 self-made parents"


def test_without_the_settings_all_parents_are_peoples_and_alike(opening: Opening) -> None:
    arm = opening()
    judged(arm, 1, easy=8, middling=4)
    found = parents(arm, 2)
    assert list(found.puzzles) == arm.shown_in(2)
    assert found.weights is None


def test_the_control_shows_what_it_was_trained_on_all_alike(opening: Opening) -> None:
    arm = opening(*POOL, name="unverified")
    judged(arm, 1, easy=8, middling=4)
    found = parents(arm, 2)
    assert len(found.puzzles) == len(arm.shown) + 2
    assert found.weights is None


def test_a_limit_takes_one_example_of_each_puzzle_first() -> None:
    worth = {"a": 0.1, "b": 0.25, "c": 0.2}
    rows = [{"puzzle_id": name, "example_id": f"{name}{n}"} for name in "abc" for n in range(3)]

    def chosen(most: int) -> list[str]:
        return [row["example_id"] for row in worthiest(rows, most, worth.__getitem__)]

    assert chosen(2) == ["b0", "c0"]
    assert chosen(4) == ["a0", "b0", "b1", "c0"]
    assert chosen(99) == [row["example_id"] for row in rows]
    assert [row["example_id"] for row in worthiest(rows, 2, lambda _: 0.0)] == ["a0", "b0"]


@pytest.mark.parametrize("prefer", ["any", "learnable"])
def test_a_round_gives_so_many_examples_at_most(opening: Opening, prefer: str) -> None:
    arm = opening("select.most=1", f"select.prefer={prefer}")
    heard: list[str] = []
    arm.tell = lambda event: heard.append(event.summary)
    judged(arm, 1, easy=7, middling=4)
    store.unit_path(arm.round(1) / "select", 0).unlink()
    [row] = store.read_stage(select(arm, 1))
    if prefer == "learnable":
        assert row["puzzle_id"] == PUZZLES["middling"].id
    assert "3 over the limit, dropped" in heard[-1], "two of each puzzle may teach"


def test_a_preference_without_a_limit_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"select\.most must be above 0"):
        config.load("smoke", ["select.prefer=learnable"])
