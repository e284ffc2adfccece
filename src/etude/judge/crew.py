"""Threads that keep zygotes busy and replace the ones that die.

A `Task` is a plan in work. A worker hands its steps over a little ahead of their ends, so that its
zygote never waits. When a zygote dies, the step it was at is the suspect: it is tried once more,
alone, in a new zygote; if that one dies as well, the step is lethal, and the candidate to blame.
When the sandbox itself fails, the step is tried again a few times, and then the outcome is
`fault`. A step that comes near its CPU limit is run again while no other worker is busy, with the
limit stretched by how much slower the machine is just then, and the second end counts.
"""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from etude.errors import Fault
from etude.judge import ended as ends
from etude.judge import wire
from etude.judge.ended import Ended
from etude.judge.limits import Limits
from etude.judge.looks import FIRST, Look
from etude.judge.plans import Plan, Step
from etude.judge.quiet import Quiet
from etude.judge.worker import Gone, Zygote
from etude.types import Outcome

MARGIN = 0.2
"""Closer to the CPU limit than this part of it, on either side, and a step is run again alone."""
_AHEAD_STEPS = 4
_AHEAD_BYTES = 64 << 10
"""The sockets hold this much, so neither side waits for the other to read."""
_SLACK_SECONDS = 30.0
_MOST_PATIENCE = 1e6
"""Seconds. A socket waits for 24 days at most."""
_TRIES = 3
_REST_SECONDS = 0.2
"""Between two tries to start a sandbox."""
_PACES = 3

_OF_ONES_OWN = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
"""Signals that a thread brings upon itself."""

Tasks = queue.SimpleQueue["Task | None"]


_TURN_SECONDS = 0.2


class Done:
    """Says once that something is done.

    As `threading.Event`, which a Ctrl-C at a bad moment breaks: it waits in Python.
    """

    def __init__(self) -> None:
        self._said = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def is_set(self) -> bool:
        return self._said

    def set(self) -> None:
        if self._said:
            return
        self._said = True
        with suppress(RuntimeError):  # two threads said it at the same moment
            self._lock.release()

    def wait(self) -> None:
        """Until it is said."""
        if not self._said:
            # A signal that comes just before the waiting begins is seen at the next turn.
            while not self._lock.acquire(timeout=_TURN_SECONDS):
                pass
            self._lock.release()


class Task:
    """A plan, the ends that its present steps still owe it, and in the end its result."""

    def __init__(self, plan: Plan[Any]) -> None:
        self._plan = plan
        self._ends: list[Ended | None] = []
        self._owed = 0
        self.result: Any = None
        self.error: Exception | None = None
        """A fault of ours in the plan."""
        self.finished = False
        self.cancelled = False
        self.done = Done()

    def begin(self) -> list[Asked]:
        """Its first steps."""
        return self._resume(None)

    def settle(self, place: int, ended: Ended) -> list[Asked]:
        """One step has ended. The next steps, once all have."""
        self._ends[place] = ended
        self._owed -= 1
        return [] if self._owed else self._resume([end for end in self._ends if end])

    def abandon(self) -> None:
        """No result: whoever waits goes on."""
        self._plan.close()
        self.done.set()

    def _resume(self, ended: Sequence[Ended] | None) -> list[Asked]:
        try:
            steps = next(self._plan) if ended is None else self._plan.send(ended)
            while not steps:
                steps = self._plan.send([])
        except StopIteration as stop:
            self.result, self.finished = stop.value, True
            self.done.set()
            return []
        except Exception as error:  # noqa: BLE001  raised again where the result is waited for
            self.error = error
            self.done.set()
            return []
        self._ends, self._owed = [None] * len(steps), len(steps)
        return [
            Asked(self, place, step, 64 + sum(map(len, step.parts)) + 4 * len(step.parts))
            for place, step in enumerate(steps)
        ]


@dataclass(eq=False, slots=True)
class Asked:
    """A step on its way."""

    task: Task
    place: int
    step: Step
    size: int
    """About how many bytes it takes to send."""
    deaths: int = 0
    """Zygotes that died on it."""
    faults: int = 0
    """Times that the sandbox failed on it."""

    @property
    def suspect(self) -> bool:
        """Whether it is to be run with no other step behind it."""
        return self.deaths > 0 or self.faults > 0

    @property
    def ahead(self) -> int:
        """Bytes of the socket that it takes for itself; a suspect is never joined by others."""
        return _AHEAD_BYTES if self.suspect else self.size


