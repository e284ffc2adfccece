"""Programs with tests, as they run in children: the tests in one, the program in another.

The tests call a stand-in for the program. It knows the results of earlier calls; what it does not
know it notes down, and the tests go on, as far as they can, with a value that says yes to
everything. The calls are made in the program's child, which sees arguments and nothing else of the
tests; then the tests run again from the start. What counts is a run in which every result was
known.

Which container is which crosses too, so that what a call does to its arguments, and what of them
it returns, is the same as without a wall between: values travel as nodes, one a container, in which
a container stands as `(number,)`. The arguments' own come first, and keep their numbers.
"""

from __future__ import annotations

import builtins
import typing
from contextlib import suppress
from struct import Struct

from etude.judge import codec

RETURNED, RAISED = 0, 1
_U32 = Struct("<I")
_MOST_GUESSES = 2000
_MOST_USES = 50_000
"""Of all guessed results together."""
_MOST_CALLS = 20_000
"""In one run of the tests."""
_CONTAINERS = (list, tuple, dict, set)


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


class Nodes:
    """The containers that some values are made of, each once."""

    def __init__(self) -> None:
        self.found: list[typing.Any] = []
        self._numbers: dict[int, int] = {}

    def mark(self, value: typing.Any) -> typing.Any:
        """A value as it stands in a node: itself, or the number of its container."""
        if type(value) not in _CONTAINERS:
            return value
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self.found)
            self.found.append(value)
        return (self._numbers[id(value)],)

    def node(self, number: int) -> typing.Any:
        """A container with numbers for the containers in it, which are found by this."""
        value = self.found[number]
        if type(value) is dict:
            return {self.mark(key): self.mark(item) for key, item in value.items()}
        return type(value)(map(self.mark, value))

    def all(self, start: int = 0) -> list[typing.Any]:
        """The nodes from a number on, with those that turn up on the way."""
        nodes: list[typing.Any] = []
        while start + len(nodes) < len(self.found):
            nodes.append(self.node(start + len(nodes)))
        return nodes


class Built:
    """Values from nodes. `known` are the containers that there are already."""

    def __init__(self, known: list[typing.Any], nodes: list[typing.Any]) -> None:
        self.found: dict[int, typing.Any] = dict(enumerate(known))
        self._nodes = dict(enumerate(nodes, len(known)))
        self._empty: list[int] = []

    def value(self, mark: typing.Any) -> typing.Any:
        """The value that stands for a mark, containers in it yet to be filled."""
        if type(mark) is not tuple:
            return mark
        (number,) = mark
        if number not in self.found:
            node = self._nodes[number]
            if type(node) is tuple:
                self.found[number] = tuple(map(self.value, node))
            else:
                self.found[number] = type(node)()
                self._empty.append(number)
        return self.found[number]

    def fill(self, changed: dict[int, typing.Any]) -> None:
        """Put what is new, and what has changed of what is known, into its containers."""
        for number, node in changed.items():
            self._put(self.found[number], node)
        while self._empty:
            number = self._empty.pop()
            self._put(self.found[number], self._nodes[number])

    def _put(self, container: typing.Any, node: typing.Any) -> None:
        if type(container) is list:
            container[:] = map(self.value, node)
        elif type(container) is set:
            items = set(map(self.value, node))
            container.clear()
            container.update(items)
        elif type(container) is dict:
            pairs = [(self.value(key), self.value(item)) for key, item in node.items()]
            container.clear()
            container.update(pairs)


class TooMany(Exception):
    """The tests make more calls than anybody's tests do, a loop without an end, or larger ones than
    there is room for."""


class Maybe:
    """The result of a call that has not been made: equal to everything, larger, smaller, true."""

    __hash__ = None  # type: ignore[assignment]
    _uses = 0

    def _used(self) -> None:
        """Raise `Unresolved` when it is used without an end: `while node: node = node[1]`."""
        Maybe._uses += 1
        if Maybe._uses > _MOST_USES:
            raise Unresolved

    def __bool__(self) -> bool:
        self._used()
        return True

    def _yes(self, *_: object) -> bool:
        self._used()
        return True

    def _maybe(self, *_: object) -> Maybe:
        self._used()
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

    def __init__(
        self, name: str, calls: list[bytes], results: list[bytes], guess: bool, limit: int
    ) -> None:
        """`calls` were made and had these `results`; `guess` whether to go on without one."""
        self.__name__ = self.__qualname__ = name
        self._calls, self._results = calls, results
        self._guess = guess
        self._limit = self._room = limit
        self.made: list[bytes] = []
        """All calls of this run of the tests, encoded, in order."""
        self.unknown = False
        self.refused: Exception | None = None
        """The first call that can't be made. The tests may have taken its error for one of the
        program's, so what they come to says nothing."""
        self._guesses = 0

    def __call__(self, /, *arguments: typing.Any, **named: typing.Any) -> typing.Any:
        if any(type(value) is Maybe for value in (*arguments, *named.values())):
            raise Unresolved
        if isinstance(self.refused, TooMany):
            raise self.refused
        try:
            call, containers = _encoded_call(arguments, named, self._limit)
            if len(self.made) >= _MOST_CALLS:
                raise TooMany(f"more than {_MOST_CALLS:,} calls")
            self._room -= len(packed([call]))
            if self._room < 0:
                raise TooMany(f"calls of more than {self._limit} bytes together")
        except (codec.NotPlain, codec.TooLarge, TooMany) as error:
            self.refused = self.refused or error
            raise
        place = len(self.made)
        self.made.append(call)
        if self.unknown or self._calls[place : place + 1] != [call]:
            return self._without_result()
        if place >= len(self._results):
            return self._without_result()
        return _replayed(self._results[place], containers)

    def _without_result(self) -> Maybe:
        self.unknown = True
        self._guesses += 1
        if not self._guess or self._guesses > _MOST_GUESSES:
            raise Unresolved
        return Maybe()


