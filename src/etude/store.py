"""The run folder: the resolved recipe, units as immutable Parquet segments, checkpoints.

    runs/tiny/
      recipe.toml            every setting, defaults included; it re-runs the run
      record.json            versions and machine
      round-00/              the model before the first round: pretrain, train, evaluate
      round-01/propose/00000.parquet   one file a unit; vet, solve, judge, select, train, evaluate
      final/                 the student: train, evaluate
      controls/NAME/...      the same folders for each control of the ladder

Done means that the file exists: it is written to a temporary name, synced and renamed.
Covered: atomic units, reading them back, one process at a time in a folder, seeds.
Not covered: what the rows mean (see `tables`).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from etude import config
from etude.errors import EtudeError, InputError, RecipeError

Row = dict[str, Any]

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
NO_ROOM_BYTES = 1 << 20
STARTED = ".started.toml"
"""The recipe as it was at the start: by it, an edited recipe.toml is told."""


class Run:
    """A run folder: `open` starts one, or continues one of the same recipe."""

    def __init__(self, folder: Path, recipe: config.Recipe) -> None:
        self.folder = folder
        self.recipe = recipe

    @classmethod
    def open(cls, folder: Path, recipe: config.Recipe, record: dict[str, Any]) -> Run:
        """Make the folder, or check that it belongs to this recipe.

        Settings of time alone are taken from `recipe`, the others must be those of the start.
        Raises `RecipeError` naming the settings that differ and the command that starts afresh,
        `InputError` for a folder that can't be one.
        """
        path = folder / "recipe.toml"
        with _usable(folder):
            fresh = not path.exists()
            if fresh:
                _refuse_other_files(folder)
        if fresh:
            with only_writer(folder):
                if not path.exists():
                    for name in (STARTED, path.name):
                        write_atomically(folder / name, config.dump(recipe).encode())
        kept = read_recipe(folder)
        _refuse_edits(folder, kept)
        _refuse_changes(folder, kept, recipe)
        if kept != recipe:
            with only_writer(folder):
                write_atomically(path, config.dump(recipe).encode())
        if not (folder / "record.json").exists():
            write_atomically(folder / "record.json", json.dumps(record, indent=2).encode())
        return cls(folder, recipe)

    @classmethod
    def read(cls, folder: Path) -> Run:
        """An existing run. Raises `InputError` when the folder is none."""
        return cls(folder, read_recipe(folder))


def read_recipe(folder: Path) -> config.Recipe:
    """The recipe of a run. Raises `InputError` when the folder is no run."""
    path = folder / "recipe.toml"
    if not os.path.isfile(path):  # which, unlike that of Path, takes any name
        raise InputError(
            f"{folder} must be a run folder with a recipe.toml, but has none. "
            "Give the folder that `etude run` printed."
        )
    return _parsed(path)


def _parsed(path: Path) -> config.Recipe:
    try:
        return config.parse(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} must be text in UTF-8 but can't be read ({error}). Give another run folder."
        ) from None


def _refuse_other_files(folder: Path) -> None:
    """What a start leaves behind that was killed at once is no other file."""
    ours = (".lock", STARTED, f".{STARTED}.", ".recipe.toml.")
    if folder.exists() and not all(item.name.startswith(ours) for item in folder.iterdir()):
        raise InputError(
            f"{folder} must be a run folder or not exist, but holds other files. "
            f"Choose another with --out."
        )


def _refuse_edits(folder: Path, kept: config.Recipe) -> None:
    """A recipe.toml edited by hand would mix what two recipes made, without a word."""
    started = folder / STARTED
    changed = config.differences(_parsed(started), kept) if started.exists() else []
    if changed:
        raise RecipeError(
            f"{folder / 'recipe.toml'} was changed after the start ({'; '.join(changed)}). Change "
            f"it back, or start afresh with `etude run {folder / 'recipe.toml'} --out {folder}-2`."
        )


def _refuse_changes(folder: Path, kept: config.Recipe, wanted: config.Recipe) -> None:
    changed = config.differences(kept, wanted)
    if changed:
        raise RecipeError(
            f"{folder} was started with another recipe ({'; '.join(changed)}). Continue it with "
            f"`etude run {folder}`, or start afresh with `--out {folder}-2`."
        )


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder} must be a folder that can be written, but is not ({error.strerror}). "
            "Choose another with --out."
        ) from None


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises `InputError` when another one works in it."""
    with _usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / ".lock").open("w")
    with opened as lock:
        patience = time.monotonic() + 5  # a killed run's processes may be ending just now
        while not _locked(lock):
            if time.monotonic() > patience:
                raise InputError(
                    f"{folder} is being written by another process. Wait for it, or choose "
                    "another folder with --out."
                )
            time.sleep(0.1)
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def seed_for(*parts: object) -> int:
    """A 31-bit seed derived from (run seed, arm, round, stage, unit): equal parts, equal seed."""
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # NumPy takes no more than 32 bits


