"""Runs: a folder that belongs to one recipe."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from etude import config
from etude.errors import InputError, RecipeError
from etude.store.leases import NAME as LEASE
from etude.store.leases import only_writer, usable
from etude.store.places import is_file, is_local, names, reaching, write_atomically

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
        with usable(folder):
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
    with reaching(path):
        there = is_file(path)
    if not there:
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
    ours = (".lock", LEASE, f".{LEASE}.", STARTED, f".{STARTED}.", ".recipe.toml.")
    if is_local(folder) and folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not all(name.startswith(ours) for name in names(folder)):
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


def seed_for(*parts: object) -> int:
    """A 31-bit seed derived from (run seed, arm, round, stage, unit): equal parts, equal seed."""
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1  # NumPy takes no more than 32 bits


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
