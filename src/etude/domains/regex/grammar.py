"""Random puzzles and random expressions to pretrain on: the notation, without its meaning.

A document is a random puzzle and an unrelated expression over its letters. Nothing is run and
nothing is verified. What a model learns here is how both are written, and to take letters and words
from the puzzle.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from etude.domains.regex.notation import (
    KINDS,
    LARGEST_NUMBER,
    LETTERS,
    Clause,
    Property,
)

USUAL = "abcdexyz0123"
"""Letters that puzzles are over, mostly."""
OWN = 0.9
"""How often an expression takes a word or number of its puzzle, where that has one."""


def document(rng: random.Random) -> tuple[str, str]:
    """A puzzle and an expression, as texts."""
    stated = puzzle(rng)
    return stated.text, _Expression(stated, rng).text


def letters(rng: random.Random) -> str:
    """Two or three letters in their order."""
    known = USUAL if rng.random() < 0.9 else LETTERS
    return "".join(sorted(rng.sample(known, rng.choice((2, 2, 3)))))


def word(letters: str, rng: random.Random, longest: int = 3) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(1, longest)))


def puzzle(rng: random.Random) -> Property:
    """One to three clauses of any kind."""
    over = letters(rng)
    count = rng.choice((1, 1, 2, 2, 2, 3))
    return Property(over, tuple(_clause(over, rng) for _ in range(count)))


def _clause(letters: str, rng: random.Random) -> Clause:
    name = rng.choice(tuple(KINDS))
    kind = rng.choice(KINDS[name])
    drawn: dict[str, Callable[[], str]] = {
        "W": lambda: word(letters, rng),
        "C": lambda: rng.choice(letters),
        "N": lambda: str(rng.randint(1, LARGEST_NUMBER)),
    }
    operands = tuple(drawn[part]() for part in kind.pattern.split() if part in drawn)
    return Clause(name, kind, operands, rng.random() < 0.25)


class _Expression:
    """An expression: looks at the beginning, perhaps, and then parts in a row.

    Most words and numbers in it are the puzzle's, in their order.
    """

    def __init__(self, stated: Property, rng: random.Random) -> None:
        self._rng = rng
        self._letters = stated.letters
        pairs = [pair for clause in stated.clauses for pair in clause.words()]
        self._words = [operand for what, operand in pairs if what != "N"]
        self._numbers = [operand for what, operand in pairs if what == "N"]
        looks = "".join(self._look() for _ in range(rng.choice((0, 0, 0, 1, 1, 2))))
        self.text = looks + "".join(self._part() for _ in range(rng.choice((1, 1, 2, 2, 3))))

    def _look(self) -> str:
        inner = "".join(self._part() for _ in range(self._rng.choice((1, 1, 2))))
        opening, end = self._rng.choice(("(?=", "(?!")), self._rng.choice(("", "", "$"))
        return f"{opening}{self._rng.choice(('', '.*'))}{inner}{end})"

    def _part(self) -> str:
        roll = self._rng.random()
        if roll < 0.25:
            return ".*"
        if roll < 0.5:
            return self._word()
        if roll < 0.65:
            return "." + self._times()
        return self._rng.choice((self._class, self._group, self._captured))() + self._times()

    def _word(self) -> str:
        """The puzzle's next one, if it has one left; then its first ones again."""
        if self._words and self._rng.random() < OWN:
            self._words.append(self._words.pop(0))
            return self._words[-1]
        return word(self._letters, self._rng)

    def _number(self) -> str:
        if self._numbers and self._rng.random() < OWN:
            self._numbers.append(self._numbers.pop(0))
            return self._numbers[-1]
        return str(self._rng.randint(1, LARGEST_NUMBER))

    def _times(self) -> str:
        roll = self._rng.random()
        if roll < 0.6 and not self._numbers:
            return self._rng.choice(("", "", "*", "*", "+", "?"))
        low = self._number()
        high = int(low) + self._rng.randint(1, 2)
        return self._rng.choice(("", "*", f"{{{low}}}", f"{{{low},}}", f"{{{low},{high}}}"))

    def _class(self) -> str:
        return f"[{self._rng.choice(('', '^'))}{self._word()}]"

    def _group(self) -> str:
        first = self._word()
        return f"({first}|{self._word()})" if self._rng.random() < 0.6 else f"({first})"

    def _captured(self) -> str:
        opened = self._rng.choice(("(.)", "(.*)", "(..)", "(.).*"))
        return opened + self._rng.choice(("\\1", ".*\\1", ""))
