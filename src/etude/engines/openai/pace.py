"""A limit of so many a minute, kept by waiting."""

from __future__ import annotations

import asyncio
import time


class Pace:
    """At most `per_minute` of something, spread evenly; 0 is no limit.

    Holds for one process: several arms of a run at the same time each keep to it alone.
    """

    def __init__(self, per_minute: int) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._free = 0.0

    async def wait(self, amount: float = 1.0) -> None:
        """Returns when it is the turn of so many more."""
        if not self._gap:
            return
        start = max(time.monotonic(), self._free)
        self._free = start + amount * self._gap
        await asyncio.sleep(start - time.monotonic())

    def correct(self, amount: float) -> None:
        """So many more, or with a minus fewer, than were waited for."""
        self._free += amount * self._gap
