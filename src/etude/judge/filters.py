"""The two seccomp filters, as classic BPF: lists of what is allowed.

The zygote's lets through what a forking interpreter needs; everything else fails with EPERM, which
Python turns into `PermissionError`. A child adds a second list, of what computing needs: memory,
time, waiting, chance. Where both apply, the kernel takes the stricter answer.

Arguments are compared by their low halves alone. That is enough for the ones looked at here: the
kernel itself reads no more of them (`int`, `clockid_t` and `pid_t` arguments, and `clone`'s flags,
which it cuts to 32 bits), or the forbidden bit is in the low half (PROT_EXEC).

Sources: Linux `seccomp_data` (offsets) and the system call tables of x86-64 and aarch64, which
`tests/test_judge_filters.py` compares with the kernel's headers.
"""

from __future__ import annotations

import errno
import struct
from typing import Final

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x54, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_X32_BIT = 0x40000000
_PROT_EXEC = 4

# glibc's fork(): SIGCHLD with CLONE_CHILD_SETTID and CLONE_CHILD_CLEARTID; musl's: SIGCHLD alone.
_FORK_FLAGS: Final = (0x01200011, 0x11)

_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86-64, aarch64); -1 where the architecture has no such call.
_CHILD: Final[dict[str, tuple[int, int]]] = {
    "brk": (12, 214),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "futex": (202, 98),
    "getpid": (39, 172),
    "getrandom": (318, 278),
    "gettid": (186, 178),
    "madvise": (28, 233),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "read": (0, 63),
    "restart_syscall": (219, 128),
    "rt_sigreturn": (15, 139),
    "times": (100, 153),  # os.times() does not look at errors, and would return old memory
    "write": (1, 64),
}
# Beyond that: forking, watching and burying children, talking to the supervisor, and what a child
# needs while it locks itself up.
_ZYGOTE: Final[dict[str, tuple[int, int]]] = _CHILD | {
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "fork": (57, -1),
    "kill": (62, 129),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "recvfrom": (45, 207),
    "rt_sigprocmask": (14, 135),
    "rt_sigtimedwait": (128, 137),
    "seccomp": (317, 277),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "setrlimit": (160, 164),
    "wait4": (61, 260),
}

_FUTEX_FLAGS = 128 | 256  # private, realtime
_FUTEX_WAITS: Final = (0, 1, 9, 10)
"""Waiting and waking. The rest, above all priority inheritance, is for threads, and has had its
share of holes."""
_MERGEABLE = 12
_FOREIGN_CLOCK = 1 << 31
"""A clock with a negative id counts the CPU time of the process, or the device, that it names."""
_SIGNAL_AT_PARENTS_DEATH = 1


def zygote_filter(machine: str) -> bytes:
    """For the zygote, and for its children through it. `machine` as in `os.uname()`."""
    allowed, denied = _answer(_ALLOW), _denied()
    no_exec = _load_argument(2) + _jump(_ANY_BIT, _PROT_EXEC, 0, 1) + denied + allowed
    conditions = {
        "mmap": no_exec,
        "mprotect": no_exec,
        "futex": _waits_only(),
        # Pages that are shared with strangers when they are equal can be told by timing.
        "madvise": _load_argument(2) + _jump(_EQUAL, _MERGEABLE, 0, 1) + denied + allowed,
        # Only one's own limits: the pid must be 0.
        "prlimit64": _load_argument(0) + _jump(_EQUAL, 0, 1, 0) + denied + allowed,
        # Asked for by a child before it gives prctl up.
        "prctl": _load_argument(0)
        + _jump(_EQUAL, _SIGNAL_AT_PARENTS_DEATH, 1, 0)
        + denied
        + allowed,
        "clone": _fork_only(),
        # ENOSYS makes libc fall back to clone, whose flags a filter can see.
        "clone3": _answer(_ERRNO | errno.ENOSYS),
    }
    code = _opening(machine)
    for name in sorted(_ZYGOTE, key=lambda name: name not in conditions):
        code += _when(machine, name, conditions.get(name, allowed))
    return code + denied


def child_filter(machine: str) -> bytes:
    """What each child adds. The zygote's conditions go on to hold."""
    allowed, denied = _answer(_ALLOW), _denied()
    own_clock = _load_argument(0) + _jump(_ANY_BIT, _FOREIGN_CLOCK, 0, 1) + denied + allowed
    # The zygote reads its children's clocks; a child could count by them what its siblings do.
    conditions = {"clock_gettime": own_clock, "clock_nanosleep": own_clock}
    code = _load(_NUMBER_AT)
    for name in _CHILD:
        code += _when(machine, name, conditions.get(name, allowed))
    return code + denied


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


def _waits_only() -> bytes:
    code = _load_argument(1) + _instruction(_AND, 0, 0, ~_FUTEX_FLAGS & 0xFFFFFFFF)
    for operation in _FUTEX_WAITS:
        code += _jump(_EQUAL, operation, 0, 1) + _answer(_ALLOW)
    return code + _denied()


def _when(machine: str, name: str, then: bytes) -> bytes:
    number = _ZYGOTE[name][0 if machine == "x86_64" else 1]
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
