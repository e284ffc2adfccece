"""Near the CPU limit a second look decides, and hostile progress renews nothing."""

from __future__ import annotations

import threading
import time

import pytest

from etude.judge import Judge, Limits
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
