"""Many solutions asked at once: what they seem to be, and what one of them can spoil."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.arguments import function_of, inputs_of
from etude.batches import (
    ENOUGH,
    FAILURES,
    SIZE,
    TOGETHER,
    Asking,
    Hints,
    program,
    seem_right,
    seem_to_fit,
)
from etude.judge import Judge, Limits
from etude.puzzle import parse, syntax_tree
from etude.tiny.grammar import document
from etude.types import Outcome, Puzzle

ABOVE = parse("def f(x: int, a=7): return x > a")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(1, Limits(cpu_seconds=0.5)) as opened:
        yield opened


def asking(*puzzles: Puzzle) -> list[Asking]:
    """Puzzles that give their inputs by their own names."""
    return [
        Asking(
            one,
            {
                name: ast.unparse(value)
                for name, value in inputs_of(function_of(syntax_tree(one.source))).items()
            },
        )
        for one in puzzles
    ]


def places(hints: Iterable[Hints]) -> list[list[int]]:
    found = list(hints)
    assert all(one.cpu_seconds >= 0 for one in found)
    return [one.places for one in found]


def bodies(*texts: str) -> list[str]:
    return [f"def g(a=7): {text}" for text in texts]


def test_the_right_ones_are_found_in_order(judge: Judge) -> None:
    asked = bodies("return a", "return a + 1", "return 'a'", "return a / 0", "return a * 2")
    other = parse("def f(s: List[str], t='x'): return s[0] == t")
    found = places(
        seem_right(judge, [(ABOVE, asked), (other, ["def g(t='x'): return [t]"]), (ABOVE, [])])
    )
    assert found == [[1, 4], [0], []]


def test_more_than_a_batch(judge: Judge) -> None:
    asked = bodies(*(f"return {number}" for number in range(2 * SIZE + 7)))
    assert places(seem_right(judge, [(ABOVE, asked)])) == [list(range(8, 2 * SIZE + 7))]


@pytest.mark.parametrize(
    "bad",
    [
        "while True: pass",
        "return 10 ** 10 ** 9",
        "return [a] * 10 ** 12",
        "import os; os._exit(0)",
        "raise SystemExit",
        "nonlocal nobody; return 1",
        "return g()",
    ],
)
def test_one_that_ends_badly_takes_no_other_with_it(judge: Judge, bad: str) -> None:
    texts = [f"return {number}" for number in range(12)]
    texts[5] = bad
    assert places(seem_right(judge, [(ABOVE, bodies(*texts))])) == [[8, 9, 10, 11]]


def test_a_puzzle_that_ends_every_batch_is_given_up(judge: Judge) -> None:
    looping = parse("def f(x: int, a=7):\n    while x > a: pass\n    return False")
    asked = []
    counted = Judge.verify_all

    def counting(self: Judge, jobs: Iterable[Any]) -> Iterator[Any]:
        listed = list(jobs)
        asked.append(len(listed))
        return counted(self, listed)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Judge, "verify_all", counting)
        assert places(seem_right(judge, [(looping, bodies(*["return 9"] * SIZE))])) == [[]]
    assert FAILURES < sum(asked) < 3 * FAILURES


def test_what_a_batch_names_is_a_hint_alone(judge: Judge) -> None:
    """A solution may say what it likes of itself: places that it was not asked of count nothing."""
    for forged in ("'000000010077' + '9901'", "'x' * 99", "'00' * 10**5", "[1]", "'٠٠٠٠'"):
        spoilt = bodies(f"nonlocal hits; hits = {forged}; return 0", "return 9")
        assert set(*places(seem_right(judge, [(ABOVE, spoilt)]))) <= {0, 1}


def test_an_answer_of_another_type_is_none(judge: Judge) -> None:
    assert places(seem_right(judge, [(ABOVE, bodies("return 9.5", "return True"))])) == [[]]
    items = parse("def f(x: List[int], a=7): return x[0] == a")
    assert places(seem_right(judge, [(items, bodies("return (a,)", "return [a]"))])) == [[1]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_it_finds_what_the_judge_accepts(judge: Judge, seed: int) -> None:
    """Of puzzles of the grammar, whose functions change nothing that they are given."""
    rng = random.Random(seed)
    pairs = [document(rng) for _ in range(60)]
    jobs = [(parse(puzzle), [solution]) for puzzle, solution in pairs]
    seen = [hits == [0] for hits in places(seem_right(judge, jobs))]
    said = [verdict.outcome is Outcome.ACCEPTED for (verdict,) in judge.verify_all(jobs)]
    assert [one for one, sure in zip(seen, said, strict=True) if sure] == [True] * sum(said)


def test_texts_of_more_than_a_line_are_laid_out_beside_each_other() -> None:
    puzzle = parse("def f(x: str, a=2):\n    b = a\n    return len(x) == b\n")
    text = program(puzzle, ["def g(a=2):\n    c = 'x'\n    return c * a\n"], range(1))
    compile(text, "batch", "exec")
    assert "        def g(a=2):\n            c = 'x'\n" in text


LEVELS = [parse(f"def f(x: int, a={number}): return x > a") for number in range(TOGETHER + 3)]


def test_the_same_bodies_are_tried_on_many_puzzles(judge: Judge) -> None:
    bodies = [f" return {number}" for number in range(SIZE + 30)] + [" return a + 1", " return b"]
    words = [parse("def f(x: str, s='é'): return x == s"), parse("def f(x: str, s='a'): return s")]
    jobs = [
        (asking(*LEVELS), bodies),
        (asking(*words), ["\n    # c\n    t = s\n    return t", " return 's'"]),
    ]
    found, of_words = map(places, seem_to_fit(judge, jobs))
    assert of_words == [[0], []]
    for number, own in enumerate(found):
        first, second = range(number + 1, SIZE), range(SIZE, SIZE + 31)
        assert own == [*first[:ENOUGH], *second[:ENOUGH]]  # of each batch no more than enough
    assert list(seem_to_fit(judge, [])) == []


def test_inputs_that_a_body_changes_are_as_they_were_for_the_next(judge: Judge) -> None:
    puzzle = parse("def f(x: List[int], nums=[1, 2]): return x == nums")
    bodies = ["\n    nums.append(3)\n    return nums", " return nums"]
    assert places(*seem_to_fit(judge, [(asking(puzzle), bodies)])) == [[1]]


def test_inputs_may_stand_in_another_order_and_be_for_keywords_only(judge: Judge) -> None:
    puzzles = [parse("def f(x: int, a=1, b=2): return x == a - b"),
               parse("def f(x: int, b=2, *, a=1): return x == a + b - 4")]  # fmt: skip
    assert places(*seem_to_fit(judge, [(asking(*puzzles), [" return a - b"])])) == [[0], [0]]


@pytest.mark.parametrize("bad", [" while True: pass", " import os; os._exit(0)", " nonlocal no"])
def test_a_body_that_ends_badly_takes_no_other_with_it(judge: Judge, bad: str) -> None:
    bodies = [f" return {number}" for number in range(9)]
    bodies[4] = bad
    assert places(*seem_to_fit(judge, [(asking(*LEVELS[6:8]), bodies)])) == [[7, 8], [8]]


@pytest.mark.parametrize(
    "bad",
    [
        "def f(x: int, a=7):\n    while x > 5: pass\n    return False",
        "def f(x: int, a=nobody): return x > 0",
    ],
)
def test_a_puzzle_that_ends_badly_takes_no_other_with_it(judge: Judge, bad: str) -> None:
    together = asking(LEVELS[7], parse(bad), LEVELS[8])
    found = seem_to_fit(judge, [(together, bodies_below(12))])
    one, _, other = places(*found)
    assert (one, other) == ([8, 9, 10, 11], [9, 10, 11])


def bodies_below(most: int) -> list[str]:
    return [f" return {number}" for number in range(most)]
