"""Items of a file -> pairs of one `f` and one `g`, as a run wants its seeds; no pair is executed.

Covered: P3's names `sat` and `sol`, and how many puzzles and functions a pair has. Not covered:
the formats (see `judge.pairs`), and whether a solution is right.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from etude import domains, store
from etude.errors import InputError
from etude.judge import BrokenLine, Pair, read_pairs
from etude.prompts import renamed
from etude.puzzle import NotAPuzzle, syntax_tree

UNIT = 2_000
"""Items that are judged and kept together."""
UNPARSED = "unparsed"

IMPORTED = pa.schema(
    [
        ("line", pa.int64()),  # line, row, or place in a list, from 1
        ("name", pa.string()),  # P3's name of it
        ("puzzle_id", pa.string()),  # null for what is no pair
        ("puzzle", pa.string()),
        ("solution", pa.string()),
        ("answer_type", pa.string()),
        ("inputs", pa.string()),
        ("form", pa.string()),
        ("outcome", pa.string()),
        ("answer", pa.string()),
        ("detail", pa.string()),
        ("cpu_seconds", pa.float64()),
        ("peak_bytes", pa.int64()),
        ("stable", pa.bool_()),
    ]
)


def read_units(path: Path, skip: int) -> Iterator[tuple[int, list[store.Row]]]:
    """Numbered units of rows, without verdicts but for what can't be judged; `skip` are done.

    Raises `InputError` for a file that can't be read.
    """
    items = read_pairs(path)
    for _ in islice(items, skip * UNIT):
        pass
    number = skip
    while rows := [_row(item) for item in islice(items, UNIT)]:
        yield number, rows
        number += 1


def _row(item: object) -> store.Row:
    if isinstance(item, BrokenLine):
        return _unparsed(item.line, item.reason)
    if not isinstance(item, Pair):
        return _unparsed(getattr(item, "line", 0), "a program with tests, which is no puzzle")
    known: store.Row = {"line": item.line, "name": item.name or None}
    try:
        source, solution = _named(item.puzzle, "f"), _named(item.solution, "g")
        puzzle, _ = domains.named("python").pair(source, solution)
    except NotAPuzzle as reason:
        texts = {"puzzle": item.puzzle, "solution": item.solution}
        return known | texts | {"outcome": UNPARSED, "detail": str(reason)}
    return known | {
        "puzzle_id": puzzle.id,
        "puzzle": source,
        "solution": solution,
        "answer_type": puzzle.answer_type,
        "inputs": puzzle.inputs,
        "form": puzzle.form,
    }


def _unparsed(line: int, reason: str) -> store.Row:
    return {"line": line, "outcome": UNPARSED, "detail": reason}


def _named(source: str, name: str) -> str:
    """A function of P3's name under ours. Raises `NotAPuzzle` for text that is not Python."""
    theirs = {"f": "sat", "g": "sol"}[name]
    functions = [node for node in syntax_tree(source).body if isinstance(node, ast.FunctionDef)]
    if [function.name for function in functions] != [theirs]:
        return source
    return renamed(source, name)


def check_source(path: Path) -> None:
    """Raises `InputError` for a file that can't be read at all, before anything is made; also for
    a pipe: the file is read twice, first for its checksum."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(
            f"{path} must be a regular file, because it is read twice, but is none: put what comes "
            "from it into a file first."
        )
    try:
        next(read_pairs(path), None)
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}).") from None
