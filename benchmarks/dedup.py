"""How long and in how much memory does `etude dedup` take, as the rows grow?

    python benchmarks/dedup.py [ROWS ...] [--folder FOLDER]

ROWS are 10,000 and 100,000 unless given; the long form is 10,000 100,000 1,000,000. For each a
file of pairs is made, deterministic, in FOLDER (a temporary one unless given): of 20 rows, 14 are
new, 4 repeat an earlier one verbatim, with other names, constants or layout, and 2 belong to one
cluster of texts that differ in one number. Then `etude dedup FILE` runs as a user would run it, all
levels but the behavioural: its time, its CPU time, which other work beside it hardly changes, and
the peak memory of all its processes together, looked at every 0.2 seconds. For Linux.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from etude.tiny import grammar
from peak import Peak

ROWS = (10_000, 100_000)
BLOCK = 20
CLUSTER = (
    "def f(x: List[int], n={n}):\n    # one of many that differ in a number\n"
    "    total = sum(i * i for i in x)\n    return len(x) > 3 and total % 7 == 3 and total > n "
    "and all(i % 2 == 0 or i > 5 for i in x) and sorted(x) == x and x[0] + x[-1] == 40",
    "def g(n={n}):\n    found = [i for i in range(n % 50) if i % 2 == 0]\n    return sorted(found)",
)

Pair = tuple[str, str]


def pairs(rows: int, seed: int = 0) -> Iterator[Pair]:
    """As many pairs of puzzle and solution as asked for."""
    rng = random.Random(seed)
    recent: list[Pair] = []
    for row in range(rows):
        place = row % BLOCK
        if place < 14 or not recent:
            recent = [*recent[-500:], grammar.document(rng)]
            yield recent[-1]
        elif place < 18:
            yield _changed(rng.choice(recent), place - 14, rng)
        else:
            yield tuple(text.replace("{n}", str(row)) for text in CLUSTER)  # type: ignore[misc]


def _changed(pair: Pair, how: int, rng: random.Random) -> Pair:
    """A pair as it stands, with other names, with other numbers, or in another layout."""
    if how == 1:
        pair = tuple(re.sub(r"\bx\b", "answer", text) for text in pair)  # type: ignore[assignment]
    if how == 2:
        number = str(rng.randrange(1000))
        pair = tuple(re.sub(r"\b\d+\b", number, text) for text in pair)  # type: ignore[assignment]
    if how == 3:
        pair = tuple(text.replace(": return", ":\n    # so\n    return") for text in pair)  # type: ignore[assignment]
    return pair


def write_pairs(path: Path, rows: int, seed: int = 0) -> None:
    with path.open("w") as file:
        for puzzle, solution in pairs(rows, seed):
            file.write(json.dumps({"puzzle": puzzle, "solution": solution}) + "\n")


def measure(path: Path) -> tuple[float, float, int, str]:
    """Seconds, those of CPU, peak bytes of all its processes, and what `etude dedup` printed."""
    start, busy = time.monotonic(), _busy()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen([sys.executable, "-m", "etude", "dedup", path], stdout=printed)
        peak = Peak(process.pid)
        while process.poll() is None:
            peak.look()
            time.sleep(0.2)
        seconds = time.monotonic() - start
        printed.seek(0)
        if process.returncode:
            sys.exit(process.returncode)
        return seconds, _busy() - busy, peak.bytes, printed.read()


def _busy() -> float:
    """Seconds of CPU time of everything that this process started and has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="*", type=int, default=ROWS)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        for rows in asked.rows:
            path = folder / f"pairs-{rows}.jsonl"
            if not path.exists():
                write_pairs(path, rows)
            seconds, busy, peak, printed = measure(path)
            memory = f"{peak / 2**30:5.2f} GiB"
            print(f"{rows:>9,} rows  {seconds:6.0f} s  {busy:6.0f} s of CPU time  {memory}")
            print("\n".join(printed.splitlines()[1:]), flush=True)


if __name__ == "__main__":
    main()
