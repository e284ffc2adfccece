"""Answers as bytes: plain data of exact builtin types, and nothing else.

Covered: None, bool, int, float, str, list, tuple, dict, set. An instance of a subclass is not
plain. The encoder runs beside hostile code and calls no method of the object. The decoder takes
bytes that a hostile process wrote: it checks every length before it reads, builds only the types
above, and raises `Malformed` otherwise.

A value is a tag and a body. Lengths and counts are unsigned 32-bit, numbers little-endian.

    N T F            None, True, False
    i length bytes   int, two's complement
    d 8 bytes        float, IEEE 754
    s length bytes   str, UTF-8 with lone surrogates let through
    [ ( < count values          list, tuple, set
    { count (key value)         dict
    I count 8 bytes each        list of int that fit in 64 bits
    D count 8 bytes each        list of float
    B count 1 byte each         list of bool
"""

from __future__ import annotations

import sys
import typing
from array import array
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct, unpack_from

MAX_DEPTH = 50
_COUNT = Struct("<BI")
_FLOAT = Struct("<Bd")
_U32 = Struct("<I")
_SWAP = sys.byteorder == "big"

_INT, _STR, _LIST, _TUPLE, _SET, _DICT = b"is[(<{"
_INTS, _FLOATS, _BOOLS, _FLOAT_TAG = b"IDBd"
_NONE, _TRUE, _FALSE = b"NTF"
# By their ids: to compare two types is to ask their metaclass, and that may be the candidate's.
_ONLY_INT, _ONLY_FLOAT, _ONLY_BOOL = {id(int)}, {id(float)}, {id(bool)}


class NotPlain(Exception):
    """The object holds something that is not plain data, or is nested too deeply."""


class TooLarge(Exception):
    """The encoded object is larger than the limit."""


class Malformed(Exception):
    """The bytes are not the encoding of anything."""


def encode(value: object, limit: int) -> bytes:
    """The bytes of a plain value, at most about `limit` of them.

    Raises `NotPlain` and `TooLarge`.
    """
    out = bytearray()
    _put(value, out, limit, 0)
    if len(out) > limit:
        raise TooLarge
    return bytes(out)


def _put(value: typing.Any, out: bytearray, limit: int, depth: int) -> None:
    kind = type(value)
    if kind is int:
        _put_int(value, out, limit)
    elif kind is str:
        _put_str(value, out, limit)
    elif kind is float:
        out += _FLOAT.pack(_FLOAT_TAG, value)
    elif value is None or kind is bool:
        out.append(_NONE if value is None else _TRUE if value else _FALSE)
    elif depth >= MAX_DEPTH:
        raise NotPlain(f"nested deeper than {MAX_DEPTH}")
    elif kind is list:
        _put_list(list(value), out, limit, depth)
    elif kind is tuple or kind is set:
        _put_items(_TUPLE if kind is tuple else _SET, list(value), 1, out, limit, depth)
    elif kind is dict:
        flat = [part for pair in dict.items(value) for part in pair]
        _put_items(_DICT, flat, 2, out, limit, depth)
    else:
        raise NotPlain("not plain data: " + type.__dict__["__name__"].__get__(kind)[:100])


def _put_int(value: int, out: bytearray, limit: int) -> None:
    size = value.bit_length() // 8 + 1
    if size > limit:
        raise TooLarge
    out += _COUNT.pack(_INT, size)
    out += value.to_bytes(size, "little", signed=True)


def _put_str(value: str, out: bytearray, limit: int) -> None:
    if len(value) > limit:
        raise TooLarge
    data = value.encode("utf-8", "surrogatepass")
    out += _COUNT.pack(_STR, len(data))
    out += data


def _put_list(items: list[typing.Any], out: bytearray, limit: int, depth: int) -> None:
    if len(items) > limit:
        raise TooLarge
    kinds = set(map(id, map(type, items)))
    if kinds == _ONLY_INT:
        try:
            body = array("q", items)
        except OverflowError:
            return _put_items(_LIST, items, 1, out, limit, depth)
        return _put_array(_INTS, body, out)
    if kinds == _ONLY_FLOAT:
        return _put_array(_FLOATS, array("d", items), out)
    if kinds == _ONLY_BOOL:
        out += _COUNT.pack(_BOOLS, len(items))
        out += bytes(items)
        return None
    return _put_items(_LIST, items, 1, out, limit, depth)


def _put_array(tag: int, body: array[int] | array[float], out: bytearray) -> None:
    if _SWAP:
        body.byteswap()
    out += _COUNT.pack(tag, len(body))
    out += body.tobytes()


