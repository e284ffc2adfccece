"""Columns of a stage's segments, as rows or as Arrow tables, a segment at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from etude import store


def columns(stage: Path, names: Sequence[str]) -> Iterator[store.Row]:
    """Some columns of all segments of a stage. Raises `InputError` for a broken segment."""
    for path in _segments(stage):
        yield from _read(path, names).to_pylist()


def table(stage: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of all segments of a stage; of none, of text without a row.

    Raises `InputError` for a broken segment.
    """
    none = pa.schema([(name, pa.string()) for name in names]).empty_table()
    return pa.concat_tables([_read(path, names) for path in _segments(stage)] or [none])


def rows_where(
    stage: Path, names: Sequence[str], column: str, values: Iterable[str]
) -> list[store.Row]:
    """Some columns, of the rows of a stage whose `column` has one of these texts."""
    wanted = pa.array(sorted(values), pa.string())
    read = (_read(path, names) for path in _segments(stage))
    found = (part.filter(pc.is_in(part[column], value_set=wanted)) for part in read)
    return [row for part in found for row in part.to_pylist()]


def segment(path: Path, names: Sequence[str]) -> list[store.Row]:
    """Some columns of one segment. Raises `InputError` when it can't be read."""
    rows: list[store.Row] = _read(path, names).to_pylist()
    return rows


def length(stage: Path) -> int:
    """The rows of all segments of a stage. Raises `InputError` for a broken segment."""
    total = 0
    for path in _segments(stage):
        with store.open_table(path) as file:
            total += file.metadata.num_rows
    return total


def _segments(stage: Path) -> list[Path]:
    return store.segments(stage)


def _read(path: Path, names: Sequence[str]) -> pa.Table:
    """Some columns of one segment; of a file alone, which costs less than as a data set of one."""
    with store.open_table(path) as file:
        return file.read(list(names), use_threads=False)
