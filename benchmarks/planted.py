"""Are planted faults found? A table of what was planted, found and missed, level by level.

    python benchmarks/planted.py --duplicates [--behavioural] [--folder FOLDER] [--seed N]

--duplicates    copies of P3's puzzles with one kind of change each, against the levels of
                `etude dedup`; with --behavioural also that level, on a sample of 100 puzzles

FOLDER holds P3's files; without it they are taken from ../shared/p3, or downloaded once. The same
seed gives the same table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import planted_duplicates

SHARED = Path(__file__).resolve().parents[2] / "shared" / "p3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--duplicates", action="store_true", help="copies of puzzles")
    parser.add_argument("--behavioural", action="store_true", help="also in the judge: minutes")
    parser.add_argument("--folder", type=Path, default=SHARED if SHARED.is_dir() else None)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if not asked.duplicates:
        parser.error("say what is to be planted: --duplicates")
    planted_duplicates.report(asked.folder, asked.seed, behavioural=asked.behavioural)


if __name__ == "__main__":
    main()
