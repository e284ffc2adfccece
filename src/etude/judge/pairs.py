"""Files of (puzzle, solution) pairs: JSON lines and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.errors import InputError
from etude.judge.judge import Judge
from etude.types import Verdict

_PUZZLE_KEYS = ("puzzle", "f", "sat")
_SOLUTION_KEYS = ("solution", "g", "sol")
_AHEAD = 256


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair and the line, or the row, it comes from, counted from 1."""

    line: int
    puzzle: str
    solution: str


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line that holds no pair, and why."""

    line: int
    reason: str


def read_pairs(path: str | Path) -> Iterator[Pair | BrokenLine]:
    """The pairs of a `.jsonl` or `.parquet` file, in order, broken lines among them.

    Keys or columns: `puzzle` and `solution`, or `f` and `g`, or `sat` and `sol`. Blank lines are
    left out. Raises `InputError` at once when the file can't be read at all.
    """
    path = Path(path)
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".parquet": _parquet_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"pairs must be in a .jsonl or .parquet file, but got {path.name}")
    if not path.is_file():
        raise InputError(f"there is no file {path}: give one with pairs of puzzle and solution")
    return reader(path)


def judge_file(path: str | Path, judge: Judge) -> Iterator[tuple[int, Verdict | BrokenLine]]:
    """A verdict for each pair of a file, in order, with its line number.

    Neighbouring pairs of the same puzzle share its process. Raises `InputError` as `read_pairs`.
    """
    return _judged(read_pairs(path), judge)


def _judged(
    pairs: Iterator[Pair | BrokenLine], judge: Judge
) -> Iterator[tuple[int, Verdict | BrokenLine]]:
    groups: list[list[Pair | BrokenLine]] = []
    jobs = _jobs(pairs, groups)
    for verdicts in judge.verify_all(jobs):
        found = iter(verdicts)
        for item in groups.pop(0):
            yield item.line, item if isinstance(item, BrokenLine) else next(found)


def _jobs(
    pairs: Iterator[Pair | BrokenLine], groups: list[list[Pair | BrokenLine]]
) -> Iterator[tuple[str, list[str]]]:
    """Runs of lines with one puzzle. The lines of each run are appended to `groups`."""
    group: list[Pair | BrokenLine] = []
    puzzle: str | None = None
    for item in pairs:
        other = isinstance(item, Pair) and puzzle not in (None, item.puzzle)
        if group and (other or len(group) >= _AHEAD):
            groups.append(group)
            yield _job(group)
            group, puzzle = [], None
        group.append(item)
        puzzle = item.puzzle if isinstance(item, Pair) else puzzle
    if group:
        groups.append(group)
        yield _job(group)


def _job(group: list[Pair | BrokenLine]) -> tuple[str, list[str]]:
    pairs = [item for item in group if isinstance(item, Pair)]
    return (pairs[0].puzzle if pairs else ""), [pair.solution for pair in pairs]


def _json_lines(path: Path) -> Iterator[Pair | BrokenLine]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _from_line(number, line)


def _from_line(number: int, line: bytes) -> Pair | BrokenLine:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BrokenLine(number, f"not JSON: {error}")
    if not isinstance(row, dict):
        return BrokenLine(number, f"must be an object but is a {type(row).__name__}")
    return _pair(number, row)


def _pair(number: int, row: Mapping[str, Any]) -> Pair | BrokenLine:
    found = []
    for keys in (_PUZZLE_KEYS, _SOLUTION_KEYS):
        text = next((row[key] for key in keys if row.get(key) is not None), None)
        if not isinstance(text, str):
            return BrokenLine(number, f"no text under {' or '.join(map(repr, keys))}")
        found.append(text)
    return Pair(number, *found)


def _parquet_rows(path: Path) -> Iterator[Pair | BrokenLine]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        wanted = [n for n in file.schema_arrow.names if n in _PUZZLE_KEYS + _SOLUTION_KEYS]
        number = 0
        for batch in file.iter_batches(columns=wanted, batch_size=1024):
            for at in range(len(batch)):
                number += 1
                yield _from_row(number, batch.slice(at, 1))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet file that can be read: {error}") from error


def _from_row(number: int, row: Any) -> Pair | BrokenLine:
    try:
        return _pair(number, row.to_pylist()[0])
    except (ValueError, OverflowError) as error:  # bytes that are no text, a date out of range
        return BrokenLine(number, f"can't be read: {error}")
