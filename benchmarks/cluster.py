"""A run on a Ray cluster of several nodes on this machine, against the same run without one.

    python benchmarks/cluster.py --recipe smoke --nodes 3 --remove solve --set run.rounds=1

Starts so many nodes, runs the recipe on them, takes a node away when the named stage of round 1 has
its first segment (without a word, as when a machine is cut off), and compares every table of the
two runs, byte by byte but for the measured columns. Ends with 1 where one differs. `--against` is
an undisturbed run of the same recipe; without it one is made first. What is printed: seconds of
both, and how many units were owed again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etude.tables import MEASURED

OWED_AGAIN = re.compile(r"a worker is gone .*: (\d+) units are owed again")


def tables(run: Path) -> dict[str, bytes]:
    """Every table of a run as bytes, without the measured columns, by its path."""
    found = {}
    for path in sorted(run.rglob("*.parquet")):
        table = pq.read_table(path)
        table = table.drop_columns([name for name in table.column_names if name in MEASURED])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        found[str(path.relative_to(run))] = sink.getvalue().to_pybytes()
    return found


def differing(one: Path, other: Path) -> list[str]:
    """The tables that only one of two runs has, or that differ."""
    first, second = tables(one), tables(other)
    paths = sorted(first.keys() | second.keys())
    return [path for path in paths if first.get(path) != second.get(path)]


def command(recipe: str, out: Path, settings: Sequence[str], *more: str) -> list[str]:
    sets = [word for setting in settings for word in ("--set", setting)]
    return [sys.executable, "-m", "etude", "run", recipe, "--out", str(out), *sets, *more]


def on_nodes(words: Sequence[str], out: Path, nodes: int, cpus: int, remove: str) -> dict[str, Any]:
    """Run on a cluster of its own. What was seen; raises where the run fails."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": cpus, "include_dashboard": False}
    )
    try:
        others = [cluster.add_node(num_cpus=cpus) for _ in range(nodes - 1)]
        start = time.monotonic()
        process = subprocess.Popen(
            [*words, "--cluster", cluster.address], stderr=subprocess.PIPE, text=True
        )
        removed = None
        if remove and _seen(out / "round-01" / remove, process):
            removed = round(time.monotonic() - start, 1)
            cluster.remove_node(others[-1], allow_graceful=False)
        said = process.communicate()[1]
        sys.stderr.write(said)
        if process.returncode:
            raise SystemExit(f"the run on the cluster failed with {process.returncode}")
    finally:
        cluster.shutdown()
    again = sum(int(found) for found in OWED_AGAIN.findall(said))
    seconds = round(time.monotonic() - start, 1)
    return {"seconds": seconds, "node_removed_after": removed, "units_owed_again": again}


def _seen(stage: Path, process: subprocess.Popen[str]) -> bool:
    """Waits for the first segment of a stage; False where the run ends before."""
    while process.poll() is None:
        if any(stage.glob("[0-9]*.parquet")):
            return True
        time.sleep(0.05)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="smoke")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=1, help="of each node")
    parser.add_argument("--remove", default="", choices=["", "propose", "solve", "judge"])
    parser.add_argument("--against", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/on-cluster"))
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--no-controls", action="store_true")
    options = parser.parse_args()
    more = ["--no-controls"] * options.no_controls
    reference, local = options.against, None
    if reference is None:
        reference = options.out.with_name(f"{options.out.name}-local")
        shutil.rmtree(reference, ignore_errors=True)
        start = time.monotonic()
        subprocess.run(command(options.recipe, reference, options.settings, *more), check=True)
        local = round(time.monotonic() - start, 1)
    shutil.rmtree(options.out, ignore_errors=True)
    words = command(options.recipe, options.out, options.settings, *more)
    seen = on_nodes(words, options.out, options.nodes, options.cpus, options.remove)
    differ = differing(reference, options.out)
    result = {"nodes": options.nodes, "cpus": os.cpu_count(), "seconds_local": local} | seen
    print(json.dumps(result | {"tables": len(tables(options.out)), "differ": differ}))
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
