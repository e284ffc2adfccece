"""Times: the seconds that each stage took, measured, in files beside the tables.

    runs/tiny/times/5f0c9a1e.jsonl                {"round": 1, "stage": "solve", "seconds": 20.31}
    runs/tiny/controls/unverified/times/...jsonl  the same for a control

Tables hold nothing that is measured but in columns of their own; so do folders: whatever is in
here differs from run to run, and nothing reads it but reports. Each process has a file of its own,
which it writes anew whenever there is more to say: nothing is appended to, so that a run may lie
on an object store. A stage that was interrupted has lines in several: their sum is its time.
Covered: seconds on the wall, with whatever else the machine did meanwhile. Not covered: the
seconds since the last line when a process is killed (`EVERY` at most, or one unit).
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import Counter
from pathlib import Path

from etude import store
from etude.errors import InputError

NAME = "times"
EVERY = 10.0
"""Seconds after which a stage that still works writes down what it took so far."""

Spent = Counter[tuple[int | None, str]]
"""Seconds by round (None for the student's) and stage."""

_MINE: dict[tuple[int, str], tuple[Path, Spent]] = {}
"""By process and arm: the file of this process there, and what it holds."""


class Clock:
    """Measures one stage of one round. A stage that has nothing left to do writes nothing."""

    def __init__(self, arm: Path, number: int | None, stage: str) -> None:
        self._arm = arm
        self._stage = number, stage
        self._since = time.monotonic()
        self._before: int | None = None
        self._worked = False

    def tick(self, done: int) -> None:
        """`done` units are finished. The first call says how many were so before this process."""
        if self._before is None:
            self._before = done
        self._worked = self._worked or done > self._before
        if time.monotonic() - self._since >= EVERY:
            self.keep()

    def keep(self) -> None:
        """Write down the seconds since the last line. Raises `InputError` when the disk is full."""
        now = time.monotonic()
        if not self._worked:
            return
        path, total = _mine(self._arm)
        total.update({self._stage: now - self._since})
        store.write_atomically(path, "".join(map(_line, total.items())).encode())
        self._since = now


def _mine(arm: Path) -> tuple[Path, Spent]:
    """The file of this process, a new one where the arm's folder is another than before."""
    key = os.getpid(), str(arm)
    if key not in _MINE or not _MINE[key][0].exists():
        _MINE[key] = arm / NAME / f"{secrets.token_hex(4)}.jsonl", Spent()
    return _MINE[key]


def _line(item: tuple[tuple[int | None, str], float]) -> str:
    (number, stage), seconds = item
    return json.dumps({"round": number, "stage": stage, "seconds": round(seconds, 3)}) + "\n"


def spent(arm: Path) -> Spent:
    """What the stages of an arm took; empty where nothing was measured.

    Raises `InputError` for a file that holds something else.
    """
    total = Spent()
    for path in sorted((arm / NAME).glob("*.jsonl")):
        if not path.name.startswith("."):
            total.update(_read(path))
    return total


def _read(path: Path) -> Spent:
    total = Spent()
    try:
        for line in path.read_text("utf-8").splitlines():
            said = json.loads(line)
            number = said["round"]
            total[None if number is None else int(number), str(said["stage"])] += said["seconds"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path} must be the times of a run but can't be read ({type(error).__name__}). "
            "Delete it: the report then leaves the times out."
        ) from None
    return total
