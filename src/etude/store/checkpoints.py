"""Checkpoints: a folder of files that is there all at once, with the sums of its files.

`whole.json` has the size and the SHA-256 of every other file. Locally a folder is renamed into its
place; on an object store its files are put, and `whole.json` last, so that a folder without it is
none. Engines and trainings read a copy on the local disk (`local`), which is checked by the sums.
Files that are needed no more may go (`thin`): their sums stay, and say why they went.
Covered: making, copying, checking; two processes that make the same. Not covered: what is in them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from etude.errors import InputError
from etude.store.places import (
    is_local,
    place,
    reaching,
    scratch,
    write_atomically,
    write_new,
    writing_to,
)

MARK = "whole.json"
CHUNK = 1 << 20
WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
"""What files of weights are called."""

Sums = dict[str, tuple[int, str]]
"""By the name of a file in the folder: its bytes, and their SHA-256 in hexadecimal."""


def finished(path: Path) -> bool:
    """Whether a segment is written, or the folder of a checkpoint is whole."""
    if path.suffix == ".parquet" or is_local(path):
        return path.exists()
    return (path / MARK).exists()


def wait_for(path: Path) -> None:
    """Return when another process has finished this unit or checkpoint."""
    while not finished(path):
        time.sleep(0.2)


def keep(made: Path, out: Path) -> None:
    """Put a finished folder of the local disk in its place, all at once; `made` is gone then.

    Raises `InputError` where another process has put another one there, or it can't be written.
    """
    found = {name: sum_of(made / name) for name in _files(made)}
    mark = _mark(found)
    write_atomically(made / MARK, mark)
    if is_local(out):
        with writing_to(out):
            os.replace(made, out)
            _sync(out.parent)
        return
    with writing_to(out):
        if not (out / MARK).exists():
            _put(made, out, found)
        if not write_new(out / MARK, mark) and (out / MARK).read_bytes() != mark:
            raise InputError(
                f"{out} was made by another process too, and has other files. Let one process work "
                "in the run, and see with `etude check` what is whole."
            )
        _move_in(made, scratch(out), mark)  # whoever reads it here need not fetch it


def thin(folder: Path, patterns: Iterable[str], why: str) -> None:
    """Remove files of a checkpoint of which only the sums are needed any more.

    That they went, and why, is written down first: a kill in the middle leaves a file too many.
    """
    gone = {path.name for pattern in patterns for path in folder.glob(pattern)}
    if not gone:
        return
    said = _said(_read_mark(folder))
    for name in gone & said.keys():
        said[name]["removed"] = why
    write_atomically(folder / MARK, _as_mark(said))
    with writing_to(folder):
        for name in sorted(gone):
            (folder / name).unlink(missing_ok=True)
        if not is_local(folder):
            shutil.rmtree(scratch(folder), ignore_errors=True)


def removed(folder: Path) -> str:
    """Why files of a checkpoint were removed; empty where all are there."""
    if not (folder / MARK).is_file():
        return ""
    try:
        said = _said((folder / MARK).read_bytes())
        return next((str(one["removed"]) for one in said.values() if "removed" in one), "")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(damaged(folder, f"{MARK}: {type(error).__name__}")) from None


def put(made: Path, out: Path, last: str) -> None:
    """Put a file, or a folder's files, in their place on an object store; `last` is put last.

    What the folder held before is removed, `last` first. Nothing is all at once there.
    """
    remote: Any = out
    if made.is_file():
        remote.fs.put_file(str(made), remote.path)
        return
    (out / last).unlink(missing_ok=True)
    wanted = _files(made)
    stale = [path for path in out.rglob("*") if path.is_file()]
    for path in stale:
        if path.relative_to(out).as_posix() not in wanted:
            path.unlink(missing_ok=True)
    _put(made, out, sorted(wanted, key=lambda name: name == last))


def _put(made: Path, out: Path, names: Iterable[str]) -> None:
    remote: Any = out
    for name in names:
        remote.fs.put_file(str(made / name), f"{remote.path}/{name}")


def local(model: str | Path) -> str | Path:
    """Where a model can be read from as files: a checked copy of one on an object store.

    Names on the hub, and what is local, are returned as they are. A copy is kept, under `scratch`.
    Raises `InputError` for a folder that is not whole.
    """
    if isinstance(model, str) and "://" not in model:
        return model
    folder = place(model)
    if is_local(folder):
        return model if isinstance(model, str) else folder
    with reaching(folder):
        mark = _read_mark(folder)
        here = scratch(folder)
        if not _is_copy(here, mark):
            _stage(folder, mark, here)
    return here


def _read_mark(folder: Path) -> bytes:
    try:
        return (folder / MARK).read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{folder} must hold a finished checkpoint, but has no {MARK}. Give a run's folder of "
            "a training that has ended."
        ) from None


def _is_copy(here: Path, mark: bytes) -> bool:
    kept = here / MARK
    return kept.is_file() and kept.read_bytes() == mark


def _stage(folder: Path, mark: bytes, here: Path) -> None:
    temporary = here.with_name(f".{here.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    with writing_to(temporary):
        for name, (size, digest) in read_sums(folder, mark).items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            if _copy(folder / name, temporary / name) != (size, digest):
                shutil.rmtree(temporary)
                raise InputError(damaged(folder, f"{name} is not what its sum in {MARK} says"))
        (temporary / MARK).write_bytes(mark)
        _move_in(temporary, here, mark)


def _move_in(made: Path, here: Path, mark: bytes) -> None:
    """Make a folder the copy, unless another process was first."""
    if here.exists() and not _is_copy(here, mark):
        shutil.rmtree(here)
    here.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(made, here)
    except OSError:
        shutil.rmtree(made)
        if not _is_copy(here, mark):
            raise


def damaged(folder: Path, reason: str) -> str:
    """What is said of a checkpoint that is not whole."""
    return (
        f"{folder} must hold a finished training but is damaged ({reason}). `etude check RUN "
        "--mend` moves it aside; run again, and it will be made anew."
    )


def read_sums(folder: Path, mark: bytes | None = None) -> Sums:
    """What a checkpoint says of its files, but for those that were removed.

    Raises `InputError` when that can't be read.
    """
    try:
        found = _said(_read_mark(folder) if mark is None else mark)
        said = {name: one for name, one in found.items() if "removed" not in one}
        if any(".." in PurePosixPath(name).parts or name.startswith("/") for name in said):
            raise ValueError("a name leads out of the folder")
        return {name: (int(one["bytes"]), str(one["sha256"])) for name, one in said.items()}
    except (
        *(OSError, ValueError, LookupError, TypeError),
        *(AttributeError, RecursionError),
    ) as error:
        raise InputError(damaged(folder, f"{MARK}: {type(error).__name__}")) from None


def flaws(folder: Path, tick: Callable[[int], None] = lambda _: None) -> Iterator[str]:
    """What is wrong with a checkpoint, a sentence a file; nothing for a whole one.

    `tick` hears of each file that was read, by its bytes.

    Raises `InputError` when its sums can't be read.
    """
    said = read_sums(folder)
    for name, (size, digest) in said.items():
        try:
            found = sum_of(folder / name)
        except FileNotFoundError:
            yield f"{name} is missing"
            continue
        tick(found[0])
        if found[0] != size:
            yield f"{name} has {found[0]:,} bytes in place of {size:,}"
        elif found[1] != digest:
            yield f"the bytes of {name} are not those of its sum"


def sum_of(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _copy(source: Path, target: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, target.open("wb") as write:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
            write.write(chunk)
    return size, digest.hexdigest()


def _files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found if path.name != MARK)


def _mark(found: Sums) -> bytes:
    return _as_mark(
        {name: {"bytes": size, "sha256": digest} for name, (size, digest) in found.items()}
    )


def _as_mark(said: dict[str, dict[str, Any]]) -> bytes:
    return (json.dumps(said, indent=2) + "\n").encode()


def _said(mark: bytes) -> dict[str, dict[str, Any]]:
    said: dict[str, dict[str, Any]] = json.loads(mark)
    return said


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
