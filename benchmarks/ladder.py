"""The ladder over several seeds: runs the recipe once a seed, and writes the table of the results.

    python benchmarks/ladder.py --seeds 3                 # some ten minutes a seed on two cores
    python benchmarks/ladder.py --seeds 3 --out docs/results.md --brief README.md

Every run is an ordinary, resumable run folder: stop it anywhere and give the command again.
Every seed draws other seed pairs, other held-out families and other samples; the families are of
those that no setting was chosen on.
A cell shows the mean over the seeds and, in brackets, every seed. In a file, the table replaces
what stands between the marks `<!-- ladder -->` and `<!-- ladder ends -->`.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path

from etude.store import read_table
from etude.tiny.families import REPORTING

RUNGS = {
    "pretrained": "controls/pretrained/final",
    "+ seeds": "round-00",
    "+ more epochs on the seeds": "controls/more-epochs/final",
    "+ unverified": "controls/unverified/final",
    "+ verified": "final",
}
CLAIMS = (("constants", 1), ("families", 10))
"""What the loop must do better than its controls: part and k."""

MARKS = ("<!-- ladder -->", "<!-- ladder ends -->")

SPLIT = REPORTING[0]
"""The split of the families of the first seed; the next seeds have the next ones."""

Scores = dict[tuple[str, int], float]


def run(recipe: str, folder: Path, seed: int, settings: list[str]) -> None:
    command = [sys.executable, "-m", "etude", "run", recipe, "--out", str(folder)]
    for setting in [f"run.seed={seed}", f"seeds.split_seed={SPLIT + seed}", *settings]:
        command += ["--set", setting]
    subprocess.run(command, check=True)


def scores(folder: Path) -> Scores:
    """Percent by (part, k)."""
    rows = read_table(folder / "evaluate" / "scores.parquet")
    return {(row["part"], row["k"]): 100 * row["value"] for row in rows if row["asked"]}


def table(runs: list[Path]) -> list[str]:
    found = {label: [scores(run / place) for run in runs] for label, place in RUNGS.items()}
    columns = sorted(found["+ verified"][0])
    lines = ["| | " + " | ".join(f"{part} pass@{k}" for part, k in columns) + " |"]
    lines.append("| --- " * (len(columns) + 1) + "|")
    for label, seeds in found.items():
        cells = [_cell([each[column] for each in seeds]) for column in columns]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return [*lines, "", *_claims(found, columns)]


def _cell(values: list[float]) -> str:
    return f"**{sum(values) / len(values):.1f}** ({' '.join(f'{v:.1f}' for v in values)})"


def brief(runs: list[Path]) -> list[str]:
    """The means alone, for k up to 10."""
    found = {label: [scores(run / place) for run in runs] for label, place in RUNGS.items()}
    columns = [(part, k) for part, k in sorted(found["+ verified"][0]) if k <= 10]
    lines = ["| | " + " | ".join(f"{part} pass@{k}" for part, k in columns) + " |"]
    lines.append("| --- " + "| ---: " * len(columns) + "|")
    for label, seeds in found.items():
        means = [sum(each[column] for each in seeds) / len(seeds) for column in columns]
        bold = "**" if label == "+ verified" else ""
        cells = [f"{bold}{mean:.1f}{bold}" for mean in means]
        lines.append(f"| {bold}{label}{bold} | " + " | ".join(cells) + " |")
    return lines


def insert(path: Path, text: str) -> None:
    """Replace what stands between the marks. Raises `ValueError` when they are not there."""
    whole = path.read_text("utf-8")
    start, end = whole.index(MARKS[0]) + len(MARKS[0]), whole.index(MARKS[1])
    path.write_text(f"{whole[:start]}\n{text}\n{whole[end:]}", "utf-8")


def _claims(found: dict[str, list[Scores]], columns: list[tuple[str, int]]) -> list[str]:
    """Verified against each other rung, mean over the seeds: what is better, and what is not."""
    lines = []
    for label in list(RUNGS)[:-1]:
        parts = []
        for column in columns:
            pairs = zip(found["+ verified"], found[label], strict=True)
            gaps = [after[column] - before[column] for after, before in pairs]
            wins = sum(gap > 0 for gap in gaps)
            mean = sum(gaps) / len(gaps)
            star = " *" if column in CLAIMS else ""
            parts.append(f"{mean:+.1f} ({wins} of {len(gaps)}){star}")
        lines.append(f"| {label} | " + " | ".join(parts) + " |")
    head = "| verified minus | " + " | ".join(f"{part} pass@{k}" for part, k in columns) + " |"
    return [head, "| --- " * (len(columns) + 1) + "|", *lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, help="also put the table into this file")
    parser.add_argument("--brief", type=Path, help="put the means into this file")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    given = parser.parse_args()
    folders = [given.runs / f"ladder-{given.recipe}-{seed}" for seed in range(given.seeds)]
    for seed, folder in enumerate(folders):
        run(given.recipe, folder, seed, given.settings)
    command = f"python benchmarks/ladder.py --seeds {given.seeds}"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    about = f"`{command}`, on {machine}; percent solved"
    full = "\n".join([f"{about}: mean (each seed).", "", *table(folders)])
    print(full)
    if given.out:
        insert(given.out, full)
    if given.brief:
        short = (
            f"{about}, mean of {given.seeds} seeds. Every seed: [docs/results.md](docs/results.md)."
        )
        insert(given.brief, "\n".join([*brief(folders), "", short]))


if __name__ == "__main__":
    main()
