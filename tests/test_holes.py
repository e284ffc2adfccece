"""Solutions with holes: what a puzzle gives, what is read of it, and how it is put back."""

from __future__ import annotations

import ast
import random

import pytest
from hypothesis import given as drawn_from
from hypothesis import strategies as st

from etude.holes import Opened, assignments, filled, given, opened, slotted
from etude.puzzle import parse
from etude.tiny.grammar import document

COUNT = "def f(x: List[str], a=13): return x.count('star') == a"


def values(source: str) -> list[tuple[str, str, str]]:
    return [tuple(value) for value in given(parse(source))]  # type: ignore[misc]


def test_a_puzzle_gives_its_inputs_and_the_constants_of_its_body() -> None:
    assert values(COUNT) == [("int", "a", "13"), ("str", "'star'", "'star'")]
    assert values("def f(x: float, nums=[1, 2], w=['a'], p=0.5, q=-2): return x == p + 2") == [
        ("float", "p", "0.5"),
        ("int", "q", "-2"),
        ("int", "2", "2"),
        ("list[int]", "nums", "[1, 2]"),
        ("list[str]", "w", "['a']"),
    ]


def test_of_a_kind_the_first_are_given_and_what_has_none_is_not() -> None:
    found = values("def f(x: int, b=True, c=None, d=[], e={}): return x in (4, 3, 2, 4, 1) and [9]")
    assert [written for _, written, _ in found] == ["4", "3", "2", "[9]"]


@pytest.mark.parametrize(
    ("solution", "body", "kinds"),
    [
        ("def g(a=13): return [a, 'star']", " return [_hole0_, _hole1_]", ("int", "str")),
        ("def g(a=13): return ['moon'] * a", " return ['moon'] * _hole0_", ("int",)),
        ("def g(a=13): return'star'", " return _hole0_", ("str",)),
        ("def g(a=13):\n    b = a\n    return b + a", "\n    b = _hole0_\n    return b + _hole0_",
         ("int",)),
        ("def g(a=13): return f'{a}'", None, ()),
        ("def g(a=13): return [a for a in 'star']", None, ()),
        ("def g(a=13): return (lambda a: a)(3)", None, ()),
        ("def g(a=13):\n    a += 1\n    return a", None, ()),
        ("def g(a={}): return a", None, ()),
        ("def g(a={}): return 3", " return 3", ()),
        ("def g(a=13): return '_hole0_'", None, ()),
        ("def g(a=13): return a +", None, ()),
        ("def h(): pass\ndef g(a=13): return a", None, ()),
    ],
)  # fmt: skip
def test_what_a_solution_reads_of_its_puzzle_is_a_hole(
    solution: str, body: str | None, kinds: tuple[str, ...]
) -> None:
    found = opened(solution, parse(COUNT))
    assert found[-1:] == ([] if body is None else [Opened(body, kinds)])


def test_a_constant_of_the_puzzle_may_be_meant_or_not() -> None:
    assert opened("def g(a=13): return ['star'] * a", parse(COUNT)) == [
        Opened(" return ['star'] * _hole0_", ("int",)),
        Opened(" return [_hole0_] * _hole1_", ("str", "int")),
    ]


def test_each_hole_takes_another_value_of_its_kind() -> None:
    kinds = ["int", "int", "str"]
    assert assignments(["int", "int"], kinds) == [(0, 1), (1, 0)]
    assert assignments(["str", "int"], kinds) == [(2, 0), (2, 1)]
    assert assignments([], kinds) == [()]
    assert assignments(["str", "str"], kinds) == []


def test_values_are_written_as_the_puzzle_has_them() -> None:
    body = slotted(" return [_hole0_] * _hole1_", (1, 0))
    assert filled(body, given(parse(COUNT))) == " return ['star'] * a"


@drawn_from(st.integers(0, 10**6))
def test_a_solution_is_one_of_the_ways_to_fill_its_own_holes(seed: int) -> None:
    source, solution = document(random.Random(seed))
    puzzle = parse(source)
    found, own = opened(solution, puzzle), given(puzzle)
    for one in found:
        ways = assignments(one.kinds, [value.kind for value in own])
        made = {f"def g({puzzle.inputs}):{filled(slotted(one.body, way), own)}" for way in ways}
        trees = {ast.dump(ast.parse(text)) for text in made}
        assert ast.dump(ast.parse(solution)) in trees