@dataclass(frozen=True, slots=True)
class Terms:
    """What the workers of one judge have in common."""

    limits: Limits
    quiet: Quiet
    start: Callable[[Look], Zygote]
    """Starts a zygote. Raises `Fault`."""
    workers: int
    pace: float
    """CPU seconds of the fixed piece of work when the judge was started."""

    def frame(self, step: Step, scale: float = 1.0) -> bytes:
        """A step is let go on for a little longer than its limit, to see whether it was near."""
        cpu = self.limits.cpu_seconds * step.share * scale * (1 + MARGIN)
        body = wire.pack_body([step.kind, *step.parts])
        return wire.pack_step(body, step.results, step.room, cpu, self.limits.wall_seconds)

    def judged(self, ended: Ended, step: Step, scale: float = 1.0) -> Ended:
        """The end by the limit itself."""
        over = ended.cpu_seconds > self.limits.cpu_seconds * step.share * scale
        if step.results == 1 and ended.cause == ends.LEFT and over:
            return replace(ended, cause=ends.CPU_LIMIT)
        return ended

    def near(self, ended: Ended, step: Step) -> bool:
        """So close to the CPU limit that a busy machine may have decided."""
        limit = self.limits.cpu_seconds * step.share
        close = (1 - MARGIN) * limit < ended.cpu_seconds < (1 + MARGIN) * limit
        return step.results == 1 and close

    def patience(self, step: Step) -> float:
        """Seconds after which a zygote that says nothing is taken for dead."""
        wait = 3 * step.results * self.limits.wall_seconds + _SLACK_SECONDS
        return min(wait, _MOST_PATIENCE)


