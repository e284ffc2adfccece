"""In how much memory does the loop read its own tables, as a round grows?

    python benchmarks/memory.py --runs FOLDER [--copies 2 20 200] [--only select ...]

FOLDER gets one run a size: a synthetic round of 50,400 candidates (`synthetic.py`), whose segments
are copied as often as `--copies` says, each time with other ids, texts, forms and answers; a run
that is there is taken. 200 copies are 10 million candidates. Each reading is a process of its own:
seconds of the clock, of CPU, and the peak of its resident memory without pages of files, looked at
twenty times a second. Nothing is sampled or judged. For Linux.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from etude import health, select, solve, store, streams, vet
from etude import train as training
from etude.answers import solved_in
from etude.arm import Arm
from etude.decontaminate import contamination
from etude.exposure import trained_on
from etude.pool import Strangers
from peak import Peak
from synthetic import PUZZLES_PER_UNIT, write_run

BASE = 100_800
"""Candidates of the run that is copied: half of them are the control's."""
IDS = ("proposal_id", "puzzle_id", "candidate_id", "example_id")
TEXTS = ("form", "text", "inputs")
COPIED = ("propose", "vet", "solve", "judge", "select")


def grow(base: Path, folder: Path, copies: int) -> None:
    """A run whose first round has everything of another's so many times."""
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("round-01"))
    for arm in ("verified", "unverified"):
        source, target = (store.arm_folder(run, arm) / "round-01" for run in (base, folder))
        for stage in COPIED:
            paths = streams.segments(source / stage)
            (target / stage).mkdir(parents=True)
            for copy in range(copies):
                for at, path in enumerate(paths):
                    made = copied(pq.read_table(path), copy)
                    pq.write_table(
                        made,
                        store.unit_path(target / stage, copy * len(paths) + at),
                        compression="zstd",
                        row_group_size=1 << 16,
                    )


def copied(table: pa.Table, copy: int) -> pa.Table:
    """A table whose rows are others than those of the next copy."""
    for at, name in enumerate(table.column_names):
        column = table[name]
        if name in IDS:
            rest = pc.utf8_slice_codeunits(column, 3)
            column = pc.binary_join_element_wise(f"{copy:03x}", rest, "")
        elif name in TEXTS:
            column = pc.binary_join_element_wise(f"# {copy}", column, "\n")
        elif name == "answer":
            given = [f"{copy}{row:06d}" for row in range(len(column))]
            column = pc.if_else(pc.is_null(column), None, pa.array(given))
        else:
            continue
        table = table.set_column(at, table.schema.field(name), column)
    return table


def _select(arm: Arm) -> int:
    return len(select._work(arm, 0, number=1).rows)


def _train(arm: Arm, loss: str = "text") -> int:
    return len(training._examples(arm, list(training._selected(arm, [1], frozenset())), loss))


def _pool(arm: Arm) -> int:
    pool = Strangers()
    pool.add(solved_in(arm, 1))
    drawn = pool.drawn(next(iter(arm.puzzles(1))), 8, random.Random(0))
    return len(pool) + len(drawn)


def _units(arm: Arm) -> int:
    units = len(arm.puzzles(1)) // PUZZLES_PER_UNIT
    return sum(len(solve._puzzles(arm, 1, unit)) for unit in range(units))


def _contamination(arm: Arm) -> int:
    trained = trained_on(arm.round(1) / "train")
    assert trained is not None
    return len(contamination(arm.problems[:20], trained))


READINGS: dict[str, Callable[[Arm], int]] = {
    "nothing": lambda _: 0,
    "the puzzles of every unit": _units,
    "summaries of propose, vet, solve, judge": lambda arm: (
        sum(
            streams.tally(arm.round(1) / stage, column).total()
            for stage, column in (("vet", "fate"), ("judge", "outcome"))
        )
        + streams.length(arm.round(1) / "solve")
    ),
    "vet: what round 2 knows": lambda arm: len(vet._Screen(arm, 2, 0).before.forms),
    "probe: the pool of answers": _pool,
    "select": _select,
    "select, the control": lambda arm: sum(
        1 for _ in islice(select._unverified(Arm(arm.run, "unverified", print), 1), 1000)
    ),
    "health": lambda arm: len(health.rows(arm, 1)),
    "train: its texts": _train,
    "train: its texts, loss on solutions": lambda arm: _train(arm, "solution"),
    "evaluate: contamination": _contamination,
}


def read(run: Path, name: str) -> None:
    """One reading, in this process."""
    with Arm(store.Run.read(run), "verified", lambda _: None) as arm:
        print(READINGS[name](arm))


def measure(run: Path, name: str) -> dict[str, object]:
    """One reading in a fresh process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, __file__, "--runs", str(run), "--reading", name]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as process,
    ):
        peak = Peak(process.pid)
        while process.poll() is None:
            peak.look()
            time.sleep(0.05)
        said.seek(0)
        if process.returncode:
            sys.exit(f"{name}: {said.read()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "reading": name,
        "seconds": round(time.monotonic() - start, 2),
        "cpu": round(cpu, 2),
        "mib": round(peak.own / 2**20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--copies", type=int, nargs="+", default=(2, 20, 200))
    parser.add_argument("--only", nargs="+", default=[], metavar="READING", help="by its beginning")
    parser.add_argument("--reading", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reading:
        return read(given.runs, given.reading)
    given.runs.mkdir(parents=True, exist_ok=True)
    base = given.runs / "base"
    if not base.exists():
        write_run(base, BASE, rounds=1)
    names = [name for name in READINGS if name.startswith(tuple(given.only) or "")]
    for copies in given.copies:
        run = given.runs / f"copies-{copies}"
        if not run.exists():
            grow(base, run, copies)
        print(f"{copies * BASE // 2:,} candidates a round")
        for name in names:
            row = measure(run, name)
            print(f"  {name:<42} {row['mib']:>6,} MiB {row['seconds']:>8} s {row['cpu']:>8} CPU s")
            with (given.runs / "memory.jsonl").open("a") as file:
                print(json.dumps(row | {"candidates": copies * BASE // 2}), file=file)
    return None


if __name__ == "__main__":
    main()
