"""Programs that Python's own walks through a tree can't take: no stage ends by one."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etude import config, store
from etude.arguments import changed, trimmed
from etude.arm import Arm
from etude.derive import derive
from etude.hindsight import hindsight
from etude.holes import given
from etude.mutate import merged
from etude.puzzle import NotAPuzzle, copied, dumped, parse, source_of, syntax_tree
from etude.repair import repair
from etude.rewrites import rewrites
from etude.select import select
from etude.turn import turn
from etude.variants import variants, with_defaults
from etude.vary import vary
from round_tables import write_judged

HUGE = f"0x{'f' * 4_000}"
"""4,817 decimal digits, more than Python writes by itself."""
DEEP, DEEPER = "-" * 300, "-" * 1_000
"""A few hundred levels are read and written, but not copied; a thousand are read alone."""


@pytest.mark.parametrize("walk", [source_of, copied, lambda tree: dumped([tree])])
def test_what_is_too_deep_is_no_puzzle(walk: Callable[[ast.Module], object]) -> None:
    tree = syntax_tree(f"def g(a=7): return {DEEPER}893")
    with pytest.raises(NotAPuzzle, match="too deep to be read: RecursionError"):
        walk(tree)


def test_huge_numbers_are_written() -> None:
    puzzle = parse(f"def f(x: int, a=7, c=5, b={HUGE}): return x + a == b")
    assert trimmed(puzzle).inputs == puzzle.inputs.replace("c=5, ", "")
    body = parse(f"def f(x: int, a=7): return x + a == {HUGE}")
    assert [value.kind for value in given(body)] == ["int", "int"]
    assert given(puzzle)
    assert variants(body, 2)
    assert changed(body, 0)
    assert merged(puzzle, body)


def test_a_deep_solution_gets_other_defaults_or_is_left() -> None:
    puzzle = parse("def f(x: int, a=7): return x == 893")
    one = variants(puzzle, 1)[0]
    written = with_defaults(f"def g(a=7): return {DEEPER}893", puzzle, one)
    assert written == f"def g({one.puzzle.inputs}): return {DEEPER}893"
    assert with_defaults(f"def g(a = 7): return {DEEPER}893", puzzle, one) is None


def test_a_deep_puzzle_has_no_program() -> None:
    (found,) = rewrites(parse(f"def f(x: int, a=79184): return {DEEP}x * 2 == a"))
    with pytest.raises(NotAPuzzle, match="too deep"):
        found.program("3")


PLAIN = "def f(x: int, a=7, b=21): return x * a == b * 10"
UNSOLVED = "def f(x: str, s='dog', t='cat'): return t == s + x"
ROWS: list[tuple[str, str, str, str | None]] = [
    (PLAIN, "def g(a=7, b=21): return b * 10 // a", "accepted", "30"),
    (UNSOLVED, "def g(s='dog', t='cat'): return t", "wrong", "'cat'"),
    (UNSOLVED, f"def g(s = 'dog', t='cat'): return {DEEPER}1", "wrong", "'owl'"),
    (UNSOLVED, f"def g(s='dog', t='cat'): return str({HUGE})", "wrong", "'emu'"),
    (f"def f(x: int, a=79184): return {DEEP}x * 2 == a", "def g(a=79184): return a", "wrong", "9"),
    (f"def f(x: int, a=7): return x + a == {HUGE}", f"def g(a=7): return {HUGE} - a",
     "accepted", "1"),
    (f"def f(x: int, b=7): return x - b == {HUGE}", f"def g(b=7): return {HUGE}", "wrong", "2"),
    ("def f(x: int, c=7): return x == c * 0 + 893", f"def g(c = 7): return {DEEPER}893",
     "accepted", "893"),
    ("def f(x: int, d=7): return x == d * 2 + 893", f"def g(d = 7): return {DEEPER}893",
     "wrong", "893"),
    *[(f"def f(x: int, n=7, m={place}): return x == m * n + 893",
       f"def g(n=7, m={place}): return {solution}", "wrong", "893")
      for place, solution in enumerate([
          f"{DEEP}n + m", f"{DEEPER}n + m", f"n + m + {HUGE}",
          "n + m + int(f\"{len('\u200b')}\")",  # what ast.unparse can't write
          "n + m + len('_ho' 'le9_')", "[n, m, [['a']]][0] + m",
      ])],
]  # fmt: skip
SETTINGS = [
    *("repair.tries=4", "repair.borrow=99", "repair.pose=5", "repair.turn=99"),
    *("vary.tries=4", "vary.examples=2"),
    *("hindsight.per_puzzle=2", "hindsight.general=true", "select.max_solve_rate=1.0"),
]


@pytest.fixture(params=["verified", "unverified"])
def arms(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[list[Arm]]:
    run = store.Run.open(tmp_path / "run", config.load("smoke", SETTINGS), {})
    both = [Arm(run, name, lambda _: None) for name in {"verified", request.param}]
    both.sort(key=lambda arm: arm.name, reverse=True)  # the control waits for the loop
    for arm in both:
        write_judged(arm.round(1), ROWS)
    yield both
    for arm in both:
        arm.close()


def test_no_stage_ends_by_one(arms: list[Arm]) -> None:
    for arm in arms:
        if arm.name == "verified":
            for stage in (vary, hindsight, repair, turn):
                stage(arm, 1)
        select(arm, 1)
        made = derive(arm, 1)
        assert made is not None
        assert store.read_stage(made)
