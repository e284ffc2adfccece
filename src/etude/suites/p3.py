"""P3: Schuster et al. 2021, "Programming Puzzles" (arXiv 2106.05784, MIT licence).

Its two files are read from a folder of the user's, or downloaded once and kept in a cache folder;
either way their checksums must be those that published figures rest on.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

from etude.errors import Fault, InputError
from etude.puzzle import NotAPuzzle, parse
from etude.types import Problem, Puzzle

P3_URL = "https://raw.githubusercontent.com/microsoft/PythonProgrammingPuzzles/main/puzzles"
P3_FILES = {
    "puzzles.json": "d3b61141ea0d935c389d602867ba2c154db1854df9ff4402daaa947ad880d8bb",
    "split.json": "1f3d55c30dcb23036a0008763a21fe3da1765879523a33585593f9daa5f2e824",
}
"""The SHA-256 of each file."""

_HUMANEVAL_MODULE = "human_eval.py"
"""P3's module of puzzles that derive from HumanEval."""

_TIMEOUT = 30.0
"""Seconds that a download may stand still."""


def p3_problems(half: str, folder: Path | None = None) -> list[Problem]:
    """The problems of P3's `test` half (228), its `train` half (155), or `all` 1,715 instances.

    A half has the first instance of each of its problems. The part `humaneval` derives from
    HumanEval. Raises `InputError` for a failed download, or files that are not the published ones.
    """
    return [
        Problem(
            record["name"],
            "humaneval" if record["module"] == _HUMANEVAL_MODULE else "other",
            parsed(record["sat"], record["name"]),
            solution=_solution(record),
        )
        for record in p3_records(half, folder)
    ]


def _solution(record: dict[str, Any]) -> str:
    """The first of the problem's solutions; most have one."""
    bodies = record["sol_bodies"]
    return f"{record['sol_header']}\n{bodies[0]}" if bodies else ""


def p3_training(folder: Path | None = None) -> list[Puzzle]:
    """P3's 155 training puzzles, as they stand in the data. Raises `InputError` as `load` does."""
    return [parsed(record["sat"], record["name"]) for record in p3_records("train", folder)]


def p3_records(half: str, folder: Path | None) -> list[dict[str, Any]]:
    """Of one half of P3 the first instance of every problem, in the order of `split.json`.

    Each has `name`, `sat` (the puzzle), `sol_header`, `sol_bodies`. Raises `InputError` as `load`.
    """
    files = _p3_from(folder) if folder else download_p3()
    records: list[dict[str, Any]] = json.loads(files["puzzles.json"])
    if half == "all":
        return records
    by_name = {record["name"]: record for record in records}
    return [by_name[f"{problem}:0"] for problem in json.loads(files["split.json"])[half]]


def parsed(source: str, name: str) -> Puzzle:
    """These texts are ours or checked by their sums, so one that is no puzzle is our fault."""
    try:
        return parse(source)
    except NotAPuzzle as reason:
        raise Fault(f"The problem {name} can't be read: {reason}.") from reason


def _p3_from(folder: Path) -> dict[str, bytes]:
    return {name: _local(folder / name, digest) for name, digest in P3_FILES.items()}


def _local(path: Path, digest: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The folder for P3 must hold {' and '.join(P3_FILES)}, but {path} could not be read "
            f"({error.strerror}); get the file from {P3_URL}/{path.name}."
        ) from error
    _check(data, digest, str(path), f"get the file from {P3_URL}/{path.name}")
    return data


def download_p3(*, base_url: str = P3_URL, cache: Path | None = None) -> dict[str, bytes]:
    """P3's files by name, from the cache folder where they are there, otherwise from the network.

    `cache` is `etude/p3` in `$XDG_CACHE_HOME` or `~/.cache` unless given. A file in it that has
    changed is downloaded anew. Raises `InputError` without a network, or for a wrong checksum.
    """
    cache = cache or _cache_folder()
    return {
        name: _cached(cache / name, digest) or _download(f"{base_url}/{name}", digest, cache / name)
        for name, digest in P3_FILES.items()
    }


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "etude" / "p3"


def _cached(path: Path, digest: str) -> bytes | None:
    """The file's bytes; None when it is not there, or not as it was written."""
    if not path.is_file():
        return None
    data = path.read_bytes()
    return data if hashlib.sha256(data).hexdigest() == digest else None


def _download(url: str, digest: str, path: Path) -> bytes:
    """Fetch, check, keep: the file appears in the cache folder whole or not at all."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            data: bytes = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"P3 must be downloaded once, but {url} gave {error}; connect to the network, "
            f"or pass a folder that holds {' and '.join(P3_FILES)}."
        ) from error
    _check(data, digest, url, f"pass a folder that holds the published {path.name}")
    _write(path, data)
    return data


def _check(data: bytes, digest: str, where: str, remedy: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise InputError(
            f"{where} must have the SHA-256 {digest} but has {found}, so it is not the P3 that "
            f"scores are compared on; {remedy}."
        )


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(
            f"P3 must be kept in {path.parent}, but it could not be written there "
            f"({error.strerror}); set XDG_CACHE_HOME to a folder that can be written."
        ) from error
