"""The self-test: real attacks, made by children that are locked up like any other.

Each guarantee has a child of its own, which says what it is about to try before it tries it. A
guarantee holds when nothing that its child tried succeeded. What succeeds does no harm.
"""

from __future__ import annotations

import _thread
import errno
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from etude.judge.ended import LEFT
from etude.judge.exchange import Exchange
from etude.judge.kernel import CLONE_NEWUSER, Kernel
from etude.judge.limits import Limits
from etude.judge.steps import Stepper

Attacks = Mapping[str, Callable[[], object]]
"""What an attack does, in words that follow "a child could", and the attack. It raises an
`OSError` or a like error when it fails; returning False counts as failing too."""

_PROGRAM = sys.executable  # which the zygote forgets
_FAILURES = (OSError, ValueError, RuntimeError, MemoryError, AttributeError)
_TRYING, _DONE = 1, 2
_WORK = Limits(cpu_seconds=10.0, wall_seconds=30.0)
_SHORT = Limits(cpu_seconds=0.02, wall_seconds=0.04)
"""The children of the self-test have limits of their own, whatever a candidate's are."""
_GRANDCHILD_SECONDS = 2.0
_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)


def guarantees(stepper: Stepper) -> dict[str, str]:
    """Each guarantee with "" when it holds, or with what a child could do."""
    kernel, zygote = stepper.cage.kernel, os.getpid()
    most = stepper.limits.memory_bytes
    working, short = replace(stepper, limits=_WORK), replace(stepper, limits=_SHORT)
    found = {
        name: _tried(working, attacks)
        for name, attacks in {
            "no files": _files(),
            "no network": _network(),
            "no processes": _processes(),
            "no signals": _signals(zygote),
            "no foreign memory": _foreign_memory(kernel, zygote),
            "no machine code": _machine_code(kernel),
            "no privileges": _privileges(kernel),
            "no rare calls": _rare_calls(kernel),
            "no inheritance": _inheritance(),
            "bounded memory": _memory(kernel, most),
            "bounded output": _output(),
        }.items()
    }
    return found | {"bounded time": _endless(short), "no afterlife": _afterlife(working)}


def _tried(stepper: Stepper, attacks: Attacks) -> str:
    exchange = Exchange.made(0, 2 * len(attacks), 0)

    def attack() -> None:
        done: list[str] = []
        for name, attempt in attacks.items():
            exchange.report(_TRYING, ", ".join([*done, name]).encode())
            if _succeeds(attempt):
                done.append(name)
        exchange.report(_DONE, ", ".join(done).encode())
        os._exit(0)

    try:
        outcome, why = stepper.run(attack).seen(stepper.limits)
        results, detail = bytes(exchange.said()[0]), bytes(exchange.said()[1]).decode()
    finally:
        exchange.close()
    if not results:
        return f"a child could not report: {why or 'it left'}"
    if results[-1] != _DONE and outcome is not None:
        return f"not known: a child was {why} when it tried to {detail}"
    # One that neither reported the end nor was killed became another program.
    return f"a child could {detail}" if detail else ""


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        return attempt() is not False
    except _FAILURES:
        return False


def _files() -> Attacks:
    def write() -> None:
        path = f"/tmp/etude-self-test-{os.getpid()}-{time.time_ns()}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.unlink(path)

    return {
        "list a folder": lambda: bool(os.listdir("/")),
        "read a file": lambda: os.open(_PROGRAM, os.O_RDONLY),
        "read /proc": lambda: os.open("/proc/self/status", os.O_RDONLY),
        "write a file": write,
        "look at a file": lambda: os.stat(_PROGRAM),
    }


def _network() -> Attacks:
    def open_socket(family: str, kind: int) -> None:
        socket.socket(getattr(socket, family), kind).close()

    return {
        "open a TCP socket": lambda: open_socket("AF_INET", socket.SOCK_STREAM),
        "open a UDP socket": lambda: open_socket("AF_INET6", socket.SOCK_DGRAM),
        "open a local socket": lambda: open_socket("AF_UNIX", socket.SOCK_STREAM),
        "open a socket to the kernel": lambda: open_socket("AF_NETLINK", socket.SOCK_RAW),
    }


def _processes() -> Attacks:
    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    return {
        "fork": fork,
        "start a thread": lambda: _thread.start_new_thread(time.sleep, (0,)),
        "run a program": lambda: os.execv("/bin/true", ["true"]),
    }


def _signals(zygote: int) -> Attacks:
    return {
        "signal its zygote": lambda: os.kill(zygote, 0),
        "signal everybody": lambda: os.kill(-1, 0),
        "signal a group": lambda: os.killpg(os.getpgid(zygote), 0),
    }


