"""Files of rows: JSON lines, a JSON list, Parquet, the first two also compressed by gzip."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from etude.errors import InputError

Row = Mapping[str, Any]
MOST_BYTES = 1 << 30
"""Of text that is read, unpacked: a packed file of a megabyte may stand for a gigabyte."""
SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet")


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Each row with its place, such as `HumanEval.jsonl, line 3`.

    Raises `InputError` when the file can't be read, is none of these, or a row is no object.
    """
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"{path} must be a file that ends with one of {', '.join(SUFFIXES)}.")
    for number, row in enumerate(_parsed(path), 1):
        place = f"{path}, {'row' if path.suffix == '.parquet' else 'line'} {number}"
        if not isinstance(row, Mapping):
            raise InputError(
                f"{place} must be an object with keys, but is a {type(row).__name__}. "
                "Mend or remove it."
            )
        yield place, row


def _parsed(path: Path) -> Iterator[Any]:
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path)
        return
    text = _text(path)
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".json"):
        yield from _list(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number} must be JSON but is not: {error}. Mend or remove it."
                ) from None


def _list(path: Path, text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} must be one JSON list, but is not: {error}.") from None
    if not isinstance(rows, list):
        raise InputError(f"{path} must be a JSON list, but is a {type(rows).__name__}.")
    return rows


def _text(path: Path) -> str:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opened(path, "rb") as file:
            data: bytes = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise InputError(
                f"{path} must have at most {MOST_BYTES:,} bytes, unpacked, but has more. Split it."
            )
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path} must be a file that can be read, but is not ({why}).") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be text in UTF-8, but is not: {error}.") from None


def _parquet(path: Path) -> list[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[Any] = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} must be Parquet, but can't be read: {error}.") from None
    return rows
