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
MORE = (
    Look(hash_seed=11, random_seed=11, clock=1_700_000_000.0),  # 2023-11-14 22:13:20
    Look(hash_seed=23, random_seed=23, clock=1_900_000_001.0),  # 2030-03-17 17:46:41
    Look(hash_seed=101, random_seed=101, clock=1_234_567_890.0),  # 2009-02-13 23:31:30
)
"""For what may rest on chance: two looks see the same side of a coin half of the time."""
