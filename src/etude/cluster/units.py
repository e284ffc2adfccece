"""Units: what a stage is cut into, and what doing one means, wherever it is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import pyarrow as pa

from etude import store

Kind = Literal["engine", "judge", "plain"]
"""What a unit needs: a model that samples, a sandbox, or neither."""

Tick = Callable[[int, int], None]
"""Hears how much is done, and of how much."""

SET_ASIDE = "etude.set_aside"
"""Metadata of a segment without rows: its unit killed every worker that tried it (JSON)."""

MOST_SEEN = 500
"""Characters that are kept of how a worker died."""
SMALL_BYTES = 16_384
"""A segment that was set aside is smaller, as it has no rows."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a worker takes of a node while it lives."""

    cpus: float
    gpus: float = 0
    """Of those that there are: on nodes without a GPU it does without."""


class Desk(Protocol):
    """What a worker holds between the units that it does: in etude, an arm with its engine and
    judge."""

    def unit_kept(self) -> None:
        """A unit is on the disk."""
        ...

    def release(self, kind: Kind) -> None:
        """Give back what units of a kind need, until one comes again."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Made:
    """What the work on a unit gave: its rows, and the notes that become metadata of its segment."""

    rows: list[store.Row]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A stage that is to be done. It travels to the workers, so `work` must be picklable."""

    folder: Path
    units: int
    work: Callable[[Any, int], Made]
    """What a unit is, given a worker's desk and the unit's number."""
    schema: pa.Schema
    kind: Kind
    spare: bool = True
    """Whether the run can do without a unit's rows, should it kill whoever works on it."""
    passing: bool = False
    """Whether the rows serve the next stage alone: they are not owed where that has its own."""

    def do(self, desk: Desk, unit: int) -> None:
        """Work on a unit, and write its segment. Here the work happens, and nowhere else."""
        made = self.work(desk, unit)
        store.write_table(store.unit_path(self.folder, unit), made.rows, self.schema, made.notes)
        desk.unit_kept()


def set_aside(stage: Stage, unit: int, seen: Sequence[str]) -> None:
    """Write the segment of a unit that is tried no more: no rows, and what was seen."""
    said = [text[:MOST_SEEN] for text in seen]
    notes = {SET_ASIDE: json.dumps({"tries": len(seen), "seen": said})}
    store.write_table(store.unit_path(stage.folder, unit), [], stage.schema, notes)


def notes_of_set_aside(folder: Path) -> list[tuple[int, str]]:
    """The units of a stage that were set aside, each with its note. Only small files are opened."""
    return [
        (int(path.stem), note)
        for path in store.segments(folder)
        if path.stat().st_size < SMALL_BYTES
        for note in store.segment_notes(path, SET_ASIDE)
    ]


def set_aside_in(folder: Path) -> int:
    """How many units of a stage were set aside."""
    return len(notes_of_set_aside(folder))
