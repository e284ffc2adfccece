"""Puzzles made of solutions: what they were given is asked for, and what comes of it is given.

    return [_hole0_ - i for i in _hole1_]                                  # the body of a solution
    def f(x: List[int], a=9, nums=[4]): return [a - i for i in x] == nums  # asked the other way

Of a body with holes (`holes`) one is the answer, the others are inputs. What the last input must be
for the puzzle to have an answer is not known here (see `posed`). Covered: bodies that are one
expression, and inputs that are numbers, texts and lists of these. By the syntax tree alone.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Mapping, Sequence

from etude.holes import Opened
from etude.puzzle import NotAPuzzle, parse, source_of, syntax_tree
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
SWAPPED = 0.25
"""How often the last input stands before the equation's sign."""
_HOLE = re.compile(r"_hole(\d+)_")


def turned(
    body: Opened, answer_type: str, values: Mapping[str, Sequence[str]], rng: random.Random
) -> Puzzle | None:
    """A puzzle made of a body whose answers are of this type, with values by kind, as literals, for
    its inputs; None where there is none.

    >>> made = turned(
    ...     Opened(" return _hole0_ * _hole1_", ("str", "int")), "str",
    ...     {"str": ["'cat'"], "int": ["3"]}, random.Random(1),
    ... )
    >>> made.source
    "def f(x: str, s='cat', a=3): return x * a == s"
    """
    expression = _expression(body)
    result = answer_type.replace("List[", "list[")
    if expression is None or not body.kinds or not {result, *body.kinds} <= values.keys():
        return None
    taken = {one.id for one in ast.walk(expression) if isinstance(one, ast.Name)}
    asked = rng.randrange(len(body.kinds))
    inputs: list[tuple[str, str]] = []
    names: list[str] = []
    for place, kind in enumerate([*body.kinds, result]):
        free = [one for one in NAMES[kind] if one not in {*taken, *names}]
        name = ANSWER if place == asked else next(iter(free), "")
        if not name or (name == ANSWER and ANSWER in taken):
            return None
        names.append(name)
        if place != asked:
            inputs.append((name, rng.choice(values[kind])))
    rng.shuffle(inputs)
    sides: list[ast.expr] = [expression, ast.Name(names[-1])]
    if rng.random() < SWAPPED:
        sides.reverse()
    equation = source_of(ast.Compare(sides[0], [ast.Eq()], sides[1:]))
    condition = _HOLE.sub(lambda hole: names[int(hole[1])], equation)
    kind = body.kinds[asked].replace("list[", "List[")
    given = ", ".join(f"{name}={value}" for name, value in inputs)
    if len(condition) > LONGEST:
        return None
    try:
        return parse(f"def f({ANSWER}: {kind}, {given}): return {condition}")
    except NotAPuzzle:
        return None


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
