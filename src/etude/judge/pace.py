"""How fast this machine is at this moment: the CPU time of a fixed piece of work in a child.

On a busy machine the same work takes more CPU time: caches are shared and cold. A candidate that
comes near its CPU limit is run again next to this measure, and judged by it.
"""

from __future__ import annotations

import os

from etude.judge.steps import Stepper

_TURNS = 40
_TRIES = 3


def measured_pace(stepper: Stepper) -> float:
    """CPU seconds of the piece of work: the least of a few tries."""
    return min(stepper.run(_work_and_leave).cpu_seconds for _ in range(_TRIES))


def _work_and_leave() -> None:
    work()
    os._exit(0)


def work() -> int:
    """What puzzles do most: arithmetic, strings, and containers of a few kilobytes."""
    total = 0
    for turn in range(_TURNS):
        numbers = [n * n % 97 for n in range(turn, turn + 400)]
        counts: dict[int, int] = {}
        for number in numbers:
            counts[number] = counts.get(number, 0) + 1
        text = ",".join(map(str, sorted(numbers)))
        total += len(text) + sum(counts.values()) + text.count("1")
    return total
