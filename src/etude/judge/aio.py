"""The judge for asyncio: the same questions, awaited.

    with Judge() as judge:
        verdict = await AsyncJudge(judge).verify(puzzle, solution)

Covered: verdicts that don't block the event loop, cancellation, streams with back-pressure. Not
covered: starting and closing the sandboxes, which stays with the `Judge`; event loops other than
asyncio's. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import partial
from typing import TypeVar

from etude.errors import Fault, InputError
from etude.judge.arguments import listed, parted
from etude.judge.jobs import source_of
from etude.judge.judge import Judge, usable_cores
from etude.judge.program import Program
from etude.types import Outcome, Puzzle, Solution, Verdict

_PIECE = 16
"""Solutions that are asked about at once: what a cancelled call can no longer take back."""
_A_CORE = 4
"""Questions in flight: a sandbox is sent a few ahead, so that it never waits."""
_FEWEST = 8

AnyPuzzle = Puzzle | str
AnySolution = Solution | str
AnyJob = tuple[AnyPuzzle, Iterable[AnySolution]] | Program
Result = TypeVar("Result")


class AsyncJudge:
    """A `Judge` whose verdicts are awaited. Tasks may share it, and so may event loops.

    Of each event loop, at most `in_flight` questions are with the judge, each in a thread of its
    own; the others wait in the loop, first come, first served. A call that is cancelled gives up
    what waits there. What the judge was already asked is finished, within its limits, and
    forgotten; until then it keeps its place.
    """

    def __init__(self, judge: Judge, *, in_flight: int | None = None) -> None:
        """`judge` stays its owner's to close: whoever then still waits gets a `Fault`.

        `in_flight` is four a usable core, and at least 8, unless given. Raises `InputError`.
        """
        if in_flight is not None and in_flight < 1:
            raise InputError(f"in_flight must be at least 1 but is {in_flight}")
        self.judge = judge
        self.in_flight = in_flight or max(_FEWEST, _A_CORE * usable_cores())
        self._turns: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}

    async def verify(self, puzzle: AnyPuzzle, solution: AnySolution) -> Verdict:
        """Whether the solution solves the puzzle."""
        return await self._asked(lambda: self.judge.verify(puzzle, solution))

    async def verify_many(
        self, puzzle: AnyPuzzle, solutions: Iterable[AnySolution]
    ) -> list[Verdict]:
        """A verdict for each solution of one puzzle, in order. Identical ones are judged once."""
        # A list of its own: the caller may change theirs meanwhile.
        order = [source_of(solution) for solution in listed("solutions", solutions)]
        unique = list(dict.fromkeys(order))
        pieces = [unique[start : start + _PIECE] for start in range(0, len(unique), _PIECE)]
        tasks = [asyncio.create_task(self._piece(puzzle, piece)) for piece in pieces]
        try:
            found = await asyncio.gather(*tasks)
        finally:
            for task in tasks:  # when one failed, the others are of no use
                task.cancel()
        verdicts = dict(zip(unique, (one for piece in found for one in piece), strict=True))
        return [verdicts[solution] for solution in order]

    async def verify_program(self, program: Program) -> Verdict:
        """Whether a program passes its tests."""
        return await self._asked(lambda: self.judge.verify_program(program))

    async def verify_all(
        self, jobs: Iterable[AnyJob] | AsyncIterable[AnyJob], *, ahead: int | None = None
    ) -> AsyncIterator[list[Verdict]]:
        """The verdicts of each job, in order, as soon as it and all before it are judged.

        A job is a puzzle with solutions, or a program, which gets one verdict.
        `jobs`, plain or asynchronous, is read at most `ahead` jobs beyond what was taken from the
        result: twice `in_flight` unless given. A plain one is read in the event loop, so it must
        not block. What it raises is raised here, after the verdicts of the jobs before.
        """
        if ahead is not None and ahead < 1:
            raise InputError(f"ahead must be at least 1 but is {ahead}")
        room = asyncio.Semaphore(ahead or 2 * self.in_flight)
        begun: asyncio.Queue[asyncio.Task[list[Verdict]] | None] = asyncio.Queue()
        reader = asyncio.create_task(self._begin(jobs, room, begun))
        try:
            while (task := await begun.get()) is not None:
                verdicts = await task
                room.release()
                yield verdicts
            await reader
        finally:
            left: list[asyncio.Task[list[Verdict]] | asyncio.Task[None]] = [reader]
            while not begun.empty():
                if (task := begun.get_nowait()) is not None:
                    left.append(task)
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def satisfied(self, puzzle: AnyPuzzle, answers: Iterable[object]) -> list[Outcome]:
        """Whether `f` accepts each of these plain answers."""
        return await self._asked(lambda: self.judge.satisfied(puzzle, answers))

    async def _piece(self, puzzle: AnyPuzzle, solutions: Iterable[AnySolution]) -> list[Verdict]:
        return await self._asked(lambda: self.judge.verify_many(puzzle, solutions))

    async def _job(self, job: AnyJob) -> list[Verdict]:
        if isinstance(job, Program):
            return [await self.verify_program(job)]
        puzzle, solutions = parted(job, "solution")
        return await self.verify_many(puzzle, solutions)

    async def _begin(
        self,
        jobs: Iterable[AnyJob] | AsyncIterable[AnyJob],
        room: asyncio.Semaphore,
        begun: asyncio.Queue[asyncio.Task[list[Verdict]] | None],
    ) -> None:
        """Start a task for each job while there is room; None is the last."""
        source = aiter(jobs) if isinstance(jobs, AsyncIterable) else _stepwise(jobs)
        try:
            while await room.acquire():
                job = await anext(source)
                begun.put_nowait(asyncio.create_task(self._job(job)))
        except StopAsyncIteration:
            return
        finally:
            begun.put_nowait(None)

    async def _asked(self, question: Callable[[], Result]) -> Result:
        """What the judge answers, without blocking the loop."""
        loop = asyncio.get_running_loop()
        turns = self._turns_in(loop)
        await turns.acquire()
        answer: asyncio.Future[Result] = loop.create_future()

        def settle(give: Callable[[], None]) -> None:
            turns.release()
            if not answer.cancelled():
                give()

        def ask() -> None:
            give: Callable[[], None]
            try:
                give = partial(answer.set_result, question())
            except BaseException as error:  # noqa: BLE001 - raised where the answer is awaited
                give = partial(answer.set_exception, error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, give)

        try:
            # A daemon, and none of a pool's: after Ctrl-C the interpreter must not wait for it.
            threading.Thread(target=ask, name="etude-await", daemon=True).start()
        except RuntimeError as error:
            turns.release()
            raise Fault(f"could not start a thread to wait for a verdict: {error}") from error
        return await answer

    def _turns_in(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        """The turns of one event loop, to which a semaphore belongs for good."""
        if loop not in self._turns:
            for gone in [other for other in self._turns if other.is_closed()]:
                del self._turns[gone]
            self._turns[loop] = asyncio.Semaphore(self.in_flight)
        return self._turns[loop]


async def _stepwise(jobs: Iterable[AnyJob]) -> AsyncIterator[AnyJob]:
    for job in jobs:
        yield job
