"""One step in the zygote: fork a child, watch it, bury it."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from etude.judge.cage import Cage
from etude.judge.limits import Limits
from etude.types import Outcome

_HEARTBEAT = 0.5
"""Seconds between looks at whether the supervisor still lives."""
_UNLOCKED = signal.SIGUSR1
"""How a child says that a lock did not close. Locked up, it can't send this to itself."""


class Orphaned(Exception):
    """The supervisor is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. `cause` is what the zygote saw; None when it left by itself."""

    cause: Outcome | None
    detail: str
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Stepper:
    """Forks children under one cage and one set of limits."""

    cage: Cage
    limits: Limits
    channel: int

    def run(
        self,
        job: Callable[[], None],
        progress: Callable[[], int] | None = None,
        parts: int = 1,
    ) -> Ended:
        """Run `job` in a child and wait until it is dead.

        With `progress`, a number that grows up to `parts`, each part has the limits to itself.
        Raises `Orphaned`, and `OSError` when no child can be forked.
        """
        pid = os.fork()
        if pid == 0:
            self._begin(parts)
            try:
                job()
            finally:
                os._exit(1)
        try:
            return self._watch(pid, progress)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            self._bury_strays(pid)

    def _begin(self, parts: int) -> None:
        """In the child: the last locks. A lock that does not close ends the child."""
        try:
            os.close(self.channel)
            seconds = int(self.limits.cpu_seconds * parts) + 2
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            kernel = self.cage.kernel
            if kernel is not None and not self.cage.namespaces:
                kernel.die_with_parent()
            if kernel is not None and self.cage.child_filter is not None:
                kernel.install(self.cage.child_filter)
            else:
                _hold_without_filter()
        except BaseException:  # noqa: BLE001  whatever it was, nothing may run unlocked
            os.kill(os.getpid(), _UNLOCKED)

    def _watch(self, pid: int, progress: Callable[[], int] | None) -> Ended:
        seen, cpu_start = 0, 0.0
        wall_end = time.monotonic() + self.limits.wall_seconds
        # Wait first: what the zygote touches while the child lives has to be copied.
        wait = min(self.limits.cpu_seconds, self.limits.wall_seconds)
        while True:
            self._pause(min(wait + 0.001, _HEARTBEAT))
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                return self._ended(status, usage, progress is not None)
            cpu, now = _cpu_seconds(pid), time.monotonic()
            if progress is not None and (count := progress()) != seen:
                seen, cpu_start, wall_end = count, cpu, now + self.limits.wall_seconds
            cpu_left = self.limits.cpu_seconds - (cpu - cpu_start)
            if cpu_left <= 0:
                return _kill(pid, f"more than {self.limits.cpu_seconds:g} s of CPU time")
            if now >= wall_end:
                return _kill(pid, f"more than {self.limits.wall_seconds:g} s of waiting")
            wait = min(cpu_left, wall_end - now)

    def _pause(self, seconds: float) -> None:
        """Until a child ends, at most `seconds`."""
        if hasattr(signal, "sigtimedwait"):
            ended = signal.sigtimedwait((signal.SIGCHLD,), seconds)
        else:
            ended = None
            time.sleep(min(seconds, 0.002))
        if ended is None and _closed(self.channel):
            raise Orphaned

    def _ended(self, status: int, usage: resource.struct_rusage, shared: bool) -> Ended:
        cpu = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss * 1024
        code = os.waitstatus_to_exitcode(status)
        if cpu > self.limits.cpu_seconds and not shared:
            detail = f"more than {self.limits.cpu_seconds:g} s of CPU time"
            return Ended(Outcome.TIMEOUT, detail, cpu, peak)
        if code == -_UNLOCKED:
            return Ended(Outcome.FAULT, "the child could not lock itself up", cpu, peak)
        if code >= 0:
            return Ended(None, "", cpu, peak)
        return Ended(_outcome_of_signal(-code), _signal_name(-code), cpu, peak)

    def _bury_strays(self, pid: int) -> None:
        """Nothing that the step started outlives it."""
        try:
            if self.cage.namespaces:
                os.kill(-1, signal.SIGKILL)
            elif self.cage.child_filter is None:
                os.killpg(pid, signal.SIGKILL)
            else:
                return
        except (ProcessLookupError, PermissionError):
            return
        try:
            while os.waitpid(-1, 0):
                pass
        except ChildProcessError:
            return


def _hold_without_filter() -> None:
    """Where there is no seccomp: no new processes (except for root), and one group to kill."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _cpu_seconds(pid: int) -> float:
    """CPU time of another process, by the kernel's rule for clock ids (see clock_getcpuclockid)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # it has just ended


def _kill(pid: int, detail: str) -> Ended:
    os.kill(pid, signal.SIGKILL)
    _, _, usage = os.wait4(pid, 0)
    cpu = usage.ru_utime + usage.ru_stime
    return Ended(Outcome.TIMEOUT, detail, cpu, usage.ru_maxrss * 1024)


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


def _closed(channel: int) -> bool:
    poll = select.poll()
    poll.register(channel, getattr(select, "POLLRDHUP", 0) | select.POLLHUP)
    return bool(poll.poll(0))
