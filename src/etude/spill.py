"""What does not fit into memory: columns and texts on the disk, and grouping them part by part.

A column stays in memory up to a share of what the process may take (`memory`), and lies in an
unnamed file of the system's folder for temporary files (`TMPDIR`) beyond it, which ends with the
process, however that ends. What is read is mapped, so that the kernel keeps as much of it in memory
as there is room for. Equal keys are found part by part: keys are spread over files by their first
bits, and each file is sorted alone.

Covered: one process, appending and then reading. Not covered: files that others read.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from etude.errors import InputError

SETTING = "ETUDE_MEMORY"
"""The environment variable that says how much memory a process may take, such as `4GB`."""
SHARE = 4
"""Without it, a process takes one part of so many of the machine's memory."""
COLUMN_SHARE = 64
"""And a column of its own one part of so many of that, before it lies on the disk."""
SORTED_BYTES = 64
"""Memory that sorting takes, a key: the key, its place, their order and groups, at once."""
MOST_BITS = 7
"""Keys are sorted in at most two to the power of this parts, each of which has two files open."""
CHUNK = 1 << 18
"""Rows of a column that are worked on at once."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_CGROUP = Path("/sys/fs/cgroup/memory.max")

Keys = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]
MOST_ROWS = np.iinfo(np.int32).max


def memory() -> int:
    """Bytes that a process may take for tables: what ETUDE_MEMORY says, or a quarter of the
    machine's memory. Raises `InputError` for a setting that is no size."""
    said = os.environ.get(SETTING, "").strip()
    if not said:
        return _machine() // SHARE
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", said, re.IGNORECASE)
    size = float(found[1]) * _UNITS[found[2].upper()] if found else 0
    if size < 16 * 10**6:
        raise InputError(
            f"{SETTING} must be a size of at least 16MB, such as 4GB, but is {said!r}. Change it, "
            "or leave it out for a quarter of the machine's memory."
        )
    return int(size)


def _machine() -> int:
    """Bytes of memory of the machine, or of the container that this runs in."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_CGROUP.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return whole


class Pile:
    """Bytes that are appended, and then read anywhere."""

    def __init__(self, held: int | None = None) -> None:
        """`held`: bytes that stay in memory; by default a column's share."""
        self.held = memory() // COLUMN_SHARE if held is None else held
        self.size = 0
        self._data = bytearray()
        self._file: BinaryIO | None = None

    def append(self, data: bytes) -> None:
        self._data += data
        self.size += len(data)
        if len(self._data) > self.held:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._file = _unnamed()
            weakref.finalize(self, _ended, self._file)
        with _room():
            self._file.write(self._data)
        self._data = bytearray()

    def view(self) -> memoryview:
        """All that was appended so far."""
        if self._file is None:
            return memoryview(bytes(self._data))
        self._flush()
        with _room():
            self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_READ))


def _ended(file: BinaryIO) -> None:
    """Closed, so that its room is free; what a full disk did not take matters no more."""
    with suppress(OSError):
        file.close()


class Column:
    """Numbers of one type that are appended, and then read as an array."""

    def __init__(self, dtype: npt.DTypeLike, held: int | None = None) -> None:
        self.dtype = np.dtype(dtype)
        self._pile = Pile(held)

    def __len__(self) -> int:
        return self._pile.size // self.dtype.itemsize

    def extend(self, values: npt.ArrayLike) -> None:
        self._pile.append(np.ascontiguousarray(values, self.dtype).tobytes())

    def array(self) -> npt.NDArray[Any]:
        """All that was appended so far, not to be changed."""
        return np.frombuffer(self._pile.view(), self.dtype)


