"""Does a long run stay as it began? Many small rounds, looked at from outside.

    python benchmarks/rounds.py FOLDER [--rounds 200] [--set SECTION.KEY=VALUE ...]
    python benchmarks/rounds.py FOLDER --table      # what is known so far; nothing is run
    python benchmarks/rounds.py FOLDER --table --out docs/results.md

The run is an ordinary `etude run`, of the recipe `smoke` with few samples, the loop and its control
`unverified`: stop it anywhere and give the command again. Every few seconds is written down, in
FOLDER/samples.jsonl, what the driver, each arm and the judge hold: memory (shared pages by halves:
`Pss`), open files, processes, seconds of processor time; and after each round the bytes and files
of the run's folder and of its folder for temporary files. FOLDER/rounds.csv has one line a round,
with the seconds of each stage as the run itself measured them.

The verdict is on the second half of the rounds: how much each figure changed over it, as a share of
its level, with a 95% interval (Theil-Sen; Sen, 1968, JASA 63) over medians of 5 rounds, or means of
what a round adds to the disk. `flat`: the interval ends below +5%; `grows`: it begins above 0 and
ends beyond 5%; `open`: neither is shown. Linux only. Exit code 1 when something grows.
With `--out` the tables replace what stands between `<!-- rounds -->` and `<!-- rounds ends -->`.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scipy.stats import theilslopes

from etude.times import spent

SETTINGS = (
    *("pretrain.documents=3000", "seeds.per_family=2", "seeds.epochs=15", "train.epochs=1"),
    *("propose.samples=64", "propose.per_unit=32", "propose.per_prompt=32"),
    *("vet.max_puzzles=12", "vet.max_per_form=1000000", "solve.samples=6"),
    *("solve.puzzles_per_unit=6", "select.max_solve_rate=1.0", "evaluate.samples=1"),
    *("evaluate.final_samples=1", "evaluate.ks=[1]", "evaluate.problems_per_unit=100"),
    'controls.arms=["unverified"]',
)
"""Few samples, so that a round takes seconds; and no limit that would fill over many rounds."""
MARKS = ("<!-- rounds -->", "<!-- rounds ends -->")
SECONDS = 2.0
"""Between two looks."""
BLOCK = 5
"""Rounds whose median is one point of a slope: the machine may be busy with something else."""
TOLERANCE = 0.05
"""What may be added to a figure over the second half of the rounds, as a share of it."""
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
Figures = dict[str, float]


@dataclass(frozen=True)
class Process:
    """What /proc says of one process."""

    pid: int
    parent: int
    seconds: float
    """Processor time of its own and of the children it has waited for."""


def processes() -> dict[int, Process]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            seconds = sum(map(int, fields[11:15])) / TICKS
            found[int(entry.name)] = Process(int(entry.name), int(fields[1]), seconds)
    return found


def below(root: int, known: dict[int, Process]) -> list[Process]:
    """A process and all below it."""
    children = defaultdict(list)
    for process in known.values():
        children[process.parent].append(process.pid)
    order = [root] if root in known else []
    for pid in order:
        order += children[pid]
    return [known[pid] for pid in order]


def memory(pid: int) -> int:
    """Bytes resident, a page that n processes share counted as an nth; 0 of one that has ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
        return 0
    except OSError:
        return 0


