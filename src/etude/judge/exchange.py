"""The memory that a zygote shares with one child, for one step.

It is the only way out of a child: there is no pipe to close or to flood. It is made for the step
and thrown away after it, so nothing stays in it for the next candidate. The zygote reads it once
the child is dead, and takes a copy before it looks at a single byte.

    count u32 | outcome u8 | 3 unused | detail length u32 | payload length u32 | ... 64:
    64:  the parts that the zygote gave: number of parts, their lengths, their bytes
    later: results, one byte an answer; then the detail; then the payload
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from struct import Struct

_STATE = Struct("<IBxxxII")
_U32 = Struct("<I")
_START = 64
DETAIL_BYTES = 400

Bytes = bytes | memoryview


class Exchange:
    """Room for `parts`, for one result a step, for a detail, and for `room` bytes of payload."""

    def __init__(self, parts: Sequence[Bytes], results: int, room: int) -> None:
        table = _START + 4 + 4 * len(parts)
        self._results = table + sum(map(len, parts))
        self._detail = self._results + results
        self._payload = self._detail + DETAIL_BYTES
        self._room = room
        self._most = results
        self.memory = mmap.mmap(-1, self._payload + room)
        _U32.pack_into(self.memory, _START, len(parts))
        place = table
        for number, part in enumerate(parts):
            _U32.pack_into(self.memory, _START + 4 + 4 * number, len(part))
            self.memory[place : place + len(part)] = part
            place += len(part)

    def parts(self) -> list[bytes]:
        """In the child: what the zygote gave."""
        count = _U32.unpack_from(self.memory, _START)[0]
        place = _START + 4 + 4 * count
        found = []
        for number in range(count):
            size = _U32.unpack_from(self.memory, _START + 4 + 4 * number)[0]
            found.append(self.memory[place : place + size])
            place += size
        return found

    def report(self, outcome: int, detail: bytes = b"", payload: bytes = b"") -> None:
        """In the child: one more result. The count is written last."""
        count = self.count()
        detail = detail[:DETAIL_BYTES]
        self.memory[self._detail : self._detail + len(detail)] = detail
        if payload:
            self.memory[self._payload : self._payload + len(payload)] = payload
        self.memory[self._results + count] = outcome
        _STATE.pack_into(self.memory, 0, count + 1, outcome, len(detail), len(payload))

    def count(self) -> int:
        """How many results there are. A hostile child may have written anything: at most all."""
        count: int = _U32.unpack_from(self.memory, 0)[0]
        return min(count, self._most)

    def results(self) -> bytes:
        """In the zygote: the results so far, each any byte."""
        return self.memory[self._results : self._results + self.count()]

    def detail(self) -> bytes:
        """In the zygote: the last detail, any bytes."""
        size = min(_STATE.unpack_from(self.memory, 0)[2], DETAIL_BYTES)
        return self.memory[self._detail : self._detail + size]

    def payload(self) -> bytes:
        """In the zygote: the payload, any bytes."""
        size = min(_STATE.unpack_from(self.memory, 0)[3], self._room)
        return self.memory[self._payload : self._payload + size]

    def close(self) -> None:
        """Give the memory back."""
        self.memory.close()
