"""Times: the seconds that each stage took, measured, in a file beside the tables.

    runs/tiny/times.jsonl                       {"round": 1, "stage": "solve", "seconds": 20.31}
    runs/tiny/controls/unverified/times.jsonl   the same for a control

Tables hold nothing that is measured but in columns of their own; so do folders: whatever is in
here differs from run to run, and nothing reads it but reports. A stage that was interrupted, or
works for long, has several lines: their sum is its time. Covered: seconds on the wall, with
whatever else the machine did meanwhile. Not covered: the seconds since the last line when a
process is killed (`EVERY` at most, or one unit).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

from etude import store
from etude.errors import InputError

NAME = "times.jsonl"
EVERY = 10.0
"""Seconds after which a stage that still works writes down what it took so far."""

Spent = Counter[tuple[int | None, str]]
"""Seconds by round (None for the student's) and stage."""


class Clock:
    """Measures one stage of one round. A stage that has nothing left to do writes nothing."""

    def __init__(self, arm: Path, number: int | None, stage: str) -> None:
        self._path = arm / NAME
        self._said = {"round": number, "stage": stage}
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
        line = json.dumps(self._said | {"seconds": round(now - self._since, 3)})
        with store.writing_to(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        self._since = now


def spent(arm: Path) -> Spent:
    """What the stages of an arm took; empty where nothing was measured.

    A last line without an end is left out: its process was killed in the middle of it. Raises
    `InputError` for a file that holds something else.
    """
    path, total = arm / NAME, Spent()
    try:
        text = path.read_text("utf-8") if path.exists() else ""
        for line in text.split("\n")[:-1]:
            said = json.loads(line)
            number = said["round"]
            total[None if number is None else int(number), str(said["stage"])] += said["seconds"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{path} must be the times of a run but can't be read ({type(error).__name__}). "
            "Delete it: the report then leaves the times out."
        ) from None
    return total
