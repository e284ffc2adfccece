"""Who works in a run: one process at a time.

On a disk of this machine the kernel's lock on `.lock` says it. Where other machines may work too,
on a mount that is shared or on an object store, no lock is to be trusted, and `driver.json` says
who: the process, a number drawn at its start, and a count that it raises every few seconds. Another
process watches that for longer than those seconds, by its own clock alone. It is refused when the
count rose, and takes over when it did not; a process of this machine that has ended is not waited
for. Who finds another's number there has been thought dead, and stops. Both may have worked for a
moment: units are the same bytes whoever writes them, and checkpoints are put with their sums.

Covered: processes, machines. Not covered: a store that shows an old file for longer than `SILENCE`.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from etude.errors import InputError
from etude.store.places import (
    is_local,
    of_client,
    reaching,
    write_atomically,
    write_new,
    writing_to,
)

NAME = "driver.json"
RENEWED = 5.0
"""Seconds after which the count is raised."""
SILENCE = 20.0
"""Seconds without a higher count after which a process is taken for dead."""
SETTLED = 2.0
"""Seconds after which who took over looks whether another one did so too."""
OWN_DISKS = frozenset(
    {"bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3"}
    | {"overlay", "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs"}
)
"""File systems that no other machine writes to."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the folder for this process. Raises `InputError` when another one works in it."""
    if not is_local(folder):
        with leased(folder):
            yield
        return
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        opened = (folder / ".lock").open("w")
    with opened as lock:
        patience = time.monotonic() + 5  # a killed run's processes may be ending just now
        while not _locked(lock):
            if time.monotonic() > patience:
                raise InputError(_taken(folder, "another process"))
            time.sleep(0.1)
        if is_shared(folder):
            with leased(folder):
                yield
        else:
            yield


@contextmanager
def only_arm(folder: Path) -> Iterator[None]:
    """Hold what an arm writes for its process, on this machine; the run's lease stands for it."""
    if not is_local(folder):
        yield
        return
    with only_writer(folder):
        yield


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Raises `InputError` in place of what a folder that can't be used makes of the body."""
    try:
        with reaching(folder):
            yield
    except OSError as error:
        raise InputError(
            f"{folder} must be a folder that can be written, but is not ({error.strerror}). "
            "Choose another with --out."
        ) from None


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _taken(folder: Path, who: str) -> str:
    return f"{folder} is being written by {who}. Wait for it, or choose another folder with --out."


def is_shared(folder: Path) -> bool:
    """Whether a local folder lies on a mount that other machines may write to, such as NFS."""
    here, kind, longest = str(folder.resolve()), "", ""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
    except OSError:
        return False
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        point = point.encode().decode("unicode_escape")
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(longest):
            kind, longest = found, point
    return kind not in OWN_DISKS and bool(kind)


@contextmanager
def leased(
    folder: Path, renewed: float = RENEWED, silence: float = SILENCE, settled: float = SETTLED
) -> Iterator[None]:
    """Hold `driver.json` of a folder. Raises `InputError` when another process does, or takes it.

    To be entered by the main thread: it is interrupted there when another one has taken over.
    """
    lease = _Lease(folder / NAME, renewed)
    with usable(folder):
        lease.take(silence, settled)
    renewing = threading.Thread(target=lease.renew, name="lease", daemon=True)
    renewing.start()
    try:
        yield
    except KeyboardInterrupt:
        if lease.lost:
            raise InputError(lease.lost) from None
        raise
    finally:
        lease.ended.set()
        renewing.join()
        lease.give_back()


class _Lease:
    """`driver.json`, while this process holds it."""

    def __init__(self, path: Path, renewed: float) -> None:
        self.path = path
        self.renewed = renewed
        self.ended = threading.Event()
        self.lost = ""
        self._said: dict[str, Any] = {**_here(), "nonce": secrets.token_hex(16), "count": 0}

    def take(self, silence: float, settled: float) -> None:
        """Returns when this process is the holder. Raises `InputError` when another one is."""
        if write_new(self.path, self._bytes()):
            return
        seen = self._read()
        if seen is not None and not _has_ended(seen):
            self._watch(seen, silence)
        write_atomically(self.path, self._bytes())
        time.sleep(settled)
        now = self._read()
        if now is not None and now["nonce"] != self._said["nonce"]:
            raise InputError(_taken(self.path.parent, _who(now)))

    def _watch(self, seen: dict[str, Any], silence: float) -> None:
        """Returns when the count of another one did not rise, or its file went away."""
        if _is_here(seen):
            raise InputError(_taken(self.path.parent, _who(seen)))
        print(
            f"{self.path.parent} was last written by {_who(seen)}: waiting {silence:.0f} seconds "
            "to see whether that still works.",
            file=sys.stderr,
        )
        until = time.monotonic() + silence
        while time.monotonic() < until:
            time.sleep(min(1.0, silence / 10))
            now = self._read()
            if now is None:
                return
            if now != seen:
                raise InputError(_taken(self.path.parent, _who(now)))

    def renew(self) -> None:
        """Raises the count now and then; interrupts the main thread when another one took over."""
        while not self.ended.wait(self.renewed):
            try:
                now = self._read()
                if now is not None and now["nonce"] != self._said["nonce"]:
                    self.lost = (
                        f"{self.path.parent} is now written by {_who(now)}, which saw no sign of "
                        "this process for too long; so this one stops."
                    )
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                    return
                self._said["count"] += 1
                write_atomically(self.path, self._bytes())
            except Exception as error:  # the store may be back at the next turn
                if not (isinstance(error, InputError) or of_client(error)):
                    raise

    def give_back(self) -> None:
        """Removes the file, if it is still this process's."""
        with writing_to(self.path):
            now = self._read()
            if now is not None and now["nonce"] == self._said["nonce"]:
                self.path.unlink(missing_ok=True)

    def _bytes(self) -> bytes:
        return (json.dumps(self._said) + "\n").encode()

    def _read(self) -> dict[str, Any] | None:
        """Who holds it; None for nobody. What can't be read is nobody whom one could know."""
        try:
            said = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            said = None
        return said if isinstance(said, dict) and "nonce" in said else {"nonce": "unreadable"}


def _here() -> dict[str, Any]:
    """This process, so that it is known again: ids of processes are used twice, and in each
    container anew."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "of": _space(), "began": _began(pid)}


def _space() -> str:
    """The start of this machine, and the space of process ids in it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where there is none."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError):
        return ""


def _is_here(said: dict[str, Any]) -> bool:
    """Whether a holder is a process of this machine, of which one knows whether it lives."""
    return bool(said.get("began")) and bool(_space()) and said.get("of") == _space()


def _has_ended(said: dict[str, Any]) -> bool:
    return _is_here(said) and _began(int(said["pid"])) != said["began"]


def _who(said: dict[str, Any]) -> str:
    if "pid" not in said:
        return "another process"
    return f"process {said['pid']} on {said.get('host')}"
