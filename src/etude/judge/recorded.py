"""Programs with tests, as they run in children: the tests in one, the program in another.

The tests call a stand-in for the program. It knows the results of earlier calls; what it does not
know it notes down, and the tests go on, as far as they can, with a value that says yes to
everything. The calls are made in the program's child, which sees arguments and nothing else of the
tests; then the tests run again from the start. What counts is a run in which every result was
known.
"""

from __future__ import annotations

import builtins
import typing
from struct import Struct

from etude.judge import codec

RETURNED, RAISED = 0, 1
_U32 = Struct("<I")
_MOST_GUESSES = 2000
_MOST_CALLS = 20_000
"""In one run of the tests."""


class Unresolved(BaseException):
    """The tests can't go on without a result. No test catches this by accident."""


def packed(items: typing.Iterable[bytes]) -> bytes:
    """Pieces of bytes as one."""
    return b"".join(part for item in items for part in (_U32.pack(len(item)), item))


def unpacked(data: bytes) -> list[bytes]:
    """The pieces again, as far as they are whole: hostile bytes."""
    found, place = [], 0
    while place + 4 <= len(data):
        (size,) = _U32.unpack_from(data, place)
        if size > len(data) - place - 4:
            break
        found.append(data[place + 4 : place + 4 + size])
        place += 4 + size
    return found


class TooMany(Exception):
    """The tests make more calls than anybody's tests do: a loop without an end."""


class Maybe:
    """The result of a call that has not been made: equal to everything, larger, smaller, true."""

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return True

    def _yes(self, *_: object) -> bool:
        return True

    def _maybe(self, *_: object) -> Maybe:
        return self

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _yes
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _maybe
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _maybe
    __pow__ = __rpow__ = __neg__ = __pos__ = __abs__ = __round__ = __getitem__ = _maybe

    def _stop(self, *_: object) -> typing.NoReturn:
        raise Unresolved

    __getattr__ = __iter__ = __len__ = __contains__ = __index__ = __float__ = _stop
    __int__ = __str__ = __repr__ = __format__ = __call__ = _stop


class StandIn:
    """What the tests call in place of the program's function."""

    def __init__(self, calls: list[bytes], results: list[bytes], guess: bool, limit: int) -> None:
        """`calls` were made and had these `results`; `guess` whether to go on without one."""
        self._calls, self._results = calls, results
        self._guess = guess
        self._limit = limit
        self.made: list[bytes] = []
        """All calls of this run of the tests, encoded, in order."""
        self.unknown = False
        self.refused: Exception | None = None
        """The first call that can't be made. The tests may have taken its error for one of the
        program's, so what they come to says nothing."""
        self._guesses = 0

    def __call__(self, *arguments: typing.Any, **named: typing.Any) -> typing.Any:
        if any(type(value) is Maybe for value in (*arguments, *named.values())):
            raise Unresolved
        if isinstance(self.refused, TooMany):
            raise self.refused
        try:
            call = codec.encode([list(arguments), named], self._limit)
            if len(self.made) >= _MOST_CALLS:
                raise TooMany(f"more than {_MOST_CALLS:,} calls")
        except (codec.NotPlain, codec.TooLarge, TooMany) as error:
            self.refused = self.refused or error
            raise
        place = len(self.made)
        self.made.append(call)
        if self.unknown or self._calls[place : place + 1] != [call]:
            return self._without_result()
        if place >= len(self._results):
            return self._without_result()
        return _replayed(self._results[place], arguments)

    def _without_result(self) -> Maybe:
        self.unknown = True
        self._guesses += 1
        if not self._guess or self._guesses > _MOST_GUESSES:
            raise Unresolved
        return Maybe()


def _replayed(result: bytes, arguments: tuple[typing.Any, ...]) -> typing.Any:
    """What a call came to: its value, what it did to its arguments, or its exception."""
    how, value, after = typing.cast("list[typing.Any]", codec.decode(result))
    if how == RAISED:
        name, text = value
        kind = getattr(builtins, name, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = Exception
        if issubclass(kind, StopIteration | StopAsyncIteration):
            kind = RuntimeError  # as out of a generator: `map` would take it for its end
        raise _error(kind, text)
    for argument, changed in zip(arguments, after, strict=False):
        if argument == changed:
            continue
        if type(argument) is list:
            argument[:] = changed
        elif type(argument) in (dict, set):
            argument.clear()
            argument.update(changed)
    return value


def _error(kind: type[Exception], text: str) -> Exception:
    try:
        return kind(text)
    except TypeError:  # UnicodeDecodeError and its like want more
        return Exception(text)


def called(function: typing.Any, call: bytes, limit: int) -> bytes:
    """In the program's child: make a call. The result, encoded.

    Raises `codec.NotPlain` and `codec.TooLarge` when it is not plain data.
    """
    arguments, named = typing.cast("list[typing.Any]", codec.decode(call))
    try:
        value = function(*arguments, **named)
    except MemoryError:
        raise  # an outcome of its own
    except Exception as error:  # noqa: BLE001  a program may raise anything, and a test expect it
        return codec.encode([RAISED, [_name(error), _said(error)], []], limit)
    return codec.encode([RETURNED, value, _still_plain(arguments, limit)], limit)


def _still_plain(arguments: list[typing.Any], limit: int) -> list[typing.Any]:
    """The arguments after a call; one that is plain data no longer is left as None."""
    found: list[typing.Any] = []
    for argument in arguments:
        try:
            codec.encode(argument, limit)
        except (codec.NotPlain, codec.TooLarge):
            found.append(None)
        else:
            found.append(argument)
    return found


def _name(error: BaseException) -> str:
    for kind in type(error).__mro__:
        if getattr(builtins, kind.__name__, None) is kind:
            return str(kind.__name__)
    return "Exception"


def _said(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception:  # noqa: BLE001  a hostile __str__ may raise anything
        return ""
