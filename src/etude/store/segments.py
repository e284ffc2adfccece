"""Segments: the rows of one unit as one immutable Parquet file with a checksum."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from etude.errors import InputError
from etude.store import sums
from etude.store.places import is_local, names, of_client, open_whole, write_atomically, write_new

Row = dict[str, Any]
PLACE = "etude.place"
"""Metadata of a segment: where in its run it was written, `round-02/solve/00017.parquet`."""
_ROUND = re.compile(r"round-[0-9]+|final")


def unit_path(stage: Path, unit: int) -> Path:
    """The segment of one unit, `.../solve/00017.parquet`."""
    return stage / f"{unit:05d}.parquet"


def owed(stage: Path, units: int) -> list[int]:
    """The units of a stage that are not finished."""
    found = names(stage)
    return [unit for unit in range(units) if unit_path(stage, unit).name not in found]


def segments(stage: Path) -> list[Path]:
    """The segments of a stage in the order of its units: names alone would put unit 100,000 before
    unit 10,001."""
    return sorted(stage.glob("[0-9]*.parquet"), key=lambda path: (len(path.name), path.name))


def write_table(
    path: Path, rows: Sequence[Row], schema: pa.Schema, notes: Mapping[str, str] | None = None
) -> None:
    """Write one immutable segment: temporary name, sync, rename.

    `notes` become metadata of the file: what holds for all of its rows.
    Raises `InputError` when the disk is full; what was finished before stays.
    """
    write_atomically(path, _encoded(path, rows, schema, notes))


def write_new_table(path: Path, rows: Sequence[Row], schema: pa.Schema) -> bool:
    """Write a segment that several processes may want to write: False, and nothing is changed,
    where there is one already."""
    return write_new(path, _encoded(path, rows, schema))


def place_of(path: Path) -> str:
    """Where in its run a file of a stage lies, by the layout of a run: runs are moved and copied.

    Below `controls/NAME` too, where that is in a run and not what somebody called one.
    """
    *above, arm, number, stage, name = ("", "", "", "", *path.parts)
    if not _ROUND.fullmatch(number):
        return f"{stage}/{name}"
    place = f"{number}/{stage}/{name}"
    if above[-1] == "controls" and (path.parents[4] / "recipe.toml").exists():
        return f"controls/{arm}/{place}"
    return place


def misplaced(noted: str, place: str) -> bool:
    """Whether a segment that notes this place was written elsewhere than at `place` of its run."""
    if noted == place:
        return False  # a run may itself be called as a round is: then more is noted
    return noted.startswith("controls/") or not noted.endswith(f"/{place}")


def _encoded(
    path: Path, rows: Sequence[Row], schema: pa.Schema, notes: Mapping[str, str] | None = None
) -> bytes:
    noted = schema.with_metadata(dict(notes)) if notes else schema
    table = pa.Table.from_pylist([_clean(row) for row in rows], schema=noted)
    where = escaped(place_of(path))

    def write(draft: str) -> bytes:
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, noted, compression="zstd", write_page_checksum=True) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({sums.KEY: draft, PLACE: where})
        return bytes(sink.getvalue().to_pybytes())

    return sums.sealed(write)


def _clean(row: Row) -> Row:
    """Model-written text may hold lone surrogates, which Parquet's UTF-8 can't: escape them."""
    return {key: escaped(v) if type(v) is str else v for key, v in row.items()}


def escaped(text: str) -> str:
    """A text as the tables hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


@contextmanager
def open_table(path: Path) -> Iterator[pq.ParquetFile]:
    """A segment, or another Parquet file, wherever it lies; pages that rotted are found in reading.

    Raises `InputError` when it can't be read, also for what the body reads of it.
    """
    try:
        with open_whole(path) as opened:
            yield pq.ParquetFile(opened, page_checksum_verification=True)
    except Exception as error:
        broken = isinstance(error, OSError | pa.ArrowException | UnicodeDecodeError)
        if not broken and (is_local(path) or not of_client(error)):
            raise
        raise InputError(
            f"{path} must be a Parquet segment but can't be read ({type(error).__name__}). "
            "Delete it and run again: it will be made anew. `etude check RUN` looks at them all."
        ) from None


def read_table(path: Path) -> list[Row]:
    """The rows of one segment. Raises `InputError` when it can't be read."""
    with open_table(path) as file:
        rows: list[Row] = file.read(use_threads=False).to_pylist()
    return rows


def read_schema(path: Path) -> pa.Schema:
    """The columns of one segment, and its notes as their metadata. Raises as `read_table`."""
    with open_table(path) as file:
        return file.schema_arrow


def read_stage(stage: Path) -> list[Row]:
    """The rows of all segments of a stage, in the order of its units."""
    return [row for path in segments(stage) for row in read_table(path)]


def read_notes(stage: Path, key: str) -> list[str]:
    """One note of each segment of a stage that has it (see `write_table`), in order."""
    return [note for path in segments(stage) for note in segment_notes(path, key)]


def segment_notes(path: Path, key: str) -> list[str]:
    """One note of a segment, if it has it."""
    note = (read_schema(path).metadata or {}).get(key.encode())
    return [] if note is None else [note.decode()]


def remove_stage(stage: Path) -> None:
    """Remove the segments of a stage that has served its purpose, if they are there."""
    for path in stage.glob("*.parquet"):
        path.unlink(missing_ok=True)
    if is_local(stage) and stage.exists():
        shutil.rmtree(stage)
