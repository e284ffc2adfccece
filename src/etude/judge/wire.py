"""Frames between the supervisor and a zygote, over a stream socket: one step each.

    a step   its head, then the body: the number of parts, their lengths, their bytes
    an end   its head, then results (a byte each), a detail, a payload

The body of a step goes as it is into the memory that the zygote shares with the step's child
(`exchange.py`); what the child left there comes back. A zygote greets with one more frame.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from struct import Struct, pack
from typing import Any, BinaryIO

from etude.judge.ended import Ended
from etude.types import Outcome

ORDER = (Outcome.CRASHED, *(outcome for outcome in Outcome if outcome is not Outcome.CRASHED))
"""An outcome travels as its position here. Memory that nobody wrote to says `crashed`."""

SOLUTION, PUZZLE, QUIET_PUZZLE, PACE, CALLS, TESTS = b"g", b"f", b"q", b"p", b"c", b"t"
"""What a child is to do: the first part of a body. `child.py` has the rest."""
ASKS = 255
"""Said by tests, in place of an outcome: they need the results of the calls in the payload."""

MAGIC = b"etu2"
STEP = Struct("<4sIIIdd")
"""Magic, bytes of the body, results (each has the limits to itself), bytes of room for the
payload, seconds of CPU, seconds of waiting."""
END = Struct("<4siiIIIQQ")
"""Magic, cause, status or errno, results, bytes of the detail, bytes of the payload, microseconds
of CPU, peak KiB."""
_HELLO = Struct("<4sI")

MAX_FRAME = 64 << 20
"""No body and no payload is larger, in bytes."""


class BadFrame(Exception):
    """The other side closed, or sent something that is no frame."""


def pack_body(parts: Sequence[bytes | memoryview]) -> bytes:
    """Parts as one piece of bytes."""
    lengths = pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts))
    return b"".join((lengths, *parts))


def pack_step(body: bytes, results: int, room: int, cpu: float, wall: float) -> bytes:
    """The frame of a step."""
    return STEP.pack(MAGIC, len(body), results, room, cpu, wall) + body


def read_step(sock: socket.socket) -> tuple[int, int, int, float, float]:
    """The head of the next step: body, results, room, CPU, wall. Raises `BadFrame`, `OSError`."""
    head = bytearray(STEP.size)
    fill(sock, memoryview(head))
    magic, body, results, room, cpu, wall = STEP.unpack(head)
    if magic != MAGIC or max(body, results, room) > MAX_FRAME or body < 4:
        raise BadFrame("not a step")
    return body, results, room, cpu, wall


def send_end(sock: socket.socket, ended: Ended, said: Sequence[bytes | memoryview] = ()) -> None:
    """Answer a step: results, detail and payload as they are, from where they lie."""
    sizes = map(len, said) if said else (0, 0, 0)
    cpu, peak = round(ended.cpu_seconds * 1e6), ended.peak_bytes // 1024
    head = END.pack(MAGIC, ended.cause, ended.status, *sizes, cpu, peak)
    left = sock.sendmsg([head, *said])
    for piece in (head, *said):  # what did not fit at once
        if left < len(piece):
            sock.sendall(memoryview(piece)[left:])
        left = max(0, left - len(piece))


def read_end(stream: BinaryIO) -> Ended:
    """How the next step ended. Raises `BadFrame`, `OSError`."""
    magic, cause, status, results, detail, payload, cpu, peak = END.unpack(_taken(stream, END.size))
    if magic != MAGIC or max(results, detail, payload) > MAX_FRAME:
        raise BadFrame("not the end of a step")
    said = _taken(stream, results + detail + payload)
    numbers = (cause, status, cpu / 1e6, peak * 1024)
    return Ended(
        *numbers, said[:results], said[results : results + detail], said[results + detail :]
    )


def pack_hello(greeting: Mapping[str, Any]) -> bytes:
    """What is in force in a zygote."""
    text = json.dumps(greeting).encode()
    return _HELLO.pack(MAGIC, len(text)) + text


def read_hello(stream: BinaryIO) -> Any:
    """What is in force. Raises `BadFrame`, `OSError`."""
    magic, size = _HELLO.unpack(_taken(stream, _HELLO.size))
    if magic != MAGIC or size > MAX_FRAME:
        raise BadFrame("not a greeting")
    try:
        return json.loads(_taken(stream, size))
    except ValueError as error:
        raise BadFrame("not a greeting") from error


def _taken(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise BadFrame("closed")
    return data


def fill(sock: socket.socket, view: memoryview) -> None:
    """Fill a piece of memory from the socket. Raises `BadFrame`."""
    done = 0
    while done < len(view):
        got = sock.recv_into(view[done:])
        if got == 0:
            raise BadFrame("closed")
        done += got
