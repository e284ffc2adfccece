"""Threads that keep zygotes busy and replace the ones that die.

A `Task` is one request. A worker sends requests a little ahead of the answers, so that its zygote
never waits. When a zygote dies, the candidate it was working on is the suspect: it is tried once
more, alone, in a new zygote; if that one dies as well, the candidate crashed it. When a zygote
reports that the sandbox failed, or none can be started, it is tried again a few times, and then
the outcome is `fault`. A candidate that comes near its CPU limit is judged again while no other
worker is busy, and the second verdict counts.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from etude.errors import Fault
from etude.judge import wire
from etude.judge.limits import Limits
from etude.judge.quiet import Quiet
from etude.judge.worker import Gone, Zygote
from etude.types import Outcome, Verdict

_AHEAD_TASKS = 4
_AHEAD_BYTES = 64 << 10
"""The sockets hold this much, so neither side waits for the other to read."""
_SLACK_SECONDS = 30.0
_TRIES = 3

Tasks = queue.SimpleQueue["Task | None"]


@dataclass(eq=False)
class Task:
    """One request and what came of it: `verdicts` grow in the order of `items`."""

    kind: bytes
    head: Sequence[bytes]
    """The puzzle's name, answer type and source."""
    items: Sequence[bytes]
    """Solutions' sources, or encoded answers."""
    verdicts: list[Verdict] = field(default_factory=list)
    deaths: int = 0
    """Zygotes that died on the first item that has no verdict."""
    faults: int = 0
    """Times that the sandbox failed on it."""
    near: set[int] = field(default_factory=set)
    """Positions of verdicts that came near the CPU limit, to be judged again."""
    likes: dict[int, int] = field(default_factory=dict)
    """Positions of answers that came before, and where: the outcome of `f` is that one's."""
    cancelled: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def suspect(self) -> bool:
        """Whether its next item is to be judged alone."""
        return self.deaths > 0 or self.faults > 0

    @property
    def size(self) -> int:
        """About how many bytes it takes to send."""
        return sum(map(len, self.head)) + sum(map(len, self.items)) + 4 * len(self.items)

    def owed(self) -> Sequence[bytes]:
        """The items to send next."""
        start = len(self.verdicts)
        alone = self.suspect and self.kind == wire.VERIFY
        return self.items[start : start + 1] if alone else self.items[start:]

    def settle(self, verdict: Verdict) -> None:
        """One more verdict."""
        self.verdicts.append(verdict)
        self.deaths = self.faults = 0

    def give_up(self, outcome: Outcome, detail: str) -> None:
        """A verdict without judging: for one candidate, or for all answers of the request."""
        for _ in range(1 if self.kind == wire.VERIFY else len(self.items)):
            self.settle(Verdict(outcome, detail=detail))


@dataclass(frozen=True, slots=True)
class _Sent:
    """A task in the zygote's hands: how many items, and the position of the first."""

    task: Task
    start: int
    count: int


class _Failed(Exception):
    """The sandbox reported a fault of its own."""


