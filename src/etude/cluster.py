"""Map the units of a stage. Here, one after the other: a unit is a plain function of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from etude import store


def map_units(
    stage: Path,
    units: int,
    work: Callable[[int], list[store.Row]],
    schema: pa.Schema,
    tick: Callable[[int, int], None],
    notes: Callable[[], Mapping[str, str]] = dict,
) -> None:
    """Do the units that are owed, and write one segment for each. Finished ones are left alone.

    `notes` is asked after the work on a unit, for the metadata of its segment.
    """
    todo = store.owed(stage, units)
    tick(units - len(todo), units)
    for done, unit in enumerate(todo, start=units - len(todo) + 1):
        store.write_table(store.unit_path(stage, unit), work(unit), schema, notes())
        tick(done, units)
