"""Places: files written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from etude.errors import EtudeError, InputError

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
NO_ROOM_BYTES = 1 << 20


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
