"""(puzzle, solution) pairs in files: JSON lines, a JSON list, Parquet, text, two files of Python.

Covered: regular files, named pipes and streams of JSON lines, text and JSON lines packed by gzip,
P3's `puzzles.json`, the released text of the paper's data sets (see `blocks`), rows to train on
(`text`, or `prompt` and `completion`); among pairs, or instead of them, programs with tests under
HumanEval's names.
Not covered: Parquet from a pipe, since its table of contents stands at its end.
"""

from __future__ import annotations

import gzip
import json
import reprlib
import stat
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from etude.errors import InputError
from etude.judge.blocks import read_blocks, split_text
from etude.judge.judge import Judge
from etude.judge.program import Program
from etude.types import Verdict

_PUZZLE_KEYS = ("puzzle", "f", "sat")
_SOLUTION_KEYS = ("solution", "g", "sol")
_ENTRY_POINT = "entry_point"
_PROGRAM_KEYS = (("prompt",), ("completion", "canonical_solution"), ("test",), (_ENTRY_POINT,))
_PAIR_KEYS = (_PUZZLE_KEYS, _SOLUTION_KEYS)
_TEXT_KEYS = ("text", "prompt", "completion")
_COLUMNS = {"task_id"}.union(*_PAIR_KEYS, *_PROGRAM_KEYS, _TEXT_KEYS)
_LINES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_BLOCKS = (".txt", ".txt.gz")
_SUFFIXES = (*_LINES, *_BLOCKS, ".json", ".parquet")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_AHEAD = 256
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """One pair and the line, row, or place in a list that it comes from, counted from 1."""

    line: int
    puzzle: str
    solution: str
    name: str = ""
    """Of a pair of P3: the puzzle's name and which of its solutions, `Study_1:0#1`."""


@dataclass(frozen=True, slots=True)
class Exam:
    """A program with tests, and where it comes from."""

    line: int
    program: Program
    name: str = ""
    """HumanEval's `task_id`."""


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line that holds no pair, and why."""

    line: int
    reason: str


Item = Pair | Exam | BrokenLine


def read_pairs(path: str | Path) -> Iterator[Item]:
    """The pairs of a `.jsonl`, `.json`, `.parquet` or `.txt` file, in order, broken lines too.

    Keys or columns: `puzzle` and `solution`, or `f` and `g`, or `sat` and `sol`; or a `text` that
    holds one pair, or a `prompt` that ends with a puzzle and its `completion`. In a JSON list, an
    object with `sol_bodies`, as P3's, gives a pair for each. A row with `entry_point` is a
    program with tests: `prompt`, `completion` (or `canonical_solution`), `test`. Blank lines are
    left out. A pipe without one of these suffixes is read as JSON lines.
    Raises `InputError` at once when the file can't be read at all.
    """
    path = Path(path)
    suffix = next((end for end in _SUFFIXES if path.name.lower().endswith(end)), "")
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        again = f" To judge a run again: `etude judge --again {path}`."
        hint = again if (path / "recipe.toml").is_file() else ""
        raise InputError(f"pairs must be in a file, but {path} is a folder.{hint}")
    piped = bool(mode) and not stat.S_ISREG(mode)
    if piped and suffix == ".parquet":
        raise InputError(f"Parquet can't be read from a pipe, which {path} is: give a file")
    if not suffix and not piped:
        raise InputError(
            f"pairs must be in a .jsonl, .json, .txt or .parquet file, or on standard input as -, "
            f"but got {path.name}"
        )
    if not mode:
        raise InputError(f"there is no file {path}: give one with pairs of puzzle and solution")
    if suffix == ".parquet":
        return _parquet_rows(path)
    if suffix in _BLOCKS:
        return _blocks(path)
    return _json_list(path) if suffix == ".json" else _json_lines(path)


def read_sources(puzzle: str | Path, solution: str | Path) -> Pair:
    """The pair of two files of Python. Raises `InputError`."""
    return Pair(1, _text(Path(puzzle)), _text(Path(solution)))


def read_lines(lines: Iterable[bytes]) -> Iterator[Item]:
    """The pairs of a stream of JSON lines."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _from_line(number, line)