class Texts:
    """Many texts, read by their place."""

    def __init__(self) -> None:
        self._data = Pile()
        self._ends = Column(np.int64)
        self._fresh: list[int] = []
        self._read: tuple[memoryview, npt.NDArray[Any]] | None = None

    def __len__(self) -> int:
        return len(self._ends) + len(self._fresh)

    def append(self, text: str) -> None:
        self._data.append(text.encode("utf-8", "surrogatepass"))
        self._fresh.append(self._data.size)
        if len(self._fresh) == 1 << 14:
            self._ends.extend(self._fresh)
            self._fresh.clear()

    def __getitem__(self, place: int) -> str:
        """The first reading ends the appending."""
        if self._read is None:
            self._ends.extend(self._fresh)
            self._fresh.clear()
            self._read = self._data.view(), self._ends.array()
        data, ends = self._read
        start = int(ends[place - 1]) if place else 0
        return bytes(data[start : int(ends[place])]).decode("utf-8", "surrogatepass")


def blank(shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of zeros to be filled; a large one lies on the disk."""
    kind = np.dtype(dtype)
    size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * kind.itemsize
    if size <= memory() // COLUMN_SHARE:
        return np.zeros(shape, kind)
    with _unnamed() as file, _room():
        os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, no signal later
        return np.ndarray(shape, kind, mmap.mmap(file.fileno(), size))


def chunks(rows: int) -> Iterator[slice]:
    """Pieces of a column, in order, that are worked on at once."""
    for start in range(0, rows, CHUNK):
        yield slice(start, min(start + CHUNK, rows))


def parts(keys: npt.NDArray[Any]) -> Iterator[tuple[Keys, Places]]:
    """64-bit keys in parts that can be sorted in memory, by their first bits, with their places.

    Equal keys are in one part, in the order of their places; a key of one part is smaller than any
    of the next. Raises `InputError` for more rows than places can name.
    """
    rows = len(keys)
    if rows > MOST_ROWS:
        raise InputError(
            f"there may be at most {MOST_ROWS:,} rows, but there are {rows:,}: take a part of "
            "them, a round or a file, at a time."
        )
    bits = math.ceil(math.log2(max(1, rows * SORTED_BYTES * SHARE / memory())))
    bits = min(bits, MOST_BITS)
    if bits == 0:
        yield np.asarray(keys), np.arange(rows, dtype=np.int32)
        return
    held = memory() // (COLUMN_SHARE * 2**bits)
    piles = [(Column(np.uint64, held), Column(np.int32, held)) for _ in range(2**bits)]
    for chunk in chunks(rows):
        read = np.asarray(keys[chunk])
        part = (read >> np.uint64(64 - bits)).astype(np.int64)
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(2**bits + 1))
        places = np.arange(chunk.start, chunk.stop, dtype=np.int32)
        for number, (own_keys, own_places) in enumerate(piles):
            chosen = order[ends[number] : ends[number + 1]]
            own_keys.extend(read[chosen])
            own_places.extend(places[chosen])
    while piles:
        own_keys, own_places = piles.pop(0)  # which ends its files
        if len(own_keys):
            yield own_keys.array(), own_places.array()


def first_of(keys: npt.NDArray[Any]) -> Places:
    """For each row the first with the same key."""
    firsts = blank(len(keys), np.int32)
    for own, places in parts(keys):
        _, first, group = np.unique(own, return_index=True, return_inverse=True)
        firsts[places] = places[first[group]]
    return firsts


def spread_keys(values: npt.NDArray[Any], below: int) -> Keys:
    """Numbers from 0 to `below` as keys in the same order, so that parts of them are even."""
    keys = blank(len(values), np.uint64)
    shift = np.uint64(64 - max(1, below).bit_length())
    for chunk in chunks(len(values)):
        keys[chunk] = values[chunk].astype(np.uint64) << shift
    return keys


def _unnamed() -> BinaryIO:
    with _room():
        return tempfile.TemporaryFile(prefix="etude-")


class _room:
    """Raises `InputError` in place of a full or forbidden folder for temporary files."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise InputError(
                f"{tempfile.gettempdir()} must have room for what does not fit into memory, but "
                f"can't be written ({error.strerror}). Make room, name another folder with TMPDIR, "
                f"or grant more memory with {SETTING}."
            ) from None
