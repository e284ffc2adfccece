"""The two seccomp filters, as classic BPF.

The zygote's filter lets through what a forking interpreter needs; everything else fails with
EPERM, which Python turns into `PermissionError`. A child adds a second filter that takes away
forking, signals, limits and filters. Where both apply, the kernel takes the stricter answer.

Sources: Linux `seccomp_data` (offsets) and the system call tables of x86-64 and aarch64.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_X32_BIT = 0x40000000
_PROT_EXEC = 4

# glibc's fork(): SIGCHLD with CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID; musl's: SIGCHLD alone.
_FORK_FLAGS: Final = (0x01200011, 0x11)

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, aarch64); -1 where the architecture has no such call.
_NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fork": (57, -1),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "kill": (62, 129),
    "lseek": (8, 62),
    "madvise": (28, 233),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "read": (0, 63),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigtimedwait": (128, 137),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "seccomp": (317, 277),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "setrlimit": (160, 164),
    "sigaltstack": (131, 132),
    "time": (201, -1),
    "times": (100, 153),
    "wait4": (61, 260),
    "write": (1, 64),
}
_WITH_CONDITIONS: Final = ("clone", "clone3", "mmap", "mprotect", "prctl", "prlimit64")
_TAKEN_FROM_CHILDREN: Final = (
    "clone",
    "fork",
    "kill",
    "prctl",
    "prlimit64",
    "recvfrom",
    "seccomp",
    "sendto",
    "setrlimit",
)


def zygote_filter(machine: str) -> bytes:
    """For the zygote, and for its children through it. `machine` as in `os.uname()`."""
    plain = [name for name in _NUMBERS if name not in _WITH_CONDITIONS]
    code = _opening(machine)
    for name in plain:
        code += _when(machine, name, _answer(_ALLOW))
    no_exec = _load_argument(2) + _jump(_ANY_BIT, _PROT_EXEC, 0, 1) + _denied() + _answer(_ALLOW)
    code += _when(machine, "mmap", no_exec)
    code += _when(machine, "mprotect", no_exec)
    # Only one's own limits: the pid must be 0.
    own = _load_argument(0) + _jump(_EQUAL, 0, 1, 0) + _denied() + _answer(_ALLOW)
    code += _when(machine, "prlimit64", own)
    # Only "die with the parent", which a child asks for before it gives prctl up.
    deathbed = _load_argument(0) + _jump(_EQUAL, 1, 1, 0) + _denied() + _answer(_ALLOW)
    code += _when(machine, "prctl", deathbed)
    code += _when(machine, "clone", _fork_only())
    # ENOSYS makes libc fall back to clone, whose flags a filter can see.
    code += _when(machine, "clone3", _answer(_ERRNO | errno.ENOSYS))
    return code + _denied()


def child_filter(machine: str) -> bytes:
    """What each child adds."""
    code = _load(_NUMBER_AT)
    for name in _TAKEN_FROM_CHILDREN:
        code += _when(machine, name, _denied())
    return code + _answer(_ALLOW)


def _opening(machine: str) -> bytes:
    code = _load(_ARCHITECTURE_AT) + _jump(_EQUAL, _ARCHITECTURES[machine], 1, 0) + _answer(_KILL)
    code += _load(_NUMBER_AT)
    if machine == "x86_64":  # x32 numbers reach the same calls past a filter of x86-64 numbers
        code += _jump(_AT_LEAST, _X32_BIT, 0, 1) + _answer(_KILL)
    return code


def _fork_only() -> bytes:
    code = _load_argument(0)
    for flags in _FORK_FLAGS:
        code += _jump(_EQUAL, flags, 0, 1) + _answer(_ALLOW)
    return code + _answer(_ERRNO | errno.EAGAIN)


def _when(machine: str, name: str, then: bytes) -> bytes:
    number = _NUMBERS[name][0 if machine == "x86_64" else 1]
    return b"" if number < 0 else _jump(_EQUAL, number, 0, len(then) // 8) + then


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, 0, 0, offset)


def _load_argument(index: int) -> bytes:
    return _load(16 + 8 * index)  # the low half: both architectures are little-endian


def _jump(test: int, value: int, if_true: int, if_false: int) -> bytes:
    return _instruction(test, if_true, if_false, value)


def _answer(value: int) -> bytes:
    return _instruction(_RETURN, 0, 0, value)


def _denied() -> bytes:
    return _answer(_ERRNO | errno.EPERM)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
