"""Contamination: each level is found, the worst example is named, and nothing else is."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.decontaminate import LEVELS, Hit, Trained, contamination, counts, shown_text
from etude.puzzle import parse
from etude.types import Exercise, Problem

SAT = (
    "def sat(ls: List[str], n=7, bound=100):\n"
    '    """Find n strings whose lengths are primes below the bound"""\n'
    "    return len(set(ls)) == n and all(len(s) < bound and len(s) % 2 for s in ls)"
)
PROBLEM = Problem("P", "other", parse(SAT))


def trained(puzzle: str, solution: str = "def g(): return []", name: str = "e") -> Trained:
    """As a run has it: the puzzle's id and source beside the text."""
    text = f"{puzzle}\n\n{solution}\n\nassert f(g())\n"
    return Trained(name, text, parse(puzzle).id, puzzle)


SAME = shown_text(PROBLEM)
RENAMED = SAME.replace("ls", "words").replace("bound", "limit")
OTHER_CONSTANTS = SAME.replace("n=7", "n=9").replace("100", "55")
HALF = SAME.replace("len(s) < bound and len(s) % 2", "s.startswith(str(n)) or s in str(bound)")
STRANGER = "def f(x: int, a=3, b=17): return sum(divmod(x, b)) * a == b - 1 and x.bit_count() > 4"


def levels(hits: list[Hit]) -> list[str]:
    return [hit.level for hit in hits]


@pytest.mark.parametrize(
    ("puzzle", "found"),
    [
        (SAME, ["exact", "canonical", "form", "8-gram"]),
        (SAME.replace("    return", "\n    return"), ["exact", "canonical", "form", "8-gram"]),
        (RENAMED, ["canonical", "form"]),
        (OTHER_CONSTANTS, ["form", "8-gram"]),
        (HALF, ["8-gram"]),
        (STRANGER, []),
    ],
)
def test_each_level_is_found(puzzle: str, found: list[str]) -> None:
    assert levels(contamination([PROBLEM], [trained(puzzle)])) == found


def test_a_text_that_goes_on_is_another_problem() -> None:
    longer = trained(SAME + " and len(ls) > 3")
    assert "exact" not in levels(contamination([PROBLEM], [longer]))
    embedded = Trained("e", f"seen: {SAME}\n\nand solved")
    assert "exact" in levels(contamination([PROBLEM], [embedded]))


def test_the_worst_example_is_named_with_both_texts() -> None:
    examples = [
        trained(HALF, name="half"),
        trained(OTHER_CONSTANTS, name="near"),
        trained(STRANGER, name="far"),
    ]
    for order in (examples, examples[::-1]):
        hits = {hit.level: hit for hit in contamination([PROBLEM], order)}
        assert hits["8-gram"].example_id == "near"
        assert hits["8-gram"].examples == 2
        assert 0.5 <= hits["8-gram"].share < 1
        assert hits["8-gram"].problem_text == SAME
        assert OTHER_CONSTANTS in hits["8-gram"].example_text
        assert hits["form"].examples == 1


def test_levels_are_counted_by_problem() -> None:
    other = Problem("Q", "other", parse(STRANGER))
    hits = contamination([PROBLEM, other], [trained(SAME), trained(SAME), trained(STRANGER)])
    assert counts(hits) == dict.fromkeys(LEVELS, 2)
    assert counts(contamination([PROBLEM, other], [])) == dict.fromkeys(LEVELS, 0)


def test_an_exercise_is_met_by_its_text() -> None:
    opening = "def add_up(numbers, start=0):\n"
    exercise = Exercise(opening, opening, "", "assert add_up([1]) == 1", "add_up")
    body = (
        "    total = start\n    for number in numbers:\n        total += number\n    return total\n"
    )
    problem = Problem("E", "all", exercise=exercise, solution=opening + body)
    hits = contamination([problem], [Trained("e", f"# seen\n{opening}{body}")])
    assert levels(hits) == ["exact", "8-gram"]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_held_against_a_suite(text: str) -> None:
    assert contamination([PROBLEM], [Trained("e", text)]) == []


def test_a_hundred_thousand_examples_take_seconds() -> None:
    rng = random.Random(0)
    words = [f"w{n}" for n in range(500)]
    texts = [" ".join(rng.choices(words, k=60)) for _ in range(1000)]
    examples = [Trained(str(n), texts[n % 1000] + str(n)) for n in range(20_000)]
    problems = [Problem(str(n), "other", parse(STRANGER.replace("17", str(n)))) for n in range(228)]
    start = time.process_time()
    assert contamination(problems, examples) == []
    assert time.process_time() - start < 6, "20,000 examples, a fifth of what is promised"


@pytest.mark.parametrize(
    "puzzle",
    [
        SAME.replace("len(s) < bound", "bound > len(s)"),
        SAME.replace("len(set(ls)) == n", "n == len(set(ls))"),
        SAME.replace("(s)", "(word)").replace("for s in", "for word in"),
    ],
)
def test_names_of_its_own_and_the_order_of_operands_hide_no_problem(puzzle: str) -> None:
    assert puzzle != SAME
    levels = [hit.level for hit in contamination([PROBLEM], [trained(puzzle)])]
    assert levels[:2] == ["canonical", "form"]
