"""Units and jobs for the tests of Ray: real functions that real workers import."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from cluster_work import SCHEMA, Desk
from etude.cluster import Kind, Made, Stage, Tick
from etude.errors import InputError


def slow(desk: Desk, unit: int, *, seconds: float) -> Made:
    """Takes its time, and says in a file that it was begun, by whom and on which node."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    with (desk.folder / "begun").open("a") as file:
        file.write(f"{unit} {os.getpid()} {node}\n")
    time.sleep(seconds)
    return Made([{"unit": unit, "pid": os.getpid()}])


def slow_stage(folder: Path, units: int, kind: Kind = "judge", seconds: float = 0.5) -> Stage:
    return Stage(folder, units, partial(slow, seconds=seconds), SCHEMA, kind)


def begun(folder: Path) -> list[tuple[int, int, str]]:
    """Unit, process and node of everything that was begun, in order."""
    file = folder / "begun"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(unit), int(pid), node) for unit, pid, node in map(str.split, lines)]


def broken() -> Desk:
    raise InputError("The desk can't be opened.")


def dying() -> Desk:
    os._exit(7)


def dying_until(moment: float, folder: Path) -> Desk:
    """As in a bad moment of the cluster, which passes."""
    if time.time() < moment:
        os._exit(7)
    return Desk(folder)


def job(tick: Tick, *, folder: Path, steps: int, kill_at: dict[int, int], seconds: float) -> None:
    """Steps, each of them kept; killed so many times at some."""
    import ray

    start = len(list(folder.glob("step-*")))
    (folder / f"node-{start}").write_text(ray.get_runtime_context().get_node_id())
    for step in range(start, steps):
        deaths = len(list(folder.glob(f"death-{step}-*")))
        if deaths < kill_at.get(step, 0):
            (folder / f"death-{step}-{deaths}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(seconds)
        (folder / f"step-{step}").touch()
        tick(step + 1, steps)


def refusing(tick: Tick) -> None:
    raise InputError("The loss is no longer a number.")


def failing(tick: Tick) -> None:
    raise ValueError("a fault of ours")


def look(node: str, *, marks: Path, refused: Any = None) -> None:
    """Says where it was, and refuses the first node that asks."""
    (marks / node).touch()
    if refused is not None:
        raise InputError(refused)
