"""How long, and in how much memory, do the readers take as the tables grow?

    python benchmarks/tables.py --runs FOLDER [--candidates 10000 100000 1000000]
        [--only show ...] [--again] [--out docs/tables.md]

FOLDER gets one synthetic run a size (`synthetic.py`; one that is there is taken), and what was
measured, in measured.jsonl: a case that stands there, and did not fail, is not measured again
unless `--again` says so. Each case is a fresh process of the command line, start included: seconds
of the clock, seconds of CPU, and the peak of the resident memory of it and its processes together,
looked at ten times a second. Pages of `etude browse` are asked of a fresh server, each once, and
their memory is the server's until then. A case that fails has a row that says so. `--out` puts the
table into a page between its marks. For Linux.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import etude as etude_package
from etude.query import Tables
from peak import PAGE, Peak
from synthetic import write_run

SIZES = (10_000, 100_000, 1_000_000)
MARKS = ("<!-- tables -->", "<!-- tables ends -->")
MOST_SECONDS = 1200
PAGES = {
    "browse, overview": "/",
    "browse, first page": "/candidates",
    "browse, filtered": "/candidates?outcome=accepted&solution=sum&type=int",
    "browse, sorted": "/candidates?arm=verified&round=1&outcome=wrong&order=cpu&down=1",
    "browse, puzzles": "/puzzles?solved=sometimes&order=informative",
}
"""Asked one after the other of one server: the first has to open the tables."""
BROWSE_START = "browse, start"

Row = dict[str, Any]


def cases(run: Path, work: Path) -> dict[str, list[str]]:
    """The command of each case, but for `browse`."""
    with Tables(run) as tables:
        known = tables.rows("select candidate_id, round from candidates where arm = 'verified'"
                            " order by round desc, candidate_id limit 1")[0]  # fmt: skip
    row_id = str(known["candidate_id"])
    return {
        "show": ["show", str(run)],
        "show ID": ["show", str(run), row_id],
        "why ID": ["why", row_id, str(run)],
        "report": ["report", str(run), "--out", str(work / "report.html")],
        "dedup puzzles": ["dedup", str(run), "--of", "puzzles"],
        "dedup examples": ["dedup", str(run), "--of", "examples"],
        "dedup candidates": ["dedup", str(run), "--of", "candidates"],
        "export": ["export", str(run), "--out", str(work / "export")],
    }


def measure(name: str, command: Sequence[str]) -> Row:
    """One case in a fresh process; what it printed is looked at only when it failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    with (
        tempfile.TemporaryFile("w+") as printed,
        subprocess.Popen(etude(command), stdout=printed, stderr=printed) as process,
    ):
        peak = Peak(process.pid)
        while process.poll() is None and time.monotonic() - start < MOST_SECONDS:
            peak.look()
            time.sleep(0.1)
        seconds = time.monotonic() - start
        late = process.poll() is None
        if late:
            process.kill()
            process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        printed.seek(0)
        said = [line for line in printed.read().splitlines() if line.strip()]
    row: Row = {"case": name, "seconds": seconds, "peak": peak.bytes}
    row["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if late:
        row["failed"] = f"not finished after {MOST_SECONDS:,} s"
    elif process.returncode:
        row["failed"] = f"exit code {process.returncode}: {said[-1] if said else ''}"
    return row


def etude(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "etude", *command]


def browse(run: Path) -> Iterator[Row]:
    """Start a server, and ask for each page once."""
    start = time.monotonic()
    with served(run) as (address, peak, cpu):
        yield {"case": BROWSE_START, "seconds": time.monotonic() - start, "cpu": cpu(),
               "peak": peak.bytes}  # fmt: skip
        for name, path in PAGES.items():
            row: Row = {"case": name}
            began, spent = time.monotonic(), cpu()
            try:
                with urllib.request.urlopen(address + path, timeout=MOST_SECONDS) as answer:
                    answer.read()
            except OSError as error:  # refused, an error page, or too late
                row["failed"] = str(error)
            row |= {"seconds": time.monotonic() - began, "cpu": cpu() - spent}
            yield row | {"peak": peak.bytes}


@contextmanager
def served(run: Path) -> Iterator[tuple[str, Peak, Callable[[], float]]]:
    """The address of a server, its peak of memory so far, and its seconds of CPU so far."""
    command = etude(["browse", str(run), "--port", "0", "--no-open"])
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.search(r"http://\S+:\d+", said)
        if found is None:
            process.wait(10)
            raise OSError(f"no server: {said.strip()} {process.stdout.read().strip()[-300:]}")
        peak, ended = Peak(process.pid), threading.Event()
        watcher = threading.Thread(target=_watch, args=(peak, ended))
        watcher.start()
        try:
            peak.look()
            yield found[0], peak, lambda: _cpu(process.pid)
        finally:
            ended.set()
            watcher.join()
            process.terminate()


def _watch(peak: Peak, ended: threading.Event) -> None:
    peak.look()
    while not ended.wait(0.1):
        peak.look()


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(run: Path, work: Path, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """All cases that are owed."""
    for name, command in cases(run, work).items():
        if wanted(name):
            yield measure(name, command)
    if any(map(wanted, [BROWSE_START, *PAGES])):
        try:
            yield from (row for row in browse(run) if wanted(row["case"]))
        except OSError as error:
            yield {"case": BROWSE_START, "failed": str(error)}


def table(rows: Sequence[Row]) -> list[str]:
    """One row a case, three columns a size."""
    sizes = sorted({row["candidates"] for row in rows})
    known = {(row["case"], row["candidates"]): row for row in rows}
    heads = [f"{size:,}" for size in sizes]
    lines = [
        "| candidates | " + " | ".join(f"{head}: s | CPU s | MiB" for head in heads) + " |",
        "| --- |" + " --- |" * (3 * len(sizes)),
    ]
    for case in dict.fromkeys(row["case"] for row in rows):
        cells = [_cells(known.get((case, size))) for size in sizes]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return lines


def _cells(row: Row | None) -> str:
    if row is None:
        return "not measured | |"
    if "failed" in row:
        words = re.sub(r"[|\s]+", " ", row["failed"])[:160]
        return f"failed: {words} | |"
    return f"{row['seconds']:.2f} | {row['cpu']:.2f} | {row['peak'] / 2**20:,.0f}"


def read(path: Path) -> list[Row]:
    """What was measured, the last time of each case, in the order of the first."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    rows = map(json.loads, lines)
    return list({(row["case"], row["candidates"]): row for row in rows}.values())


def about(folder: Path, rows: Sequence[Row]) -> str:
    cpus = os.cpu_count()
    memory = os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    loads = [row["load"] for row in rows]
    return (
        f"`python benchmarks/tables.py`, on {cpus} cores ({model[1] if model else 'unknown'}), "
        f"{memory:.0f} GiB, Python {sys.version.split()[0]}; processes that were running or "
        f"waiting when a case began: {min(loads):.1f} to {max(loads):.1f} over the minute before."
    )


def insert(path: Path, text: str) -> None:
    """Put the table between the marks of a page."""
    whole = path.read_text("utf-8")
    start, end = whole.index(MARKS[0]) + len(MARKS[0]), whole.index(MARKS[1])
    path.write_text(f"{whole[:start]}\n{text}\n{whole[end:]}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--candidates", type=int, nargs="+", default=SIZES)
    parser.add_argument("--only", nargs="+", default=[], metavar="CASE", help="by their beginning")
    parser.add_argument("--again", action="store_true", help="measure also what was measured")
    parser.add_argument("--out", type=Path, help="also put the table into this page")
    given = parser.parse_args()
    given.runs.mkdir(parents=True, exist_ok=True)
    compileall.compile_dir(Path(etude_package.__file__).parent, quiet=1)  # as an installation is
    kept = given.runs / "measured.jsonl"
    for size in given.candidates:
        run = given.runs / f"synthetic-{size}"
        if not (run / "final" / "evaluate" / "scores.parquet").exists():
            shutil.rmtree(run, ignore_errors=True)
            write_run(run, size)
        done = {
            row["case"] for row in read(kept) if row["candidates"] == size and "failed" not in row
        }

        def wanted(name: str, done: set[str] = done) -> bool:
            chosen = not given.only or name.startswith(tuple(given.only))
            return chosen and (given.again or name not in done)

        with tempfile.TemporaryDirectory() as work, kept.open("a", encoding="utf-8") as file:
            load = os.getloadavg()[0]
            for row in measured(run, Path(work), wanted):
                print(json.dumps(row | {"candidates": size, "load": load}), file=file, flush=True)
                print(f"{size:>9,}  {row['case']:<20} {_cells(row)}", flush=True)
                load = os.getloadavg()[0]
    rows = [row for row in read(kept) if row["candidates"] in given.candidates]
    text = "\n".join([about(given.runs, rows), "", *table(rows)])
    print("\n" + text)
    if given.out:
        insert(given.out, text)


if __name__ == "__main__":
    main()