def files_of(pid: int) -> list[str]:
    """What a process holds open."""
    try:
        return [os.readlink(at) for at in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def command_of(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def group_of(process: Process, root: int, groups: dict[int, str], opened: Sequence[str]) -> str:
    """`driver`, an arm by its name, `judge`, or the group of its parent.

    An arm is known by the lock that it holds.
    """
    if process.pid == root:
        return "driver"
    lock = next((name for name in opened if name.endswith("/.arm/.lock")), None)
    if lock is not None:
        name = Path(lock).parents[1].name
        return name if Path(lock).parents[2].name == "controls" else "verified"
    if "judge/zygote.py" in command_of(process.pid):
        return "judge"
    inherited = groups.get(process.parent, "other")
    return "beside" if inherited == "driver" else inherited


def look(root: int) -> dict[str, Figures]:
    """What each group holds, and `all` of them together."""
    groups: dict[int, str] = {}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for process in below(root, processes()):
        opened = files_of(process.pid)
        group = groups[process.pid] = group_of(process, root, groups, opened)
        held = {
            "memory": memory(process.pid),
            "files": len(opened),
            "processes": 1,
            "seconds": process.seconds,
        }
        for name in (group, "all"):
            found[name].update(held)
    return {name: dict(held) for name, held in found.items()}


def disk(folder: Path) -> Figures:
    """Bytes taken on the disk, files and folders; of hard links one."""
    total: Counter[str] = Counter()
    seen: set[int] = set()
    for parent, folders, names in os.walk(folder):
        total["folders"] += len(folders)
        for name in names:
            try:
                at = os.lstat(os.path.join(parent, name))
            except OSError:  # renamed, or at an end, just now
                continue
            total["files"] += 1
            if at.st_ino not in seen:
                seen.add(at.st_ino)
                total["bytes"] += at.st_blocks * 512
    return {name: total[name] for name in ("bytes", "files", "folders")}


def finished(run: Path, rounds: int) -> int:
    """How many rounds of the loop are finished."""
    done = (n for n in range(1, rounds + 1) if not (run / _round(n) / "health").exists())
    return next(done, rounds + 1) - 1


def _round(number: int) -> str:
    return f"round-{number:02d}"


class Soak:
    """A run under way, and what was seen of it."""

    def __init__(self, folder: Path, rounds: int, settings: Sequence[str]) -> None:
        self.folder, self.rounds, self.settings = folder, rounds, settings
        self.run = folder / "run"
        self.temporary = folder / "tmp"
        self.samples = folder / "samples.jsonl"

    def go(self) -> int:
        """Start or continue the run, look at it until it ends; its exit code."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "etude", "run", "smoke", "--out", str(self.run)]
        for setting in (*SETTINGS, *self.settings, f"run.rounds={self.rounds}"):
            command += ["--set", setting]
        began = time.time()
        with (self.folder / "console.txt").open("a") as told:
            process = subprocess.Popen(
                command,
                stdout=told,
                stderr=told,
                env=os.environ | {"TMPDIR": str(self.temporary.absolute())},
            )
            try:
                while process.poll() is None:
                    self._write(process.pid, began)
                    time.sleep(SECONDS)
            finally:
                process.terminate()
                process.wait()
        return process.returncode

    def _write(self, pid: int, began: float) -> None:
        done = finished(self.run, self.rounds)
        line: dict[str, Any] = {
            "session": began,
            "at": time.time(),
            "done": done,
            "held": look(pid),
        }
        if done != getattr(self, "_last", None):
            self._last = done
            line |= {"run": disk(self.run), "tmp": disk(self.temporary), "load": os.getloadavg()[0]}
        with self.samples.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def read(self) -> list[dict[str, Any]]:
        """What was seen, of all sessions. A last line without an end is left out."""
        text = self.samples.read_text("utf-8") if self.samples.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]


def rows_of(soak: Soak) -> list[Figures]:
    """One row a round that has ended: medians over the looks that were taken while it went on.

    The first looks of a session see a process that still loads: its first round has no row for
    what processes hold.
    """
    times = spent(soak.run)
    looks: dict[int, list[dict[str, Any]]] = defaultdict(list)
    first: dict[float, int] = {}
    for sample in soak.read():
        first.setdefault(sample["session"], sample["done"])
        looks[sample["done"] + 1].append(sample)
    made = []
    for number in range(1, finished(soak.run, soak.rounds) + 1):
        row: Figures = {"round": number}
        whole = [one for one in looks[number] if first[one["session"]] < one["done"]]
        row |= _held(one["held"] for one in whole)
        row |= _passed(looks[number], looks[number + 1])
        row |= {f"s {stage}": spent for (at, stage), spent in times.items() if at == number}
        row["s stages"] = sum(value for name, value in row.items() if name.startswith("s "))
        made.append(row)
    return _increments(made)


def _held(looks: Iterable[dict[str, Figures]]) -> Figures:
    """The median of each figure of each group; but for processor time, which is a sum."""
    values: dict[str, list[float]] = defaultdict(list)
    for groups in looks:
        for group, figures in groups.items():
            for name in ("memory", "files", "processes"):
                values[f"{group} {name}"].append(figures[name])
    return {name: statistics.median(each) for name, each in sorted(values.items())}


def _passed(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> Figures:
    """What is known when a round has ended, and of one session what it took."""
    if not after:
        return {}
    end = after[0]
    row: Figures = {}
    for place in ("run", "tmp"):
        row |= {f"{place} {name}": value for name, value in end.get(place, {}).items()}
    if before and before[0]["session"] == end["session"] and "load" in before[0]:
        start = before[0]
        row["wall seconds"] = end["at"] - start["at"]
        row["cpu seconds"] = end["held"]["all"]["seconds"] - start["held"]["all"]["seconds"]
        row["load"] = end.get("load", 0.0)
    return row


def _increments(rows: list[Figures]) -> list[Figures]:
    """What each round added to the folder of the run."""
    for before, row in itertools.pairwise(rows):
        for name in ("run bytes", "run files"):
            if name in row and name in before:
                row[f"{name} added"] = row[name] - before[name]
    return rows


@dataclass(frozen=True)
class Change:
    """How a figure changed over the second half of the rounds, as a share of its level there."""

    name: str
    early: float
    """The median of the first of its blocks, and of the last."""
    late: float
    low: float
    high: float
    share: float

    @property
    def verdict(self) -> str:
        if self.high <= TOLERANCE:
            return "flat"
        return "grows" if self.low > 0 else "open"


def change(rows: Sequence[Figures], name: str) -> Change | None:
    """None where too few rounds have the figure."""
    half = [row for row in rows[len(rows) // 2 :] if name in row]
    blocks = [half[at : at + BLOCK] for at in range(0, len(half) - BLOCK + 1, BLOCK)]
    if len(blocks) < 3:
        return None
    x = [statistics.median(row["round"] for row in block) for block in blocks]
    middle = statistics.fmean if name.endswith("added") else statistics.median
    y = [middle([row[name] for row in block]) for block in blocks]
    level, span = statistics.median(y), x[-1] - x[0]
    if level == 0:
        grown = 0.0 if not any(y) else float("inf")
        return Change(name, y[0], y[-1], grown, grown, grown)
    found = theilslopes(y, x, 0.95)
    low, high, share = (s * span / level for s in (found.low_slope, found.high_slope, found.slope))
    return Change(name, y[0], y[-1], float(low), float(high), float(share))


KEPT = {
    "driver memory": "memory of the driver",
    "verified memory": "memory of the loop",
    "unverified memory": "memory of the control",
    "judge memory": "memory of the judges",
    "all memory": "memory, all",
    "all files": "open files",
    "all processes": "processes",
    "cpu seconds": "processor seconds a round",
    "s stages": "seconds a round, by its stages",
    "run bytes added": "disk that a round adds",
    "run files added": "files that a round adds",
    "tmp bytes": "temporary files",
}
"""The figures that the verdict is on, in the words of the table."""


def names_of(rows: Sequence[Figures]) -> list[str]:
    """The figures of the verdict: those above, and every stage's seconds."""
    stages = sorted({name for row in rows for name in row if name.startswith("s ")} - {"s stages"})
    return [*KEPT, *stages]


def shown(name: str, value: float) -> str:
    if "memory" in name or "bytes" in name:
        return f"{value / 2**20:,.2f} MiB"
    return f"{value:,.2f} s" if name.startswith("s ") or "seconds" in name else f"{value:,.0f}"


def lines_of(rows: Sequence[Figures]) -> Iterator[str]:
    """Both tables, in Markdown: some rounds, then the verdict."""
    columns = {name: words for name, words in KEPT.items() if any(name in row for row in rows)}
    yield "| round | " + " | ".join([*columns.values(), "the run's folder"]) + " |"
    yield "| ---: " * (len(columns) + 2) + "|"
    step = max(1, len(rows) // 10)
    for end in range(step, len(rows) + 1, step):
        block = rows[max(0, end - BLOCK) : end]
        cells = [f"{end}"]
        for name in [*columns, "run bytes"]:
            values = [row[name] for row in block if name in row]
            middle = statistics.fmean if name.endswith("added") else statistics.median
            cells.append(shown(name, middle(values)) if values else "")
        yield "| " + " | ".join(cells) + " |"
    yield ""
    yield f"| over rounds {len(rows) // 2 + 1} to {len(rows)} | from | to | change | 95% | |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    for name in names_of(rows):
        found = change(rows, name)
        if found is not None:
            yield (
                f"| {KEPT.get(name) or 'seconds of ' + name[2:]} | {shown(name, found.early)} "
                f"| {shown(name, found.late)} | {100 * found.share:+.1f}% "
                f"| {100 * found.low:+.1f} to {100 * found.high:+.1f} | {found.verdict} |"
            )


def write_csv(path: Path, rows: Sequence[Figures]) -> None:
    names = sorted({name for row in rows for name in row} - {"round"})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["round", *names])
        writer.writeheader()
        writer.writerows(rows)


def said(rows: Sequence[Figures]) -> str:
    loads = [row["load"] for row in rows if "load" in row]
    busy = f"{min(loads):.0f} to {max(loads):.0f}" if loads else "unknown"
    return (
        f"{len(rows):,} rounds on {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}; processes that ran or waited in the minute before a round's end: "
        f"{busy}."
    )


def into(out: Path, lines: Sequence[str]) -> None:
    before, _, rest = out.read_text("utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    out.write_text("\n".join([before + MARKS[0], *lines, MARKS[1] + after]), "utf-8")


def main() -> None:
    """Run, then print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument("--table", action="store_true", help="of what is known; nothing is run")
    parser.add_argument("--out", type=Path, help="a document with marks for the tables")
    asked = parser.parse_args()
    soak = Soak(asked.folder, asked.rounds, asked.set)
    code = 0 if asked.table else soak.go()
    if code:
        sys.exit(f"the run ended with {code}: see {soak.folder / 'console.txt'}")
    rows = rows_of(soak)
    write_csv(soak.folder / "rounds.csv", rows)
    lines = [said(rows), "", *lines_of(rows)]
    print("\n".join(lines))
    if asked.out is not None:
        into(asked.out, lines)
    found = [change(rows, name) for name in names_of(rows)]
    sys.exit(1 if any(one and one.verdict == "grows" for one in found) else 0)


if __name__ == "__main__":
    main()
