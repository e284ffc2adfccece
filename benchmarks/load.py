"""Does a busy machine change a verdict? P3's reference solutions, judged in quiet and under load.

    python benchmarks/load.py P3_FOLDER [BUSY]

P3_FOLDER holds P3's `puzzles.json`. BUSY processes a core, 4 unless given, do nothing but compute
while everything is judged the second time. Prints each pair whose outcome is another then, and how
long both took. Exit code 1 when there is one. For a machine that has nothing else to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from etude.judge import Judge, usable_cores

BUSY = 4
SPIN = "while True:\n    sum(n * n for n in range(1000))"


def judged(pairs: list[tuple[str, str]]) -> tuple[list[str], float]:
    """Outcomes by default limits, and seconds."""
    start = time.monotonic()
    with Judge() as judge:
        found = judge.verify_all((puzzle, [solution]) for puzzle, solution in pairs)
        outcomes = [str(verdict.outcome) for (verdict,) in found]
    return outcomes, time.monotonic() - start


def main() -> None:
    """Print the pairs whose outcome changed."""
    if not 2 <= len(sys.argv) <= 3 or not (Path(sys.argv[1]) / "puzzles.json").is_file():
        sys.exit("usage: python benchmarks/load.py FOLDER [BUSY], with P3's puzzles.json in FOLDER")
    busy = int(sys.argv[2]) if len(sys.argv) == 3 else BUSY
    rows = json.loads((Path(sys.argv[1]) / "puzzles.json").read_text())
    puzzles = [puzzle for puzzle in rows if puzzle["sol_bodies"]]
    pairs = [(p["sat"], p["sol_header"] + "\n" + p["sol_bodies"][0]) for p in puzzles]
    quiet, seconds = judged(pairs)
    print(f"{len(pairs)} pairs, quiet: {quiet.count('accepted')} accepted in {seconds:.0f} s")
    with ExitStack() as stack:
        for _ in range(busy * usable_cores()):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", SPIN]))
            stack.callback(process.kill)
        loaded, seconds = judged(pairs)
    accepted = loaded.count("accepted")
    print(f"{busy} busy processes a core: {accepted} accepted in {seconds:.0f} s")
    flips = [
        f"  {puzzle['name']}: {before}, under load {after}"
        for puzzle, before, after in zip(puzzles, quiet, loaded, strict=True)
        if before != after
    ]
    print("\n".join([f"changed: {len(flips)}", *flips]))
    sys.exit(bool(flips))


if __name__ == "__main__":
    main()