def judge_file(path: str | Path, judge: Judge) -> Iterator[tuple[int, Verdict | BrokenLine]]:
    """A verdict for each pair of a file, in order, with its line number.

    Neighbouring pairs of the same puzzle share its process. Raises `InputError` as `read_pairs`.
    """
    found = judge_pairs(read_pairs(path), judge)
    return (
        (item.line, item) if isinstance(item, BrokenLine) else (item[0].line, item[1])
        for item in found
    )


def judge_pairs(
    pairs: Iterable[Item], judge: Judge
) -> Iterator[tuple[Pair | Exam, Verdict] | BrokenLine]:
    """Each pair with its verdict, in order, broken lines among them.

    `pairs` are read a little ahead of what has been taken.
    """
    groups: deque[list[Item]] = deque()
    for verdicts in judge.verify_all(_jobs(iter(pairs), groups)):
        found = iter(verdicts)
        for item in groups.popleft():
            yield item if isinstance(item, BrokenLine) else (item, next(found))


def _jobs(
    items: Iterator[Item], groups: deque[list[Item]]
) -> Iterator[tuple[str, list[str]] | Program]:
    """Runs of lines with one puzzle, and programs. The lines of each are appended to `groups`."""
    group: list[Item] = []
    puzzle: str | None = None
    for item in items:
        other = isinstance(item, Pair) and puzzle not in (None, item.puzzle)
        if group and (other or isinstance(item, Exam) or len(group) >= _AHEAD):
            groups.append(group)
            yield _job(group)
            group, puzzle = [], None
        if isinstance(item, Exam):
            groups.append([item])
            yield item.program
            continue
        group.append(item)
        puzzle = item.puzzle if isinstance(item, Pair) else puzzle
    if group:
        groups.append(group)
        yield _job(group)


def _job(group: list[Item]) -> tuple[str, list[str]]:
    pairs = [item for item in group if isinstance(item, Pair)]
    return (pairs[0].puzzle if pairs else ""), [pair.solution for pair in pairs]


def _mode(path: Path) -> int:
    """What kind of file there is; 0 for none. Raises `InputError` when it can't be looked at."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}): give a file of pairs") from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except IsADirectoryError:
        raise InputError(f"{path} must be a file of Python, but is a folder") from None
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be text in UTF-8, but is not: {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked. Raises `InputError` for what is packed otherwise, or cut off."""
    packed = path.suffix.lower() == ".gz"
    with cast("IO[bytes]", gzip.open(path) if packed else path.open("rb")) as file:
        try:
            yield file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(f"{path} must be packed by gzip, but can't be read: {error}") from None


def _json_lines(path: Path) -> Iterator[Item]:
    with _opened(path) as file:
        yield from read_lines(file)


def _blocks(path: Path) -> Iterator[Item]:
    with _opened(path) as file:
        if cast("Any", file).peek(2)[:2] in _UTF_16:
            raise InputError(f"{path} must be text in UTF-8, but is UTF-16")
        for found in read_blocks(file):
            if found.fault:
                yield BrokenLine(found.line, found.fault)
            else:
                yield Pair(found.line, found.puzzle, found.solution)


def _from_line(number: int, line: bytes) -> Item:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return BrokenLine(number, f"not JSON: {error}")
    return _pair(number, row)


def _json_list(path: Path) -> Iterator[Item]:
    try:
        rows = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} must be one JSON list of objects, but is not: {error}. "
            "A file with one object a line is named .jsonl."
        ) from None
    if not isinstance(rows, list):
        raise InputError(
            f"{path} must be a JSON list of objects, but is a {type(rows).__name__}. "
            "One object alone is a line of a .jsonl file."
        )
    return (pair for number, row in enumerate(rows, 1) for pair in _of_object(number, row))


def _of_object(number: int, row: Any) -> Iterator[Item]:
    """The pairs of one object of a list: one, or as many as P3 has solutions of a puzzle."""
    if not (isinstance(row, dict) and "sol_bodies" in row):
        yield _pair(number, row)
        return
    header, bodies = row.get("sol_header"), row["sol_bodies"]
    texts = isinstance(bodies, list) and all(isinstance(body, str) for body in bodies)
    if not (texts and isinstance(header, str) and isinstance(row.get("sat"), str)):
        yield BrokenLine(number, "must have texts sat and sol_header, and a list sol_bodies")
        return
    for which, body in enumerate(bodies, 1):
        yield Pair(number, row["sat"], f"{header}\n{body}", f"{row.get('name', number)}#{which}")


