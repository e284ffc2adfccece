"""Are planted faults found? A table of what was planted, found and missed, level by level.

    python benchmarks/planted.py --duplicates [--behavioural] [--folder FOLDER] [--seed N]
    python benchmarks/planted.py --leaks [--folder FOLDER]
    python benchmarks/planted.py --states

--duplicates    copies of P3's puzzles with one kind of change each, against the levels of
                `etude dedup`; with --behavioural also that level, on a sample of 100 puzzles
--leaks         test puzzles of P3 among training examples, against the levels of `screen`
--states        puzzles whose verdict rests on more than the answer, against `probe`

FOLDER holds P3's files; without it they are taken from ../shared/p3, or downloaded once. The same
seed gives the same table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import planted_duplicates
import planted_leaks
import planted_states

SHARED = Path(__file__).resolve().parents[2] / "shared" / "p3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--duplicates", action="store_true", help="copies of puzzles")
    parser.add_argument("--leaks", action="store_true", help="held-out puzzles: minutes")
    parser.add_argument("--states", action="store_true", help="puzzles that rest on chance")
    parser.add_argument("--behavioural", action="store_true", help="also in the judge: minutes")
    parser.add_argument("--folder", type=Path, default=SHARED if SHARED.is_dir() else None)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if not (asked.duplicates or asked.leaks or asked.states):
        parser.error("say what is to be planted: --duplicates, --leaks or --states")
    if asked.duplicates:
        planted_duplicates.report(asked.folder, asked.seed, behavioural=asked.behavioural)
    if asked.leaks:
        planted_leaks.report(asked.folder)
    if asked.states:
        planted_states.report()


if __name__ == "__main__":
    main()
