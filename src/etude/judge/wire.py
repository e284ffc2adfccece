"""Frames between the supervisor and a zygote, over a stream socket.

A frame is a kind and a few byte strings:

    magic 4 bytes | kind 1 byte | count u32 | count lengths u32 | the byte strings
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from etude.types import Outcome

ORDER = (Outcome.CRASHED, *(outcome for outcome in Outcome if outcome is not Outcome.CRASHED))
"""An outcome travels as its position here. Memory that nobody wrote to says `crashed`."""

MAGIC = b"etu1"
HEAD = struct.Struct("<4scI")
MAX_PARTS = 100_000
MAX_FRAME = 64 << 20
"""No frame is larger, in bytes."""

VERIFY = b"V"
"""Name, answer type, puzzle, then solutions: one `VERDICT` comes back for each."""
ALONE = b"A"
"""As `VERIFY`, while nothing else of this judge runs: the CPU limit follows the machine's pace."""
SATISFY = b"S"
"""Name, answer type, puzzle, then encoded answers: one `OUTCOMES` comes back."""
HELLO = b"H"
"""One part: what is in force, as JSON."""
VERDICT = b"R"
"""Numbers (`REPORT`), the answer's text, the detail."""
OUTCOMES = b"O"
"""One part with a byte an answer: the position of its outcome in `ORDER`."""

REPORT = struct.Struct("<BiQQB")
"""Outcome, an earlier candidate of the same frame with the same answer or -1, CPU in
microseconds, peak bytes, 1 when a step came near its CPU limit."""


class BadFrame(Exception):
    """The other side closed, or sent something that is no frame."""


def pack(kind: bytes, parts: Sequence[bytes]) -> bytes:
    """One frame as bytes."""
    lengths = struct.pack(f"<{len(parts)}I", *map(len, parts))
    return b"".join((HEAD.pack(MAGIC, kind, len(parts)), lengths, *parts))


def read_head(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The kind of the next frame and the lengths of its parts. Raises `BadFrame`, `OSError`."""
    magic, kind, count = HEAD.unpack(read_exactly(sock, HEAD.size))
    if magic != MAGIC or count > MAX_PARTS:
        raise BadFrame("not a frame")
    lengths = list(struct.unpack(f"<{count}I", read_exactly(sock, 4 * count)))
    if sum(lengths) > MAX_FRAME:
        raise BadFrame("a frame that is too long")
    return kind, lengths


def read(sock: socket.socket) -> tuple[bytes, list[bytes]]:
    """The next frame. Raises `BadFrame`, `OSError`."""
    kind, lengths = read_head(sock)
    return kind, [read_exactly(sock, length) for length in lengths]


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """The next `size` bytes. Raises `BadFrame` when the other side closes before them."""
    buffer = bytearray(size)
    fill(sock, memoryview(buffer))
    return bytes(buffer)


def fill(sock: socket.socket, view: memoryview) -> None:
    """Fill a piece of memory from the socket. Raises `BadFrame`."""
    done = 0
    while done < len(view):
        got = sock.recv_into(view[done:])
        if got == 0:
            raise BadFrame("closed")
        done += got
