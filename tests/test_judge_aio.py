"""The judge for asyncio: the loop goes on meanwhile, what is cancelled is given up, streams wait.

What the judge decides is tested in `test_judge`; here is only how it is awaited.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import pytest

from etude import AsyncJudge, Judge
from etude.errors import Fault, InputError
from etude.judge import Limits, Program
from etude.types import Outcome, Puzzle, Solution, Verdict

PUZZLE = "def f(x: int, n=7):\n    return x == n"
SLOW = "import time\ndef g():\n    time.sleep({})\n    return 7"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=2, limits=Limits(wall_seconds=20.0)) as judge:
        yield judge


def answer_of(number: int) -> str:
    return f"def g():\n    return {number}"


def is_seven(numbers: list[int]) -> list[bool]:
    return [number == 7 for number in numbers]


def accepted(verdicts: list[Verdict]) -> list[bool]:
    return [verdict.outcome is Outcome.ACCEPTED for verdict in verdicts]


async def soon(awaitable: Awaitable[Verdict]) -> Verdict:
    return await asyncio.wait_for(awaitable, 10)


def test_each_question_has_an_awaited_form(judge: Judge) -> None:
    async def ask() -> None:
        awaited = AsyncJudge(judge)
        verdict = await awaited.verify(PUZZLE, answer_of(7))
        assert (verdict.outcome, verdict.answer) == (Outcome.ACCEPTED, "7")
        assert accepted([await awaited.verify(PUZZLE, Solution(answer_of(8)))]) == [False]
        assert await awaited.satisfied(PUZZLE, [7, 8]) == [Outcome.ACCEPTED, Outcome.WRONG]
        numbers = [n % 9 for n in range(100)]  # more than one piece, and many alike
        verdicts = await awaited.verify_many(PUZZLE, [answer_of(n) for n in numbers])
        assert accepted(verdicts) == is_seven(numbers)
        assert await awaited.verify_many(PUZZLE, []) == []

    asyncio.run(ask())


def test_programs_have_an_awaited_form(judge: Judge) -> None:
    async def ask() -> None:
        awaited = AsyncJudge(judge)
        program = Program("", "def g(x): return x", "assert g(1) == 1", "g")
        assert accepted([await awaited.verify_program(program)]) == [True]
        jobs = [program, (PUZZLE, [answer_of(7)]), program]
        found = [accepted(verdicts) async for verdicts in awaited.verify_all(jobs)]
        assert found == [[True]] * 3

    asyncio.run(ask())


def test_the_loop_goes_on_while_a_verdict_is_awaited(judge: Judge) -> None:
    async def ask() -> int:
        verdict = asyncio.create_task(AsyncJudge(judge).verify(PUZZLE, SLOW.format(0.5)))
        turns = 0
        while not verdict.done():
            await asyncio.sleep(0.01)
            turns += 1
        assert accepted([verdict.result()]) == [True]
        return turns

    assert asyncio.run(ask()) > 10


class Counted(Judge):
    """A judge that knows how many questions it was asked at the same time."""

    present = most = 0
    counting = threading.Lock()

    def verify(self, puzzle: Puzzle | str, solution: Solution | str) -> Verdict:
        with self.counting:
            self.present += 1
            self.most = max(self.most, self.present)
        try:
            return super().verify(puzzle, solution)
        finally:
            with self.counting:
                self.present -= 1


def test_more_questions_than_may_be_in_flight() -> None:
    async def ask(judge: Judge) -> list[Verdict]:
        awaited = AsyncJudge(judge, in_flight=3)
        return list(await asyncio.gather(*(awaited.verify(PUZZLE, answer_of(n)) for n in numbers)))

    numbers = list(range(40))
    with Counted(workers=2) as judge:
        assert accepted(asyncio.run(ask(judge))) == is_seven(numbers)
    assert judge.most == 3


def test_one_serves_several_event_loops(judge: Judge) -> None:
    awaited = AsyncJudge(judge, in_flight=1)

    async def crowd() -> list[bool]:
        return accepted(
            list(await asyncio.gather(*(awaited.verify(PUZZLE, answer_of(7)) for _ in range(5))))
        )

    assert asyncio.run(crowd()) == [True] * 5
    assert asyncio.run(crowd()) == [True] * 5
    found: list[list[bool]] = []
    threads = [
        threading.Thread(target=lambda: found.append(asyncio.run(crowd()))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[True] * 5] * 3


def test_what_is_cancelled_before_its_turn_never_reaches_the_judge(judge: Judge) -> None:
    """The second call would take its two workers half a minute."""

    async def ask() -> float:
        awaited = AsyncJudge(judge, in_flight=1)
        first = asyncio.create_task(awaited.verify(PUZZLE, SLOW.format(0.5)))
        sleepers = [SLOW.format(1) + f"  # {n}" for n in range(64)]
        second = asyncio.create_task(awaited.verify_many(PUZZLE, sleepers))
        await asyncio.sleep(0.1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert accepted([await first]) == [True]
        start = time.monotonic()
        assert accepted([await soon(awaited.verify(PUZZLE, answer_of(7)))]) == [True]
        return time.monotonic() - start

    assert asyncio.run(ask()) < 2


def test_what_is_cancelled_at_work_keeps_its_place_until_it_ends(judge: Judge) -> None:
    async def ask() -> None:
        awaited = AsyncJudge(judge, in_flight=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(awaited.verify(PUZZLE, SLOW.format(0.6)), 0.2)
        start = time.monotonic()
        assert accepted([await soon(awaited.verify(PUZZLE, answer_of(7)))]) == [True]
        assert time.monotonic() - start > 0.2, "at most one question is in flight"

    asyncio.run(ask())


def test_what_fails_gives_up_the_rest_of_its_call(
    judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest would take the two workers eight seconds."""
    honest, failures = judge.verify_many, [Fault("the first question failed")]

    def verify_many(puzzle: str, solutions: list[str]) -> list[Verdict]:
        if failures:
            raise failures.pop()
        return honest(puzzle, solutions)

    async def ask() -> float:
        awaited = AsyncJudge(judge, in_flight=1)
        sleepers = [SLOW.format(0.2) + f"  # {n}" for n in range(80)]
        with pytest.raises(Fault, match="the first question failed"):
            await awaited.verify_many(PUZZLE, sleepers)
        start = time.monotonic()
        assert accepted([await soon(awaited.verify(PUZZLE, answer_of(7)))]) == [True]
        return time.monotonic() - start

    monkeypatch.setattr(judge, "verify_many", verify_many)
    assert asyncio.run(ask()) < 4


