"""The frames between supervisor and zygote: what was sent arrives, and nothing else is believed."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude.judge import wire
from etude.judge.ended import Ended
from etude.judge.exchange import DETAIL_BYTES, START, Exchange

U32 = st.integers(0, 2**32 - 1)
SMALL = st.integers(0, 1000)
ENDS = st.builds(
    Ended,
    cause=st.integers(0, 3),
    status=st.integers(-(2**31), 2**31 - 1),
    cpu_seconds=st.integers(0, 10**12).map(lambda micros: micros / 1e6),
    peak_bytes=U32.map(lambda kib: kib * 1024),
    results=st.binary(max_size=50),
    detail=st.binary(max_size=50),
    payload=st.binary(max_size=50),
)


def sent(data: bytes, reading):
    """What one side reads when the other sends these bytes in two halves, and closes."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with ours, suppress(BrokenPipeError):  # the reader may have seen enough
            ours.sendall(data[: len(data) // 2])
            ours.sendall(data[len(data) // 2 :])

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with theirs, theirs.makefile("rb") as stream:
            return reading(theirs if reading.__name__ == "read_step" else stream)
    finally:
        sender.join()


def frame_of(ended: Ended) -> bytes:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            wire.send_end(ours, ended, (ended.results, ended.detail, ended.payload))
        with theirs.makefile("rb") as stream:
            return stream.read()


@given(ENDS)
def test_an_end_arrives_whole(ended: Ended) -> None:
    assert sent(frame_of(ended), wire.read_end) == ended


@given(st.lists(st.binary(max_size=50), max_size=8), SMALL, SMALL, st.floats(0, 1e6))
def test_a_step_arrives_whole(parts: list[bytes], results: int, room: int, cpu: float) -> None:
    body = wire.pack_body(parts)

    def read_step(sock: socket.socket):
        head = wire.read_step(sock)
        found = bytearray(head[0])
        wire.fill(sock, memoryview(found))
        return head, found

    head, found = sent(wire.pack_step(body, results, room, cpu, 2.5), read_step)
    assert head == (len(body), results, room, cpu, 2.5)
    assert found == body


@pytest.mark.parametrize("reading", [wire.read_end, wire.read_step, wire.read_hello])
@given(data=st.binary(max_size=100) | st.binary(max_size=90).map(lambda tail: wire.MAGIC + tail))
def test_nonsense_is_no_frame(reading, data: bytes) -> None:
    """Either it is refused in so many words, or it was a frame."""
    try:
        found = sent(data, reading)
    except wire.BadFrame:
        return
    if isinstance(found, Ended):
        size = wire.END.size + len(found.results) + len(found.detail) + len(found.payload)
        assert len(data) >= size
    assert data.startswith(wire.MAGIC)


@given(ENDS, st.data())
def test_a_frame_that_is_cut_short_is_none(ended: Ended, data: st.DataObject) -> None:
    frame = frame_of(ended)
    cut = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(wire.BadFrame, match="closed"):
        sent(frame[:cut], wire.read_end)


@given(st.lists(st.binary(max_size=50), max_size=8), SMALL, SMALL)
def test_a_child_finds_what_it_was_given(parts: list[bytes], results: int, room: int) -> None:
    body = wire.pack_body(parts)
    exchange = Exchange.made(len(body), results, room)
    with exchange.body() as view:
        view[:] = body
    found = Exchange.found(memoryview(bytearray(exchange.memory[:])))
    assert found.parts() == exchange.parts() == parts
    assert found.room == room


@given(results=st.integers(1, 5), room=st.integers(0, 60), data=st.data())
def test_whatever_a_child_wrote_no_more_is_read_than_agreed(results, room, data) -> None:
    exchange = Exchange.made(10, results, room)
    size = len(exchange.memory)
    written = data.draw(st.binary(min_size=size, max_size=size))
    exchange.memory[:] = written
    codes, detail, payload = exchange.said()
    assert len(codes) <= results
    assert len(detail) <= DETAIL_BYTES
    assert len(payload) <= room
    start = START + 10
    assert written[start : start + len(codes)] == codes
    start += results
    assert written[start : start + len(detail)] == detail
    start += DETAIL_BYTES
    assert written[start : start + len(payload)] == payload


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=600)), min_size=1, max_size=5))
def test_what_a_child_reports_is_what_is_read(reports: list[tuple[int, bytes]]) -> None:
    exchange = Exchange.made(4, len(reports), 600)
    for code, text in reports:
        exchange.report(code, text, text)
    codes, detail, payload = exchange.said()
    assert codes.tolist() == [code for code, _ in reports]
    assert detail == reports[-1][1][:DETAIL_BYTES]
    left = b""
    for _, text in reports:  # each lies over the one before, and none leaves it as it was
        left = text or left
    assert payload == left
