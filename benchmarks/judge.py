"""How fast the judge is, next to running the same pairs with nothing around them.

    python benchmarks/judge.py P3_FOLDER

P3_FOLDER holds P3's `puzzles.json`. Its reference solutions are judged, each alone with its
puzzle. Pairs that take more than 20 ms by themselves are left out: they measure Python. Each
measurement is pinned to as many cores as there are workers, supervisor included.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from etude.judge import Judge

QUICK_SECONDS = 0.02
Jobs = list[tuple[str, list[str]]]


def reference_pairs(folder: Path) -> Jobs:
    """Each puzzle with its first reference solution."""
    puzzles = json.loads((folder / "puzzles.json").read_text())
    return [
        (p["sat"], [p["sol_header"] + "\n" + p["sol_bodies"][0]])
        for p in puzzles
        if p["sol_bodies"]
    ]


def solves(puzzle: str, solution: str) -> bool:
    """`sat(sol()) is True`, in this process: for these pairs only, which people wrote."""
    namespace: dict[str, object] = {}
    exec("from typing import *\n" + puzzle, namespace)
    exec(solution, namespace)
    sat, sol = namespace["sat"], namespace["sol"]
    assert callable(sat)
    assert callable(sol)
    return sat(sol()) is True


def quick(jobs: Jobs) -> Jobs:
    """The pairs that are solved in less than `QUICK_SECONDS`."""
    return [job for job in jobs if _bare_seconds(job) < QUICK_SECONDS]


def _bare_seconds(job: tuple[str, list[str]]) -> float:
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        solved = solves(job[0], job[1][0])
    return time.process_time() - start if solved else QUICK_SECONDS


def timed(cores: int, action: Callable[[], int]) -> tuple[float, int]:
    """Seconds and result of an action that has this many cores."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[:cores])
    try:
        start = time.perf_counter()
        result = action()
        return time.perf_counter() - start, result
    finally:
        os.sched_setaffinity(0, usable)


def bare(jobs: Jobs) -> int:
    """How many pairs are solved, without a sandbox."""
    with contextlib.redirect_stdout(io.StringIO()):
        return sum(solves(puzzle, solution) for puzzle, (solution,) in jobs)


def judged(jobs: Jobs, workers: int) -> tuple[float, int, str]:
    """Seconds without starting and ending, accepted pairs, and the isolation."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[:workers])
    try:
        with Judge(workers=workers) as judge:
            start = time.perf_counter()
            accepted = sum(v.outcome == "accepted" for (v,) in judge.verify_all(jobs))
            return time.perf_counter() - start, accepted, judge.isolation
    finally:
        os.sched_setaffinity(0, usable)


def main() -> None:
    """Print one line a measurement."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "puzzles.json").is_file():
        sys.exit("usage: python benchmarks/judge.py FOLDER, with P3's puzzles.json in it")
    sys.set_int_max_str_digits(0)  # two puzzles have more digits than the default allows
    jobs = quick(reference_pairs(Path(sys.argv[1])))
    seconds, solved = timed(1, lambda: bare(jobs))
    plain = len(jobs) / seconds
    print(f"bare exec          {plain:8.0f} pairs/s/core   {solved} of {len(jobs)} solved")
    for workers in range(1, min(2, len(os.sched_getaffinity(0))) + 1):
        seconds, accepted, isolation = judged(jobs, workers)
        rate = len(jobs) / seconds / workers
        print(
            f"judge, {workers} worker{'s' if workers > 1 else ' '}  {rate:8.0f} pairs/s/core   "
            f"{accepted} of {len(jobs)} accepted   1/{plain / rate:.0f} of bare   {isolation}"
        )


if __name__ == "__main__":
    main()
