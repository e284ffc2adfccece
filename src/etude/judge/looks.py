"""What is fixed for every candidate, and differs between a first and a second look at it.

The hash seed decides in which order sets and dictionaries of text come, the random seed what
`random` gives, and the clock what time it is. A verdict that is not the same both times rests on
chance, on the time, or on where things lie in memory.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """The conditions of one sandbox."""

    hash_seed: int
    random_seed: int
    clock: float
    """Seconds since 1970, in UTC, at the start of every step."""


FIRST = Look(hash_seed=0, random_seed=0, clock=1_577_836_800.0)  # 2020-01-01 00:00:00
SECOND = Look(hash_seed=7, random_seed=7, clock=1_593_870_071.0)  # 2020-07-04 13:41:11