def _encoded_call(
    arguments: tuple[typing.Any, ...], named: dict[str, typing.Any], limit: int
) -> tuple[bytes, list[typing.Any]]:
    """A call, and the containers in it by their numbers."""
    nodes = Nodes()
    marks = [nodes.mark(value) for value in arguments]
    named_marks = {name: nodes.mark(value) for name, value in named.items()}
    return codec.encode([nodes.all(), marks, named_marks], limit), nodes.found


def _replayed(result: bytes, containers: list[typing.Any]) -> typing.Any:
    """What a call came to: its value, what it did to its arguments, or its exception."""
    how, mark, new, changed = typing.cast("list[typing.Any]", codec.decode(result))
    built = Built(containers, new)
    value = built.value(mark)
    built.fill(changed)
    if how == RAISED:
        name, reasons = value
        kind = getattr(builtins, name, None)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            kind = Exception
        if issubclass(kind, StopIteration | StopAsyncIteration):
            kind = RuntimeError  # as out of a generator: `map` would take it for its end
        raise _error(kind, tuple(reasons))
    return value


def _error(kind: type[Exception], reasons: tuple[typing.Any, ...]) -> Exception:
    with suppress(TypeError, ValueError):
        return kind(*reasons)
    with suppress(TypeError, ValueError):  # UnicodeDecodeError wants what is no plain data
        error = kind.__new__(kind, *reasons)
        error.args = reasons
        return error
    return Exception(*reasons)


def called(function: typing.Any, call: bytes, limit: int) -> bytes:
    """In the program's child: make a call. The result, encoded.

    Raises `codec.NotPlain` and `codec.TooLarge` when it, or what became of an argument, is not
    plain data.
    """
    given, marks, named = typing.cast("list[typing.Any]", codec.decode(call))
    built = Built([], given)
    arguments = [built.value(mark) for mark in marks]
    keywords = {name: built.value(mark) for name, mark in named.items()}
    built.fill({})
    nodes = Nodes()
    for number in range(len(given)):
        nodes.mark(built.found[number])
    how = RETURNED
    try:
        value = function(*arguments, **keywords)
    except MemoryError:
        raise  # an outcome of its own
    except Exception as error:  # noqa: BLE001  a program may raise anything, and a test expect it
        how, value = RAISED, [_name(error), _reasons(error, limit)]
    mark = nodes.mark(value)
    changed = _changed(nodes, given, limit)
    return codec.encode([how, mark, nodes.all(len(given)), changed], limit)


def _changed(nodes: Nodes, given: list[typing.Any], limit: int) -> dict[int, typing.Any]:
    """The nodes of a call's own containers that are no longer as they were given.

    Compared as bytes: `1`, `1.0` and `True` are equal, and so are dictionaries in another order.
    """
    found = {}
    for number, before in enumerate(given):
        after = nodes.node(number)
        if codec.encode(after, limit) != codec.encode(before, limit):
            found[number] = after
    return found


def _name(error: BaseException) -> str:
    for kind in type(error).__mro__:
        if getattr(builtins, kind.__name__, None) is kind:
            return str(kind.__name__)
    return "Exception"


def _reasons(error: BaseException, limit: int) -> list[typing.Any]:
    """An exception's arguments; where they are more than its class is known for, its text."""
    if getattr(builtins, type(error).__name__, None) is type(error):
        reasons = list(error.args)
        if isinstance(error, OSError) and error.filename is not None:
            reasons.append(error.filename)
        nodes = Nodes()
        with suppress(codec.NotPlain, codec.TooLarge):
            codec.encode([list(map(nodes.mark, reasons)), nodes.all()], limit)
            return reasons
    return [_said(error)]


def _said(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception:  # noqa: BLE001  a hostile __str__ may raise anything
        return ""
