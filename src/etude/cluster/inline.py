"""A crew of none: this process does the units itself, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from etude.cluster.crews import Ended
from etude.cluster.units import Desk, Kind, Needs, Stage, Tick
from etude.errors import WorkerDied

Starting = Callable[[Stage, int], None]


def nobody(_: Stage, __: int) -> None:
    """Hears of units, and does nothing."""


class Inline:
    """Does a unit when it is waited for. Should a unit kill this process, `starting` has heard
    which."""

    def __init__(self, desk: Desk, starting: Starting = nobody) -> None:
        self._desk = desk
        self._starting = starting
        self._waiting: deque[tuple[Stage, int]] = deque()

    def room(self, kind: Kind) -> int:
        return 1 - len(self._waiting)

    def start(self, stage: Stage, unit: int) -> None:
        self._waiting.append((stage, unit))

    def wait(self) -> Ended:
        """Do the unit. What it raises is raised here, with its traceback."""
        stage, unit = self._waiting.popleft()
        self._starting(stage, unit)
        try:
            stage.do(self._desk, unit)
        except WorkerDied as death:  # of an engine that is a process of its own
            self._desk.release(stage.kind)
            return Ended(stage, unit, "died", seen=str(death))
        return Ended(stage, unit, "done")

    def job(self, work: Callable[[Tick], object], needs: Needs, tick: Tick) -> None:
        work(tick)

    def release(self, kind: Kind) -> None:
        self._desk.release(kind)

    def close(self) -> None:
        """The desk stays: it is its owner's."""
        self._waiting.clear()
