"""Near the CPU limit a second look decides, and hostile progress renews nothing."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest

from etude.errors import InputError
from etude.judge import Judge, Limits, Program
from etude.judge.pace import work
from etude.judge.quiet import Quiet
from etude.types import Outcome

PUZZLE = "def f(x: int): return x == 4"
LIMIT = 0.3


def busy(share: float) -> str:
    """A solution that takes about this share of the limit, whatever the machine's speed."""
    return f"""
import time
def g():
    end = time.process_time() + {share * LIMIT}
    while time.process_time() < end:
        pass
    return 4
"""


@pytest.fixture(scope="module")
def judge():
    with Judge(workers=2, limits=Limits(cpu_seconds=LIMIT)) as judge:
        yield judge


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"cpu_seconds": 0}, "cpu_seconds must be positive but is 0"),
        ({"cpu_seconds": math.nan}, "cpu_seconds must be positive but is nan"),
        ({"cpu_seconds": "1"}, "cpu_seconds must be a number but is '1'"),
        ({"cpu_seconds": math.inf}, "cpu_seconds must be at most 86400 but is inf"),
        ({"wall_seconds": math.inf}, "wall_seconds must be at most 86400 but is inf"),
        ({"memory_bytes": 1e9}, "memory_bytes must be a whole number but is 1000000000.0"),
        ({"memory_bytes": 1 << 70}, "memory_bytes must be at most 2305843009213693952 but is"),
        ({"memory_bytes": 10}, "memory_bytes must be at least 16777216 but is 10"),
        ({"cpu_seconds": 20}, "wall_seconds must not be below cpu_seconds = 20, which it would"),
        ({"answer_bytes": 40 << 20}, "answer_bytes and source_bytes may be 32505856 together"),
        ({"source_bytes": 40 << 20}, "answer_bytes and source_bytes may be 32505856 together"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        Limits(**limits)
    assert said in str(caught.value)


def test_a_cpu_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="cpu_seconds must be a number but is None"):
        Limits.of_cpu(None)  # type: ignore[arg-type]


def test_the_largest_limits_work() -> None:
    limits = Limits(86400, 86400, 1 << 40, answer_bytes=30 << 20, source_bytes=1 << 20)
    with Judge(workers=1, limits=limits) as judge:
        assert judge.isolation != "process"
        large = "def g(): return 'a' * (29 << 20)"
        assert judge.verify("def f(x: str): return True", large).outcome is Outcome.ACCEPTED
        numbers = [
            (f"def f(x: int): return x == {n % 5}", [f"def g(): return {n % 7}"] * 3)
            for n in range(9)
        ]
        for verdicts in judge.verify_all(numbers):
            assert {verdict.outcome.value for verdict in verdicts} <= {"accepted", "wrong"}
        program = Program("", "def g(x): return x", "t = 'a' * (14 << 20)\nassert g(t) == t", "g")
        assert judge.verify_program(program).outcome is Outcome.ACCEPTED


def test_a_limit_of_cpu_time_brings_its_limit_of_waiting() -> None:
    assert Limits.of_cpu(0.5) == Limits(cpu_seconds=0.5, wall_seconds=10.0)
    assert Limits.of_cpu(20) == Limits(cpu_seconds=20, wall_seconds=200.0)


def test_well_below_and_well_above_the_limit(judge: Judge) -> None:
    assert judge.verify(PUZZLE, busy(0.5)).outcome is Outcome.ACCEPTED
    assert judge.verify(PUZZLE, busy(3)).outcome is Outcome.TIMEOUT


def test_a_candidate_near_the_limit_is_judged_again(judge: Judge) -> None:
    """A solution that is slow on its first run alone would be a time-out without a second look."""
    began = time.monotonic()
    assert judge.verify(PUZZLE, busy(0.9)).outcome is Outcome.ACCEPTED
    assert time.monotonic() - began > 1.5 * 0.9 * LIMIT


