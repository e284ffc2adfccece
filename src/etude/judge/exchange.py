"""The memory that a zygote shares with one child, for one step.

It is the only way out of a child: there is no pipe to close or to flood. It is made for the step
and thrown away after it, so nothing stays in it for the next candidate. The zygote reads it once
the child is dead, and passes it on without a copy.

    count u32 | detail length u32 | payload length u32 | body u32 | results u32 | room u32 | ... 64:
    64:  the body of the step: number of parts, their lengths, their bytes
    later: results, one byte each; then the detail; then the payload
"""

from __future__ import annotations

import mmap
from struct import Struct
from typing import Self

_SAID = Struct("<III")
_SIZES = Struct("<III")
_SIZES_AT = 12
_U32 = Struct("<I")
START = 64
DETAIL_BYTES = 400


class Exchange:
    """Room for the body of a step, for results, for a detail, and for a payload.

    The zygote makes one; its child, which finds the memory where it was, may write anything
    there, the sizes too: they are the child's own, and the zygote goes by those that it gave.
    """

    def __init__(self, memory: mmap.mmap | memoryview, body: int, results: int, room: int) -> None:
        self.memory = memory
        self.room = room
        self._most = results
        self._results = START + body
        self._detail = self._results + results
        self._payload = self._detail + DETAIL_BYTES

    @classmethod
    def made(cls, body: int, results: int, room: int) -> Self:
        """New memory, for a body of so many bytes. Raises `OSError`."""
        memory = mmap.mmap(-1, START + body + results + DETAIL_BYTES + room)
        _SIZES.pack_into(memory, _SIZES_AT, body, results, room)
        return cls(memory, body, results, room)

    @classmethod
    def found(cls, memory: memoryview) -> Self:
        """In the child: memory that was made by the extension."""
        return cls(memory, *_SIZES.unpack_from(memory, _SIZES_AT))

    def body(self) -> memoryview:
        """Where the zygote puts the body of the step."""
        return memoryview(self.memory)[START : self._results]

    def parts(self) -> list[bytes]:
        """In the child: what the zygote gave."""
        memory = memoryview(self.memory)
        count = _U32.unpack_from(memory, START)[0]
        place = START + 4 + 4 * count
        found = []
        for number in range(count):
            size = _U32.unpack_from(memory, START + 4 + 4 * number)[0]
            found.append(bytes(memory[place : place + size]))
            place += size
        return found

    def report(self, outcome: int, detail: bytes = b"", payload: bytes = b"") -> None:
        """In the child: one more result. The count is written last. Without a payload, the one that
        is there stays."""
        count = self.count()
        detail = detail[:DETAIL_BYTES]
        size = len(payload) or _SAID.unpack_from(self.memory, 0)[2]
        self.memory[self._detail : self._detail + len(detail)] = detail
        if payload:
            self.memory[self._payload : self._payload + len(payload)] = payload
        self.memory[self._results + count] = outcome
        _SAID.pack_into(self.memory, 0, count + 1, len(detail), size)

    def leave(self, piece: bytes) -> bool:
        """In the child: add to the payload, for the case that no report comes. False when it does
        not fit."""
        count, detail, size = _SAID.unpack_from(self.memory, 0)
        if size + len(piece) > self.room:
            return False
        start = self._payload + size
        self.memory[start : start + len(piece)] = piece
        _SAID.pack_into(self.memory, 0, count, detail, size + len(piece))
        return True

    def count(self) -> int:
        """How many results there are. A hostile child may have written anything: at most all."""
        count: int = _U32.unpack_from(self.memory, 0)[0]
        return min(count, self._most)

    def said(self) -> tuple[memoryview, memoryview, memoryview]:
        """In the zygote: results, the last detail, the payload. Any bytes, as long as agreed.

        They lie where the child left them. A copy would be freed but not erased, and the next child
        inherit it.
        """
        count, detail, payload = _SAID.unpack_from(self.memory, 0)
        memory = memoryview(self.memory)
        return (
            memory[self._results : self._results + min(count, self._most)],
            memory[self._detail : self._detail + min(detail, DETAIL_BYTES)],
            memory[self._payload : self._payload + min(payload, self.room)],
        )

    def close(self) -> None:
        """Give the memory back."""
        if isinstance(self.memory, mmap.mmap):
            self.memory.close()
