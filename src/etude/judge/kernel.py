"""The few kernel calls that Python lacks, through ctypes. Linux only.

Each function raises `OSError` when the kernel refuses.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_SECCOMP_SET_MODE_FILTER = 1
_CAPABILITY_VERSION_3 = 0x20080522
_PROT_ALL = 7

# name: (x86-64, aarch64). The first few lock up; the others are only ever tried by the self-test.
_NUMBERS: Final[dict[str, tuple[int, int]]] = {
    "capset": (126, 91),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "pivot_root": (155, 41),
    "seccomp": (317, 277),
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "shmctl": (31, 195),
    "shmget": (29, 194),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_MACHINES: Final = ("x86_64", "aarch64")
_IPC_RMID = 0


class _SockFprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class Program:
    """A compiled filter with the arguments of the call that installs it.

    They are made here, once, because a child that makes them copies the memory they touch.
    """

    def __init__(self, code: bytes, number: int) -> None:
        self.code = code
        self._struct = _SockFprog(len(code) // 8, code)
        self.call = (
            ctypes.c_long(number),
            ctypes.c_ulong(_SECCOMP_SET_MODE_FILTER),
            ctypes.c_ulong(0),
            ctypes.c_void_p(ctypes.addressof(self._struct)),
        )


class Kernel:
    """The calls, bound to this machine's libc and system call numbers."""

    def __init__(self) -> None:
        machine = os.uname().machine
        if machine not in _MACHINES:
            raise OSError(f"no table of system calls for {machine}")
        self.machine = machine
        column = _MACHINES.index(machine)
        self._numbers = {name: numbers[column] for name, numbers in _NUMBERS.items()}
        self._libc = ctypes.CDLL(None, use_errno=True)

    def unshare(self, flags: int) -> None:
        """Enter new namespaces."""
        _checked("unshare", self._libc.unshare(flags))

    def mount(self, source: str, target: str, kind: str, flags: int, data: str) -> None:
        """mount(2)."""
        texts = [text.encode() for text in (source, target, kind)]
        result = self._libc.mount(*texts, ctypes.c_ulong(flags), data.encode())
        _checked(f"mount {target}", result)

    def empty_root(self, folder: str) -> None:
        """Make an empty, read-only file system the root of this mount namespace.

        `folder` is any folder that exists: the new root is mounted over it.
        """
        self.mount("none", "/", "", _MS_REC | _MS_PRIVATE, "")
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
        self.mount("tmpfs", folder, "tmpfs", flags, "size=4k,nr_inodes=2,mode=555")
        os.chdir(folder)
        self.attempt("pivot_root", b".", b".")
        _checked("umount", self._libc.umount2(b".", _MNT_DETACH))
        self.mount("none", "/", "", _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags, "")
        os.chdir("/")

    def set_dumpable(self, on: bool) -> None:
        """Whether others of the same user may look at this process."""
        self._prctl(_PR_SET_DUMPABLE, int(on))

    def die_with_parent(self) -> None:
        """SIGKILL for this process when the one that forked it ends."""
        self._prctl(_PR_SET_PDEATHSIG, 9)

    def no_new_privileges(self) -> None:
        """Nothing that this process executes can gain rights; landlock and seccomp ask for it."""
        self._prctl(_PR_SET_NO_NEW_PRIVS, 1)

    def drop_capabilities(self) -> None:
        """Give up every capability, and the means to get one back."""
        for capability in range(64):
            # Fails beyond the kernel's last capability, and where there is nothing to drop.
            self._libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
        self.attempt("capset", header, bytes(24))

    def landlock(self) -> None:
        """Forbid every file, TCP port, abstract socket and outside signal that landlock knows."""
        create = self._numbers["landlock_create_ruleset"]
        version = self._libc.syscall(create, None, ctypes.c_size_t(0), 1)
        if version < 1:
            number = ctypes.get_errno()
            raise OSError(number, f"the kernel offers no landlock: {os.strerror(number)}")
        files = (1 << 13) - 1
        for since, bit in ((2, 13), (3, 14), (5, 15)):
            files |= (1 << bit) if version >= since else 0
        rules = struct.pack("<QQQ", files, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        ruleset = self._libc.syscall(create, rules, ctypes.c_size_t(size), 0)
        _checked("landlock_create_ruleset", ruleset)
        try:
            self.attempt("landlock_restrict_self", ruleset, 0)
        finally:
            os.close(ruleset)

    def program(self, code: bytes) -> Program:
        """A filter from its instructions, eight bytes each."""
        return Program(code, self._numbers["seccomp"])

    def install(self, program: Program) -> None:
        """Put a seccomp filter on this process and its children, for ever."""
        _checked("seccomp", self._libc.syscall(*program.call))

    def attempt(self, name: str, *arguments: int | bytes) -> None:
        """A system call by its name. Numbers are passed as wide as a register."""
        wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        _checked(name, self._libc.syscall(ctypes.c_long(self._numbers[name]), *wide))

    def read_memory(self, pid: int, address: int) -> None:
        """Copy eight bytes of another process's memory."""
        room = ctypes.create_string_buffer(8)
        here = struct.pack("=QQ", ctypes.addressof(room), 8)
        there = struct.pack("=QQ", address, 8)
        self.attempt("process_vm_readv", pid, here, 1, there, 1, 0)

    def make_executable(self) -> None:
        """Let a page of ordinary memory be executed."""
        page = mmap.mmap(-1, mmap.PAGESIZE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        result = self._libc.mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, _PROT_ALL)
        _checked("mprotect", result)

    def leave_shared_memory(self) -> None:
        """Make a segment that would outlive this process; it is taken away again."""
        number = self._libc.syscall(self._numbers["shmget"], 0, ctypes.c_size_t(4096), 0o600)
        _checked("shmget", number)
        self.attempt("shmctl", number, _IPC_RMID, 0)

    def _prctl(self, option: int, value: int) -> None:
        _checked("prctl", self._libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0))


def _checked(name: str, result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
