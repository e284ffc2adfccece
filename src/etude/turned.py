"""Puzzles made of solutions: what comes of one is asked for, or what it was given.

    return [_hole0_ - i for i in _hole1_]                                  # the body of a solution
    def f(x: List[int], a=9, nums=[4]): return [a - i for i in nums] == x  # forward: it solves that
    def f(x: List[int], a=9, nums=[4]): return [a - i for i in x] == nums  # backward

Of a body with holes (`holes`) one is the answer, or its value is; the others are inputs. Backward,
what the last input must be for the puzzle to have an answer is not known here (see `posed`).
Covered: bodies that are one expression, and inputs that are numbers, texts and lists of these. By
the syntax tree alone.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from etude.holes import Opened
from etude.puzzle import NotAPuzzle, copied, parse, source_of, syntax_tree
from etude.types import Puzzle

NAMES = {
    "int": ("a", "b", "c"),
    "float": ("p", "q", "h"),
    "str": ("s", "t", "r"),
    "list[int]": ("nums", "u", "v"),
    "list[str]": ("words", "w", "y"),
    "list[float]": ("values", "m", "n"),
}
"""What inputs are called, by the kind of their value."""
ANSWER = "x"
LONGEST = 80
"""Characters of the condition."""
FORWARD = 0.8
"""How often what comes of a solution is asked for."""
SWAPPED = 0.5
"""How often what comes of it stands before the equation's sign."""


class Turned(NamedTuple):
    """What was made of a body."""

    puzzle: Puzzle
    body: str
    """Forward, behind the colon of a `g`, what solves it; backward nothing."""

    def solution(self, puzzle: Puzzle) -> str:
        """Forward, of this puzzle or one with other inputs."""
        return f"def g({puzzle.inputs}): {self.body}"


def turned(
    body: Opened, answer_type: str, values: Mapping[str, Sequence[str]], rng: random.Random
) -> Turned | None:
    """A puzzle made of a body whose answers are of this type, with values by kind, as literals, for
    its inputs; None where there is none.

    >>> body = Opened(" return _hole0_ * _hole1_", ("str", "int"))
    >>> values = {"str": ["'cat'"], "int": ["3"]}
    >>> turned(body, "str", values, random.Random(2)).puzzle.source
    "def f(x: str, a=3, t='cat'): return x * a == t"
    """
    expression = _expression(body)
    kinds = [*body.kinds, answer_type.replace("List[", "list[")]
    if expression is None or not body.kinds or not set(kinds) <= values.keys():
        return None
    asked = len(kinds) - 1 if rng.random() < FORWARD else rng.randrange(len(kinds) - 1)
    names = _named(kinds, asked, expression, rng)
    if names is None:
        return None
    inputs = [
        f"{name}={rng.choice(values[kind])}"
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
        if place != asked
    ]
    rng.shuffle(inputs)
    sides: list[ast.expr] = [expression, ast.Name(names[-1])]
    if rng.random() < SWAPPED:
        sides.reverse()
    kind = kinds[asked].replace("list[", "List[")
    try:
        condition = _filled(ast.Compare(sides[0], [ast.Eq()], sides[1:]), names)
        if len(condition) > LONGEST:
            return None
        puzzle = parse(f"def f({ANSWER}: {kind}, {', '.join(inputs)}): return {condition}")
    except NotAPuzzle:
        return None
    is_forward = asked == len(kinds) - 1
    return Turned(puzzle, f"return {_filled(expression, names)}" if is_forward else "")


def _named(
    kinds: Sequence[str], asked: int, expression: ast.expr, rng: random.Random
) -> list[str] | None:
    """What each hole is called, and what comes of all; None where names are wanting.

    In no order that could be learned in place of reading the condition.
    """
    taken = {
        one.id if isinstance(one, ast.Name) else one.arg
        for one in ast.walk(expression)
        if isinstance(one, ast.Name | ast.arg)
    }
    names: list[str] = []
    for place, kind in enumerate(kinds):
        wanted = (ANSWER,) if place == asked else NAMES.get(kind, ())  # no name for lists of lists
        free = [one for one in wanted if one not in {*taken, *names}]
        if not free:
            return None
        names.append(rng.choice(free[:2]))
    return names


def _filled(node: ast.expr, names: Sequence[str]) -> str:
    """With names in the places of holes. What a text holds is no hole, whatever it says. Raises
    `NotAPuzzle` where it is too deep to be written, or can't be."""
    by_hole = {f"_hole{place}_": name for place, name in enumerate(names)}
    made = copied(node)
    for one in ast.walk(made):
        if isinstance(one, ast.Name):
            one.id = by_hole.get(one.id, one.id)
    return source_of(made)


def _expression(body: Opened) -> ast.expr | None:
    """What a body returns, where that is all of it."""
    try:
        function = syntax_tree(f"def g():{body.body}").body[0]
    except NotAPuzzle:
        return None
    match function:
        case ast.FunctionDef(body=[ast.Return(value=ast.expr() as value)]):
            return None if isinstance(value, ast.Name) else value
    return None
