"""Random constants of the tiny world: small numbers, short words, short lists of both."""

from __future__ import annotations

import random
import string

Value = int | float | str | list[int] | list[str]

LETTERS = string.ascii_lowercase

WORDS = (
    *("cat", "dog", "sun", "tree", "moon", "fish", "bird", "code", "star", "blue"),
    *("red", "sky", "rain", "wind", "leaf", "door", "hand", "book", "lamp", "ship"),
    *("road", "gold", "milk", "rice", "corn", "salt", "wolf", "bear", "frog", "deer"),
)

REAL_WORDS = 0.9
"""Share of words that are real. A small model copies real words sooner than random letters."""


def integer(rng: random.Random, low: int = 2, high: int = 99) -> int:
    return rng.randint(low, high)


def quarters(rng: random.Random, low: int = 1, high: int = 50) -> float:
    """A multiple of 1/4, so that sums, differences and halves are exact in binary."""
    return rng.randint(low * 4, high * 4) / 4


def letter(rng: random.Random) -> str:
    return rng.choice(LETTERS)


def word(rng: random.Random) -> str:
    """A real word, or two to five random letters."""
    if rng.random() < REAL_WORDS:
        return rng.choice(WORDS)
    return "".join(letter(rng) for _ in range(rng.randint(2, 5)))


def integers(rng: random.Random, low: int = 0, high: int = 30) -> list[int]:
    """Two to five numbers."""
    return [rng.randint(low, high) for _ in range(rng.randint(2, 5))]


def words(rng: random.Random) -> list[str]:
    """Two to four words."""
    return [word(rng) for _ in range(rng.randint(2, 4))]