def test_verdicts_near_the_limit_keep_their_places(judge: Judge) -> None:
    shares = [0.1, 0.9, 3, 0.95, 0.2, 0.85]
    verdicts = judge.verify_many(PUZZLE, [busy(share) for share in shares])
    outcomes = [verdict.outcome for verdict in verdicts]
    expected = [Outcome.TIMEOUT if share == 3 else Outcome.ACCEPTED for share in shares]
    assert outcomes == expected


def test_those_who_are_judged_alone_do_not_stop_the_others(judge: Judge) -> None:
    jobs = [(PUZZLE, [busy(0.9)] if number % 5 == 0 else [busy(0.01)]) for number in range(20)]
    outcomes = {verdict.outcome for (verdict,) in judge.verify_all(jobs)}
    assert outcomes == {Outcome.ACCEPTED}


def test_a_judge_that_is_closed_with_doubts_ends() -> None:
    judge = Judge(workers=2, limits=Limits(cpu_seconds=LIMIT))
    stream = judge.verify_all((PUZZLE, [busy(0.9)]) for _ in range(50))
    next(stream)
    began = time.monotonic()
    stream.close()
    judge.close()
    assert time.monotonic() - began < 10


# It writes any count into the memory that it shares with its zygote, back and forth, and waits.
RENEWING = """
import gc, time
def f(x: int):
    for thing in gc.get_objects():
        pass
    import sys
    frame = sys._getframe()
    while frame:
        for thing in frame.f_locals.values():
            if type(thing).__name__ == "Exchange":
                memory = thing.memory
                while True:
                    for count in (1, 0, 2, 0, 5, 9):
                        memory[0] = count
                        time.sleep(0.05)
        frame = frame.f_back
    return False
"""


def test_progress_that_goes_back_and_forth_renews_no_limit() -> None:
    limits = Limits(cpu_seconds=0.5, wall_seconds=0.6)
    with Judge(workers=1, limits=limits) as judge:
        began = time.monotonic()
        outcomes = judge.satisfied(RENEWING, [1, 2, 3])
        assert time.monotonic() - began < 10
        assert Outcome.ACCEPTED not in outcomes
        assert judge.verify(PUZZLE, "def g(): return 4").outcome is Outcome.ACCEPTED


def test_the_piece_of_work_is_always_the_same() -> None:
    assert work() == work()


def test_alone_waits_for_the_busy_and_keeps_them_out() -> None:
    quiet = Quiet()
    order: list[str] = []
    quiet.enter()

    def alone() -> None:
        with quiet.alone():
            order.append("alone")
            time.sleep(0.1)
            order.append("done")

    def busy_again() -> None:
        quiet.enter()
        order.append("busy")
        quiet.leave()

    threads = [threading.Thread(target=alone)]
    threads[0].start()
    while not quiet.wanted:
        time.sleep(0.01)
    threads.append(threading.Thread(target=busy_again))
    threads[1].start()
    time.sleep(0.05)
    assert order == []
    quiet.leave()
    for thread in threads:
        thread.join(5)
    assert order == ["alone", "done", "busy"]


def test_a_puzzle_that_is_slow_on_every_answer_is_given_up() -> None:
    """Each answer has the limit to itself, but all of them together have not hundreds of it."""
    limits = Limits(cpu_seconds=0.05)
    slow = "import time\ndef f(x: int):\n    end = time.process_time() + 0.03\n"
    slow += "    while time.process_time() < end: pass\n    return x == 1"
    with Judge(workers=1, limits=limits) as judge:
        began = time.monotonic()
        outcomes = judge.satisfied(slow, list(range(2000)))
        assert time.monotonic() - began < 30
    assert outcomes[:2] == [Outcome.WRONG, Outcome.ACCEPTED]
    assert outcomes[-1] is Outcome.TIMEOUT
    assert set(outcomes) == {Outcome.WRONG, Outcome.ACCEPTED, Outcome.TIMEOUT}