class Worker(threading.Thread):
    """One zygote and the thread that feeds it."""

    def __init__(
        self,
        tasks: Tasks,
        zygote: Zygote,
        replacement: Callable[[], Zygote],
        limits: Limits,
        quiet: Quiet,
    ) -> None:
        super().__init__(name="etude-judge", daemon=True)
        self._tasks = tasks
        self._zygote: Zygote | None = zygote
        self._replacement = replacement
        self._limits = limits
        self._quiet = quiet
        self._busy = False
        self._doubtful: deque[Task] = deque()
        self._waiting: deque[Task] = deque()
        self._sent: deque[_Sent] = deque()
        self._closing = False

    def run(self) -> None:
        """Work until the queue gives None."""
        try:
            while self._fill():
                if self._sent:
                    self._collect()
                else:
                    self._rest()
                    self._settle_doubts()
        finally:
            self._rest()
            self._bury()
            for task in self._doubtful:
                task.done.set()

    def stop(self) -> None:
        """From another thread: give up what is in hand and end soon."""
        self._closing = True
        zygote = self._zygote
        if zygote is not None:
            zygote.kill()

    def _fill(self) -> bool:
        """Send tasks ahead. False when there will be no more."""
        while len(self._sent) < _AHEAD_TASKS and not self._should_rest():
            task = self._next()
            if task is None:
                break
            if self._sent and (task.suspect or self._ahead() + task.size > _AHEAD_BYTES):
                self._waiting.appendleft(task)
                break
            self._send(task)
        return bool(self._sent) or not self._closing or bool(self._doubtful)

    def _should_rest(self) -> bool:
        """Whether to send nothing more until all that was sent has come back."""
        return bool(self._doubtful) or (self._busy and self._quiet.wanted)

    def _rest(self) -> None:
        if self._busy:
            self._busy = False
            self._quiet.leave()

    def _settle_doubts(self) -> None:
        """Judge again, alone, what came near its limit."""
        if not self._doubtful:
            return
        with self._quiet.alone():
            while self._doubtful:
                task = self._doubtful[0]
                for position in sorted(task.near):
                    self._judge_alone(task, position)
                task.near.clear()
                self._doubtful.popleft()
                task.done.set()

    def _judge_alone(self, task: Task, position: int) -> None:
        """Replace one verdict. It stands when no sandbox lives long enough for another."""
        frame = wire.pack(wire.ALONE, [*task.head, task.items[position]])
        for _ in range(_TRIES):
            if self._closing or task.cancelled:
                return
            try:
                zygote = self._running()
                zygote.send(frame, self._patience(1))
                verdict, _, _ = _verdict(zygote.receive(wire.VERDICT, self._patience(1)), [])
            except (Fault, Gone, _Failed):
                self._bury()
                continue
            task.verdicts[position] = verdict
            for later, earlier in task.likes.items():
                if earlier == position and later not in task.near:
                    same = (verdict.outcome, verdict.detail)
                    task.verdicts[later] = replace(
                        task.verdicts[later], outcome=same[0], detail=same[1]
                    )
            return

    def _ahead(self) -> int:
        """Bytes that may still wait in the socket; a suspect is never joined by others."""
        return sum(_AHEAD_BYTES if s.task.suspect else s.task.size for s in self._sent)

    def _next(self) -> Task | None:
        if self._waiting:
            return self._waiting.popleft()
        if self._closing:
            return None
        if not self._sent:  # it may have to wait for long
            self._rest()
        try:
            task = self._tasks.get(block=not self._sent)
        except queue.Empty:
            return None
        if task is None:
            self._closing = True
            self._tasks.put(None)  # for the other workers
        return task

    def _send(self, task: Task) -> None:
        if task.cancelled or self._closing:
            task.done.set()
            return
        if not self._busy:
            self._quiet.enter()
            self._busy = True
        owed = task.owed()
        frame = wire.pack(task.kind, [*task.head, *owed])
        try:
            self._running().send(frame, self._patience(len(owed)))
        except Fault as error:
            self._again(task, str(error), _TRIES)
        except Gone as error:
            self._again(task, f"the sandbox process died idle: {error}", 1)
        else:
            self._sent.append(_Sent(task, len(task.verdicts), len(owed)))

    def _running(self) -> Zygote:
        if self._zygote is None:
            self._zygote = self._replacement()
            if self._closing:
                self._zygote.kill()
        return self._zygote

    def _patience(self, items: int) -> float:
        """Seconds after which a zygote that says nothing is taken for dead."""
        return 3 * items * self._limits.wall_seconds + _SLACK_SECONDS

    def _collect(self) -> None:
        """The verdicts of the oldest task in the zygote's hands."""
        sent = self._sent[0]
        task = sent.task
        try:
            while len(task.verdicts) < sent.start + sent.count:
                self._read(sent)
        except _Failed as error:
            self._recall()
            self._again(task, str(error), 1)
        except Gone as error:
            self._recall()
            self._after_death(task, str(error))
        else:
            self._sent.popleft()
            self._finish(task)

    def _read(self, sent: _Sent) -> None:
        assert self._zygote is not None
        if sent.task.kind == wire.VERIFY:
            parts = self._zygote.receive(wire.VERDICT, self._patience(1))
            task = sent.task
            verdict, like, near = _verdict(parts, task.verdicts[sent.start :])
            if like >= 0:
                task.likes[len(task.verdicts)] = sent.start + like
            if near:
                task.near.add(len(task.verdicts))
            task.settle(verdict)
        else:
            (codes,) = self._zygote.receive(wire.OUTCOMES, self._patience(sent.count))
            if len(codes) != sent.count or max(codes) >= len(wire.ORDER):
                raise Gone("an answer that makes no sense")
            if wire.ORDER.index(Outcome.FAULT) in codes:
                raise _Failed("a sandbox process could not fork")
            for code in codes:
                sent.task.settle(Verdict(wire.ORDER[code]))

    def _recall(self) -> None:
        """Bury the zygote; what it held is to be sent again, the oldest first to be dealt with."""
        self._bury()
        self._sent.popleft()
        self._waiting.extendleft(sent.task for sent in reversed(self._sent))
        self._sent.clear()

    def _after_death(self, task: Task, why: str) -> None:
        task.deaths += 1
        if task.deaths > 1:
            task.give_up(Outcome.CRASHED, f"the sandbox process died twice on it: {why}")
        self._finish(task)

    def _again(self, task: Task, why: str, weight: int) -> None:
        """Once more in a new zygote, or `fault` after a few times."""
        self._bury()
        task.faults += weight
        if task.faults >= _TRIES:
            task.give_up(Outcome.FAULT, why)
        self._finish(task)

    def _finish(self, task: Task) -> None:
        if not self._closing and task.near and len(task.verdicts) >= len(task.items):
            self._doubtful.append(task)
        elif self._closing or len(task.verdicts) >= len(task.items):
            task.done.set()
        else:
            self._waiting.appendleft(task)

    def _bury(self) -> None:
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.end()


def _verdict(parts: list[bytes], before: Sequence[Verdict]) -> tuple[Verdict, int, bool]:
    """One candidate's verdict, which of those before it has its answer or -1, and whether it came
    near its CPU limit. Raises `Gone` for nonsense, and `_Failed`.
    """
    if len(parts) != 3 or len(parts[0]) != wire.REPORT.size:
        raise Gone("an answer that makes no sense")
    code, like, micros, peak, near = wire.REPORT.unpack(parts[0])
    answer = parts[1].decode("utf-8", "surrogatepass") or None
    detail = parts[2].decode("utf-8", "replace")
    if code >= len(wire.ORDER) or like >= len(before):
        raise Gone("an answer that makes no sense")
    outcome = wire.ORDER[code]
    if outcome is Outcome.FAULT:
        raise _Failed(detail)
    if like >= 0:
        outcome, detail = before[like].outcome, before[like].detail
    return Verdict(outcome, answer, detail, micros / 1e6, peak), like, bool(near)
