"""Shares of what people wrote, in what a model is shown and in what it is trained on. Pure.

That a few human examples keep self-play from drifting is the finding of R-Few (2025, arXiv
2512.02472). Covered: exact counts, whatever the share. Not covered: which puzzles are people's
(see `parents`, `train`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeVar

from etude.errors import InputError

Item = TypeVar("Item")
_FINEST = 10**6
"""A share is taken as the nearest fraction with a denominator up to this: 0.1 as a tenth."""


def exactly(share: float) -> Fraction:
    """A share as the fraction that was meant."""
    return Fraction(share).limit_denominator(_FINEST)


class Shown:
    """Of what is shown one after another, at least a share is people's, at every moment.

    >>> shown = Shown(0.5)
    >>> shown.owes_people
    True
    >>> shown.take(by_people=True)
    >>> shown.owes_people
    False
    """

    def __init__(self, share: float) -> None:
        self._share, self._people, self._all = exactly(share), 0, 0

    @property
    def owes_people(self) -> bool:
        """Whether the next one must be people's."""
        return self._people < math.ceil(self._share * (self._all + 1))

    def take(self, *, by_people: bool) -> None:
        self._people += by_people
        self._all += 1


def arranged(order: Sequence[int], people: int, share: float) -> list[int]:
    """Numbers in their order, but for those that must come earlier: of any first few, at least the
    share is below `people`. Where there are too few of these, the others are left out.

    >>> arranged([7, 8, 0, 9, 1], people=2, share=0.5)
    [0, 7, 1, 8]
    """
    shown = Shown(share)
    ours = iter([one for one in order if one < people])
    found: list[int] = []
    taken: set[int] = set()
    waiting = iter(order)
    while True:
        queue = ours if shown.owes_people else waiting
        one = next((one for one in queue if one not in taken), None)
        if one is None:
            return found
        found.append(one)
        taken.add(one)
        shown.take(by_people=one < people)


def wanted(made: int, share: float) -> int:
    """How many of people's go with so many others, for them to be that share of all: the nearest
    number.

    >>> wanted(300, 0.25)
    100
    """
    exact = exactly(share)
    return math.floor(made * exact / (1 - exact) + Fraction(1, 2))


def repeated(people: Sequence[Item], made: int, share: float, seed: int) -> list[Item]:
    """What people wrote, as often as the share asks for beside `made` others.

    Each as often as any other, but for the rest of the division, which chance decides by the seed.
    Beside nothing else each stands once, for then all is people's anyway; for a share of 0 nothing
    does. Raises `InputError` where people wrote nothing.
    """
    if not share:
        return []
    if not people:
        raise InputError(
            f"human_share must be 0 where no human-written pair is left, but is {share:g}. "
            "`etude show` says what became of the seeds."
        )
    if not made:
        return list(people)
    times, rest = divmod(wanted(made, share), len(people))
    more = sorted(random.Random(seed).sample(range(len(people)), rest))
    return [*people] * times + [people[place] for place in more]