def _pair(number: int, row: Any) -> Item:
    if not isinstance(row, Mapping):
        hint = " (of pairs: name it .json)" if isinstance(row, list) else ""
        return BrokenLine(number, f"must be an object but is a {type(row).__name__}{hint}")
    program = _is_program(row)
    if not program and all(row.get(key) is None for key in (*_PUZZLE_KEYS, *_SOLUTION_KEYS)):
        text = _text_of(row)
        if text is not None:
            return _of_text(number, *text)
    found = _texts(number, row, _PROGRAM_KEYS if program else _PAIR_KEYS)
    if isinstance(found, BrokenLine):
        return found
    if not program:
        return Pair(number, *found)
    name = row.get("task_id")
    return Exam(number, Program(*found), "" if name is None else str(name))


def _text_of(row: Mapping[str, Any]) -> tuple[str, bool] | None:
    """The text of a row to train on, and whether what comes before its last pair is a prompt's."""
    parts = [row.get(key) for key in ("prompt", "completion")]
    if all(isinstance(part, str) for part in parts):
        return "".join(map(str, parts)), True
    text = row.get("text")
    return (text, False) if isinstance(text, str) else None


def _of_text(number: int, text: str, prompted: bool) -> Item:
    found = split_text(text)[-1:] if prompted else split_text(text)
    if len(found) != 1:
        return BrokenLine(number, f"its text must hold one pair, but holds {len(found)}")
    if found[0].fault:
        return BrokenLine(number, f"its text holds no pair: {found[0].fault}")
    return Pair(number, found[0].puzzle, found[0].solution)


def _texts(
    number: int, row: Mapping[str, Any], wanted: Iterable[Sequence[str]]
) -> list[str] | BrokenLine:
    """The text under one key of each group, or what is there instead."""
    found = []
    for keys in wanted:
        key = next((key for key in keys if row.get(key) is not None), None)
        if key is None:
            held = [name for name, value in row.items() if value is not None]
            return BrokenLine(number, f"must have {_or(keys)}, but has {_shown(held)}")
        text = row[key]
        if not isinstance(text, str):
            return BrokenLine(number, f"{key} must be text, but is of type {type(text).__name__}")
        found.append(text)
    return found


def _is_program(row: Mapping[str, Any]) -> bool:
    """Whether a row is a program, or one that lacks its `entry_point`.

    In a table of both, each row has the other's columns, of null.
    """
    likely = all(row.get(key) is not None for key in ("prompt", "test"))
    return (_ENTRY_POINT in row or likely) and all(row.get(key) is None for key in _PUZZLE_KEYS)


def _parquet_rows(path: Path) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is not a Parquet file that can be read: {_line(error)}"
        ) from error
    names = file.schema_arrow.names
    programs = _ENTRY_POINT in names and not set(_PUZZLE_KEYS) & set(names)
    texts = "text" in names or {"prompt", "completion"} <= set(names)
    texts = texts and not set(_PUZZLE_KEYS + _SOLUTION_KEYS) & set(names)
    for keys in () if texts and not programs else _PROGRAM_KEYS if programs else _PAIR_KEYS:
        if not set(keys) & set(names):
            raise InputError(f"{path} must have a column {_or(keys)}, but has {_shown(names)}.")
    return _rows(path, file, [name for name in names if name in _COLUMNS])


def _rows(path: Path, file: Any, wanted: list[str]) -> Iterator[Item]:
    import pyarrow as pa

    number = 0
    try:
        for batch in file.iter_batches(columns=wanted, batch_size=1024):
            for at in range(len(batch)):
                number += 1
                yield _from_row(number, batch.slice(at, 1))
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path} is a Parquet file that can't be read after row {number:,}: {_line(error)}"
        ) from error


def _from_row(number: int, row: Any) -> Item:
    try:
        return _pair(number, row.to_pylist()[0])
    except (ValueError, OverflowError) as error:  # bytes that are no text, a date out of range
        return BrokenLine(number, f"can't be read: {error}")


def _line(error: Exception) -> str:
    """What an error says, in one line: pyarrow takes several, the last of them empty."""
    return " ".join(str(error).split())


def _or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _shown(names: Sequence[str]) -> str:
    """The keys or columns that there are, as far as a sentence can name them."""
    if not names:
        return "none"
    left = len(names) - _MOST_NAMED
    more = f" and {left:,} more" if left > 0 else ""
    return ", ".join(map(reprlib.repr, names[:_MOST_NAMED])) + more
