"""Where items come from, read as often as asked, and how those that are kept are written again.

Covered: JSON lines and Parquet with a column `puzzle` and perhaps `solution`; the puzzles, examples
and candidates of a run (of the loop itself, not of its controls).
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from etude import store, streams
from etude.duplicates.finding import Item, Mask
from etude.errors import Fault, InputError
from etude.spill import chunks

TABLES = ("puzzles", "examples", "candidates")
"""What of a run can be asked for."""
PUZZLE = ("puzzle", "f", "sat")
SOLUTION = ("solution", "g", "sol")
JSON_LINES = (".jsonl", ".ndjson")
ROWS = 10_000
"""Of a batch that is read or written."""

KEPT = pa.schema(
    [("round", pa.int32()), ("id", pa.string()), ("puzzle", pa.string()), ("solution", pa.string())]
)
PAIRS = pa.schema(
    [
        ("level", pa.string()),
        ("id", pa.string()),
        ("first", pa.string()),
        ("jaccard", pa.float64()),
        ("text", pa.string()),
        ("first_text", pa.string()),
    ]
)


R = TypeVar("R")
T = TypeVar("T")


class Source(Protocol):
    """Items, in an order that stays, and a way to write some of them."""

    @property
    def name(self) -> str: ...

    def items(self) -> Iterator[Item]:
        """Raises `InputError` naming the line that holds none."""
        ...

    def answers(self) -> Mapping[str, Sequence[str]]:
        """Answers that puzzles without a solution beside them are known to accept, by id."""
        ...

    def write(self, left: Mask, out: Path) -> None:
        """The rows that are left, in a file of their own. Raises `InputError`."""
        ...


def source_of(path: Path, table: str) -> Source:
    """The items of a file, or of one of a run's tables. Raises `InputError`."""
    if path.is_dir():
        return RunTable(store.Run.read(path).folder, table)
    if not path.is_file():
        raise InputError(f"there is no file {path}: give a run folder, or JSONL or Parquet.")
    if path.suffix.lower() in JSON_LINES:
        return Lines(path)
    if path.suffix.lower() == ".parquet":
        return Columns(path)
    raise InputError(
        f"rows must be in a run folder, a .jsonl or a .parquet file, but got {path.name}."
    )


