"""The memory of a process and all that it started, looked at while it works. For Linux."""

from __future__ import annotations

import os
import re
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


class Peak:
    """The highest resident memory seen of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.bytes = 0
        self.own = 0
        """Without pages of files, which the kernel drops when it needs the room."""

    def look(self) -> None:
        family = _family(self.pid)
        self.bytes = max(self.bytes, sum(map(_resident, family)))
        self.own = max(self.own, sum(map(_anonymous, family)))


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _resident(pid: int) -> int:
    """Bytes in memory; 0 for a process that has just ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _anonymous(pid: int) -> int:
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) * 1024 if found else 0
