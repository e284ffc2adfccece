"""The judge: whether solutions solve puzzles, decided in sandboxes."""

from __future__ import annotations

import os
import queue
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from etude.errors import Fault, InputError
from etude.judge import isolation as levels
from etude.judge.arguments import listed, parted
from etude.judge.crew import Task, Tasks, Terms, Worker
from etude.judge.jobs import (
    MOST_ITEMS,
    AnyPuzzle,
    AnySolution,
    Job,
    Question,
    Trial,
    Verification,
)
from etude.judge.limits import Limits
from etude.judge.looks import FIRST, Look
from etude.judge.program import Program
from etude.judge.quiet import Quiet
from etude.judge.record import Conditions
from etude.judge.worker import Zygote
from etude.types import Outcome, Verdict

STARTS = 3
"""So often a sandbox that is killed while it starts is started."""
_FEWEST_ITEMS = 4
_JOBS_AHEAD = 32
"""Jobs a worker that may wait, or be judged, before the first of them is taken."""

Result = TypeVar("Result")


class Judge:
    """A pool of sandboxes. Thread-safe; use it as a context manager, or call `close`.

    >>> with Judge(workers=1) as judge:
    ...     judge.verify("def f(x: int): return x > 3", "def g(): return 4").outcome
    <Outcome.ACCEPTED: 'accepted'>
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits | None = None,
        isolation: str = "auto",
        twice: bool = False,
    ) -> None:
        """Start `workers` sandboxes, one a usable core unless told.

        `isolation` is the least that will do: `full` (every layer is on and every guarantee
        holds), `filtered` (every guarantee holds), `process` (a process of its own with limits;
        namespaces are left out) or `auto`, the strongest there is, whatever it is. After the
        start, `layers` and `guarantees` say what is in force, and `isolation` which level that is.
        `twice` has every answer looked at a second time with other chance, time, hashes and places
        in memory; `Verdict.stable` says whether the outcome stayed.
        Raises `InputError` when the machine can't do what is asked, `Fault` when no sandbox starts.
        """
        if isolation not in levels.LEVELS:
            known = ", ".join(levels.LEVELS)
            raise InputError(f"isolation must be one of {known}, but is {isolation!r}")
        if not isinstance(workers, int | None):
            raise InputError(f"workers must be a whole number, but is {workers!r}")
        if not isinstance(limits, Limits | None):
            raise InputError(f"limits must be etude.judge.Limits, but are {limits!r}")
        if workers is not None and workers < 1:
            raise InputError(f"a judge needs at least one worker, but was given {workers}")
        self.limits = limits or Limits()
        self._owner = os.getpid()
        self._namespaces = isolation != "process"
        self._twice = twice
        self._tasks: Tasks = Tasks()
        self._workers: list[Worker] = []
        self._closed = False
        self.replaced = 0
        """Sandboxes that died or failed, and were replaced."""
        reports = self._start(workers or usable_cores())
        self.layers = levels.layer_states(reports)
        self.guarantees = levels.guarantee_states(reports, self.layers)
        if not levels.reaches(self.isolation, isolation):
            self.close()
            raise InputError(levels.refusal(isolation, self.layers, self.guarantees))

    @property
    def isolation(self) -> str:
        """The level that is in force: `full`, `filtered` or `process`."""
        return levels.level(self.layers, self.guarantees)

    @property
    def conditions(self) -> Conditions:
        """What its verdicts rest on besides the texts."""
        return Conditions.here(self.isolation, self.limits)

    def verify(self, puzzle: AnyPuzzle, solution: AnySolution) -> Verdict:
        """Whether the solution solves the puzzle."""
        return self.verify_many(puzzle, [solution])[0]

    def verify_many(self, puzzle: AnyPuzzle, solutions: Iterable[AnySolution]) -> list[Verdict]:
        """A verdict for each solution of one puzzle, in order.

        Identical sources are judged once, and `f` is asked once about identical answers.
        """
        solutions = listed("solutions", solutions)
        piece = self._share(len(solutions))
        job = Verification(puzzle, solutions, self.limits, piece, twice=self._twice)
        return next(self._stream(iter([job])))

    def verify_all(
        self, jobs: Iterable[tuple[AnyPuzzle, Iterable[AnySolution]] | Program]
    ) -> Iterator[list[Verdict]]:
        """The verdicts of each job, in order, while later ones are being judged.

        A job is a puzzle with solutions, or a program, which gets one verdict. `jobs` is read only
        a little ahead of what has been taken from the result.
        """
        return self._stream(map(self._job, jobs))

    def _job(self, job: tuple[AnyPuzzle, Iterable[AnySolution]] | Program) -> Job[Verdict]:
        if isinstance(job, Program):
            return Trial(job, self.limits)
        puzzle, solutions = parted(job, "solution")
        return Verification(puzzle, solutions, self.limits, MOST_ITEMS, twice=self._twice)

    def verify_program(self, program: Program) -> Verdict:
        """Whether a program passes its tests, which run where it can't reach them."""
        return next(self._stream(iter([Trial(program, self.limits)])))[0]

    def satisfied(self, puzzle: AnyPuzzle, answers: Iterable[object]) -> list[Outcome]:
        """Whether `f` accepts each of these plain answers. They may share one process.

        An answer that is not plain data is `mistyped`. Answers after one that takes too long are
        not tried, and are `timeout` too.
        """
        return next(self.satisfied_all([(puzzle, answers)]))

    def satisfied_all(
        self, jobs: Iterable[tuple[AnyPuzzle, Iterable[object]]], look: Look = FIRST
    ) -> Iterator[list[Outcome]]:
        """The outcomes of each job, in order, while later ones are being judged.

        Another `look` (see `looks`) has other chance, time, hashes and places in memory.
        """
        parts = (parted(job, "answer") for job in jobs)
        return self._stream(
            Question(puzzle, answers, self.limits, look) for puzzle, answers in parts
        )

    def close(self) -> None:
        """End every sandbox. Whoever still waits for a verdict gets a `Fault`."""
        if self._owner != os.getpid():
            return  # a copy made by fork: the sandboxes are the other process's
        self._closed = True
        try:
            for worker in self._workers:
                worker.stop()
            self._tasks.put(None)
            for worker in self._workers:
                worker.join()
        finally:  # also when a second Ctrl-C ends the waiting: other threads must not wait for ever
            for worker in self._workers:
                worker.stop()
            self._drain()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self, workers: int) -> list[Mapping[str, str]]:
        zygotes: list[Zygote] = []
        try:
            for _ in range(workers):
                zygotes.append(Zygote(self.limits, namespaces=self._namespaces))
            states = [self._greeted(zygotes, place) for place in range(workers)]
        except BaseException:
            for zygote in zygotes:
                zygote.end()
            raise
        self.pace = min(zygote.pace for zygote in zygotes)
        self.native = all(zygote.native for zygote in zygotes)
        self.group = zygotes[0].group
        terms = Terms(
            limits=self.limits,
            quiet=Quiet(),
            start=lambda look: self._another(look, states[0]),
            workers=workers,
            pace=self.pace,
        )
        self._workers = [Worker(self._tasks, zygote, terms) for zygote in zygotes]
        for worker in self._workers:
            worker.start()
        return states

    def _greeted(self, zygotes: list[Zygote], place: int) -> Mapping[str, str]:
        """The layers of a zygote that has started. One that is killed before it is replaced, as
        later ones are; but not for ever."""
        for _ in range(STARTS - 1):
            try:
                return zygotes[place].layers()
            except Fault:
                zygotes[place] = Zygote(self.limits, namespaces=self._namespaces)
        return zygotes[place].layers()

    def _another(self, look: Look, expected: Mapping[str, str]) -> Zygote:
        self.replaced += look == FIRST
        zygote = Zygote(self.limits, look, namespaces=self._namespaces, pace=self.pace)
        found = zygote.layers()
        if found != expected:  # never weaker in the middle of a run than at its start
            zygote.end()
            changed = {name: why for name, why in found.items() if why != expected.get(name)}
            raise Fault(f"a new sandbox is locked up differently from the first: {changed}")
        return zygote

    def _share(self, items: int) -> int:
        """Items a task, so that all workers have something to do."""
        even = -(-items // len(self._workers))
        return max(_FEWEST_ITEMS, min(MOST_ITEMS, even))

    def _submit(self, tasks: Iterable[Task]) -> None:
        if self._owner != os.getpid():
            raise InputError("this judge belongs to another process: start one in this process")
        if self._closed:
            raise InputError("this judge is closed: start a new one")
        for task in tasks:
            self._tasks.put(task)
        if self._closed:  # meanwhile, by another thread: nobody will take them any more
            self._drain()

    def _stream(self, jobs: Iterator[Job[Result]]) -> Iterator[list[Result]]:
        window = _JOBS_AHEAD * len(self._workers)
        pending: deque[Job[Result]] = deque()
        try:
            for job in jobs:
                self._submit(job.tasks)
                pending.append(job)
                if len(pending) >= window:
                    yield pending.popleft().wait()
            while pending:
                yield pending.popleft().wait()
        finally:
            for job in pending:
                job.cancel()

    def _drain(self) -> None:
        """Release everybody who waits for a task that nobody will take any more."""
        with suppress(queue.Empty):
            while True:
                if (task := self._tasks.get_nowait()) is not None:
                    task.done.set()
        self._tasks.put(None)  # for a worker that has not ended yet


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