def _foreign_memory(kernel: Kernel | None, zygote: int) -> Attacks:
    secret = bytes(8)
    attacks = {"open its zygote's memory": lambda: os.open(f"/proc/{zygote}/mem", os.O_RDONLY)}
    if kernel is None:
        return attacks
    return attacks | {
        "read its zygote's memory": lambda: kernel.read_memory(zygote, id(secret)),
        "trace its zygote": lambda: kernel.attempt("ptrace", 0x4206, zygote, 0, 0),  # SEIZE
    }


def _machine_code(kernel: Kernel | None) -> Attacks:
    attacks = {"map executable memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC)}
    if kernel is None:
        return attacks
    return attacks | {
        "make memory executable": kernel.make_executable,
        "let all memory be executable": lambda: kernel.attempt("personality", 0x0400000),
    }


def _privileges(kernel: Kernel | None) -> Attacks:
    attacks: dict[str, Callable[[], object]] = {
        "be root": lambda: os.geteuid() == 0,
        "become root": lambda: os.setuid(0),
        "join a group": lambda: os.setgroups([0]),
        "change its root": lambda: os.chroot("/"),
    }
    if kernel is not None:
        attacks["make namespaces"] = lambda: kernel.attempt("unshare", CLONE_NEWUSER)
    return attacks


def _rare_calls(kernel: Kernel | None) -> Attacks:
    """Parts of the kernel that no candidate needs, and that had to be mended often."""
    attacks = {"set a timer": lambda: signal.setitimer(signal.ITIMER_REAL, 3600)}
    if kernel is None:
        return attacks
    names = ("io_uring_setup", "bpf", "perf_event_open", "userfaultfd", "keyctl")

    def reach(name: str) -> bool:
        try:  # arguments that no kernel takes: what counts is who refuses them
            kernel.attempt(name, -1, 0, -1, -1, -1)
        except OSError as error:
            return error.errno not in _REFUSED
        return True

    return attacks | {f"reach {name}": partial(reach, name) for name in names}


def _inheritance() -> Attacks:
    def descriptor() -> bool:
        return any(_succeeds(partial(os.write, number, b"")) for number in range(3, 64))

    return {
        "read environment variables": lambda: bool(os.environ),
        "read /proc/self/environ": lambda: os.open("/proc/self/environ", os.O_RDONLY),
        "use an open descriptor": descriptor,
    }


def _memory(kernel: Kernel | None, most: int) -> Attacks:
    unlimited = resource.RLIM_INFINITY
    attacks: dict[str, Callable[[], object]] = {
        "have more than its limit": lambda: mmap.mmap(-1, 2 * most),
        "lift its limit": lambda: resource.setrlimit(resource.RLIMIT_AS, (unlimited, unlimited)),
    }
    if kernel is not None:
        attacks["keep a file in memory"] = lambda: os.write(os.memfd_create("x"), bytes(4096))
        attacks["leave shared memory"] = kernel.leave_shared_memory
    return attacks


def _output() -> Attacks:
    def heard(number: int) -> bool:
        """Whether somebody might hear it: what is written to the null device is lost."""
        try:
            return os.fstat(number).st_rdev != os.stat(os.devnull).st_rdev
        except PermissionError:
            return False  # the zygote put the null device there before it locked itself up

    def descriptors() -> None:
        for _ in range(64):
            os.dup(1)

    return {
        "be heard": lambda: any(heard(number) for number in range(3)),
        "open many descriptors": descriptors,
    }


def _endless(stepper: Stepper) -> str:
    def spin() -> None:
        _succeeds(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()))
        end = time.monotonic() + _GRANDCHILD_SECONDS
        while time.monotonic() < end:
            pass
        os._exit(0)

    def sleep() -> None:
        time.sleep(_GRANDCHILD_SECONDS)
        os._exit(0)

    tries = {"compute for ever": spin, "wait for ever": sleep}
    done = [name for name, job in tries.items() if stepper.run(job).cause == LEFT]
    return f"a child could {', '.join(done)}" if done else ""


def _afterlife(stepper: Stepper) -> str:
    """A grandchild in a session of its own counts on; it must be dead when the step is over."""
    exchange = Exchange.made(0, 1, 8)

    def attack() -> None:
        if not _succeeds(lambda: _count_on(exchange)):
            exchange.report(_DONE)
        os._exit(0)

    try:
        outcome, why = stepper.run(attack).seen(stepper.limits)
        if bytes(exchange.said()[0]) == bytes([_DONE]):
            return ""
        before = exchange.memory[:]
        time.sleep(0.2)
        if exchange.memory[:] != before:
            return "a child could leave a process behind"
        return "" if outcome is None else f"not known: a child was {why}"
    finally:
        exchange.close()


def _count_on(exchange: Exchange) -> None:
    if os.fork():
        return
    os.setsid()
    end = time.monotonic() + _GRANDCHILD_SECONDS
    while time.monotonic() < end:
        exchange.memory[-1] = (exchange.memory[-1] + 1) % 256
        time.sleep(0.005)
    os._exit(0)
