"""Where exported pairs go: one JSONL or Parquet file, or the shards of a `datasets` folder.

What is written appears whole or not at all: in a temporary place beside its own, then renamed.
Covered: bounded memory, the same bytes for the same rows, what may be replaced. Not covered: what
the rows are, and the card beside them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from etude import store
from etude.errors import InputError
from etude.export.columns import SCHEMA

Format = Literal["jsonl", "parquet", "datasets"]
FORMATS: tuple[Format, ...] = ("jsonl", "parquet", "datasets")
MANIFEST = "export.json"
"""In a folder: what it was exported from, so that the same export may replace it."""
RECIPE = "run.toml"
"""In a folder: the recipe of the run. Not `recipe.toml`, by which a run's folder is known."""
SHARD_ROWS = 100_000
SHARD_BYTES = 256 << 20
"""Of text: a shard ends with whichever it reaches first."""


class Sink(Protocol):
    """Takes rows with the columns of `SCHEMA`, in batches."""

    def write(self, rows: Sequence[store.Row]) -> None:
        """Some more rows."""

    def close(self) -> None:
        """The last of them has come."""


def format_of(out: Path | None, asked: str | None) -> Format:
    """The format that is asked for, or that the name of `out` says. Raises `InputError`."""
    suffix = "" if out is None else out.suffix.lower()
    named: Format = {".jsonl": "jsonl", ".parquet": "parquet"}.get(suffix, "datasets")  # type: ignore[assignment]
    chosen = next((one for one in FORMATS if one == (asked or named)), None)
    if chosen is None:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, but is {asked!r}.")
    if out is not None and chosen != named:
        end = "a folder's name" if chosen == "datasets" else f"a name that ends with .{chosen}"
        raise InputError(f"--format {chosen} needs {end} as --out, but got {out}.")
    return chosen


class Lines:
    """JSON lines: one object a row, its keys in the order of the columns."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")

    def write(self, rows: Sequence[store.Row]) -> None:
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


class Table:
    """One Parquet file."""

    def __init__(self, path: Path, schema: pa.Schema = SCHEMA) -> None:
        self.path = path
        self.rows = self.bytes = 0
        self._schema = schema
        self._file = path.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")

    def write(self, rows: Sequence[store.Row]) -> None:
        table = pa.Table.from_pylist(list(rows), schema=self._schema)
        self._writer.write_table(table)
        self.rows += len(rows)
        self.bytes += table.nbytes

    def close(self) -> None:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


class Shards:
    """`data/train-00000-of-00002.parquet`, ..., as `datasets` and the hub name them."""

    def __init__(self, folder: Path, split: str) -> None:
        self.split = split
        self.rows = self.bytes = 0
        self._folder = folder / "data"
        self._done: list[Path] = []
        self._open: Table | None = None

    def write(self, rows: Sequence[store.Row]) -> None:
        for start in range(0, len(rows), SHARD_ROWS):
            self._write(rows[start : start + SHARD_ROWS])

    def _write(self, rows: Sequence[store.Row]) -> None:
        if self._open is None:
            self._folder.mkdir(exist_ok=True)
            self._open = Table(self._folder / f".{self.split}-{len(self._done):05d}")
        self._open.write(rows)
        if self._open.rows >= SHARD_ROWS or self._open.bytes >= SHARD_BYTES:
            self._end()

    def _end(self) -> None:
        if self._open is not None:
            self._open.close()
            self.rows += self._open.rows
            self.bytes += self._open.bytes
            self._done.append(self._open.path)
            self._open = None

    def close(self) -> None:
        """Give the shards their names, which say how many there are."""
        if self._open is None and not self._done:
            self._write([])  # so that a split without rows loads, too
        self._end()
        for number, path in enumerate(self._done):
            name = f"{self.split}-{number:05d}-of-{len(self._done):05d}.parquet"
            path.rename(self._folder / name)


@contextmanager
def placed(out: Path, origin: str, *, force: bool = False) -> Iterator[Path]:
    """A temporary place, which becomes `out` when the body ends without an error.

    `origin` says what is exported: a folder with the same origin in its manifest is replaced, any
    other only with `force`. Raises `InputError` where `out` must not or can't be written.
    """
    check_free(out, origin, force)
    temporary = store.scratch(out).with_name(f".{out.name}.{os.getpid()}")
    with store.writing_to(out):
        temporary.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if store.is_local(out):
                _replace(out, temporary)
            else:
                store.put(temporary, out, last=MANIFEST)
        finally:
            _remove(temporary)


def check_free(out: Path, origin: str, force: bool) -> None:
    """Raises `InputError` where something is that must not be replaced."""
    if not _is_there(out):
        return
    if force and (out.is_dir() and not (out / MANIFEST).is_file()):
        raise InputError(
            f"--force replaces an export, but {out} is a folder without {MANIFEST}, so something "
            "else: name another with --out."
        )
    if force or (out.is_dir() and _origin(out) == origin):
        return
    if out.is_dir() and not (out / MANIFEST).is_file():
        raise InputError(f"{out} is a folder and no export: name another with --out.")
    found = "an export of something else" if out.is_dir() else "there already"
    raise InputError(f"{out} is {found}: name another with --out, or replace it with --force.")


def _is_there(out: Path) -> bool:
    return os.path.lexists(out) if store.is_local(out) else out.exists()


def _origin(out: Path) -> str:
    """What a folder was exported from; empty where it does not say."""
    try:
        read: Any = json.loads((out / MANIFEST).read_text("utf-8"))
        return str(read["origin"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _replace(out: Path, temporary: Path) -> None:
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if os.path.lexists(out):
        out.rename(old)
    try:
        temporary.rename(out)
    except OSError:
        if os.path.lexists(old):
            old.rename(out)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
