"""Locking a zygote up, layer by layer.

Each layer is tried; what the machine refuses is reported with the reason, never hidden.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from etude.judge import filters, kernel
from etude.judge.kernel import Kernel, Program
from etude.judge.limits import Limits

LAYERS = ("namespaces", "privileges", "landlock", "seccomp", "rlimits")
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
    if os.geteuid() == 0:
        _tried(_become_nobody)
    root = os.geteuid() == 0
    calls = _kernel(layers)
    if calls is None:
        layers["rlimits"] = _tried(lambda: _set_limits(limits, size))
        return Cage(layers, None, None)
    # Leaving root cleared this, and a process that can't be looked at can't map its own user.
    _tried(lambda: calls.set_dumpable(True))
    if namespaces:
        layers["namespaces"] = _tried(lambda: _enter(calls, channel))
    else:
        layers["namespaces"] = "not asked for"
    layers["privileges"] = _tried(lambda: _give_up_privileges(calls, root))
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
    """ "" when it worked, otherwise why it did not."""
    try:
        action()
    except OSError as error:
        why = error.strerror or str(error) or type(error).__name__
        return f"{error.filename}: {why}" if error.filename else why
    except ValueError as error:  # what setrlimit raises
        return str(error)
    return ""


def _address_space() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0


def _become_nobody() -> None:
    with contextlib.suppress(OSError):
        os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _enter(calls: Kernel, channel: int) -> None:
    """Go on as the first process of new namespaces, in an empty root, without a network.

    The users' own comes first: if it can't be had, or not be filled, nothing has been entered that
    would count this process's children.
    """
    user, group = os.getuid(), os.getgid()
    calls.unshare(kernel.CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{_INSIDE} {user} 1")
    _write("/proc/self/gid_map", f"{_INSIDE} {group} 1")
    calls.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWNET
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )
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


def _give_up_privileges(calls: Kernel, root: bool) -> None:
    calls.drop_capabilities()
    calls.no_new_privileges()
    calls.set_dumpable(False)
    if root:
        raise OSError("still the user root, who may not become another")


def _set_limits(limits: Limits, size: int) -> None:
    """Each limit that the system takes. Raises `OSError` with those that it does not."""
    # The answer's and the sources' own memory is ours, not the candidate's.
    total = size + limits.memory_bytes + 2 * limits.answer_bytes + 4 * limits.source_bytes
    most = {"CORE": 0, "FSIZE": 0, "NOFILE": 16, "MEMLOCK": 0, "STACK": _STACK, "AS": total}
    tried = {name: _tried(partial(_limit, name, value)) for name, value in most.items()}
    failed = [f"{name}: {reason}" for name, reason in tried.items() if reason]
    if size == 0:
        failed.append("can't read the size of this process, so memory is limited less exactly")
    if failed:
        raise OSError("; ".join(failed))


def _limit(name: str, most: int) -> None:
    number = getattr(resource, f"RLIMIT_{name}")
    hard = resource.getrlimit(number)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(number, (value, value))
