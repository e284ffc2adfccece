"""The working folder beside a training's result: checkpoints, and what they belong to."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

COMPLETE = "complete"
"""The file that is written last into a checkpoint."""
_PARTS = "accumulate"


def prepare(work: Path, fingerprint: str) -> None:
    """Makes the folder ready: nothing of other arguments, and nothing half-written, is left."""
    mark = work / "fingerprint"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        mark.write_text(fingerprint, encoding="utf-8")
    clean(work)


def clean(work: Path) -> None:
    """Removes what was interrupted half-way."""
    shutil.rmtree(work / "result", ignore_errors=True)
    for folder in work.glob("checkpoint-*"):
        if not (folder / COMPLETE).is_file():
            shutil.rmtree(folder)


def newest_checkpoint(work: Path) -> Path | None:
    """The newest complete checkpoint, if any."""
    complete = [mark.parent for mark in work.glob(f"checkpoint-*/{COMPLETE}")]
    return max(complete, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def mark_complete(folder: Path) -> None:
    """Says that a checkpoint is whole, once everything in it is on the disk."""
    sync_tree(folder)
    (folder / COMPLETE).touch()
    sync(folder)


def read_accumulate(work: Path, least: int) -> int:
    """Into how many parts a batch is cut: as the recipe says, or more, since memory ran out."""
    note = work / _PARTS
    return max(least, int(note.read_text(encoding="utf-8"))) if note.is_file() else least


def write_accumulate(work: Path, parts: int) -> None:
    """Notes that smaller parts are needed, for whoever continues."""
    temporary = work / f".{_PARTS}"
    temporary.write_text(str(parts), encoding="utf-8")
    os.replace(temporary, work / _PARTS)


def sync_tree(folder: Path) -> None:
    """Makes a folder with everything in it outlast a power cut."""
    sync(*folder.rglob("*"), folder)


def sync(*paths: Path) -> None:
    """Makes files, and the names in folders, outlast a power cut."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
