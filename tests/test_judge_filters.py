"""The tables of system call numbers against the kernel's headers, and what the lists leave out."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from etude.judge import filters, kernel

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),  # what arm64 uses as it is
}
KNOWN = kernel._NUMBERS | filters._ZYGOTE
ANSWERS = {"allow": 0x7FFF0000, "denied": 0x50001, "again": 0x5000B, "absent": 0x50026}


def numbers_of(header: Path) -> dict[str, int]:
    text = header.read_text()
    # `__NR3264_lseek 62` becomes lseek on 64 bits.
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    return {name: int(number) for name, number in found}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_numbers_are_the_kernels(machine: str) -> None:
    header = HEADERS[machine]
    if not header.is_file():
        pytest.skip(f"no header here gives the numbers of {machine}")
    theirs = numbers_of(header)
    column = ("x86_64", "aarch64").index(machine)
    ours = {name: numbers[column] for name, numbers in KNOWN.items()}
    # A header older than landlock, or than clone3, can't say anything about them.
    last = max(theirs.values())
    assert {name: theirs.get(name, -1) for name in ours if ours[name] <= last} == {
        name: number for name, number in ours.items() if number <= last
    }


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filters_are_whole_instructions_within_the_kernels_limit(machine: str) -> None:
    for code in (filters.zygote_filter(machine), filters.child_filter(machine)):
        assert len(code) % 8 == 0
        assert 10 < len(code) // 8 < 4096


def test_a_childs_list_has_nothing_that_reaches_others() -> None:
    forbidden = {"clone", "fork", "kill", "prctl", "prlimit64", "seccomp", "sendto", "recvfrom"}
    assert not forbidden & set(filters._CHILD)
    assert set(filters._CHILD) < set(filters._ZYGOTE)
    assert len(filters._CHILD) <= 20


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("read", [0, 0, 0], "allow"),
        ("mmap", [0, 4096, 3], "allow"),
        ("mmap", [0, 4096, 7], "denied"),
        ("mprotect", [0, 4096, 4 | 1 << 40], "denied"),
        ("futex", [0, 128], "allow"),
        ("futex", [0, 9 | 128 | 256], "allow"),
        ("futex", [0, 6], "denied"),
        ("madvise", [0, 4096, 4], "allow"),
        ("madvise", [0, 4096, 12], "denied"),
        ("prlimit64", [0], "allow"),
        ("prlimit64", [1], "denied"),
        ("prctl", [1, 9], "allow"),
        ("prctl", [4, 1], "denied"),
        ("clone", [0x01200011], "allow"),
        ("clone", [0x11], "allow"),
        ("clone", [0x11 | 0x10000000], "again"),
        ("clone3", [0, 0], "absent"),
        ("ptrace", [0], "denied"),
        ("unshare", [0], "denied"),
    ],
)
def test_what_the_zygotes_filter_answers(
    machine: str, name: str, arguments: list[int], answer: str
) -> None:
    number = KNOWN[name][("x86_64", "aarch64").index(machine)]
    architecture = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    found = run(filters.zygote_filter(machine), number, architecture, arguments)
    assert found == ANSWERS[answer]
    inner = run(filters.child_filter(machine), number, architecture, arguments)
    assert (inner == 0x7FFF0000) == (name in filters._CHILD)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", ["clock_gettime", "clock_nanosleep"])
@pytest.mark.parametrize(
    ("clock", "answer"),
    [(0, "allow"), (2, "allow"), (11, "allow"), (-6, "denied"), ((~1 << 3) | 2, "denied")],
)
def test_a_child_reads_its_own_clocks_alone(
    machine: str, name: str, clock: int, answer: str
) -> None:
    """A negative id names another process; a libc may leave the high half as it likes."""
    number = filters._CHILD[name][("x86_64", "aarch64").index(machine)]
    for wide in (clock & 0xFFFFFFFF, clock & 2**64 - 1):
        assert run(filters.child_filter(machine), number, 0, [wide]) == ANSWERS[answer]


@pytest.mark.parametrize(
    ("machine", "number", "architecture"),
    [("x86_64", 3, 0x40000003), ("x86_64", 0x40000000, 0xC000003E), ("aarch64", 63, 0xC000003E)],
    ids=["32 bits", "x32", "another machine"],
)
def test_calls_by_another_architectures_numbers_end_the_process(
    machine: str, number: int, architecture: int
) -> None:
    assert run(filters.zygote_filter(machine), number, architecture, []) == 0x80000000


def run(code: bytes, number: int, architecture: int, arguments: list[int]) -> int:
    """What the kernel would make of a filter: the few instructions that ours use."""
    wide = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *wide)
    lines = list(struct.iter_unpack("<HBBI", code))
    place = value = 0
    while True:
        operation, if_true, if_false, operand = lines[place]
        place += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            value &= operand
        elif operation == 0x06:
            return operand
        else:
            tests = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}
            place += if_true if tests[operation] else if_false
