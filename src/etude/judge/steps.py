"""One step in the zygote: fork a child, watch it, bury it."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etude.judge import ended as ends
from etude.judge.cage import Cage
from etude.judge.ended import Ended
from etude.judge.exchange import Exchange
from etude.judge.limits import Limits

_HEARTBEAT = 0.5
"""Seconds between looks at whether the supervisor still lives."""
_ORPHANED = -1
"""The extension's word for a supervisor that is gone."""


class Orphaned(Exception):
    """The supervisor is gone."""


@dataclass(frozen=True, slots=True)
class Stepper:
    """Forks children under one cage. `limits` are for steps that bring none of their own."""

    cage: Cage
    limits: Limits
    channel: int
    native: Any = None
    """The C extension, when it is in use: it forks, locks, watches and buries."""

    def run(self, job: Callable[[], None]) -> Ended:
        """Run `job` in a child and wait until it is dead.

        Raises `Orphaned`, and `OSError` when no child can be forked.
        """
        cpu, wall = self.limits.cpu_seconds, self.limits.wall_seconds
        if self.native is None:
            return self.step(job, cpu, wall)
        found = self.native.step(cpu, wall)
        if found is None:
            _leave_after(job)
        cause, status, seconds, peak = found
        if cause == _ORPHANED:
            raise Orphaned
        return Ended(cause, status, seconds, peak * 1024)

    def step(
        self,
        job: Callable[[], None],
        cpu: float,
        wall: float,
        exchange: Exchange | None = None,
        results: int = 1,
    ) -> Ended:
        """The step without the extension. With `exchange`, whose count grows up to `results`, each
        of them has the limits to itself.

        Raises `Orphaned`, and `OSError` when no child can be forked.
        """
        pid = os.fork()
        if pid == 0:
            self._begin(cpu * results)
            _leave_after(job)
        try:
            return self._watch(pid, cpu, wall, exchange, results)
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
            os.kill(os.getpid(), ends.UNLOCKED)

    def _watch(
        self, pid: int, cpu_limit: float, wall: float, exchange: Exchange | None, results: int
    ) -> Ended:
        seen, cpu_start = 0, 0.0
        wall_end = time.monotonic() + wall
        # Wait first: what the zygote touches while the child lives has to be copied.
        wait = min(cpu_limit, wall)
        while True:
            self._pause(min(wait + 0.001, _HEARTBEAT))
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                return _ended(ends.LEFT, status, usage)
            cpu, now = _cpu_seconds(pid), time.monotonic()
            # Only forward, and only so far: a hostile child writes what it likes there.
            if exchange is not None and seen < exchange.count() <= results:
                seen, cpu_start = exchange.count(), cpu
                wall_end = now + wall
            cpu_left = cpu_limit - (cpu - cpu_start)
            if cpu_left <= 0 or now >= wall_end:
                os.kill(pid, signal.SIGKILL)
                _, status, usage = os.wait4(pid, 0)
                return _ended(ends.CPU_LIMIT if cpu_left <= 0 else ends.WALL_LIMIT, status, usage)
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


def _leave_after(job: Callable[[], None]) -> None:
    try:
        job()
    finally:
        os._exit(1)


def _hold_without_filter() -> None:
    """Where there is no seccomp: no new processes (except for root), and one group to kill."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _ended(cause: int, status: int, usage: resource.struct_rusage) -> Ended:
    return Ended(cause, status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _cpu_seconds(pid: int) -> float:
    """CPU time of another process, by the kernel's rule for clock ids (see clock_getcpuclockid)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # it has just ended


def _closed(channel: int) -> bool:
    poll = select.poll()
    poll.register(channel, getattr(select, "POLLRDHUP", 0) | select.POLLHUP)
    return bool(poll.poll(0))