def test_a_closed_judge_is_said_and_whoever_waits_gets_a_fault() -> None:
    async def ask() -> None:
        judge = Judge(workers=1, limits=Limits(wall_seconds=60.0))
        awaited = AsyncJudge(judge, in_flight=2)
        sleepers = [SLOW.format(50) + f"  # {n}" for n in range(64)]
        waiting = asyncio.create_task(awaited.verify_many(PUZZLE, sleepers))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(judge.close)
        with pytest.raises(Fault, match="closed"):
            await asyncio.wait_for(waiting, 10)
        with pytest.raises(InputError, match="closed"):
            await awaited.verify(PUZZLE, answer_of(7))

    asyncio.run(ask())


Job = tuple[str, list[str]]


def jobs(count: int, read: list[int]) -> Iterator[Job]:
    for number in range(count):
        read.append(number)
        yield PUZZLE.replace("7", str(number)), [answer_of(number), answer_of(-1)]


async def trickle(plain: Iterator[Job]) -> AsyncIterator[Job]:
    for job in plain:
        await asyncio.sleep(0)
        yield job


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_keeps_its_order_and_reads_only_a_little_ahead(
    judge: Judge, asynchronous: bool
) -> None:
    async def ask() -> None:
        read: list[int] = []
        plain = jobs(200, read)
        source = trickle(plain) if asynchronous else plain
        taken = 0
        async for verdicts in AsyncJudge(judge).verify_all(source, ahead=5):
            taken += 1
            assert accepted(verdicts) == [True, False]
            if taken in (3, 50):
                await asyncio.sleep(0.3)  # a slow taker: the reader has to wait
            assert len(read) <= taken + 5
        assert taken == 200

    asyncio.run(ask())


def test_a_stream_gives_what_is_judged_while_its_source_thinks(judge: Judge) -> None:
    async def ask() -> None:
        thought = asyncio.Event()

        async def source() -> AsyncIterator[Job]:
            yield PUZZLE, [answer_of(7)]
            await thought.wait()  # only the first verdict ends this
            yield PUZZLE, [answer_of(8)]

        stream = AsyncJudge(judge).verify_all(source())
        assert accepted(await asyncio.wait_for(anext(stream), 10)) == [True]
        thought.set()
        assert [accepted(verdicts) async for verdicts in stream] == [[False]]

    asyncio.run(ask())


def test_a_source_that_fails_is_raised_after_the_verdicts_before(judge: Judge) -> None:
    def source() -> Iterator[Job]:
        yield from jobs(3, [])
        raise ZeroDivisionError

    async def ask() -> None:
        found = []
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async for verdicts in AsyncJudge(judge).verify_all(source()):
                found.append(accepted(verdicts))
        assert found == [[True, False]] * 3

    asyncio.run(ask())


def test_a_stream_that_is_left_gives_up_the_rest(judge: Judge) -> None:
    async def ask() -> None:
        awaited = AsyncJudge(judge, in_flight=2)
        read: list[int] = []

        def source() -> Iterator[Job]:
            for job, solutions in jobs(1000, read):
                yield job, [*solutions, SLOW.format(1) + f"  # {job}"]

        stream = awaited.verify_all(source(), ahead=50)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert len(asyncio.all_tasks()) == 1
        assert len(read) <= 51
        start = time.monotonic()
        assert accepted([await soon(awaited.verify(PUZZLE, answer_of(7)))]) == [True]
        assert time.monotonic() - start < 5, "50 jobs would take the two workers 25 seconds"

    asyncio.run(ask())


def test_bad_arguments_are_named(judge: Judge) -> None:
    async def ask() -> None:
        wrong: Any = [["def g(): return 7"]]
        with pytest.raises(InputError, match="a solution must be text, but is of type list"):
            await AsyncJudge(judge).verify_many(PUZZLE, wrong)
        with pytest.raises(InputError, match=r"a job must be .* but is of type str"):
            await anext(AsyncJudge(judge).verify_all([PUZZLE]))  # type: ignore[list-item]
        with pytest.raises(InputError, match=r"must be an etude\.judge\.Program"):
            await AsyncJudge(judge).verify_program(wrong)
        with pytest.raises(InputError, match="ahead must be at least 1 but is 0"):
            await anext(AsyncJudge(judge).verify_all([], ahead=0))

    with pytest.raises(InputError, match="in_flight must be at least 1 but is 0"):
        AsyncJudge(judge, in_flight=0)
    asyncio.run(ask())
