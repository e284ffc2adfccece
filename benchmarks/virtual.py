"""A crew in virtual time: workers take as long as they are told to, die, and go with their nodes.

    crew = Virtual({"engine": 64, "judge": 40}, seconds=lambda stage, unit: 2.0)
    Flow(crew, [sampling, judging]).finish(1, tick)
    crew.now                # seconds that it would have taken

The scheduler over it is the real one. What it computes itself (processor time of its thread) passes
in virtual time too, with `driver` seconds for each unit on top, as what a real crew takes to send
and hear; so its limit shows. With a desk, units are done for real, at the moment of their end.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from etude import store
from etude.cluster import Desk, Ended, Kind, Stage

AHEAD = 4
"""Units for each worker that may be started, as of the real crews."""
RESTART_SECONDS = 10.0
"""Until a worker that died is there again: it imports and opens its desk."""


@dataclass(frozen=True)
class Loss:
    """A node that goes at a time, with all of its workers, and comes again `back` seconds later."""

    at: float
    node: int
    back: float


@dataclass
class Given:
    """A unit that a worker has, and since when."""

    stage: Stage
    unit: int
    at: float


@dataclass(eq=False)
class Worker:
    kind: Kind
    node: int
    free: float = 0.0
    """When it has done what it was given, or is there again."""
    life: int = 0
    given: deque[Given] = field(default_factory=deque)


class Virtual:
    """Workers of each kind, shared out evenly among `nodes`."""

    def __init__(
        self,
        counts: Mapping[Kind, int],
        seconds: Callable[[Stage, int], float],
        *,
        driver: float = 0.0,
        dies: Callable[[Stage, int, int], bool] = lambda stage, unit, before: False,
        losses: Sequence[Loss] = (),
        nodes: int = 1,
        restart: float = RESTART_SECONDS,
        desk: Desk | None = None,
        seed: int = 0,
    ) -> None:
        """`dies` says whether a worker dies in a unit, in which it did so `before` times."""
        self.now = 0.0
        self.busy = 0.0
        """Seconds that the driver worked."""
        self.most = 0
        """Units in flight at a time, at most."""
        self.begun: list[tuple[Stage, int]] = []
        self._seconds, self._driver, self._dies = seconds, driver, dies
        self._restart, self._desk = restart, desk
        self._deaths: Counter[tuple[str, int]] = Counter()
        self._rng = random.Random(seed)
        self._workers = {
            kind: [Worker(kind, number % nodes) for number in range(count)]
            for kind, count in counts.items()
        }
        self._events: list[tuple[float, int, str, object, int]] = []
        self._order = itertools.count()
        self._ended: deque[Ended] = deque()
        self._mark = time.thread_time()
        for loss in losses:
            self._at(loss.at, "loss", loss, 0)

    def room(self, kind: Kind) -> int:
        workers = self._workers.get(kind, [])
        return AHEAD * len(workers) - sum(len(worker.given) for worker in workers)

    def start(self, stage: Stage, unit: int) -> None:
        self._pass()
        self.begun.append((stage, unit))
        worker = min(self._workers[stage.kind], key=lambda one: (len(one.given), one.free))
        worker.given.append(Given(stage, unit, self.now))
        if len(worker.given) == 1:
            self._begin(worker)
        self.most = max(self.most, sum(len(w.given) for ws in self._workers.values() for w in ws))
        self._mark = time.thread_time()  # choosing a worker here is no cost of the scheduler

    def wait(self) -> Ended:
        self._pass()
        while not self._ended:
            if not self._events:
                raise AssertionError("nothing is under way")
            at, _, what, about, life = heapq.heappop(self._events)
            if what == "loss":
                assert isinstance(about, Loss)
                self._lose(at, about)
            else:
                assert isinstance(about, Worker)
                if life != about.life:
                    continue
                self._end(at, about, died=what == "death")
            if self._ended:
                self.now = max(self.now, at)
        self.now += self._driver
        self.busy += self._driver
        self._mark = time.thread_time()
        return self._ended.popleft()

    def release(self, kind: Kind) -> None:
        """Workers that have nothing to do cost nothing here."""

    def close(self) -> None:
        for workers in self._workers.values():
            for worker in workers:
                worker.given.clear()
                worker.life += 1

    def _pass(self) -> None:
        """The time that the scheduler itself took since it was last left."""
        taken = time.thread_time() - self._mark
        self.now += taken
        self.busy += taken
        self._mark = time.thread_time()

    def _at(self, at: float, what: str, about: object, life: int) -> None:
        heapq.heappush(self._events, (at, next(self._order), what, about, life))

    def _begin(self, worker: Worker) -> None:
        """The first of its units: when it ends, and how."""
        one = worker.given[0]
        begins = max(worker.free, one.at)
        took = self._seconds(one.stage, one.unit)
        key = (str(one.stage.folder), one.unit)
        dies = self._dies(one.stage, one.unit, self._deaths[key])
        if dies:
            took *= self._rng.random()
        worker.free = begins + took
        self._at(worker.free, "death" if dies else "done", worker, worker.life)

    def _end(self, at: float, worker: Worker, *, died: bool) -> None:
        one = worker.given.popleft()
        if died:
            self._deaths[str(one.stage.folder), one.unit] += 1
            self._ended.append(Ended(one.stage, one.unit, "died", seen="killed by SIGKILL"))
            self._empty(worker)
            worker.free = at + self._restart
            return
        self._ended.append(self._done(one))
        if worker.given:
            self._begin(worker)

    def _done(self, one: Given) -> Ended:
        try:
            if self._desk is not None:
                one.stage.do(self._desk, one.unit)
            else:  # the scheduler looks whether it is there, not into it
                one.stage.folder.mkdir(parents=True, exist_ok=True)
                store.unit_path(one.stage.folder, one.unit).touch()
        except Exception as error:  # noqa: BLE001 - the scheduler raises it
            return Ended(one.stage, one.unit, "raised", error)
        return Ended(one.stage, one.unit, "done")

    def _empty(self, worker: Worker) -> None:
        """What waited its turn with a worker that is gone is owed as before."""
        worker.life += 1
        self._ended.extend(Ended(one.stage, one.unit, "lost") for one in worker.given)
        worker.given.clear()

    def _lose(self, at: float, loss: Loss) -> None:
        for workers in self._workers.values():
            for worker in (one for one in workers if one.node == loss.node):
                self._empty(worker)
                worker.free = at + loss.back