def unit_path(stage: Path, unit: int) -> Path:
    """The segment of one unit, `.../solve/00017.parquet`."""
    return stage / f"{unit:05d}.parquet"


def owed(stage: Path, units: int) -> list[int]:
    """The units of a stage that are not finished."""
    return [unit for unit in range(units) if not unit_path(stage, unit).exists()]


def write_table(
    path: Path, rows: Sequence[Row], schema: pa.Schema, notes: Mapping[str, str] | None = None
) -> None:
    """Write one immutable segment: temporary name, sync, rename.

    `notes` become metadata of the file: what holds for all of its rows.
    Raises `InputError` when the disk is full; what was finished before stays.
    """
    write_atomically(path, _encoded(rows, schema, notes))


def write_new_table(path: Path, rows: Sequence[Row], schema: pa.Schema) -> bool:
    """Write a segment that several processes may want to write: False, and nothing is changed,
    where there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    write_atomically(temporary, _encoded(rows, schema))
    with writing_to(path):
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
    return True


def _encoded(
    rows: Sequence[Row], schema: pa.Schema, notes: Mapping[str, str] | None = None
) -> bytes:
    noted = schema.with_metadata(dict(notes)) if notes else schema
    table = pa.Table.from_pylist([_clean(row) for row in rows], schema=noted)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _clean(row: Row) -> Row:
    """Model-written text may hold lone surrogates, which Parquet's UTF-8 can't: escape them."""
    return {key: escaped(v) if type(v) is str else v for key, v in row.items()}


def escaped(text: str) -> str:
    """A text as the tables hold it."""
    return text.encode("utf-8", "backslashreplace").decode()


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or none. Raises `InputError` when the disk is full."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with writing_to(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Raises `InputError` in place of whatever a full or forbidden disk made the body raise.

    Libraries report a full disk in errors of many types, so what counts is the room that is left.
    """
    try:
        yield
    except EtudeError:
        raise
    except Exception as error:
        free = shutil.disk_usage(_existing(path)).free
        if getattr(error, "errno", None) not in UNWRITABLE and free >= NO_ROOM_BYTES:
            raise
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InputError(
            f"{path} could not be written ({reason}; {free:,} bytes free). What was "
            "finished is kept: make room or grant access, and give the same command again."
        ) from error


def _existing(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())


def wait_for(path: Path) -> None:
    """Return when another process has finished this unit or checkpoint."""
    while not path.exists():
        time.sleep(0.2)


def read_table(path: Path) -> list[Row]:
    """The rows of one segment. Raises `InputError` when it can't be read."""
    try:
        rows: list[Row] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} must be a Parquet segment but can't be read ({type(error).__name__}). "
            "Delete it and run again: it will be made anew."
        ) from None
    return rows


def read_stage(stage: Path) -> list[Row]:
    """The rows of all segments of a stage, in the order of its units."""
    return [row for path in sorted(stage.glob("[0-9]*.parquet")) for row in read_table(path)]


def read_notes(stage: Path, key: str) -> list[str]:
    """One note of each segment of a stage that has it (see `write_table`), in order."""
    paths = sorted(stage.glob("[0-9]*.parquet"))
    return [note for path in paths for note in segment_notes(path, key)]


def segment_notes(path: Path, key: str) -> list[str]:
    """One note of a segment, if it has it."""
    note = (pq.read_schema(path).metadata or {}).get(key.encode())
    return [] if note is None else [note.decode()]


def remove_stage(stage: Path) -> None:
    """Remove the segments of a stage that has served its purpose, if they are there."""
    if stage.exists():
        shutil.rmtree(stage)


def round_folder(arm: Path, number: int) -> Path:
    """The folder of one round, `round-02`; round 0 is the model before the first."""
    return arm / f"round-{number:02d}"


def round_folders(arm: Path) -> list[tuple[int, Path]]:
    """The rounds that an arm has begun, with their folders, in order: names alone would put round
    100 before round 11."""
    found = ((path.name.removeprefix("round-"), path) for path in arm.glob("round-[0-9]*"))
    return sorted((int(n), path) for n, path in found if n.isdecimal() and path.is_dir())


def arm_folder(run: Path, arm: str) -> Path:
    """Where an arm of the ladder lives: the loop itself at the top, controls below it."""
    return run if arm == "verified" else run / "controls" / arm
