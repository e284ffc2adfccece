"""How a child ended, as its zygote saw it, and what the child left."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from etude.judge.limits import Limits
from etude.types import Outcome

LEFT, CPU_LIMIT, WALL_LIMIT, NOT_STARTED = 0, 1, 2, 3
"""Causes. `_native.c` knows them by the same numbers."""
LETHAL, FAULTY = 4, 5
"""Causes that the supervisor finds: zygotes die of the step; or none lives long enough for it.
The detail is then the supervisor's."""
UNLOCKED = signal.SIGUSR1
"""How a child says that a lock did not close. Locked up, it can't send this to itself."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of one step.

    `cause` says whether the child ended by itself or was ended, or that there was none; `status`
    is what `wait` gave, or the errno of the fork. The rest after the numbers was written by the
    child: any bytes.
    """

    cause: int
    status: int
    cpu_seconds: float
    peak_bytes: int
    results: bytes = b""
    detail: bytes = b""
    payload: bytes = b""

    def seen(self, limits: Limits) -> tuple[Outcome | None, str]:
        """What the zygote's own eyes say, with a line for people; None when the child left by
        itself, so that what it says counts."""
        if self.cause in (LETHAL, FAULTY):
            return Outcome.CRASHED if self.cause == LETHAL else Outcome.FAULT, self.detail.decode()
        if self.cause == NOT_STARTED:
            return Outcome.FAULT, f"no child could be started: {os.strerror(self.status)}"
        if self.cause == CPU_LIMIT:
            return Outcome.TIMEOUT, too_much_cpu(limits)
        if self.cause == WALL_LIMIT:
            return Outcome.TIMEOUT, f"more than {limits.wall_seconds:g} s of waiting"
        code = os.waitstatus_to_exitcode(self.status)
        if code == -UNLOCKED:
            return Outcome.FAULT, "the child could not lock itself up"
        if code >= 0:
            return None, ""
        return _outcome_of_signal(-code), _signal_name(-code)


def too_much_cpu(limits: Limits) -> str:
    """Why a step timed out."""
    return f"more than {limits.cpu_seconds:g} s of CPU time"


def _outcome_of_signal(number: int) -> Outcome:
    if number == signal.SIGXCPU:
        return Outcome.TIMEOUT
    if hasattr(signal, "SIGSYS") and number == signal.SIGSYS:
        return Outcome.REFUSED
    return Outcome.CRASHED


def _signal_name(number: int) -> str:
    try:
        return f"ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended by signal {number}"
