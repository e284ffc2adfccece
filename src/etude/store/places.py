"""Places: where a run folder may lie, and files that are written whole or not at all.

    place("runs/tiny")          a folder of this machine, or of a mount: pathlib's Path
    place("s3://bucket/run")    an object store; gs://, memory://, or what else fsspec reaches

What `place` gives has the interface of `pathlib`. On an object store a file is put whole, nothing
is renamed, appended to or locked, and folders need not be made. What must be appended to, such as
the samples that were paid for, or is read by libraries that know files alone, has its place on the
local disk (`scratch`). Covered: the above. Not covered: retries, which are fsspec's.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

from etude.errors import BARRED, EtudeError, InputError, MissingExtra, of_object_store

NO_ROOM_BYTES = 1 << 20
ONE_SLASH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/(?!/)")


def place(text: str | Path) -> Path:
    """The place that a text names.

    Raises `MissingExtra` where a package is needed to reach it, `InputError` for one of a file
    system that nobody knows, and for one that would be a local folder but for a missing slash.
    """
    if not isinstance(text, str):
        return text
    if ONE_SLASH.match(text):
        raise InputError(
            f"{text} must have two slashes after the colon, as in s3://bucket/run, but has one. "
            f"Add it, or write the folder ./{text} of this machine."
        )
    protocol, mark, rest = text.partition("://")
    if not mark:
        return Path(text)
    if protocol == "file":
        return Path(unquote(urlsplit(text).path))
    if not rest.strip("/"):
        raise InputError(f"{text} must name a folder, as in {protocol}://bucket/run.")
    try:
        from upath import UPath

        found: Any = UPath(text.rstrip("/"), use_listings_cache=False)  # others write there too
        found.fs  # noqa: B018 - imports what speaks to it
    except ImportError as error:
        extra = "gcsfs" if protocol in ("gs", "gcs") else "'etude[remote]'"
        raise MissingExtra(
            f"{text} is on another file system, for which {error.name or 'a package'} is needed "
            f"but not installed: pip install {extra}."
        ) from None
    except ValueError:
        raise InputError(
            f"{text} must be a place that fsspec reaches, such as s3://bucket/run, but "
            f"{protocol}:// is none."
        ) from None
    return cast(Path, found)


def is_local(path: Path) -> bool:
    """Whether a place is a path of this machine, mounts included."""
    return isinstance(path, Path)


def scratch(path: Path) -> Path:
    """Where on the local disk that has its place which can't be at `path`; `path` if it is local.

    `$XDG_CACHE_HOME/etude/places/s3/bucket/run/...`, the same for every process of this machine.
    """
    if is_local(path):
        return path
    remote: Any = path
    parts = [part for part in remote.path.split("/") if part not in ("", ".", "..")]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "etude", "places", remote.protocol, *parts)


def names(folder: Path) -> set[str]:
    """The names in a folder; none where there is no folder. One listing, however many."""
    try:
        if is_local(folder):
            return set(os.listdir(folder))
        remote: Any = folder  # whose `iterdir` takes one that can't be reached for none
        return {name.rstrip("/").rpartition("/")[2] for name in remote.fs.ls(remote.path, False)}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is no error here.

    Raises what an object store says that can't be reached: it is not taken for an empty one.
    """
    if is_local(path):
        return os.path.isfile(path)
    remote: Any = path
    try:
        return bool(remote.fs.info(remote.path)["type"] == "file")
    except FileNotFoundError:
        return False


def open_whole(path: Path) -> IO[bytes]:
    """A segment, to be read and sought in; of an object store fetched by one request."""
    if is_local(path):
        return path.open("rb")
    remote: Any = path
    return io.BytesIO(remote.fs.cat_file(remote.path))


def move(path: Path, target: Path) -> None:
    """Move a file or folder within a run; on an object store it is copied, then removed."""
    with writing_to(target):
        if is_local(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        else:
            remote: Any = path
            there: Any = target
            remote.fs.mv(remote.path, there.path, recursive=path.is_dir())


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or none. Raises `InputError` when the disk is full, or out of reach."""
    if not is_local(path):
        with writing_to(path):
            _put(path, data, "overwrite")
        return
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


def write_new(path: Path, data: bytes) -> bool:
    """The whole file, unless there is one already: then False, and nothing is changed."""
    with writing_to(path):
        try:
            if not is_local(path):
                _put(path, data, "create")
                return True
            temporary = path.with_name(f".{path.name}.{threading.get_ident()}")
            write_atomically(temporary, data)
            try:
                os.link(temporary, path)
            finally:
                temporary.unlink()
        except FileExistsError:
            return False
    return True


def _put(path: Path, data: bytes, mode: str) -> None:
    remote: Any = path
    remote.fs.pipe_file(remote.path, data, mode=mode)


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Raises `InputError` in place of whatever a full or forbidden disk made the body raise, and
    of what an object store refused.

    Libraries report a full disk in errors of many types, so what counts is the room that is left.
    """
    try:
        yield
    except EtudeError:
        raise
    except Exception as error:
        if not is_local(path):
            if not of_client(error):
                raise
            raise _out_of_reach(path, error) from error
        free = shutil.disk_usage(_existing(path)).free
        code = _code(error)
        if code not in BARRED and free >= NO_ROOM_BYTES:
            raise
        reason = os.strerror(code) if code else type(error).__name__
        raise InputError(
            f"{path} could not be written ({reason}; {free:,} bytes free). What was "
            "finished is kept: make room or grant access, and give the same command again."
        ) from error


def _code(error: Exception) -> int:
    """The system's code of an error; libraries in Rust have it in their words alone. 0 for none."""
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else getattr(error, "errno", None) or 0


def _existing(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.exists())


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Raises `InputError` in place of what an object store, or the way there, makes of the body."""
    try:
        yield
    except EtudeError:
        raise
    except Exception as error:
        if is_local(path) or not of_client(error):
            raise
        raise _out_of_reach(path, error) from error


def of_client(error: BaseException) -> bool:
    """Whether an error comes from an object store, or the way there, or from a file there."""
    return isinstance(error, OSError) or of_object_store(error)


def _out_of_reach(path: Path, error: BaseException) -> InputError:
    reason = (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")
    return InputError(
        f"{path} must be a place that can be reached, read and written, but: {reason}. Make the "
        "bucket, or give its credentials (AWS_ACCESS_KEY_ID and the like), and give the same "
        "command again; what was finished is kept."
    )
