"""A crew of processes on this machine. Each holds a desk of its own, and dies with this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from etude.cluster.crews import Ended
from etude.cluster.units import Desk, Kind, Needs, Stage, Tick
from etude.errors import Fault, UserError, WorkerDied, for_the_caller
from etude.offspring import die_with_parent, no_interrupt

AHEAD = 4
"""Units that a process is given at a time: while this one is busy elsewhere, it has work."""
STARTS = 3
"""So many workers that die in a row before they are ready, and none is started any more."""
GRACE_SECONDS = 10.0
"""How long a worker may take to leave before it is killed."""
GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass
class _Worker:
    number: int
    process: BaseProcess
    pipe: Connection
    given: deque[tuple[Stage, int]] = field(default_factory=deque)
    """What it has been given; the first is what it works on."""
    ready: bool = False
    """Whether it has made its desk."""


class Processes:
    """So many workers of each kind, started when there is a unit for them."""

    def __init__(self, make_desk: Callable[[], Desk], counts: Mapping[Kind, int]) -> None:
        self._make_desk = make_desk
        self._counts = counts
        self._workers: dict[Kind, list[_Worker]] = {kind: [] for kind in counts}
        self._ended: deque[Ended] = deque()
        self._failed_starts = 0

    def room(self, kind: Kind) -> int:
        if kind not in self._counts:
            return 0
        return AHEAD * self._counts[kind] - sum(len(w.given) for w in self._workers[kind])

    def start(self, stage: Stage, unit: int) -> None:
        worker = self._idlest(stage.kind)
        idle = not worker.given
        worker.given.append((stage, unit))
        try:
            worker.pipe.send((stage, unit))
        except (BrokenPipeError, ConnectionResetError):
            if idle:  # else it died of something: what it said before is still to be heard
                self._bury(stage.kind, worker, idle=True)

    def wait(self) -> Ended:
        while not self._ended:
            self._listen(None)
        return self._ended.popleft()

    def ended(self) -> Ended | None:
        """As `wait`, but for what has ended already: None where nothing has."""
        if not self._ended:
            self._listen(0)
        return self._ended.popleft() if self._ended else None

    def _listen(self, seconds: float | None) -> None:
        """Hear those that say something within these seconds. None: until one does."""
        pipes = {w.pipe: (kind, w) for kind, found in self._workers.items() for w in found}
        for pipe in wait([p for p, (_, w) in pipes.items() if w.given], seconds):
            assert isinstance(pipe, Connection)
            self._hear(*pipes[pipe])

    def job(self, work: Callable[[Tick], object], needs: Needs, tick: Tick) -> None:
        """This process does it: it has processes of its own where it needs them."""
        work(tick)

    def release(self, kind: Kind) -> None:
        """Their memory is given back by ending them."""
        for worker in self._workers.get(kind, ()):
            _end(worker)
        self._workers[kind] = []

    def close(self) -> None:
        for kind in list(self._workers):
            self.release(kind)

    def _idlest(self, kind: Kind) -> _Worker:
        """A new worker while there are too few: else the one that was given least."""
        workers = self._workers[kind]
        idle = next((w for w in workers if not w.given), None)
        if idle is None and len(workers) < self._counts[kind]:
            taken = {worker.number for worker in workers}
            number = next(n for n in range(self._counts[kind]) if n not in taken)
            idle = _started(self._make_desk, kind, number)
            workers.append(idle)
        return idle or min(workers, key=lambda worker: len(worker.given))

    def _hear(self, kind: Kind, worker: _Worker) -> None:
        """One message: it is ready, a unit is done, or raised; or it has died."""
        try:
            said = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._bury(kind, worker)
        if said == "ready":
            worker.ready, self._failed_starts = True, 0
            return None
        self._ended.append(heard(*worker.given.popleft(), said))
        return None

    def _bury(self, kind: Kind, worker: _Worker, *, idle: bool = False) -> None:
        """The unit that it worked on may have killed it; the others are owed as before.

        Raises `Fault` where workers die before they have begun.
        """
        self._workers[kind].remove(worker)
        worker.process.join()
        worker.pipe.close()
        seen = words_of(worker.process.exitcode)
        for place, (stage, unit) in enumerate(worker.given):
            if place or idle or not worker.ready:
                self._ended.append(Ended(stage, unit, "lost"))
            else:
                self._ended.append(Ended(stage, unit, "died", seen=seen))
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == STARTS:
                raise Fault(f"{STARTS} workers died while they started, lastly: {seen}")


def words_of(code: int | None) -> str:
    """`killed by SIGKILL`, `exit code 1`."""
    if code is not None and code < 0:
        known = {one.value: one.name for one in signal.Signals}
        return f"killed by {known.get(-code, f'signal {-code}')}"
    return f"exit code {code}"


def _started(make_desk: Callable[[], Desk], kind: Kind, number: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_serve, args=(make_desk, kind, number, theirs), name=f"{kind} {number}"
    )
    with no_interrupt():
        process.start()
    theirs.close()
    return _Worker(number, process, ours)


def _end(worker: _Worker) -> None:
    """One that has nothing to do leaves when its pipe is closed; another is not waited for."""
    worker.pipe.close()
    if not worker.given:
        worker.process.join(GRACE_SECONDS)
    worker.process.kill()
    worker.process.join()


def _serve(make_desk: Callable[[], Desk], kind: Kind, number: int, pipe: Connection) -> None:
    """What runs in the process, until the other side is gone."""
    die_with_parent()
    if kind == "engine":
        _take_gpu(number)
    try:
        desk = make_desk()
        pipe.send("ready")
    except BaseException as error:  # noqa: BLE001 - it is the answer to the first unit
        desk, broken = None, sendable(error)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            stage, unit = pipe.recv()
            pipe.send(broken if desk is None else tried(stage, desk, unit))
    if desk is not None:
        desk.close()


def tried(stage: Stage, desk: Desk, unit: int) -> object:
    """What a worker answers about a unit: None, or what went wrong."""
    try:
        stage.do(desk, unit)
    except WorkerDied as death:
        desk.release(stage.kind)
        return death
    except BaseException as error:  # noqa: BLE001 - it goes to the other side, which raises it
        return sendable(error)
    return None


def heard(stage: Stage, unit: int, said: object) -> Ended:
    """What became of a unit about which a worker answered so (see `tried`)."""
    if said is None:
        return Ended(stage, unit, "done")
    if isinstance(said, WorkerDied):
        return Ended(stage, unit, "died", seen=str(said))
    error = said if isinstance(said, UserError) else Fault(f"a worker failed:\n{said}")
    return Ended(stage, unit, "raised", error)


def sendable(error: BaseException) -> object:
    """What the caller can mend as it is; anything else as its traceback."""
    return for_the_caller(error) or "".join(traceback.format_exception(error))


def _take_gpu(number: int) -> None:
    """One GPU each, in turn, before any library looks for one."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = named.split(",") if named is not None else []
    if named is None and GPUS.is_dir():
        found = [str(place) for place in range(len(list(GPUS.iterdir())))]
    if found and found != [""]:
        os.environ["CUDA_VISIBLE_DEVICES"] = found[number % len(found)]
