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

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

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
    Needs,
    Stage,
    Tick,
    notes_of_set_aside,
    set_aside,
    set_aside_in,
)
from etude.errors import InputError, MissingExtra

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
    "Needs",
    "Processes",
    "Stage",
    "Starting",
    "Tick",
    "arms_at_once",
    "check_way",
    "nobody",
    "notes_of_set_aside",
    "on_this_machine",
    "open_crew",
    "reached",
    "set_aside",
    "set_aside_in",
]

WAYS = "here, inline, processes:N, auto, ray://HOST:PORT or HOST:PORT"
"""What `--cluster` may be. `here`: sampling in the arm's own process, judging beside it."""
NO_NEEDS: Mapping[Kind, Needs] = MappingProxyType({})
_PROCESSES = "processes:"


def check_way(way: str) -> None:
    """Raises `InputError` for what is no way to work, `MissingExtra` where Ray is not installed."""
    if way in ("here", "inline"):
        return
    if way.startswith(_PROCESSES):
        _count(way)
    elif way != "auto" and not _is_address(way):
        raise InputError(f"--cluster must be {WAYS}, but is {way!r}.")
    else:
        _check_ray()


def open_crew(
    way: str,
    desk: Desk,
    make_desk: Callable[[], Desk],
    *,
    needs: Mapping[Kind, Needs] = NO_NEEDS,
    starting: Starting = nobody,
    engine_here: bool = False,
) -> Crew:
    """The workers of one arm. `desk` is that of this process, `make_desk` (picklable) of others.

    `starting` hears of each unit that this process itself is about to do. With `engine_here` there
    is one engine, in this process: one that is paid, and limits its own pace. `needs` says what
    workers of each kind take of a cluster's node.
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
    from etude.cluster.rays import RayCrew

    crew = RayCrew(way, make_desk, needs)
    return Here(desk, crew, starting) if engine_here else crew


@contextmanager
def reached(way: str, look: Callable[[str], None]) -> Iterator[str]:
    """Look that the workers can be reached, or start them; what the arms are to be told.

    `look` (picklable) is tried on every node of a cluster, with a name for the node, and raises
    what is not as it must be there. Raises `InputError` where that is so, or nothing answers.
    """
    check_way(way)
    if on_this_machine(way):
        yield way
        return
    from etude.cluster.rays import reached_ray

    with reached_ray(way, look) as address:
        yield address


def on_this_machine(way: str) -> bool:
    """Whether all workers are processes of this machine, without Ray."""
    return way in ("here", "inline") or way.startswith(_PROCESSES)


def arms_at_once(way: str, processes: int) -> int:
    """How many arms work at a time: where each would take the whole machine, one after another.

    0 means that they do so in this very process.
    """
    if way == "inline":
        return 0
    return 1 if way.startswith(_PROCESSES) else processes


def _check_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        raise MissingExtra(
            "A cluster needs Ray, which is not installed: pip install 'etude[ray]'. On this "
            "machine alone, --cluster processes:N works without."
        )


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
