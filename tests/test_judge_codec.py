"""Answers as bytes, and frames: round trips, and hostile bytes."""

from __future__ import annotations

import ast
import math
import struct
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etude.judge import codec
from etude.judge.shape import UnknownType, fits, shape_from_text

LIMIT = 1 << 20
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.builds(lambda sign, bits: sign << bits, st.integers(-9, 9), st.integers(0, 10_000))
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
    """Plain data, which can be sent on and arrives as it is; or `Malformed`, and nothing else."""
    with suppress(codec.Malformed):
        value = codec.decode(raw)
        assert only_plain(value)
        assert same(codec.decode(codec.encode(value, LIMIT)), value)
    for limit in (1, 100):
        with suppress(codec.Malformed):
            assert len(codec.literal(raw, limit)) <= limit


@given(VALUES)
@settings(max_examples=50)
def test_no_beginning_of_an_encoding_is_one(value: Any) -> None:
    raw = codec.encode(value, LIMIT)
    for end in range(len(raw)) if len(raw) < 300 else (0, 1, 4, 5, 6, len(raw) // 2, len(raw) - 1):
        with pytest.raises(codec.Malformed):
            codec.decode(raw[:end])
        with pytest.raises(codec.Malformed):
            codec.literal(raw[:end], 10**6)


@given(st.integers(0, 2**52 - 1), st.booleans())
def test_every_nan_arrives_as_a_nan(bits: int, negative: bool) -> None:
    """Which of its many patterns a NaN has is nobody's business, but it must stay one."""
    pattern = negative << 63 | 0x7FF << 52 | max(bits, 1)
    (nan,) = struct.unpack("<d", struct.pack("<Q", pattern))
    for value in (nan, [nan], [nan, None], {nan: nan}, (nan, {nan})):
        assert same(codec.decode(codec.encode(value, LIMIT)), value)
    assert codec.literal(codec.encode(nan, LIMIT)) == "float('nan')"


@given(VALUES)
def test_a_whole_literal_is_read_back_by_python(value: Any) -> None:
    text = codec.literal(codec.encode(value, LIMIT), 10**6)
    if "float('" in text or "set()" in text:  # these are no literals, though they are expressions
        assert same(eval(text), value)
    else:
        assert same(ast.literal_eval(text), value)
    short = codec.literal(codec.encode(value, LIMIT))
    assert len(short) <= 1000
    assert len(text) >= 1000 or short == text


@given(VALUES, st.integers(1, 3000))
def test_an_encoding_is_never_larger_than_asked(value: Any, limit: int) -> None:
    size = len(codec.encode(value, LIMIT))
    if size <= limit:
        assert len(codec.encode(value, limit)) == size
    else:
        with pytest.raises(codec.TooLarge):
            codec.encode(value, limit)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 995,
        "\ud800" * 331 + "xx",
        "é" * 497 + "x",
        1 << 8 * 994,
        [1.5] * 124 + [2],
        [True] * 995,
        [[]] * 199,
    ],
    ids=["str", "surrogates", "two bytes", "int", "mixed list", "bools", "lists"],
)
def test_the_size_limit_is_exact(value: Any) -> None:
    size = len(codec.encode(value, LIMIT))
    assert codec.encode(value, size)
    with pytest.raises(codec.TooLarge):
        codec.encode(value, size - 1)


@contextmanager
def bounded(seconds: float, memory: float) -> Iterator[None]:
    """Not more than so many seconds of CPU and bytes at once."""
    began = time.process_time()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < seconds


# Bytes whose decoded form is as large, in relation, as it gets: 5 bytes make an empty container.
SMALL = {
    name: bytes((tag,)) + bytes(4) for name, tag in zip(("[", "(", "<", "{"), b"[(<{", strict=True)
}


@pytest.mark.parametrize("kind", SMALL)
def test_decoding_takes_memory_in_proportion(kind: str) -> None:
    count = 20_000
    raw = struct.pack("<BI", ord("["), count) + SMALL[kind] * count
    with bounded(10, 60 * len(raw) + (1 << 20)):
        codec.decode(raw)
    with bounded(2, 1 << 20):
        assert len(codec.literal(raw)) == 1000


