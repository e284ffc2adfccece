"""Map the units of stages over workers: in this process, in processes of their own, or on Ray.

    crew = open_crew("here", desk, make_desk)
    flow = Flow(crew, [solving, judging])
    flow.finish(0, tick)        # sampling is done; judging went on beside it
    flow.finish(1, tick)

A unit is a plain function of its inputs, so the tables are the same bytes wherever it is done.
Covered: who works where, which unit is owed when, workers that die. Not covered: what the work is;
this package knows no arms, engines or judges. A desk is whatever a worker holds between units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from etude.cluster.crews import Crew, Ended
from etude.cluster.flow import Flow
from etude.cluster.here import Here
from etude.cluster.inline import Inline, Starting, nobody
from etude.cluster.processes import Processes
from etude.cluster.units import (
    SET_ASIDE,
    Desk,
    Kind,
    Made,
    Stage,
    notes_of_set_aside,
    set_aside,
    set_aside_in,
)
from etude.errors import InputError

__all__ = [
    "SET_ASIDE",
    "WAYS",
    "Crew",
    "Desk",
    "Ended",
    "Flow",
    "Here",
    "Inline",
    "Kind",
    "Made",
    "Processes",
    "Stage",
    "Starting",
    "arms_at_once",
    "check_way",
    "nobody",
    "notes_of_set_aside",
    "open_crew",
    "reached",
    "set_aside",
    "set_aside_in",
]

WAYS = "here, inline, processes:N, auto, ray://HOST:PORT or HOST:PORT"
"""What `--cluster` may be. `here`: sampling in the arm's own process, judging beside it."""
_PROCESSES = "processes:"


def check_way(way: str) -> None:
    """Raises `InputError` for what is no way to work."""
    if way in ("here", "inline"):
        return
    if way.startswith(_PROCESSES):
        _count(way)
    elif way != "auto" and not _is_address(way):
        raise InputError(f"--cluster must be {WAYS}, but is {way!r}.")


def open_crew(
    way: str,
    desk: Desk,
    make_desk: Callable[[], Desk],
    *,
    starting: Starting = nobody,
    engine_here: bool = False,
) -> Crew:
    """The workers of one arm. `desk` is that of this process, `make_desk` (picklable) of others.

    `starting` hears of each unit that this process itself is about to do. With `engine_here` there
    is one engine, in this process: one that is paid, and limits its own pace.
    Raises `InputError` for what is no way to work, or can't be reached.
    """
    check_way(way)
    if way == "inline":
        return Inline(desk, starting)
    if way == "here":
        return Here(desk, Processes(make_desk, {"judge": 1}), starting)
    if way.startswith(_PROCESSES):
        count = _count(way)
        if engine_here:
            return Here(desk, Processes(make_desk, {"judge": count}), starting)
        pool = Processes(make_desk, {"engine": count, "judge": count})
        return Here(desk, pool, starting, engine_here=False)
    raise NotImplementedError(way)


@contextmanager
def reached(way: str) -> Iterator[str]:
    """Look that the workers can be reached, or start them; what the arms are to be told."""
    check_way(way)
    yield way


def arms_at_once(way: str, processes: int) -> int:
    """How many arms work at a time: where each would take the whole machine, one after another.

    0 means that they do so in this very process.
    """
    if way == "inline":
        return 0
    return 1 if way.startswith(_PROCESSES) else processes


def _is_address(way: str) -> bool:
    host, colon, port = way.removeprefix("ray://").rpartition(":")
    return bool(colon and host and port.isdecimal())


def _count(way: str) -> int:
    text = way.removeprefix(_PROCESSES)
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"--cluster processes:N needs a whole number of processes above 0, but is {way!r}."
        )
    return int(text)
