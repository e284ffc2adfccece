"""A crew of Ray actors, on whatever nodes have room for them.

Each worker is an actor that holds a desk. It is asked for when a unit waits for one, and Ray starts
it when a node has room: until then nothing blocks. A worker that is there gets two units, so that
it never waits for this process. A dead one is replaced; Ray itself repeats nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError

from etude.cluster.crews import Ended
from etude.cluster.processes import heard, sendable, tried
from etude.cluster.rays.address import connect, enter, nodes
from etude.cluster.rays.deaths import by_no_fault_of_its_own, words_of
from etude.cluster.rays.job import run_job
from etude.cluster.rays.places import engines_beside, fitted, places
from etude.cluster.units import Desk, Kind, Needs, Stage, Tick
from etude.errors import Fault, UserError

IN_FLIGHT = 2
"""Units that a worker has: one that it works on, and the next."""
AHEAD = 4
"""Units that may be started for each worker that the cluster has room for."""
FALSE_STARTS = 3
"""Workers that may die one after the other before one of their kind was ready."""
PAUSE_SECONDS = 2.0
"""Until the next is asked for, and twice as long after each further one: Ray itself has moments in
which it ends whatever is asked for, within milliseconds."""
NODES_LOST = 2
"""Nodes that a unit may take with it; from then on it is not theirs but its doing."""
LOOK_SECONDS = 5.0
"""How long what nodes have is believed."""
PATIENCE_SECONDS = 1.0
SAY_SECONDS = 30.0
NONE = Needs(0)

Task = tuple[Stage, int]


@dataclass(eq=False)
class _Worker:
    kind: Kind
    actor: Any
    asked: Any
    """The reference of an answer to `hello`, until it is there."""
    given: deque[tuple[Any, Task]] = field(default_factory=deque)
    """Reference and unit; the first is what it works on."""
    doubtful: Task | None = None
    """What it worked on when its connection broke, until it is known what it died of, if it did."""

    @property
    def next(self) -> Any:
        """The reference that says something of it next; None for one that has nothing to do."""
        return self.asked if self.asked is not None else self.given[0][0] if self.given else None


class RayCrew:
    """Workers on a Ray cluster: as many of a kind as there are units for, and room."""

    def __init__(
        self, address: str, make_desk: Callable[[], Desk], needs: Mapping[Kind, Needs]
    ) -> None:
        """Raises `InputError` where the cluster does not answer."""
        self._connected = connect(address)
        self._make_desk = make_desk
        self._needs = needs
        self._workers: list[_Worker] = []
        self._waiting: defaultdict[Kind, deque[Task]] = defaultdict(deque)
        self._ended: deque[Ended] = deque()
        self._false_starts: Counter[Kind] = Counter()
        self._paused: dict[Kind, float] = {}
        """Until when no worker of a kind is asked for."""
        self._nodes_lost: Counter[tuple[str, int]] = Counter()
        self._looked: tuple[float, list[dict[str, float]]] | None = None
        self._nothing_since: float | None = None

    def room(self, kind: Kind) -> int:
        return AHEAD * self._most(kind) - len(self._waiting[kind]) - self._busy(kind)

    def start(self, stage: Stage, unit: int) -> None:
        self._waiting[stage.kind].append((stage, unit))
        self._hire(stage.kind)
        self._hand_out()

    def wait(self) -> Ended:
        """Raises `Fault` where workers can't start, and what opening their desks raised."""
        while not self._ended:
            self._listen(PATIENCE_SECONDS)
        return self._ended.popleft()

    def ended(self) -> Ended | None:
        """As `wait`, but for what has ended already: None where nothing has."""
        if not self._ended and (self._workers or any(self._waiting.values())):
            self._listen(0)
        return self._ended.popleft() if self._ended else None

    def _listen(self, seconds: float) -> None:
        """Hear one worker, if one says something within these seconds; then see who is needed."""
        for kind in list(self._waiting):
            self._hire(kind)
        self._hand_out()
        refs = {w.next: w for w in self._workers if w.next is not None}
        if refs:
            ready, _ = ray.wait(list(refs), num_returns=1, timeout=seconds)
        else:  # none is asked for at the moment
            ready = []
            time.sleep(min(seconds, 0.1))
        for ref in ready:
            self._hear(refs[ref])
        self._make_room(idle=not ready)

    def job(self, work: Callable[[Tick], object], needs: Needs, tick: Tick) -> None:
        """Do one long piece of work on a node of the cluster. Raises what it raises.

        Workers that have nothing to do make room for it.
        """
        for worker in [w for w in self._workers if not w.given and not self._waiting[w.kind]]:
            self._dismiss(worker)
        run_job(work, fitted(needs, self._nodes()), tick)

    def release(self, kind: Kind) -> None:
        for worker in [w for w in self._workers if w.kind == kind]:
            self._dismiss(worker)
        self._waiting[kind].clear()

    def close(self) -> None:
        for worker in self._workers:
            ray.kill(worker.actor)
        self._workers.clear()
        if self._connected:
            ray.shutdown()
            self._connected = False

    def _busy(self, kind: Kind) -> int:
        return sum(len(w.given) + (w.doubtful is not None) for w in self._of(kind))

    def _of(self, kind: Kind) -> Iterator[_Worker]:
        return (worker for worker in self._workers if worker.kind == kind)

    def _nodes(self) -> list[dict[str, float]]:
        now = time.monotonic()
        if self._looked is None or now - self._looked[0] > LOOK_SECONDS:
            self._looked = (now, [node["Resources"] for node in nodes()])
        return self._looked[1]

    def _most(self, kind: Kind) -> int:
        """Workers of a kind that the cluster has room for, were nobody else in it."""
        there = self._nodes()
        own = fitted(self._needs.get(kind, NONE), there)
        room = places(there, own)
        if kind == "engine":
            room = engines_beside(room, own, fitted(self._needs.get("judge", NONE), there))
        return max(1, room)

    def _hire(self, kind: Kind) -> None:
        """Ask for a worker for each unit that has none."""
        if time.monotonic() < self._paused.get(kind, 0):
            return
        here = list(self._of(kind))
        wanted = min(self._most(kind), len(self._waiting[kind]) + self._busy(kind))
        for _ in range(wanted - len(here)):
            needs = fitted(self._needs.get(kind, NONE), self._nodes())
            actor = _WORKER.options(
                num_cpus=needs.cpus, num_gpus=needs.gpus, max_restarts=0, max_task_retries=0
            ).remote(self._make_desk, os.getcwd())
            self._workers.append(_Worker(kind, actor, actor.hello.remote()))

    def _hand_out(self) -> None:
        """One unit for each worker that is there, then a second, but for those who are to come."""
        for kind, waiting in self._waiting.items():
            there = [worker for worker in self._of(kind) if worker.asked is None]
            for most in range(1, IN_FLIGHT + 1):
                coming = sum(worker.asked is not None for worker in self._of(kind))
                for worker in (one for one in there if len(one.given) < most):
                    if len(waiting) > (coming if most > 1 else 0):
                        task = waiting.popleft()
                        worker.given.append((worker.actor.do.remote(*task), task))

    def _hear(self, worker: _Worker) -> None:
        """One answer: it is there, a unit has ended, or it has died."""
        try:
            said = ray.get(worker.next)
        except ActorUnavailableError:
            return self._doubt(worker)
        except RayError as death:
            return self._bury(worker, death)
        if worker.asked is None:
            _, (stage, unit) = worker.given.popleft()
            self._ended.append(heard(stage, unit, said))
            return None
        worker.asked = None
        self._false_starts[worker.kind] = 0
        if worker.doubtful is not None:  # only the connection was lost, and an answer with it
            self._ended.append(Ended(*worker.doubtful, "lost"))
            worker.doubtful = None
        if isinstance(said, UserError):
            raise said
        if said is not None:
            raise Fault(f"a worker could not start:\n{said}")
        return None

    def _doubt(self, worker: _Worker) -> None:
        """Ray lost the connection, and learns in its time whether worker or node has died."""
        if worker.given:
            _, worker.doubtful = worker.given.popleft()
        self._lose(worker)
        worker.asked = worker.actor.hello.remote()

    def _lose(self, worker: _Worker) -> None:
        """What waited its turn with this worker is owed as before."""
        self._ended.extend(Ended(*task, "lost") for _, task in worker.given)
        worker.given.clear()

    def _bury(self, worker: _Worker, death: RayError) -> None:
        """The unit that it worked on may have killed it, unless its node is gone."""
        self._workers.remove(worker)
        task = worker.doubtful
        if task is None and worker.given:
            _, task = worker.given.popleft()
        waiting = len(worker.given)
        self._lose(worker)
        seen, innocent = words_of(death), by_no_fault_of_its_own(death)
        if innocent:
            count = (task is not None) + waiting
            print(f"a worker is gone ({seen}): {count} units are owed again", file=sys.stderr)
        self._looked = None
        if task is not None:
            key = (str(task[0].folder), task[1])
            self._nodes_lost[key] += innocent
            lost = innocent and self._nodes_lost[key] <= NODES_LOST
            self._ended.append(Ended(*task, "lost") if lost else Ended(*task, "died", seen=seen))
        elif not innocent:
            self._false_start(worker.kind, death, seen)

    def _false_start(self, kind: Kind, death: RayError, seen: str) -> None:
        self._false_starts[kind] += 1
        pause = PAUSE_SECONDS * 2 ** (self._false_starts[kind] - 1)
        self._paused[kind] = time.monotonic() + pause
        if self._false_starts[kind] >= FALSE_STARTS:
            where = f" of actor {death.actor_id}" if isinstance(death, RayActorError) else ""
            raise Fault(
                f"{FALSE_STARTS} workers died one after the other before they could begin, lastly: "
                f"{seen}. Ray's logs{where} on the nodes say more."
            )

    def _make_room(self, *, idle: bool) -> None:
        """Workers that nobody works for give way to those who are waited for, or go unneeded.

        So an arm never holds what it does not use while it waits: arms can't block each other.
        """
        for worker in [w for w in self._workers if w.asked is not None and w.doubtful is None]:
            if not self._waiting[worker.kind] and self._busy(worker.kind):
                self._dismiss(worker)
        stuck = [k for k, w in self._waiting.items() if w and all(o.asked for o in self._of(k))]
        if not (idle and stuck):
            self._nothing_since = None
            return
        for worker in [w for w in self._workers if w.asked is None and not w.given]:
            self._dismiss(worker)
        self._say_waiting(stuck)

    def _say_waiting(self, stuck: list[Kind]) -> None:
        """Once, when nothing goes on for long."""
        now = time.monotonic()
        if self._nothing_since is None:
            self._nothing_since = now + SAY_SECONDS
        elif now > self._nothing_since and not any(w.given for w in self._workers):
            wanted = ", ".join(f"{kind}: {self._needs.get(kind, NONE)}" for kind in stuck)
            print(f"waiting for room in the cluster ({wanted}); see `ray status`", file=sys.stderr)
            self._nothing_since = float("inf")

    def _dismiss(self, worker: _Worker) -> None:
        """One that is there closes its desk and leaves; one that is not is no longer wanted."""
        self._workers.remove(worker)
        if worker.asked is not None:
            ray.kill(worker.actor)
        else:
            worker.actor.leave.remote()
            worker.actor.__ray_terminate__.remote()


class Worker:
    """What runs on a node: a desk, and the units that are done at it."""

    def __init__(self, make_desk: Callable[[], Desk], cwd: str) -> None:
        enter(cwd)
        self._make_desk = make_desk
        self._desk: Desk | None = None

    def hello(self) -> object:
        """None when it can begin, else what went wrong."""
        if self._desk is None:
            try:
                self._desk = self._make_desk()
            except Exception as error:  # noqa: BLE001 - it goes to the other side, which raises it
                return sendable(error)
        return None

    def do(self, stage: Stage, unit: int) -> object:
        """None when the unit is on the disk, else what went wrong."""
        assert self._desk is not None
        return tried(stage, self._desk, unit)

    def leave(self) -> None:
        if self._desk is not None:
            self._desk.close()
            self._desk = None


_WORKER: Any = ray.remote(Worker)
