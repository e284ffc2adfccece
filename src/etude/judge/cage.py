"""Locking a zygote up, layer by layer, and trying the locks.

Each layer is tried; what the machine refuses is reported with the reason, never hidden.
"""

from __future__ import annotations

import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from etude.judge import filters, kernel
from etude.judge.kernel import Kernel, Program
from etude.judge.limits import Limits

LAYERS = ("namespaces", "privileges", "landlock", "seccomp", "rlimits", "self-test")
NOBODY = 65534
_INSIDE = 1000
_STACK = 64 << 20


@dataclass(frozen=True, slots=True)
class Cage:
    """What is in force. `layers` maps each layer to "" (on) or to the reason it is off."""

    layers: dict[str, str]
    kernel: Kernel | None
    child_filter: Program | None

    @property
    def namespaces(self) -> bool:
        """Whether this process is the first of its own pid namespace."""
        return self.layers["namespaces"] == ""


def lock_up(namespaces: bool, limits: Limits, channel: int) -> Cage:
    """Put every layer on that this machine has. The caller may be another process afterwards.

    `channel` is the only descriptor that stays open beside 0, 1 and 2.
    """
    size = _address_space()  # while /proc can still be read
    layers = dict.fromkeys(LAYERS, "not tried")
    calls = _kernel(layers)
    if calls is None:
        layers["rlimits"] = _tried(lambda: _set_limits(limits, size))
        return Cage(layers, None, None)
    if os.getuid() == 0:
        _tried(lambda: _become_nobody(calls))
    if namespaces:
        layers["namespaces"] = _tried(lambda: _enter(calls, channel))
    else:
        layers["namespaces"] = "not asked for"
    layers["privileges"] = _tried(lambda: _give_up_privileges(calls))
    layers["landlock"] = _tried(calls.landlock)
    layers["rlimits"] = _tried(lambda: _set_limits(limits, size))
    zygote_program = calls.program(filters.zygote_filter(calls.machine))
    child_program = calls.program(filters.child_filter(calls.machine))
    layers["seccomp"] = _tried(lambda: calls.install(zygote_program))
    return Cage(layers, calls, child_program if layers["seccomp"] == "" else None)


def _kernel(layers: dict[str, str]) -> Kernel | None:
    try:
        if not sys.platform.startswith("linux"):
            raise OSError(f"{sys.platform} is not Linux")
        return Kernel()
    except OSError as error:
        layers.update(dict.fromkeys(LAYERS, str(error)))
        return None


def _tried(action: Callable[[], None]) -> str:
    try:
        action()
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def _address_space() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0


def _become_nobody(calls: Kernel) -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Leaving root cleared this, and a process that can't be looked at can't map its own user.
    calls.set_dumpable(True)


def _enter(calls: Kernel, channel: int) -> None:
    """Go on as the first process of new namespaces, in an empty root, without a network."""
    user, group = os.getuid(), os.getgid()
    calls.unshare(
        kernel.CLONE_NEWUSER
        | kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{_INSIDE} {user} 1")
    _write("/proc/self/gid_map", f"{_INSIDE} {group} 1")
    first = os.fork()
    if first:
        _wait_for(first, channel)
    calls.die_with_parent()
    calls.empty_root("/tmp")


def _wait_for(pid: int, channel: int) -> None:
    """The process outside: it holds nothing and waits. Whoever kills it kills the zygote."""
    os.close(channel)
    while True:
        try:
            _, status = os.waitpid(pid, 0)
        except InterruptedError:
            continue
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _give_up_privileges(calls: Kernel) -> None:
    calls.drop_capabilities()
    calls.no_new_privileges()
    calls.set_dumpable(False)
    if os.getuid() == 0:
        raise OSError("still the user root")


def _set_limits(limits: Limits, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    stack = _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))
    # The answer's and the sources' own memory is ours, not the candidate's.
    total = size + limits.memory_bytes + 2 * limits.answer_bytes + 4 * limits.source_bytes
    resource.setrlimit(resource.RLIMIT_AS, (total, total))
    if size == 0:
        raise OSError("can't read the size of this process, so memory is limited less exactly")


def attacks() -> list[str]:
    """What a child, locked up like any other, was able to do: empty when the cage holds."""
    tries: dict[str, Callable[[], object]] = {
        "list /": lambda: os.listdir("/"),
        "read a file": lambda: os.open("/proc/self/status", os.O_RDONLY),
        "write a file": lambda: os.open("/tmp/etude-self-test", os.O_WRONLY | os.O_CREAT),
        "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "open a local socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "fork": _fork_and_leave,
        "signal its parent": lambda: os.kill(os.getppid(), 0),
        "map executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC),
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)),
        "set a timer": lambda: signal.setitimer(signal.ITIMER_REAL, 3600),
        "execute a program": lambda: os.execv("/bin/true", ["true"]),
    }
    return [name for name, attempt in tries.items() if _succeeds(attempt)]


def _fork_and_leave() -> None:
    if os.fork() == 0:
        os._exit(0)


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (OSError, ValueError):  # setrlimit turns a refusal into ValueError
        return False
    return True
