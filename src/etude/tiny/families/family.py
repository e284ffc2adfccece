"""What a puzzle family is, and how one of its instances is written down.

A family is a condition on the answer `x`, some constants, and expressions that solve it:

    >>> from etude.tiny.families.family import family, whole
    >>> add = family("int", "add", "x + a == b", "b - a", a=whole(), b=whole())
    >>> add.instance(random.Random(7)).puzzle
    'def f(x: int, a=43): return x + a == 21'

Constants have the same names everywhere, by type: `a b c` are numbers, `p q` floats, `s t`
strings, `nums u` lists of numbers, `words` a list of strings. A model of a million weights learns
to bind few names long before it learns to bind any name.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etude.tiny import draws

Draw = Callable[[random.Random, Mapping[str, Any]], draws.Value]
"""Draws one constant, given those already drawn."""

INLINED = 0.15
"""Chance that a constant is written into the expressions and is no argument."""
SIDES_SWAPPED = 0.25
"""Chance that `A == B` is written `B == A`."""
PARTS_SWAPPED = 0.3
"""Chance that `A and B` is written `B and A`."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One puzzle of a family with a solution, each the source of a one-line function."""

    family: str
    puzzle: str
    """`def f(x: int, a=7, b=73): return x + a == b`"""
    solution: str
    """`def g(a=7, b=73): return b - a`"""
    answer_type: str
    inputs: str
    """`a=7, b=73`"""
    identity: str
    """The family and its constants: equal for one problem written in two ways."""


@dataclass(frozen=True, slots=True)
class Family:
    """Puzzles that differ only in their constants and in how they are written."""

    name: str
    answer_type: str
    condition: str
    """A Boolean expression in `x` and the constants."""
    solutions: tuple[str, ...]
    """Expressions in the constants; each is an answer for all constants that can be drawn."""
    constants: Mapping[str, Draw]

    def instance(self, rng: random.Random) -> Instance:
        """One puzzle with one of its solutions, drawn from `rng`."""
        drawn: dict[str, draws.Value] = {}
        for name, draw in self.constants.items():
            drawn[name] = draw(rng, drawn)
        literals = {name: repr(value) for name, value in drawn.items()}
        arguments = _arguments(list(drawn), rng)
        inputs = ", ".join(f"{name}={literals[name]}" for name in arguments)
        inlined = {name: text for name, text in literals.items() if name not in arguments}
        condition = _inline(_reorder(self.condition, rng), inlined)
        solution = _inline(rng.choice(self.solutions), inlined)
        return Instance(
            family=self.name,
            puzzle=f"def f(x: {self.answer_type}, {inputs}): return {condition}",
            solution=f"def g({inputs}): return {solution}",
            answer_type=self.answer_type,
            inputs=inputs,
            identity=f"{self.name} {literals}",
        )


def family(
    answer_type: str, name: str, condition: str, *solutions: str, **constants: Draw
) -> Family:
    """A family, written so that a table of them reads well."""
    return Family(name, answer_type, condition, solutions, constants)


# Draws for the tables.


def whole(low: int = 2, high: int = 99) -> Draw:
    return lambda rng, _: draws.integer(rng, low, high)


def quarters() -> Draw:
    return lambda rng, _: draws.quarters(rng)


def letter() -> Draw:
    return lambda rng, _: draws.letter(rng)


def word() -> Draw:
    return lambda rng, _: draws.word(rng)


def two_words() -> Draw:
    """Two words in one, such as `catdog`."""
    return lambda rng, _: draws.word(rng) + draws.word(rng)


def numbers(low: int = 0, high: int = 30) -> Draw:
    return lambda rng, _: draws.integers(rng, low, high)


def words() -> Draw:
    return lambda rng, _: draws.words(rng)


def one_of(choices: Sequence[Any]) -> Draw:
    return lambda rng, _: rng.choice(choices)


def item_of(name: str) -> Draw:
    """A letter or an item of the constant of that name."""
    return lambda rng, drawn: rng.choice(drawn[name])


def shorter_than(name: str) -> Draw:
    """A number from 1 to the length of the constant of that name less one."""
    return lambda rng, drawn: draws.integer(rng, 1, len(drawn[name]) - 1)


def above(name: str, low: int, high: int) -> Draw:
    """The constant of that name plus a number from `low` to `high`."""
    return lambda rng, drawn: drawn[name] + draws.integer(rng, low, high)


def times(number: int, low: int, high: int) -> Draw:
    """A multiple of `number`: `low` to `high` times."""
    return lambda rng, _: number * draws.integer(rng, low, high)


def even_above(name: str) -> Draw:
    """The constant of that name plus an even number from 2 to 40."""
    return lambda rng, drawn: drawn[name] + 2 * draws.integer(rng, 1, 20)


# Writing.


def _arguments(names: list[str], rng: random.Random) -> list[str]:
    """The constants that become arguments, in random order: most of them, and one at least."""
    kept = [name for name in names if len(names) == 1 or rng.random() >= INLINED]
    kept = kept or [rng.choice(names)]
    rng.shuffle(kept)
    return kept


def _inline(expression: str, literals: Mapping[str, str]) -> str:
    """`expression` with some names replaced by literals.

    Spliced into the text at the places the syntax tree gives: `ast.unparse` would change the
    layout (`sum((int(i) for i in x))`). Literals are never negative, so none needs parentheses.
    """
    tree = ast.parse(expression, mode="eval")
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in literals]
    for node in sorted(names, key=lambda node: node.col_offset, reverse=True):
        before, after = expression[: node.col_offset], expression[node.end_col_offset :]
        expression = before + literals[node.id] + after
    return expression


def _reorder(condition: str, rng: random.Random) -> str:
    """`condition`, with the sides of an equality or the parts of a conjunction swapped at times."""
    match ast.parse(condition, mode="eval").body:
        case ast.Compare(left=first, ops=[ast.Eq()], comparators=[second]) as node:
            swap = rng.random() < SIDES_SWAPPED and not _holds(node, ast.comprehension)
            link = "=="
        case ast.BoolOp(op=ast.And(), values=[first, second]) as node:
            swap = rng.random() < PARTS_SWAPPED and not _holds(node, ast.Call)
            link = "and"
        case _:
            return condition
    if not swap:
        return condition
    left, right = (condition[part.col_offset : part.end_col_offset] for part in (second, first))
    return f"{left} {link} {right}"


def _holds(node: ast.AST, kind: type[ast.AST]) -> bool:
    return any(isinstance(inner, kind) for inner in ast.walk(node))