@pytest.mark.parametrize(
    "raw",
    [
        struct.pack("<BI", ord("<"), 2) + b"N" + struct.pack("<BI", ord("["), 0),
        struct.pack("<BI", ord("{"), 1) + struct.pack("<BI", ord("{"), 0) + b"N",
        struct.pack("<BI", ord("B"), 3) + b"\1\2\1",
        struct.pack("<BI", ord("s"), 2) + b"\xc3\x28",
        b"",
        b"x\0\0\0\0",
        b"NN",
    ],
    ids=["list in a set", "dict as a key", "bool of 2", "no UTF-8", "nothing", "no tag", "more"],
)
def test_what_no_encoder_writes_is_malformed(raw: bytes) -> None:
    with pytest.raises(codec.Malformed):
        codec.decode(raw)


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


@pytest.mark.parametrize("inner", [[], [1], [1.0], [True], (), {}, set(), {1: 2}])
def test_encoder_and_decoder_go_to_the_same_depth(inner: Any) -> None:
    """A list of numbers has a tag of its own: it counts as a level too, written by hand or not."""
    value = inner
    for _ in range(codec.MAX_DEPTH - 1):
        value = [value]
    raw = codec.encode(value, LIMIT)
    assert same(codec.decode(raw), value)
    assert same(eval(codec.literal(raw)), value)
    with pytest.raises(codec.NotPlain):
        codec.encode([value], LIMIT)
    deeper = struct.pack("<BI", ord("["), 1) + raw
    with pytest.raises(codec.Malformed):
        codec.decode(deeper)
    with pytest.raises(codec.Malformed):
        codec.literal(deeper)


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


def _trap(name: str) -> Any:
    def called(*_: Any, **__: Any) -> Any:
        raise AssertionError(f"{name} was called")

    return called


_ALWAYS = ("__new__", "__init__", "__getattribute__", "__class__", "__del__", "__init_subclass__")
_NEVER_TRAPPED = (*_ALWAYS, "__doc__", "__dict__", "__slots__", "__module__", "__weakref__")


def _trapped(base: type) -> Any:
    """A class below `base` of which no method may be called, and neither its metaclass's."""
    own = [*vars(base), "__index__", "__int__", "__float__", "__iter__", "__bool__", "__hash__"]
    own += ["__eq__", "__len__", "__reduce__", "__getattr__", "__getitem__", "__str__", "__repr__"]
    meta = {name: _trap(name) for name in ("__eq__", "__hash__", "__repr__", "__instancecheck__")}
    body = {name: _trap(name) for name in own if name not in _NEVER_TRAPPED}
    return type("Meta", (type,), meta)("Trapped", (base,), body)


@pytest.mark.parametrize("base", [object, int, float, str, list, tuple, dict, set])
def test_no_method_of_a_candidates_object_is_called(base: type) -> None:
    trapped = _trapped(base)()
    for value in (trapped, [trapped], [trapped] * 3, [1, trapped], (trapped,), {1: trapped}):
        with pytest.raises(codec.NotPlain, match="Trapped"):
            codec.encode(value, LIMIT)


def _liar(kind: type) -> Any:
    """An object whose class says that it is this type, and hashes like it."""

    class Meta(type):
        def __eq__(cls, other: object) -> bool:
            return True

        def __hash__(cls) -> int:
            return hash(kind)

    class Liar(metaclass=Meta):
        def __index__(self) -> int:
            return 1

        def __float__(self) -> float:
            return 1.0

    return Liar()


@pytest.mark.parametrize("kind", [int, float, bool])
def test_a_class_that_equals_a_builtin_type_is_none(kind: type) -> None:
    """Compared by what it says of itself, it would be turned into a number on the way."""
    with pytest.raises(codec.NotPlain):
        codec.encode([_liar(kind)], LIMIT)
    with pytest.raises(codec.NotPlain):
        codec.encode([_liar(kind), kind(1)], LIMIT)


@pytest.mark.parametrize("size", [2_000, 14_000, 20_000, 10**6])
def test_the_literal_of_an_int_does_not_ask_how_many_digits_are_allowed(size: int) -> None:
    """Python refuses to write a long int in decimal, with an error that is not ours."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)  # the least that a user may set
    try:
        for value in (1 << size, -(1 << size), (1 << size) - 1):
            text = codec.literal(codec.encode([value, 1, "x"], 1 << 22), 10**6)
            assert ast.literal_eval(text) == [value, 1, "x"]
            assert codec.literal(codec.encode(value, 1 << 22), 10**6) == text[1 : -len(", 1, 'x']")]
    finally:
        sys.set_int_max_str_digits(before)


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
