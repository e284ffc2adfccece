"""Borrowed solutions: which attempts fit another puzzle, and how they are written for it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from etude import borrow, config, store, tables
from etude.arm import Arm
from etude.borrow import library
from etude.derive import derive
from etude.holes import given
from etude.lineage import trace
from etude.puzzle import parse
from etude.repair import repair
from etude.select import select
from round_tables import write_judged

BELOW = "def f(x: int, a=7, b=21): return x < b and x > a"
TWICE = "def f(x: int, a=9): return x == a * 2"
WORD = "def f(x: str, s='dog'): return x == s"
UNSOLVED = "def f(x: int, a=5, c=3): return x == a + a"
ROWS = [
    (BELOW, "def g(a=7, b=21): return b - a", "accepted"),
    (BELOW, "def g(a=7, b=21): return a", "wrong"),
    (TWICE, "def g(a=9): return a * 2", "accepted"),
    (TWICE, "def g(a=9): return a", "wrong"),
    (TWICE, "def g(a=9): return a", "wrong"),
    (TWICE, "def g(a=9): return a +", "unparsed"),
    (TWICE, "def g(a=9): return 10 ** 10 ** a", "timeout"),
    (WORD, "def g(s='dog'): return s * 2", "wrong"),
    (UNSOLVED, "def g(a=5, c=3): return a", "wrong"),
    (UNSOLVED, "def g(a=5, c=3): return c", "wrong"),
]
Open = Callable[..., Arm]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    arms: list[Arm] = []

    def open_arm(*wanted: str) -> Arm:
        run = store.Run.open(
            tmp_path / "run", config.load("smoke", ["repair.borrow=9", *wanted]), {}
        )
        arms.append(Arm(run, "verified", lambda _: None))
        write_judged(arms[-1].round(1), [(*row, None) for row in ROWS])
        return arms[-1]

    yield open_arm
    for arm in arms:
        arm.close()


def loans(arm: Arm, source: str, number: int = 1, most: int = 99) -> dict[str, int]:
    puzzle = parse(source)
    values = given(puzzle)
    kinds = [value.kind for value in values]
    rng = np.random.default_rng(0)
    found = library(arm, number).loans(puzzle.answer_type, kinds, most, rng)
    assert found == sorted(found, key=lambda loan: len(loan.body))
    return {loan.under(puzzle, values): loan.written for loan in found}


def test_what_fits_is_written_under_the_header_of_the_puzzle(opened: Open) -> None:
    assert loans(opened(), "def f(x: int, n=100, d='k'): return x > n") == {
        "def g(n=100, d='k'): return n": 5,  # of three puzzles, of two twice
        "def g(n=100, d='k'): return n * 2": 1,
    }


def test_a_constant_of_the_body_is_given_as_an_input_is(opened: Open) -> None:
    made = loans(opened(), "def f(x: int, n=100): return x * n == 9")
    assert set(made) == {
        f"def g(n=100): return {body}"
        for body in ("n", "9", "n * 2", "9 * 2", "n - 9", "9 - n", "n * 9", "9 * n")
    }


def test_an_attempt_needs_the_type_of_the_answer_and_a_value_for_each_that_it_reads(
    opened: Open,
) -> None:
    arm = opened()
    assert loans(arm, "def f(x: str, a=100): return x") == {}
    assert loans(arm, "def f(x: int): return x > sum([])") == {}
    assert loans(arm, "def f(x: str, s='cat'): return x") == {"def g(s='cat'): return s * 2": 1}


def test_what_did_not_end_is_tried_nowhere(opened: Open) -> None:
    assert not [one for one in loans(opened(), TWICE) if "**" in one or one.endswith("+")]


def test_earlier_rounds_are_remembered_as_far_as_there_is_room(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm, asked = opened(), "def f(x: int, a=9): return x == a"
    write_judged(arm.round(2), [(TWICE, "def g(a=9): return a - 1", "wrong", None)])
    assert set(loans(arm, asked, 2)) == {
        "def g(a=9): return a", "def g(a=9): return a * 2", "def g(a=9): return a - 1"
    }  # fmt: skip
    monkeypatch.setattr(borrow, "MOST", 1)
    assert set(loans(arm, asked, 2)) == {"def g(a=9): return a - 1"}


def test_what_was_written_often_comes_first_more_often(opened: Open) -> None:
    books = library(opened(), 1)
    first = Counter(books.loans("int", ["int"], 1, np.random.default_rng(seed))[0].written
                    for seed in range(600))  # fmt: skip
    assert abs(first[5] / 600 - 5 / 6) < 0.06


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ("def g(a=7): return a  # so", "def g(a=1): return a  # so"),
        ("def g(a=7):\n    b = a\n    return b\n", "def g(a=1):\n    b = a\n    return b"),
        ("def g(\n  a=7,\n):\n  return a", "def g(a=1):\n  return a"),
        ("def g(é='é', a=7): b = 'é'; return a", "def g(a=1): b = 'é'; return a"),
        ("def g(a=7): return a\r\n", "def g(a=1): return a"),
        ("def h(a): return a\ndef g(a=7): return h(a)", None),
        ("import os\ndef g(a=7): return a", None),
        ("def g(a=7): return a\nb = 3", None),
        ("@cache\ndef g(a=7): return a", None),
        ("def g(a=7): return '" + "a" * 400 + "'", None),
    ],
)
def test_of_a_text_only_the_body_is_borrowed(
    opened: Open, solution: str, expected: str | None
) -> None:
    arm = opened()
    write_judged(arm.round(1), [(TWICE, solution, "wrong", None)])
    made = loans(arm, "def f(x: int, a=1): return x")
    assert list(made) == [expected] * (expected is not None)
    for one in made:
        ast.parse(one)


def test_borrowed_solutions_solve_what_no_attempt_did_and_teach(opened: Open) -> None:
    arm = opened()
    folder = repair(arm, 1)
    assert folder is not None
    (row,) = [row for row in store.read_stage(folder) if row["outcome"] == "accepted"]
    assert (row["way"], row["puzzle_id"]) == ("borrowed", parse(UNSOLVED).id)
    assert row["solution"] == "def g(a=5, c=3): return a * 2"
    assert row["tried"] == 8  # each of four bodies with `a` and `c` in their places, or the other
    select(arm, 1)
    made = derive(arm, 1)
    assert made is not None
    (example,) = store.read_stage(made)
    kinds = [link.kind for link in trace(arm.run.folder, example["example_id"]).links]
    assert kinds[:2] == ["derived", "tried"]


def test_what_was_borrowed_of_an_earlier_round_is_followed_there(opened: Open) -> None:
    arm = opened()
    write_judged(arm.round(2), [(UNSOLVED, "def g(a=5, c=3): return c", "wrong", None)])
    repair(arm, 2)
    select(arm, 2)
    made = derive(arm, 2)
    assert made is not None
    (example,) = store.read_stage(made)
    links = trace(arm.run.folder, example["example_id"]).links
    (candidate,) = [one.content for one in links if one.kind == "candidate"]
    assert (candidate["round"], candidate["source"]) == (1, "def g(a=9): return a * 2")
    (verdict,) = [one.content for one in links if one.kind == "verdict"]
    assert verdict["outcome"] == "accepted"


def test_a_puzzle_that_nothing_seems_to_solve_has_one_row(opened: Open) -> None:
    arm = opened("repair.borrow=9")
    never = "def f(x: int, a=5): return x > a and x < a"
    write_judged(arm.round(1), [(never, "def g(a=5): return a", "wrong", None),
                                (TWICE, "def g(a=9): return a * 2", "accepted", None)])  # fmt: skip
    folder = repair(arm, 1)
    assert folder is not None
    (row,) = store.read_stage(folder)
    told = {name for name, value in row.items() if value is not None}
    assert told == {"puzzle_id", "tried", "search_seconds"}
    assert set(row) == set(tables.REPAIR.names)
