"""One step in the zygote: fork a child, watch it, bury it."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from etude.judge.cage import Cage
from etude.judge.exchange import Exchange
from etude.judge.limits import Limits
from etude.types import Outcome

_HEARTBEAT = 0.5
"""Seconds between looks at whether the supervisor still lives."""
_UNLOCKED = signal.SIGUSR1
"""How a child says that a lock did not close. Locked up, it can't send this to itself."""


MARGIN = 0.2
"""Closer to the CPU limit than this part of it, on either side, and a step is run again alone."""
_CPU_LIMIT, _WALL_LIMIT, _ORPHANED = 1, 2, 3
"""What the extension says of a step that it ended itself."""


class Orphaned(Exception):
    """The supervisor is gone."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended. `cause` is what the zygote saw; None when it left by itself."""

    cause: Outcome | None
    detail: str
    cpu_seconds: float
    peak_bytes: int
    near: bool = False
    """So close to the CPU limit that a busy machine may have decided."""


@dataclass(frozen=True, slots=True)
class Stepper:
    """Forks children under one cage and one set of limits."""

    cage: Cage
    limits: Limits
    channel: int
    native: Any = None
    """The C extension, when it is in use: it forks, locks, watches and buries."""

    def run(
        self,
        job: Callable[[], None],
        exchange: Exchange | None = None,
        parts: int = 1,
        scale: float = 1.0,
    ) -> Ended:
        """Run `job` in a child and wait until it is dead.

        With `exchange`, whose count grows up to `parts`, each part has the limits to itself. The
        CPU limit is `scale` times as long as usual; a child is let go on for a little longer, to
        see whether it was near.
        Raises `Orphaned`, and `OSError` when no child can be forked.
        """
        limit = self.limits.cpu_seconds * scale
        patience = limit * (1 + MARGIN)
        if self.native is not None:
            ended = self._run_natively(job, patience, exchange, parts)
        else:
            ended = self._run_here(job, patience, exchange, parts)
        near = exchange is None and (1 - MARGIN) * limit < ended.cpu_seconds < patience
        if ended.cause is None and exchange is None and ended.cpu_seconds > limit:
            ended = replace(ended, cause=Outcome.TIMEOUT, detail=self._too_much_cpu())
        return replace(ended, near=near) if near else ended

    def _run_here(
        self, job: Callable[[], None], patience: float, exchange: Exchange | None, parts: int
    ) -> Ended:
        pid = os.fork()
        if pid == 0:
            self._begin(patience * parts)
            try:
                job()
            finally:
                os._exit(1)
        try:
            return self._watch(pid, patience, exchange, parts)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            self._bury_strays(pid)

    def _begin(self, cpu_seconds: float) -> None:
        """In the child: the last locks. A lock that does not close ends the child."""
        try:
            os.close(self.channel)
            seconds = int(cpu_seconds) + 2
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

    def _run_natively(
        self, job: Callable[[], None], patience: float, exchange: Exchange | None, parts: int
    ) -> Ended:
        memory = None if exchange is None else exchange.memory
        ended = self.native.step(patience, self.limits.wall_seconds, parts, memory)
        if ended is None:
            try:
                job()
            finally:
                os._exit(1)
        cause, status, cpu, peak = ended
        if cause == _ORPHANED:
            raise Orphaned
        if cause == _CPU_LIMIT:
            return Ended(Outcome.TIMEOUT, self._too_much_cpu(), cpu, peak * 1024)
        if cause == _WALL_LIMIT:
            return Ended(Outcome.TIMEOUT, self._too_long(), cpu, peak * 1024)
        return _ended(status, cpu, peak * 1024)

    def _watch(self, pid: int, patience: float, exchange: Exchange | None, parts: int) -> Ended:
        seen, cpu_start = 0, 0.0
        wall_end = time.monotonic() + self.limits.wall_seconds
        # Wait first: what the zygote touches while the child lives has to be copied.
        wait = min(patience, self.limits.wall_seconds)
        while True:
            self._pause(min(wait + 0.001, _HEARTBEAT))
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                cpu = usage.ru_utime + usage.ru_stime
                return _ended(status, cpu, usage.ru_maxrss * 1024)
            cpu, now = _cpu_seconds(pid), time.monotonic()
            # Only forward, and only so far: a hostile child writes what it likes there.
            if exchange is not None and seen < exchange.count() <= parts:
                seen, cpu_start = exchange.count(), cpu
                wall_end = now + self.limits.wall_seconds
            cpu_left = patience - (cpu - cpu_start)
            if cpu_left <= 0:
                return _kill(pid, self._too_much_cpu())
            if now >= wall_end:
                return _kill(pid, self._too_long())
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

    def _too_much_cpu(self) -> str:
        return f"more than {self.limits.cpu_seconds:g} s of CPU time"

    def _too_long(self) -> str:
        return f"more than {self.limits.wall_seconds:g} s of waiting"

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


def prepared(native: Any, cage: Cage, channel: int) -> Any:
    """The extension, told what a step needs; None when it is absent or can't lock a child up."""
    if native is None or cage.child_filter is None:
        return None
    native.prepare(channel, cage.child_filter.code, cage.namespaces)
    return native


def _hold_without_filter() -> None:
    """Where there is no seccomp: no new processes (except for root), and one group to kill."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _ended(status: int, cpu: float, peak: int) -> Ended:
    code = os.waitstatus_to_exitcode(status)
    if code == -_UNLOCKED:
        return Ended(Outcome.FAULT, "the child could not lock itself up", cpu, peak)
    if code >= 0:
        return Ended(None, "", cpu, peak)
    return Ended(_outcome_of_signal(-code), _signal_name(-code), cpu, peak)


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
