"""Puzzles of a person's own: JSON lines, a JSON list as P3's, Parquet, or files of Python.

Covered: rows with the key `puzzle` (or `f`, or `sat`), of which a solution is not asked; `.py`
files with one function `f(answer: type, inputs=defaults)`, or `sat`.
"""

from __future__ import annotations

from pathlib import Path

from etude.errors import InputError
from etude.puzzle import NotAPuzzle, parse
from etude.suites.files import SUFFIXES, Row, read_rows
from etude.types import Problem

_KEYS = ("puzzle", "f", "sat")
_NAMES = ("name", "task_id", "id")


def read_puzzles(path: Path) -> list[Problem]:
    """The puzzles of a file, in its order, named as it names them or by their place.

    Raises `InputError` for a file that can't be read, or holds none; for a row that is no puzzle it
    names the row and the reason.
    """
    if path.suffix == ".py":
        return [_puzzle(str(path), path.stem, _source(path))]
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(
            f"puzzles must be in a file that ends with .py or one of {', '.join(SUFFIXES)}, but "
            f"got {path.name}."
        )
    found = [_of_row(place, number, row) for number, (place, row) in enumerate(read_rows(path), 1)]
    if not found:
        raise InputError(f"{path} must hold at least one puzzle, but holds none.")
    return _with_own_names(found)


def _of_row(place: str, number: int, row: Row) -> Problem:
    source = next((row[key] for key in _KEYS if row.get(key) is not None), None)
    if not isinstance(source, str):
        found = ", ".join(map(str, list(row)[:20])) or "none"
        raise InputError(
            f"{place} must have the text of a puzzle under the key puzzle (or f, or sat), but has "
            f"the keys {found}. Mend or remove it."
        )
    name = next((row[key] for key in _NAMES if row.get(key) is not None), number)
    return _puzzle(place, str(name), source)


def _puzzle(place: str, name: str, source: str) -> Problem:
    try:
        return Problem(name, "own", parse(source))
    except NotAPuzzle as error:
        raise InputError(
            f"{place} must be a puzzle, one function f(answer: type, inputs=defaults), but is "
            f"{error}. Mend or remove it."
        ) from None


def _with_own_names(problems: list[Problem]) -> list[Problem]:
    """The same with a number behind each name that comes again."""
    counts: dict[str, int] = {}
    for problem in problems:
        counts[problem.name] = counts.get(problem.name, 0) + 1
    taken: dict[str, int] = {}
    named = []
    for problem in problems:
        taken[problem.name] = number = taken.get(problem.name, 0) + 1
        name = problem.name if counts[problem.name] == 1 else f"{problem.name}#{number}"
        named.append(Problem(name, problem.part, problem.puzzle))
    return named


def _source(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"{path} must be a file of Python, but can't be read ({error.strerror})."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be text in UTF-8, but is not: {error}.") from None
