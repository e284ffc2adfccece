"""How fast the judge is, next to running the same pairs with less around them.

    python benchmarks/judge.py P3_FOLDER

P3_FOLDER holds P3's `puzzles.json`. Of every four of its puzzles, two are tried with their first
reference solution, one with a solution that raises and one with a wrong answer of the right type.
Pairs that take more than 10 ms by themselves are left out: they measure Python.

Everything runs on one core, supervisor included, in turns that are repeated, so that a slow moment
of the machine meets all of them; the best turn of each counts. The last lines have 24 candidates
for each puzzle, and as many workers as there are cores.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from etude.judge import Judge

QUICK_SECONDS = 0.01
TURNS = 3
SUBPROCESSES = 60
CANDIDATES = 24
WRONG = {"int": "-1", "str": "'?'", "float": "-1.5", "bool": "False", "List": "[]"}
Pairs = list[tuple[str, str]]


def pairs_of(folder: Path) -> Pairs:
    """Right, wrong and raising pairs, half of them right."""
    puzzles = [p for p in json.loads((folder / "puzzles.json").read_text()) if p["sol_bodies"]]
    sources = [p["sol_header"] + "\n" + p["sol_bodies"][0] for p in puzzles]
    made = []
    for number, puzzle in enumerate(puzzles):
        solution = sources[number]
        if number % 4 == 1:
            solution = puzzle["sol_header"] + "\n    return 1 // 0"
        elif number % 4 == 3:
            kind = puzzle["ans_type"].partition("[")[0]
            solution = f"{puzzle['sol_header']}\n    return {WRONG[kind]}"
        made.append((puzzle["sat"], solution))
    return [pair for pair in made if bare_seconds(pair) < QUICK_SECONDS]


def solves(puzzle: str, solution: str) -> bool:
    """`sat(sol()) is True`, in this process: for these pairs only, which people wrote."""
    namespace: dict[str, object] = {}
    try:
        exec("from typing import *\n" + puzzle, namespace)
        exec(solution, namespace)
        sat, sol = namespace["sat"], namespace["sol"]
        assert callable(sat)
        assert callable(sol)
        return sat(sol()) is True
    except Exception:  # noqa: BLE001  a wrong answer may make the puzzle raise anything
        return False


def bare_seconds(pair: tuple[str, str]) -> float:
    """CPU seconds of one pair in this process."""
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        solves(*pair)
    return time.process_time() - start


def bare(pairs: Pairs) -> int:
    """How many are solved, with nothing around them."""
    with contextlib.redirect_stdout(io.StringIO()):
        return sum(solves(*pair) for pair in pairs)


def forked(pairs: Pairs) -> int:
    """How many are solved, each in a fork of this process that has no locks and no limits."""
    solved = 0
    for pair in pairs:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(0 if solves(*pair) else 1)
        solved += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return solved


SCRIPT = """
import sys
space = {}
exec("from typing import *\\n" + sys.argv[1], space)
exec(sys.argv[2], space)
sys.exit(space["sat"](space["sol"]()) is not True)
"""


def in_subprocesses(pairs: Pairs) -> int:
    """How many are solved, each by a Python of its own, without locks or limits."""
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-I", "-S", "-c", SCRIPT]
    runs = (subprocess.run([*command, *p], check=False, stdout=quiet, stderr=quiet) for p in pairs)
    return sum(run.returncode == 0 for run in runs)


def accepted(judge: Judge, pairs: Pairs) -> int:
    """How many the judge accepts, each pair a job of its own."""
    jobs = ((puzzle, [solution]) for puzzle, solution in pairs)
    return sum(verdict.outcome == "accepted" for (verdict,) in judge.verify_all(jobs))


def many(judge: Judge, pairs: Pairs) -> int:
    """How many are accepted of 24 candidates for one puzzle: different texts, and answers."""
    jobs = (
        (puzzle, [f"{pairs[(at + n) % len(pairs)][1]}\n# {n}" for n in range(CANDIDATES)])
        for at, (puzzle, _) in enumerate(pairs[::CANDIDATES])
    )
    verdicts = (verdict for found in judge.verify_all(jobs) for verdict in found)
    return sum(verdict.outcome == "accepted" for verdict in verdicts)


def waits(judge: Judge, pairs: Pairs) -> list[float]:
    """Milliseconds from asking to the verdict, one pair after the other."""
    found = []
    for puzzle, solution in pairs:
        start = time.perf_counter()
        judge.verify(puzzle, solution)
        found.append(1000 * (time.perf_counter() - start))
    return found


@contextlib.contextmanager
def cores(count: int) -> Iterator[None]:
    """This process, and those it starts meanwhile, on so many cores."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(usable)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


def rate(action: Callable[[], int], count: int) -> tuple[float, int]:
    """Pairs a second, and what the action returned."""
    start = time.perf_counter()
    result = action()
    return count / (time.perf_counter() - start), result


def main() -> None:
    """Print one line a way of running the pairs."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "puzzles.json").is_file():
        sys.exit("usage: python benchmarks/judge.py FOLDER, with P3's puzzles.json in it")
    sys.set_int_max_str_digits(0)  # two puzzles have more digits than the default allows
    pairs = pairs_of(Path(sys.argv[1]))
    few = pairs[:: len(pairs) // SUBPROCESSES]
    groups = len(pairs[::CANDIDATES]) * CANDIDATES
    usable = len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        stack.enter_context(cores(1))
        native = stack.enter_context(Judge(workers=1))
        os.environ["ETUDE_JUDGE_LOOP"] = "python"
        plain = stack.enter_context(Judge(workers=1))
        del os.environ["ETUDE_JUDGE_LOOP"]
        ways: dict[str, tuple[Callable[[], int], int]] = {
            "exec, nothing around it": (lambda: bare(pairs), len(pairs)),
            "a fork a pair, no locks": (lambda: forked(pairs), len(pairs)),
            "a subprocess a pair": (lambda: in_subprocesses(few), len(few)),
            f"judge, {native.isolation}, {'C' if native.native else 'Python'}": (
                lambda: accepted(native, pairs),
                len(pairs),
            ),
            f"judge, {plain.isolation}, Python": (lambda: accepted(plain, pairs), len(pairs)),
            f"judge, {CANDIDATES} a puzzle": (lambda: many(native, pairs), groups),
        }
        best: dict[str, tuple[float, int]] = {}
        for _ in range(TURNS):
            for name, (action, count) in ways.items():
                best[name] = max(best.get(name, (0.0, 0)), rate(action, count))
        bare_rate = best["exec, nothing around it"][0]
        print(f"{len(pairs)} pairs on one core, best of {TURNS} turns")
        for name, (found, result) in best.items():
            print(
                f"  {name:28}{found:7.0f} pairs/s   1/{bare_rate / found:<5.1f} of exec"
                f"   {result} of {ways[name][1]} accepted"
            )
        slow = statistics.quantiles(waits(native, pairs), n=100)
        print(f"  asked one by one: median {slow[49]:.1f} ms, 99th in a hundred {slow[98]:.1f} ms")
    for count in range(2, usable + 1):
        with cores(count), Judge(workers=count) as judge:
            found, _ = max(rate(lambda: accepted(judge, pairs), len(pairs)) for _ in range(TURNS))
            print(f"  judge, {count} workers on {count} cores{found:10.0f} pairs/s")


if __name__ == "__main__":
    main()