class Lines:
    """A file of JSON lines. Whatever else a line holds is kept, byte for byte."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def items(self) -> Iterator[Item]:
        for number, line in self._lines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _broken(self.path, f"line {number:,}", f"JSON, but is not: {error}") from None
            yield _item(self.path, f"line {number:,}", row, str(number))

    def answers(self) -> Mapping[str, Sequence[str]]:
        return {}

    def write(self, left: Mask, out: Path) -> None:
        if out.suffix.lower() not in JSON_LINES:
            raise InputError(f"--out must end with .jsonl as {self.path.name}, but is {out.name}.")
        with _replacing(out) as part, part.open("wb") as file:
            for (_, line), wanted in zip(self._lines(), _flags(left), strict=True):
                if wanted:
                    file.write(line.rstrip(b"\r\n") + b"\n")

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with _readable(self.path), self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line


class Columns:
    """A Parquet file. Its other columns are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        with _readable(path):
            names = pq.read_schema(path).names
        self.wanted = [name for name in names if name in (*PUZZLE, *SOLUTION, "id")]
        if not set(names) & set(PUZZLE):
            raise InputError(
                f"{path} must have a column puzzle, but has {', '.join(names[:20]) or 'none'}."
            )

    def items(self) -> Iterator[Item]:
        number = 0
        for batch in self._batches(self.wanted):
            for row in batch.to_pylist():
                number += 1
                yield _item(self.path, f"row {number:,}", row, str(number))

    def answers(self) -> Mapping[str, Sequence[str]]:
        return {}

    def write(self, left: Mask, out: Path) -> None:
        if out.suffix.lower() != ".parquet":
            raise InputError(
                f"--out must end with .parquet as {self.path.name}, but is {out.name}."
            )
        schema = pq.read_schema(self.path)
        with _replacing(out) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
            start = 0
            for batch in self._batches(None):
                writer.write_batch(batch.filter(pa.array(left[start : start + len(batch)])))
                start += len(batch)

    def _batches(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with _readable(self.path):
            yield from pq.ParquetFile(self.path).iter_batches(batch_size=ROWS, columns=columns)


def _itself(row: Any) -> Any:
    return row


_JUDGED = ["puzzle_id", "outcome", "stable", "answer"]


class RunTable:
    """One table of a run, over all rounds: `puzzles` that were kept, `examples` or `candidates`."""

    def __init__(self, folder: Path, table: str) -> None:
        self.folder = folder
        self.table = table
        self.name = f"{folder}, {table}"

    def items(self) -> Iterator[Item]:
        return (item for _, item in self._rows())

    def answers(self) -> Mapping[str, Sequence[str]]:
        """Of the table `puzzles`: what the judge accepted in the run."""
        found: dict[str, dict[str, None]] = defaultdict(dict)
        if self.table == "puzzles":
            for _, folder in store.round_folders(self.folder):
                for row in _segments(folder / "judge", _JUDGED):
                    proved = row["outcome"] == "accepted" and row["stable"] is not False
                    if proved and row["answer"]:
                        found[row["puzzle_id"]].setdefault(row["answer"])
        return {puzzle: list(literals) for puzzle, literals in found.items()}

    def write(self, left: Mask, out: Path) -> None:
        rows = (
            {"round": number, "id": item.id, "puzzle": item.puzzle, "solution": item.solution}
            for (number, item), wanted in zip(self._rows(), _flags(left), strict=True)
            if wanted
        )
        write_rows(out, rows, KEPT)

    def _rows(self) -> Iterator[tuple[int, Item]]:
        for number, folder in store.round_folders(self.folder):
            yield from ((number, item) for item in self._of_round(folder))

    def _of_round(self, folder: Path) -> Iterator[Item]:
        kept: Iterator[tuple[str, str]] = (
            (row["puzzle_id"], row["source"])
            for row in _segments(folder / "vet", ["puzzle_id", "fate", "source"])
            if row["fate"] == "kept"
        )
        if self.table != "puzzles":  # those that are tried again stand after the round's own
            again = _segments(folder / streams.AGAIN, ["puzzle_id", "source"])
            kept = chain(kept, ((row["puzzle_id"], row["source"]) for row in again))
        if self.table == "puzzles":
            yield from (Item(id, source) for id, source in kept)
        elif self.table == "candidates":
            columns = ["candidate_id", "puzzle_id", "source"]
            for row, puzzle in _beside(_segments(folder / "solve", columns), "puzzle_id", kept):
                yield Item(row["candidate_id"], puzzle, row["source"])
        else:
            yield from self._examples(folder, kept)
            columns = ["example_id", "source", "solution"]
            for row in _segments(folder / "derive", columns):
                yield Item(row["example_id"], row["source"], row["solution"])

    def _examples(self, folder: Path, kept: Iterator[tuple[str, str]]) -> Iterator[Item]:
        """Examples stand in the order of their puzzles; those of a puzzle by their length. What was
        made of pairs comes after them."""
        columns = ["example_id", "puzzle_id", "candidate_id"]
        chosen = _beside(_segments(folder / "select", columns), "puzzle_id", kept)
        tried = groupby(
            _segments(folder / "solve", ["candidate_id", "puzzle_id", "source"]),
            key=lambda row: row["puzzle_id"],
        )
        solved = ((id, {r["candidate_id"]: r["source"] for r in rows}) for id, rows in tried)
        for (row, puzzle), solutions in _beside(chosen, "puzzle_id", solved, of=itemgetter(0)):
            yield Item(row["example_id"], puzzle, solutions[row["candidate_id"]])


def _beside(
    rows: Iterable[R], key: str, others: Iterator[tuple[str, T]], of: Callable[[R], Any] = _itself
) -> Iterator[tuple[R, T]]:
    """Each row with what stands beside its key in another table that has the same order.

    Raises `Fault` for a row that has nothing there, or another order.
    """
    id, value = None, None
    for row in rows:
        wanted = of(row)[key]
        while id != wanted:
            id, value = next(others, (None, None))
            if id is None:
                raise Fault(f"the {key} {wanted!r} must stand in the order of the other table")
        yield row, cast("T", value)


def _flags(left: Mask) -> Iterator[bool]:
    for chunk in chunks(len(left)):
        yield from left[chunk].tolist()


def write_rows(out: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Rows in a new file of JSON lines or Parquet, as its name ends. Raises `InputError`."""
    suffix = out.suffix.lower()
    if suffix in JSON_LINES:
        with _replacing(out) as part, part.open("w") as file:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)
        return
    if suffix != ".parquet":
        raise InputError(f"a file that is written must end with .jsonl or .parquet: {out.name}.")
    with _replacing(out) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        batch: list[store.Row] = []
        for row in rows:
            batch.append({k: store.escaped(v) if type(v) is str else v for k, v in row.items()})
            if len(batch) == ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _segments(stage: Path, columns: list[str]) -> Iterator[store.Row]:
    for path in sorted(stage.glob("[0-9]*.parquet")):
        with store.open_table(path) as file:
            for batch in file.iter_batches(batch_size=ROWS, columns=columns):
                yield from batch.to_pylist()


def _item(path: Path, place: str, row: object, number: str) -> Item:
    if not isinstance(row, Mapping):
        raise _broken(path, place, f"an object with a puzzle, but is a {type(row).__name__}")
    puzzle, solution = _text(row, PUZZLE), _text(row, SOLUTION)
    if not isinstance(puzzle, str):
        found = ", ".join(map(str, list(row)[:20])) or "none"
        raise _broken(path, place, f"an object with the text of a puzzle; its keys are {found}")
    if not isinstance(solution, str | None):
        kind = type(solution).__name__
        raise _broken(path, place, f"an object whose solution is text, but it is of type {kind}")
    name = row.get("id")
    return Item(number if name is None else str(name), puzzle, solution or "")


def _text(row: Mapping[str, Any], keys: Sequence[str]) -> object:
    return next((row[key] for key in keys if row.get(key) is not None), None)


def _broken(path: Path, place: str, what: str) -> InputError:
    return InputError(f"{path}, {place} must be {what}. Mend or remove it.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path} must be a file that can be read, but is not ({why}).") from None


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A file beside `out` that takes its place when it is whole. Raises `InputError`."""
    if out.is_dir() or not out.parent.is_dir():
        found = "a folder" if out.is_dir() else f"in {out.parent}, which is no folder"
        raise InputError(f"{out} must be a file in a folder that exists, but is {found}.")
    part = out.with_name(f".{out.name}.{os.getpid()}")
    with store.writing_to(out):
        try:
            yield part
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
