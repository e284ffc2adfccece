"""What does a run of many verified pairs take? From a finished run's own tables.

    python benchmarks/costs.py RUN [--pairs 1e6 1e7 1e9] [--rounds 10] [--verdicts 450]
        [--tokens 60] [--tokens-a-second 1000]

Counts and bytes are those of RUN, in proportion: how many candidates it took for a pair, how many
bytes a row of each table takes. `--verdicts` are those of one core in a second (docs/judge.md);
`--tokens` and `--tokens-a-second` are of your model: what a text has, and what your machines sample
together. Nothing is run.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from etude import store, streams

TABLES = ("propose", "vet", "solve", "judge", "probe", "screen", "select")
CUT = ("solve", "judge", "probe")
"""Stages with a file for each unit of puzzles."""
FILES = 100_000
"""Files of a folder beyond which units are made larger."""
PAIRS = (1e6, 1e7, 1e9)


@dataclass(frozen=True)
class Shares:
    """What one verified pair took in a run, on the average."""

    rows: dict[str, float]
    """Rows of each table."""
    bytes: dict[str, float]
    """Of each table, on the disk."""
    samples: int
    """Candidates a puzzle."""
    per_unit: int
    """Puzzles a unit."""
    proposals: int
    """A unit of them."""


def shares_of(folder: Path) -> Shares:
    run = store.Run.read(folder)
    stages = {name: [place / name for _, place in store.round_folders(folder)] for name in TABLES}
    rows = {name: sum(map(streams.length, places)) for name, places in stages.items()}
    sizes = {
        name: sum(path.stat().st_size for place in places for path in streams.segments(place))
        for name, places in stages.items()
    }
    pairs = rows["select"]
    recipe = run.recipe
    return Shares(
        {name: count / pairs for name, count in rows.items()},
        {name: size / pairs for name, size in sizes.items()},
        recipe.solve.samples,
        recipe.solve.puzzles_per_unit,
        recipe.propose.per_unit,
    )


def cost(shares: Shares, pairs: float, given: argparse.Namespace) -> dict[str, str]:
    """The rows of one column of the table."""
    candidates = pairs * shares.rows["solve"]
    puzzles = candidates / shares.samples
    per_unit = max(shares.per_unit, math.ceil(puzzles / given.rounds / FILES))
    units = math.ceil(puzzles / given.rounds / per_unit) * given.rounds
    proposals = pairs * shares.rows["propose"]
    proposed = max(shares.proposals, math.ceil(proposals / given.rounds / FILES))
    files = len(CUT) * units + math.ceil(proposals / proposed)
    sampled = (candidates + proposals) * given.tokens / given.tokens_a_second / 3600
    rows = {
        "proposals": f"{proposals:,.0f}",
        "puzzles": f"{puzzles:,.0f}",
        "candidates, verdicts": f"{candidates:,.0f}",
        "solve.puzzles_per_unit": f"{per_unit:,}",
        "files": f"{files:,}",
        "files in a folder": f"{units // given.rounds:,}",
        "judging, CPU hours": f"{candidates / given.verdicts / 3600:,.1f}",
        "sampling, hours": f"{sampled:,.0f}",
        "puts of an object store": f"{files:,}",
        "its lists, of 1,000 names": f"{math.ceil(files / 1000):,}",
    }
    for name in TABLES:
        rows[f"{name}, GB"] = f"{pairs * shares.bytes[name] / 1e9:,.2f}"
    rows["all tables, GB"] = f"{pairs * sum(shares.bytes.values()) / 1e9:,.1f}"
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--pairs", type=float, nargs="+", default=PAIRS)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--verdicts", type=float, default=450, help="of one core in a second")
    parser.add_argument("--tokens", type=float, default=60, help="of one text that is sampled")
    parser.add_argument("--tokens-a-second", type=float, default=1000, help="of all machines")
    given = parser.parse_args()
    shares = shares_of(given.run)
    columns = [cost(shares, pairs, given) for pairs in given.pairs]
    print("| verified pairs | " + " | ".join(f"{pairs:,.0f}" for pairs in given.pairs) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(column[name] for column in columns) + " |")


if __name__ == "__main__":
    main()
