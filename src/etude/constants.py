"""Other constants of the same kind: as large, as long, of the same shape. Pure.

    Draw(random.Random(7), {}).like(expression)         # of a literal's syntax tree, another one

Numbers keep their digits and steps, words and lists about their length; equal constants of a draw
stay equal, and different ones mostly different. Covered: numbers, texts, truth values, and lists,
tuples, sets and dicts of them. Any other expression stays.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from math import isqrt

Value = bool | int | float | str

AGAIN = 20
"""Draws of one number or word until it is another one than before."""
ALIKE = 0.5
"""Chance that a square, a cube or a power of two is drawn as one again: it may be no accident."""
RESIZED = 1 / 3
"""Chance that a list becomes one longer or shorter."""


class Draw:
    """Other constants in the places of some, equal ones for equal ones."""

    def __init__(self, rng: random.Random, words: Mapping[int, Sequence[str]]) -> None:
        """`words` by their length; without any, letters are drawn for letters, so that texts that
        share some share them again."""
        self.rng = rng
        self.words = words
        self._known: dict[tuple[type, Value], Value] = {}
        self._taken: set[tuple[type, object]] = set()

    def like(self, node: ast.expr) -> ast.expr:
        """An expression of the same shape with other constants. What is no literal stays."""
        match node:
            case ast.Constant(bool() | int() | float() | str() as value):
                return ast.Constant(self._other(value))
            case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
                return ast.UnaryOp(ast.USub(), ast.Constant(self._other(value)))
            case ast.List(elts):
                return ast.List(self._items(elts), ast.Load())
            case ast.Tuple(elts):
                return ast.Tuple([self.like(one) for one in elts], ast.Load())
            case ast.Set(elts):
                return ast.Set([self.like(one) for one in elts])
            case ast.Dict(keys, values):
                named = [None if key is None else self.like(key) for key in keys]
                return ast.Dict(named, [self.like(one) for one in values])
        return node

    def _items(self, elements: Sequence[ast.expr]) -> list[ast.expr]:
        """Those of a list, one more or less perhaps, and in order where they were."""
        made = [self.like(one) for one in elements]
        if len(made) > 1 and self.rng.random() < RESIZED:
            place = self.rng.randrange(len(made))
            if self.rng.random() < 1 / 2:
                del made[place]
            else:
                fresh = Draw(self.rng, self.words)
                made.insert(place, fresh.like(elements[place]))
        try:
            before = [ast.literal_eval(one) for one in elements]
            if len(before) > 1 and before == sorted(before):
                made.sort(key=ast.literal_eval)
        except (ValueError, TypeError):
            pass  # nothing that has an order
        return made

    def _other(self, value: bool | float | str) -> Value:
        """Another value of its kind; for equal ones the same, for others mostly others."""
        if isinstance(value, bool):
            return self.rng.random() < 1 / 2
        if isinstance(value, str):
            return self._text(value)
        return self._once(value, partial(self._number, value))

    def _once(self, value: Value, draw: Callable[[], Value]) -> Value:
        key = type(value), value
        if key not in self._known:
            for _ in range(AGAIN):
                made = draw()
                if made != value and (type(made), made) not in self._taken:
                    break
            self._taken.add((type(made), made))
            self._known[key] = made
        return self._known[key]

    def _number(self, value: float) -> float:
        if isinstance(value, int):
            return self._integer(value)
        if not 1e-9 < value < 1e15:  # beyond, steps mean nothing
            return value
        if (value * 4).is_integer():
            step = next(step for step in (1, 2, 4) if (value * step).is_integer())
            return self.digits(round(value * step)) / step
        digits = Decimal(repr(value)).as_tuple()
        shift = -int(digits.exponent)
        return self.digits(int(Decimal(repr(value)).scaleb(shift))) / int(10**shift)

    def _integer(self, value: int) -> int:
        """As large. 0 and 1 often mean something of their own, so that they often stay."""
        if value in (0, 1):
            return self.rng.choice((0, 1, self.rng.randint(value, 9)))
        found = powers(value)
        return self.rng.choice(found) if found and self.rng.random() < ALIKE else self.digits(value)

    def digits(self, value: int) -> int:
        """A number with as many digits; of one digit not 0, nor 1 for another one."""
        count = _length(value)
        low = 10 ** (count - 1) if count > 1 else min(max(value, 1), 2)
        return self.rng.randint(low, 10**count - 1)

    def _text(self, value: str) -> str:
        return re.sub(r"[A-Za-z]+|[0-9]", lambda run: self._run(run[0]), value)

    def _run(self, run: str) -> str:
        """Another run of letters, or digit: a word where one of about the length is known."""
        lower = run.lower()
        near = [*self.words.get(len(run) - 1, ()), *self.words.get(len(run), ())]
        near += self.words.get(len(run) + 1, ())
        if len(run) > 1 and near and run in (lower, lower.capitalize(), run.upper()):
            word = str(self._once(lower, partial(self.rng.choice, near)))
            return word if run == lower else word.upper() if run.isupper() else word.capitalize()
        return "".join(map(self._letter, run))

    def _letter(self, letter: str) -> str:
        low, last = ("0", 9) if letter.isdigit() else ("a", 25)
        made = self._once(
            letter.lower(), partial(lambda: chr(ord(low) + self.rng.randint(0, last)))
        )
        return str(made).upper() if letter.isupper() else str(made)


def _length(value: int) -> int:
    """Decimal digits of a number above 0; nothing here is longer than LONGEST."""
    return max(1, len(str(value)))


def powers(value: int) -> list[int]:
    """The squares, cubes or powers of two of as many digits, if the number is one itself.

    >>> powers(27), powers(32)
    ([27, 64], [16, 32, 64])
    """
    if not 16 <= value < 10**9:  # below, every second one is
        return []
    low, high = 10 ** (_length(value) - 1), 10 ** _length(value)
    found: list[list[int]] = [
        [2**n for n in range(high.bit_length()) if low <= 2**n < high],
        [n**3 for n in range(1_000) if low <= n**3 < high],
    ]
    if isqrt(value) ** 2 == value:
        first, last = isqrt(low - 1) + 1, isqrt(high - 1)
        step = max(1, (last - first) // 1_000)
        found.append(sorted({isqrt(value), *range(first, last + 1, step)}))
        found[-1] = [n * n for n in found[-1]]
    return next((numbers for numbers in reversed(found) if value in numbers), [])


def by_length(words: Sequence[str]) -> dict[int, list[str]]:
    """Words by their length, as a draw takes them."""
    found: dict[int, list[str]] = {}
    for word in words:
        found.setdefault(len(word), []).append(word)
    return found