class Worker(threading.Thread):
    """One zygote for each look, the second only where it is asked for, and a thread that feeds
    them."""

    def __init__(self, tasks: Tasks, zygote: Zygote, terms: Terms) -> None:
        super().__init__(name="etude-judge", daemon=True)
        self._tasks = tasks
        self._zygotes = {FIRST: zygote}
        self._terms = terms
        self._busy = False
        self._active: set[Task] = set()
        self._ready: deque[Asked] = deque()
        self._flying: deque[Asked] = deque()
        self._ahead = 0
        """Bytes that may still wait in the socket."""
        self._doubtful: deque[Asked] = deque()
        self._closing = False

    def run(self) -> None:
        """Work until the queue gives None."""
        # A signal that this thread gets would not wake the main thread out of its waiting.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OF_ONES_OWN)
        try:
            while not self._closing:
                self._fill()
                if self._flying:
                    self._collect()
                else:
                    self._rest()
                    self._settle_doubts()
        finally:
            self._rest()
            self._bury()
            for task in self._active:
                task.abandon()

    def stop(self) -> None:
        """From another thread: give up what is in hand and end soon."""
        self._closing = True
        for zygote in list(self._zygotes.values()):
            zygote.kill()

    def _fill(self) -> None:
        """Hand steps over, a little ahead."""
        while len(self._flying) < _AHEAD_STEPS and not self._should_rest():
            if not self._ready and not self._take():
                return
            while self._ready and self._ready[0].task.cancelled:
                self._drop(self._ready.popleft().task)
            if not self._ready:
                continue
            asked = self._ready[0]
            if self._flying and (asked.suspect or self._ahead + asked.size > _AHEAD_BYTES):
                return
            self._ready.popleft()
            self._send(asked)

    def _should_rest(self) -> bool:
        """Whether to hand over nothing more until all that was has come back."""
        return self._closing or bool(self._doubtful) or (self._busy and self._terms.quiet.wanted)

    def _rest(self) -> None:
        if self._busy:
            self._busy = False
            self._terms.quiet.leave()

    def _take(self) -> bool:
        """Begin another task. False when there is none now, or will be none any more."""
        if not self._flying:  # it may have to wait for long
            self._rest()
        elif self._tasks.qsize() < self._terms.workers:
            return False  # for those who have nothing to do
        try:
            task = self._tasks.get(block=not self._flying)
        except queue.Empty:
            return False
        if task is None:
            self._closing = True
            self._tasks.put(None)  # for the other workers
            return False
        if task.cancelled:
            task.abandon()
        else:
            self._active.add(task)
            self._continue(task, task.begin())
        return True

    def _continue(self, task: Task, steps: Sequence[Asked]) -> None:
        if task.done.is_set():
            self._active.discard(task)
        # Before what other tasks want: the fewer are open, the fewer answers are held.
        self._ready.extendleft(reversed(steps))

    def _drop(self, task: Task) -> None:
        if task in self._active:
            self._active.discard(task)
            task.abandon()

    def _settle(self, asked: Asked, ended: Ended) -> None:
        task = asked.task
        if task.cancelled:
            self._drop(task)
        else:
            self._continue(task, task.settle(asked.place, ended))

    def _send(self, asked: Asked) -> None:
        if not self._busy:
            self._terms.quiet.enter()
            self._busy = True
        try:
            zygote = self._running(asked.step.look)
            zygote.send(self._terms.frame(asked.step), self._terms.patience(asked.step))
        except (Fault, Gone) as error:
            self._recall()
            self._failed(asked, f"no sandbox process to be had: {error}")
        else:
            self._flying.append(asked)
            self._ahead += asked.ahead

    def _running(self, look: Look) -> Zygote:
        if look not in self._zygotes:
            self._zygotes[look] = self._terms.start(look)
            if self._closing:
                self._zygotes[look].kill()
        return self._zygotes[look]

    def _collect(self) -> None:
        """The end of the oldest step in the zygote's hands."""
        asked = self._flying[0]
        try:
            ended = self._zygotes[asked.step.look].receive(self._terms.patience(asked.step))
        except Gone as error:
            self._flying.popleft()
            self._recall()
            self._died(asked, str(error))
            return
        self._flying.popleft()
        self._ahead -= asked.ahead
        outcome, why = ended.seen(self._terms.limits)
        if outcome is Outcome.FAULT:
            self._recall()
            self._failed(asked, why)
        elif self._terms.near(ended, asked.step):
            self._doubtful.append(asked)
        else:
            self._settle(asked, self._terms.judged(ended, asked.step))

    def _recall(self) -> None:
        """Bury the zygotes; what else they held is to be handed over again, in order."""
        self._bury()
        self._ready.extendleft(reversed(self._flying))
        self._flying.clear()
        self._ahead = 0

    def _died(self, asked: Asked, why: str) -> None:
        asked.deaths += 1
        if asked.deaths > 1:
            self._settle(asked, _end(ends.LETHAL, f"the sandbox process died twice on it: {why}"))
        else:
            self._ready.appendleft(asked)

    def _failed(self, asked: Asked, why: str) -> None:
        """Once more in a new zygote, or `fault` after a few times."""
        asked.faults += 1
        if asked.faults >= _TRIES:
            self._settle(asked, _end(ends.FAULTY, why))
        else:
            self._ready.appendleft(asked)
            if not self._closing:
                time.sleep(_REST_SECONDS)

    def _settle_doubts(self) -> None:
        """Run again, alone, what came near its limit."""
        if not self._doubtful:
            return
        with self._terms.quiet.alone():
            while self._doubtful:
                asked = self._doubtful.popleft()
                if not self._closing:
                    self._settle(asked, self._alone(asked.step))

    def _alone(self, step: Step) -> Ended:
        """The end of a step that has the machine to itself, as far as this judge goes."""
        why = ""
        for _ in range(_TRIES):
            try:
                zygote = self._running(step.look)
                paces = (self._round_trip(zygote, Step(wire.PACE, []), 10) for _ in range(_PACES))
                now = min(ended.cpu_seconds for ended in paces)
                scale = max(1.0, now / self._terms.pace)
                ended = self._round_trip(zygote, step, scale)
            except (Fault, Gone) as error:
                why = str(error)
            else:
                outcome, why = ended.seen(self._terms.limits)
                if outcome is not Outcome.FAULT:
                    return self._terms.judged(ended, step, scale)
            self._bury()
            if self._closing:
                break
        return _end(ends.FAULTY, why)

    def _round_trip(self, zygote: Zygote, step: Step, scale: float) -> Ended:
        patience = self._terms.patience(step)
        zygote.send(self._terms.frame(step, scale), patience)
        return zygote.receive(patience)

    def _bury(self) -> None:
        for look in list(self._zygotes):
            self._zygotes.pop(look).end()


def _end(cause: int, why: str) -> Ended:
    return Ended(cause, 0, 0.0, 0, detail=why.encode("utf-8", "replace"))
