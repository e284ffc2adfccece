"""One judge for many threads: each gets the verdicts that it asked for, and no other's."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from etude.judge import Judge
from etude.types import Outcome

THREADS = 8
ROUNDS = 12
PUZZLE = "def f(x: int, n={}):\n    return x == n"


def answer_of(number: int) -> str:
    return f"def g():\n    return {number}"


def test_eight_threads_share_a_judge_and_each_gets_its_own_verdicts() -> None:
    """All four ways to ask at once. Every answer is the thread's own, so a mix-up is seen."""
    together = threading.Barrier(THREADS)

    def work(thread: int) -> list[str]:
        wrong = []
        together.wait()
        for number in range(thread * 1000, thread * 1000 + ROUNDS):
            puzzle, mine, other = PUZZLE.format(number), answer_of(number), answer_of(number + 1)
            one = judge.verify(puzzle, mine)
            many = judge.verify_many(puzzle, [mine, other, mine])
            (streamed,) = judge.verify_all([(puzzle, [other, mine])])
            asked = judge.satisfied(puzzle, [number, number + 1])
            found = [one, *many, *streamed]
            here, there = str(number), str(number + 1)
            if [verdict.answer for verdict in found] != [here, here, there, here, there, here]:
                wrong.append(f"{thread}: {found}")
            outcomes = [verdict.outcome == "accepted" for verdict in found]
            if outcomes != [True, True, False, True, False, True]:
                wrong.append(f"{thread}: {found}")
            if asked != [Outcome.ACCEPTED, Outcome.WRONG]:
                wrong.append(f"{thread}: {asked}")
        return wrong

    with Judge(workers=2) as judge, ThreadPoolExecutor(THREADS) as pool:
        assert [wrong for wrongs in pool.map(work, range(THREADS)) for wrong in wrongs] == []