def _put_items(
    tag: int, items: list[typing.Any], width: int, out: bytearray, limit: int, depth: int
) -> None:
    out += _COUNT.pack(tag, len(items) // width)
    for item in items:
        if len(out) > limit:
            raise TooLarge
        _put(item, out, limit, depth + 1)


def decode(data: bytes) -> object:
    """The value that the bytes encode, built of fresh objects. Raises `Malformed`."""
    reader = Reader(data)
    value = _take(reader, 0)
    if reader.at != len(data):
        raise Malformed("bytes left over")
    return value


class Reader:
    """A position in hostile bytes that never passes their end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def skip(self, size: int) -> int:
        """Move on by `size` bytes and return where they begin."""
        start = self.at
        if size > len(self.data) - start:
            raise Malformed("cut short")
        self.at = start + size
        return start

    def tag(self) -> int:
        """The next byte."""
        return self.data[self.skip(1)]

    def count(self) -> int:
        """The next unsigned 32-bit number."""
        value: int = _U32.unpack_from(self.data, self.skip(4))[0]
        return value

    def body(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self.skip(size)
        return self.data[start : start + size]


def _take(reader: Reader, depth: int) -> object:
    tag = reader.tag()
    if tag == _NONE:
        return None
    if tag in (_TRUE, _FALSE):
        return tag == _TRUE
    if tag == _FLOAT_TAG:
        return unpack_from("<d", reader.data, reader.skip(8))[0]
    count = reader.count()
    if tag == _INT:
        return int.from_bytes(reader.body(count), "little", signed=True)
    if tag == _STR:
        return _text(reader.body(count))
    if depth >= MAX_DEPTH:
        raise Malformed("nested too deeply")
    if tag in b"IDB":
        return _take_array(tag, reader, count)
    return _take_items(tag, reader, count, depth)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error


def _take_array(tag: int, reader: Reader, count: int) -> list[int] | list[float] | list[bool]:
    if tag == _BOOLS:
        data = reader.body(count)
        if data.strip(b"\x00\x01"):
            raise Malformed("a bool that is neither 0 nor 1")
        return list(map(bool, data))
    start = reader.skip(8 * count)
    return list(unpack_from(f"<{count}{'q' if tag == _INTS else 'd'}", reader.data, start))


def _take_items(tag: int, reader: Reader, count: int, depth: int) -> object:
    width = 2 if tag == _DICT else 1
    if count * width > len(reader.data) - reader.at:  # every item takes at least one byte
        raise Malformed("cut short")
    items = [_take(reader, depth + 1) for _ in range(count * width)]
    try:
        return _built(tag, items)
    except TypeError as error:
        raise Malformed("a key that can't be hashed") from error


def _built(tag: int, items: list[object]) -> object:
    if tag == _LIST:
        return items
    if tag == _TUPLE:
        return tuple(items)
    if tag == _SET:
        return set(items)
    if tag == _DICT:
        return dict(zip(items[::2], items[1::2], strict=True))
    raise Malformed("unknown tag")


# An int of more bits than this is written in hexadecimal: decimal takes quadratic time, and Python
# refuses it, also to whoever reads the literal, beyond a number of digits that may be lowered,
# though not below 640.
_DECIMAL_BITS = 2_100


class _Full(Exception):
    """The text is as long as it may be."""


class _Text:
    """Pieces of text up to a number of characters."""

    def __init__(self, limit: int) -> None:
        self.pieces: list[str] = []
        self.room = limit

    def add(self, piece: str) -> None:
        self.pieces.append(piece[: self.room])
        self.room -= len(piece)
        if self.room <= 0:
            raise _Full


LONGEST_TEXT = 1000
"""Characters of an answer's text in a verdict. One as long may have been cut."""


def literal(data: bytes, limit: int = LONGEST_TEXT) -> str:
    """The encoded value as a Python expression, cut to `limit` characters.

    Reads no further than the text goes, and builds no container: the time is bounded whatever
    the bytes are. Raises `Malformed`.
    """
    text = _Text(limit)
    with suppress(_Full):
        _write(Reader(data), text, 0)
    return "".join(text.pieces)


def _write(reader: Reader, text: _Text, depth: int) -> None:
    tag = reader.tag()
    if tag in b"NTF":
        return text.add("None" if tag == _NONE else "True" if tag == _TRUE else "False")
    if tag == _FLOAT_TAG:
        return text.add(_float_text(unpack_from("<d", reader.data, reader.skip(8))[0]))
    count = reader.count()
    if tag == _INT:
        return text.add(_int_text(reader.body(count)))
    if tag == _STR:
        return _write_str(reader.body(count), text)
    if depth >= MAX_DEPTH or tag not in b"IDB[(<{":
        raise Malformed("nested too deeply, or an unknown tag")
    if tag in b"IDB":
        return _write_array(tag, reader, count, text)
    return _write_items(tag, reader, count, text, depth)


def _float_text(value: float) -> str:
    plain = value - value == 0.0
    return repr(value) if plain else f"float('{value!r}')"


def _int_text(data: bytes) -> str:
    value = int.from_bytes(data, "little", signed=True)
    return hex(value) if value.bit_length() > _DECIMAL_BITS else str(value)


def _write_str(data: bytes, text: _Text) -> None:
    cut = data[: 4 * text.room + 8]
    if len(cut) == len(data):
        return text.add(repr(_text(data)))
    # The cut may have split a character: drop its first bytes too.
    whole = cut.rstrip(bytes(range(0x80, 0xC0)))[:-1]
    return text.add(repr(_text(whole)))


def _write_array(tag: int, reader: Reader, count: int, text: _Text) -> None:
    start = reader.skip(count if tag == _BOOLS else 8 * count)
    shown = min(count, text.room)
    code = {_BOOLS: "B", _INTS: "q", _FLOATS: "d"}[tag]
    numbers = unpack_from(f"<{shown}{code}", reader.data, start)
    _join(text, "[", "]", (_number_text(tag, number) for number in numbers))


def _number_text(tag: int, number: float) -> str:
    if tag == _BOOLS:
        return "True" if number else "False"
    return str(number) if tag == _INTS else _float_text(number)


def _join(text: _Text, opening: str, closing: str, pieces: Iterable[str]) -> None:
    text.add(opening)
    for number, piece in enumerate(pieces):
        text.add(", " + piece if number else piece)
    text.add(closing)


def _write_items(tag: int, reader: Reader, count: int, text: _Text, depth: int) -> None:
    if tag == _SET and count == 0:
        return text.add("set()")
    text.add({_LIST: "[", _TUPLE: "(", _SET: "{", _DICT: "{"}[tag])
    for number in range(count):
        if number:
            text.add(", ")
        _write(reader, text, depth + 1)
        if tag == _DICT:
            text.add(": ")
            _write(reader, text, depth + 1)
    closing = {_LIST: "]", _TUPLE: ",)" if count == 1 else ")"}.get(tag, "}")
    return text.add(closing)
