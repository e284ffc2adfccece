"""The crew of one machine: this process for what needs no other, and processes beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from etude.cluster.crews import Crew, Ended
from etude.cluster.inline import Inline, Starting, nobody
from etude.cluster.units import Desk, Kind, Needs, Stage, Tick


class Beside(Crew, Protocol):
    """A crew that works while this process does."""

    def ended(self) -> Ended | None:
        """As `wait`, but for what has ended already: None where nothing has."""
        ...


class Here:
    """This process samples (unless engines have their own), and judging goes on beside it."""

    def __init__(
        self,
        desk: Desk,
        beside: Beside,
        starting: Starting = nobody,
        *,
        engine_here: bool = True,
    ) -> None:
        self._inline = Inline(desk, starting)
        self._beside = beside
        self._inlined: tuple[Kind, ...] = ("engine", "plain") if engine_here else ("plain",)
        self._owed = 0
        """Units that this process is to do."""

    def room(self, kind: Kind) -> int:
        return self._inline.room(kind) if kind in self._inlined else self._beside.room(kind)

    def start(self, stage: Stage, unit: int) -> None:
        if stage.kind in self._inlined:
            self._owed += 1
            self._inline.start(stage, unit)
        else:
            self._beside.start(stage, unit)

    def wait(self) -> Ended:
        """What has ended beside comes first, so that those there never run out of work, and one
        that died is replaced, while this process has much to do."""
        if (ended := self._beside.ended()) is not None:
            return ended
        if not self._owed:
            return self._beside.wait()
        self._owed -= 1
        return self._inline.wait()

    def job(self, work: Callable[[Tick], object], needs: Needs, tick: Tick) -> None:
        self._beside.job(work, needs, tick)

    def release(self, kind: Kind) -> None:
        (self._inline if kind in self._inlined else self._beside).release(kind)

    def close(self) -> None:
        self._inline.close()
        self._beside.close()
