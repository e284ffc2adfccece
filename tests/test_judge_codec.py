"""Answers as bytes, and frames: round trips, and hostile bytes."""

from __future__ import annotations

import math
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etude.judge import codec, wire
from etude.judge.shape import UnknownType, fits, shape_from_text

LIMIT = 1 << 20
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(st.characters(categories=None))  # lone surrogates too
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner), max_leaves=4)
VALUES = st.recursive(
    SCALARS | st.lists(st.integers()) | st.lists(st.floats()) | st.lists(st.booleans()),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(HASHABLE, inner)
        | st.sets(HASHABLE)
    ),
    max_leaves=20,
)
PLAIN = (type(None), bool, int, float, str, list, tuple, dict, set)


def same(a: Any, b: Any) -> bool:
    """Equal with exact types all the way down; nan equals nan, and 0.0 is not -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("<d", a) == struct.pack("<d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    if isinstance(a, set):
        return len(a) == len(b) and same(sorted(map(repr, a)), sorted(map(repr, b)))
    return bool(a == b)


def only_plain(value: Any) -> bool:
    if type(value) not in PLAIN:
        return False
    if isinstance(value, dict):
        return all(only_plain(k) and only_plain(v) for k, v in value.items())
    return not isinstance(value, list | tuple | set) or all(map(only_plain, value))


@given(VALUES)
@example([1, True])
@example([0.0, -0.0, math.nan, math.inf])
@example([2**63 - 1, -(2**63), 2**63])
@example([[]] * 3)
@example("\ud83d\ude00")
def test_what_goes_in_comes_out(value: Any) -> None:
    assert same(codec.decode(codec.encode(value, LIMIT)), value)


@given(VALUES)
def test_the_literal_says_the_value(value: Any) -> None:
    text = codec.literal(codec.encode(value, LIMIT), 10**6)
    assert same(eval(text), value)


@given(VALUES, st.integers(1, 60))
def test_a_cut_literal_is_a_beginning(value: Any, limit: int) -> None:
    data = codec.encode(value, LIMIT)
    cut = codec.literal(data, limit)
    assert len(cut) <= limit
    # A string is cut before it is quoted, so only its closing quote may differ.
    assert codec.literal(data, 10**6).startswith(cut[:-1].rstrip("'\""))


@given(VALUES, st.data())
@settings(max_examples=300)
def test_mutated_bytes_give_plain_data_or_an_error(value: Any, data: st.DataObject) -> None:
    raw = bytearray(codec.encode(value, LIMIT))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1)) if raw else 0
        raw[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=6))
    check_hostile(bytes(raw))


@given(st.binary(max_size=200) | st.text("NTFidsIDB[({<\0\1\2", max_size=80).map(str.encode))
@settings(max_examples=300)
def test_hostile_bytes_give_plain_data_or_an_error(raw: bytes) -> None:
    check_hostile(raw)


def check_hostile(raw: bytes) -> None:
    with suppress(codec.Malformed):
        assert only_plain(codec.decode(raw))
    with suppress(codec.Malformed):
        assert len(codec.literal(raw, 100)) <= 100


@pytest.mark.parametrize("tag", b"IDB[(<{is")
def test_a_length_beyond_the_end_takes_no_memory(tag: int) -> None:
    raw = struct.pack("<BI", tag, 2**32 - 1) + b"N" * 10
    with pytest.raises(codec.Malformed):
        codec.decode(raw)
    with pytest.raises(codec.Malformed):
        codec.literal(raw)


def test_depth_is_limited_both_ways() -> None:
    value: Any = []
    for _ in range(10_000):
        value = [value]
    with pytest.raises(codec.NotPlain, match="deeper"):
        codec.encode(value, LIMIT)
    with pytest.raises(codec.Malformed):
        codec.decode(struct.pack("<BI", ord("["), 1) * 10_000 + b"N")


def test_sharing_does_not_get_past_the_size() -> None:
    value: Any = [1]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(codec.TooLarge):
        codec.encode(value, 1 << 16)


class Sub(int):
    pass


@pytest.mark.parametrize(
    "value", [object(), Sub(1), [Sub(1)], b"a", 1j, frozenset(), range(3), {1: Sub(1)}, int, ...]
)
def test_only_exact_builtin_types_are_plain(value: object) -> None:
    with pytest.raises(codec.NotPlain):
        codec.encode(value, LIMIT)


@pytest.mark.parametrize("size", [10**6, 10**7])
def test_the_literal_of_a_huge_int_is_quick(size: int) -> None:
    data = codec.encode(7 << size, 1 << 22)
    assert codec.literal(data, 50).startswith("0x700")


@pytest.mark.parametrize(
    "text",
    ["int[", "List[int, str]", "Callable[[int], int]", "np.array", "1 + 1", "(" * 999],
)
def test_annotations_that_are_no_plain_type(text: str) -> None:
    with pytest.raises(UnknownType):
        shape_from_text(text)


def test_a_bare_container_holds_anything_plain() -> None:
    assert fits([1, "a"], shape_from_text("List"))
    assert fits({1: "a"}, shape_from_text("dict"))
    assert fits((1, "a"), shape_from_text("tuple"))
    assert not fits([1], shape_from_text("tuple"))


@given(st.binary(min_size=1, max_size=1), st.lists(st.binary(max_size=50), max_size=8))
def test_frames_arrive_whole(kind: bytes, parts: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frame = wire.pack(kind, parts)
        half = len(frame) // 2
        sender = threading.Thread(
            target=lambda: (ours.sendall(frame[:half]), ours.sendall(frame[half:]))
        )
        sender.start()
        assert wire.read(theirs) == (kind, parts)
        sender.join()


@given(st.binary(max_size=100) | st.binary(max_size=90).map(lambda tail: wire.MAGIC + tail))
def test_nonsense_is_no_frame(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        try:
            kind, parts = wire.read(theirs)
        except wire.BadFrame:
            return
        assert data.startswith(wire.pack(kind, parts))
