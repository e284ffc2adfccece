"""A control group (cgroup v2) for one zygote, where the system lets this process make one.

One more lock, from outside: whatever is in the group dies at once, wherever it hid. Where the
controllers for memory and processes are delegated too, the group bounds both for everything in it.
"""

from __future__ import annotations

import itertools
import os
import time
from contextlib import suppress
from pathlib import Path

from etude.judge.limits import Limits

_BASE_BYTES = 512 << 20
"""A zygote and what it shares with a child."""
_MOST_PROCESSES = 32
_TRIES, _PAUSE_SECONDS = 50, 0.01
_NAME = "etude-judge-"
_numbers = itertools.count()


class Group:
    """An empty group below the one that this process is in."""

    def __init__(self, limits: Limits) -> None:
        """Make it. Raises `OSError`, whose text says why that can't be."""
        folder = _own_folder()
        _remove_stale(folder)
        self._folder = folder / f"{_NAME}{os.getpid()}-{next(_numbers)}"
        self._folder.mkdir()
        bounds = {
            "memory.max": 2 * limits.memory_bytes + _BASE_BYTES,
            "memory.swap.max": 0,
            "pids.max": _MOST_PROCESSES,
        }
        self.bounds = ["kill"]
        """What it can do: kill, and what is delegated of memory and pids."""
        try:
            for name, most in bounds.items():
                if (self._folder / name).exists():  # else its controller is not delegated
                    (self._folder / name).write_text(str(most))
                    self.bounds.append(name.removesuffix(".max"))
        except OSError:
            self._folder.rmdir()
            raise

    def add(self, pid: int) -> None:
        """Move a process into it, and what it starts from now on. Raises `OSError`."""
        (self._folder / "cgroup.procs").write_text(str(pid))

    def processes(self) -> list[int]:
        """Those that are in it."""
        return [int(word) for word in (self._folder / "cgroup.procs").read_text().split()]

    def kill(self) -> None:
        """Everything in it."""
        if (self._folder / "cgroup.kill").exists():  # from Linux 5.14 on
            (self._folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        """Once everything in it is dead. What is not by then is left to the next judge."""
        for _ in range(_TRIES):
            try:
                self._folder.rmdir()
            except OSError:
                time.sleep(_PAUSE_SECONDS)
            else:
                return


def _own_folder() -> Path:
    """Where the group of this process lies. Raises `OSError`."""
    own = next(
        (line[3:] for line in _lines("/proc/self/cgroup") if line.startswith("0::")),
        None,
    )
    for line in _lines("/proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 ") and own is not None:
            root, mount = place.split()[3:5]
            inside = os.path.relpath(own, root)
            if not inside.startswith(".."):
                return Path(mount, inside)
    raise FileNotFoundError("no cgroup2 file system is mounted")


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def _remove_stale(folder: Path) -> None:
    """Groups of judges that were killed."""
    for old in folder.glob(f"{_NAME}*"):
        pid = old.name.removeprefix(_NAME).partition("-")[0]
        if not Path("/proc", pid).exists():
            with suppress(OSError):
                old.rmdir()
