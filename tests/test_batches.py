"""Many solutions asked at once: what they seem to be, and what one of them can spoil."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.batches import GIVEN_UP, SIZE, program, seem_right
from etude.judge import Judge, Limits
from etude.puzzle import parse
from etude.tiny.grammar import document
from etude.types import Outcome

ABOVE = parse("def f(x: int, a=7): return x > a")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(1, Limits(cpu_seconds=0.5)) as opened:
        yield opened


def bodies(*texts: str) -> list[str]:
    return [f"def g(a=7): {text}" for text in texts]


def test_the_right_ones_are_found_in_order(judge: Judge) -> None:
    asked = bodies("return a", "return a + 1", "return 'a'", "return a / 0", "return a * 2")
    other = parse("def f(s: List[str], t='x'): return s[0] == t")
    found = list(
        seem_right(judge, [(ABOVE, asked), (other, ["def g(t='x'): return [t]"]), (ABOVE, [])])
    )
    assert found == [[1, 4], [0], []]


def test_more_than_a_batch(judge: Judge) -> None:
    asked = bodies(*(f"return {number}" for number in range(2 * SIZE + 7)))
    assert list(seem_right(judge, [(ABOVE, asked)])) == [list(range(8, 2 * SIZE + 7))]


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
    assert list(seem_right(judge, [(ABOVE, bodies(*texts))])) == [[8, 9, 10, 11]]


def test_a_puzzle_of_many_that_end_badly_is_given_up(judge: Judge) -> None:
    texts = ["while True: pass"] * (2 * GIVEN_UP) + ["return 9"] * (SIZE - 2 * GIVEN_UP)
    (found,) = seem_right(judge, [(ABOVE, bodies(*texts))])
    assert set(found) <= set(range(2 * GIVEN_UP, SIZE))


def test_what_a_batch_names_is_a_hint_alone(judge: Judge) -> None:
    """A solution may say what it likes of itself: places that it was not asked of count nothing."""
    forged = "nonlocal hits; hits = [0, 1, 77, 10**9]; return 0"
    assert set(*seem_right(judge, [(ABOVE, bodies(forged, "return 9"))])) <= {0, 1}


def test_an_answer_of_another_type_is_none(judge: Judge) -> None:
    assert list(seem_right(judge, [(ABOVE, bodies("return 9.5", "return True"))])) == [[]]
    items = parse("def f(x: List[int], a=7): return x[0] == a")
    assert list(seem_right(judge, [(items, bodies("return (a,)", "return [a]"))])) == [[1]]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_it_finds_what_the_judge_accepts(judge: Judge, seed: int) -> None:
    """Of puzzles of the grammar, whose functions change nothing that they are given."""
    rng = random.Random(seed)
    pairs = [document(rng) for _ in range(60)]
    jobs = [(parse(puzzle), [solution]) for puzzle, solution in pairs]
    seen = [hits == [0] for hits in seem_right(judge, jobs)]
    said = [verdict.outcome is Outcome.ACCEPTED for (verdict,) in judge.verify_all(jobs)]
    assert [one for one, sure in zip(seen, said, strict=True) if sure] == [True] * sum(said)


def test_texts_of_more_than_a_line_are_laid_out_beside_each_other() -> None:
    puzzle = parse("def f(x: str, a=2):\n    b = a\n    return len(x) == b\n")
    text = program(puzzle, ["def g(a=2):\n    c = 'x'\n    return c * a\n"], range(1))
    compile(text, "batch", "exec")
    assert "        def g(a=2):\n            c = 'x'\n" in text
