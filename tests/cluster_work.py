"""Units for the tests of crews: real functions that real workers import."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from etude import store
from etude.cluster import Kind, Made, Stage
from etude.errors import InputError

SCHEMA = pa.schema([("unit", pa.int64()), ("pid", pa.int64())])


class Desk:
    """A desk that counts what it keeps, in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def unit_kept(self) -> None:
        with (self.folder / f"kept-{os.getpid()}").open("a") as file:
            file.write("x")

    def release(self, kind: Kind) -> None:
        (self.folder / f"released-{kind}").touch()

    def close(self) -> None:
        (self.folder / f"closed-{os.getpid()}").touch()


def made(desk: Any, unit: int, *, after: Path | None = None, bad: dict[int, str]) -> Made:
    """A row; or what `bad` says of the unit: kill, raise or refuse."""
    if after is not None:
        [row] = store.read_table(store.unit_path(after, unit)) or [None]
        assert row is None or row["unit"] == unit
    what = bad.get(unit)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "kill once" and not (mark := desk.folder / f"killed-{unit}").exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ValueError("a fault of ours")
    if what == "refuse":
        raise InputError("What was asked for is not there.")
    return Made([{"unit": unit, "pid": os.getpid()}], {"etude.note": str(unit)})


def stage(
    folder: Path,
    units: int,
    kind: Kind = "judge",
    *,
    after: Path | None = None,
    spare: bool = True,
    passing: bool = False,
    **bad: dict[int, str],
) -> Stage:
    work = partial(made, after=after, bad=bad.get("bad", {}))
    return Stage(folder, units, work, SCHEMA, kind, spare, passing)
