"""The scheduler: which unit is started when.

A flow is a list of stages, each cut like the one before: unit k of a stage is owed when unit k of
the stage before it is on the disk, so that candidates are judged while the next ones are sampled.
What waits between two stages is a number and a file, so a slow stage holds no memory and stops
nobody; how much is started ahead is for the crew to bound.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

from etude import store
from etude.cluster.crews import Crew, Ended
from etude.cluster.units import Stage, Tick, set_aside
from etude.errors import Fault

TRIES = 3
"""A unit that killed so many workers is tried no more."""
MOST_SET_ASIDE = 0.1
"""Share of a stage's units. Beyond it, and beyond one, it is not the units that kill."""

SEEN_SECONDS = 120.0
"""How long a segment that a worker wrote may stay unseen here: mounts over a network show a folder
as it was some seconds ago. Whoever read the stage before would read less than there is."""

MOST_DEATHS = 30
"""Deaths in a row, with no unit done between them, after which there is no point in going on."""


class Flow:
    """The units of some stages on their way through a crew."""

    def __init__(self, crew: Crew, stages: Sequence[Stage]) -> None:
        """Looks which units are owed. Nothing is started yet."""
        self._crew = crew
        self._stages = list(stages)
        owed = [set(store.owed(stage.folder, stage.units)) for stage in stages]
        for at, stage in enumerate(self._stages[:-1]):
            if stage.passing:
                owed[at] &= owed[at + 1]
        self._owed = owed
        self._promised = [frozenset(units) for units in owed]
        self._ready: list[list[tuple[int, int]]] = [[] for _ in stages]
        """A heap a stage: how often a unit was tried, and its number."""
        self._started: list[set[int]] = [set() for _ in stages]
        self._seen: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        self._aside = [0 for _ in stages]
        self._deaths = 0
        """In a row."""
        for at, units in enumerate(owed):
            for unit in units if at == 0 else units - owed[at - 1]:
                self._make_ready(at, unit)

    def finish(self, at: int, tick: Tick) -> None:
        """Work until stage number `at` is done, and as far as that goes on those after it.

        Raises what the work on a unit raised, and `Fault` when workers die of whatever they do.
        """
        units = self._stages[at].units
        tick(units - len(self._owed[at]), units)
        while owed := len(self._owed[at]):
            self._fill()
            self._take(self._crew.wait())
            if len(self._owed[at]) < owed:
                tick(units - len(self._owed[at]), units)
        self._see(at)

    def _see(self, at: int) -> None:
        """Return when every segment that was made is in its folder, seen from here."""
        stage = self._stages[at]
        patience = time.monotonic() + SEEN_SECONDS
        while unseen := self._promised[at].intersection(store.owed(stage.folder, stage.units)):
            if time.monotonic() > patience:
                raise Fault(
                    f"{len(unseen):,} segments of {stage.folder}, the first of unit {min(unseen)}, "
                    "were written by workers, and are not seen here"
                )
            time.sleep(0.1)

    def units(self, at: int) -> int:
        """How many units stage number `at` has, done or not."""
        return self._stages[at].units

    def _fill(self) -> None:
        """Start what may be started, of the last stages first: what is begun is brought to its end.

        Where a stage has few units ready its crew idles: nothing else could be done.
        """
        for at in reversed(range(len(self._stages))):
            ready, kind = self._ready[at], self._stages[at].kind
            while ready and self._crew.room(kind) > 0:
                _, unit = heapq.heappop(ready)
                self._started[at].add(unit)
                self._crew.start(self._stages[at], unit)
        if not any(self._started):
            raise Fault("no worker takes the units that are owed")

    def _take(self, ended: Ended) -> None:
        at = next(i for i, stage in enumerate(self._stages) if stage is ended.stage)
        self._started[at].remove(ended.unit)
        if ended.how == "raised":
            assert ended.error is not None
            raise ended.error
        if ended.how == "done":
            self._deaths = 0
            self._done(at, ended.unit)
        elif ended.how == "lost":
            self._make_ready(at, ended.unit)
        else:
            self._died(at, ended.unit, ended.seen)

    def _done(self, at: int, unit: int) -> None:
        self._owed[at].discard(unit)
        if at + 1 < len(self._stages) and unit in self._owed[at + 1]:
            self._make_ready(at + 1, unit)

    def _make_ready(self, at: int, unit: int) -> None:
        heapq.heappush(self._ready[at], (len(self._seen[at, unit]), unit))

    def _died(self, at: int, unit: int, seen: str) -> None:
        """A unit whose worker died is tried after those that were not, and in the end set aside."""
        stage, tries = self._stages[at], self._seen[at, unit]
        tries.append(seen)
        self._deaths += 1
        place = store.unit_path(stage.folder, unit)
        if len(tries) < TRIES and self._deaths < MOST_DEATHS:
            print(f"a worker on {place} died ({seen}): it is tried again", file=sys.stderr)
            return self._make_ready(at, unit)
        self._aside[at] += 1
        too_many = self._aside[at] > max(1, MOST_SET_ASIDE * stage.units)
        if not stage.spare or too_many or self._deaths >= MOST_DEATHS:
            raise Fault(
                f"workers die of the units of {stage.folder}, lastly of {place.name}: "
                f"{'; '.join(tries)}"
            )
        set_aside(stage, unit, tries)
        print(f"{place} killed {TRIES} workers and is set aside: {tries[-1]}", file=sys.stderr)
        return self._done(at, unit)
