"""Replies that were paid, kept on disk until the unit that asked for them is finished.

One JSON line a reply, synced before it counts. A unit that was killed asks again for what is
missing only. The last line may be torn by a kill; it is cut off.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Any

from etude.engines.openai.wire import Reply
from etude.errors import InputError
from etude.store import writing_to


class Journal:
    """Replies by the key of their request. Without a path, nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        """Reads what is there. Raises `InputError` for a file that is no journal."""
        self._path = path
        self._file: IO[bytes] | None = None
        self._replies: dict[str, Reply] = {}
        self._asked = False
        if path is not None and path.exists():
            self._read(path)

    def get(self, key: str) -> Reply | None:
        """The reply to a request, if it was paid before."""
        self._asked = True
        return self._replies.get(key)

    def put(self, key: str, reply: Reply) -> None:
        """Keeps a reply. On return it is on the disk. Raises `InputError` when that is full."""
        if self._path is None:
            return
        self._replies[key] = reply
        line = json.dumps({"key": key, **reply.as_json()}, ensure_ascii=True) + "\n"
        with writing_to(self._path):
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("ab")
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def forget(self) -> None:
        """Drops all replies, and the file; but not before any was asked for."""
        if not self._asked:
            return
        self._asked = False
        self._replies.clear()
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file and leaves it there."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if whole != data:
                os.truncate(path, len(whole))
        except OSError as error:
            raise InputError(f"{path} must be a file that can be read, but: {error}.") from None
        for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
            try:
                row: Any = json.loads(line)
                self._replies[str(row["key"])] = Reply.from_json(row)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise InputError(
                    f"{path}, line {number}, must be a reply that was paid, but is not "
                    f"({type(error).__name__}). Remove the line: it will be asked and paid again."
                ) from None
