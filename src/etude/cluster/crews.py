"""Crews: the workers of one arm, whatever they are. The scheduler (`flow`) sees no more of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from etude.cluster.units import Kind, Needs, Stage, Tick


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a unit that was started."""

    stage: Stage
    unit: int
    how: Literal["done", "raised", "died", "lost"]
    """`died`: it was being worked on when its worker died. `lost`: its worker went without its
    doing, with a node or while it was waiting its turn."""
    error: BaseException | None = None
    """What was raised."""
    seen: str = ""
    """How the worker died."""


class Crew(Protocol):
    """Workers that do units. Used from one thread."""

    def room(self, kind: Kind) -> int:
        """How many more units of a kind may be started now."""
        ...

    def start(self, stage: Stage, unit: int) -> None:
        """Give a unit to a worker. At once: nothing is waited for."""
        ...

    def wait(self) -> Ended:
        """The next unit that has ended, of those that were started; blocks until there is one."""
        ...

    def job(self, work: Callable[[Tick], object], needs: Needs, tick: Tick) -> None:
        """Do a piece of work that is no unit, but finds by itself where it was: a training."""
        ...

    def release(self, kind: Kind) -> None:
        """Give back what units of a kind need (a GPU's memory), until one is started again."""
        ...

    def close(self) -> None:
        """End all workers. What they were working on is owed. Calling it twice is harmless."""
        ...
