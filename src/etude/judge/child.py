"""What runs in a child: the only lines of etude that share a process with a candidate.

A child may do as it likes with its own memory, so nothing here has to hold against the candidate.
What it reports about `g()` is an answer, plain data that any process could have sent; what it
reports about `f(answer)` is no more than what `f` could have returned.
"""

from __future__ import annotations

import builtins
import random
import sys
import typing
from os import _exit
from types import FunctionType, ModuleType

from etude.judge import codec
from etude.judge.exchange import Exchange
from etude.judge.shape import Shape, UnknownType, fits, shape_from_text
from etude.judge.source import PUZZLE_NAMES, SOLUTION_NAMES, NotAFunction, read_puzzle
from etude.judge.wire import ORDER
from etude.types import Outcome

CODE = {outcome: number for number, outcome in enumerate(ORDER)}
RECURSION_LIMIT = 3000
_BUILTINS = ModuleType("builtins")
# What compile() raises for text that is no Python, however it is broken.
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


def run_solution(exchange: Exchange, limit: int) -> None:
    """Report the encoded value of `g()`, at most `limit` bytes. Does not return."""
    try:
        (source,) = exchange.parts()
        try:
            code = compile(_text(source), "solution", "exec", dont_inherit=True)
        except _NO_PYTHON as error:
            exchange.report(CODE[Outcome.UNPARSED], _detail(error))
            return
        report_answer(exchange, code, limit)
    except BaseException as error:  # noqa: BLE001  a candidate may raise anything
        _report_error(exchange, error)
    finally:
        _exit(0)


def report_answer(exchange: Exchange, code: typing.Any, limit: int) -> None:
    """Run a solution's code and report its encoded answer. Raises what the code raises."""
    namespace = _namespace()
    exec(code, namespace)
    function = _entry(namespace, SOLUTION_NAMES)
    if function is None:
        exchange.report(CODE[Outcome.UNPARSED], b"no function named g")
        return
    answer = function()
    try:
        data = codec.encode(answer, limit)
    except codec.NotPlain as error:
        exchange.report(CODE[Outcome.MISTYPED], str(error).encode("utf-8", "replace"))
    except codec.TooLarge:
        exchange.report(CODE[Outcome.MEMORY], f"an answer of more than {limit} bytes".encode())
    else:
        exchange.report(CODE[Outcome.ACCEPTED], b"", data)


def run_puzzle(exchange: Exchange) -> None:
    """Report an outcome of `f` for each encoded answer. Does not return.

    An answer is decoded, and its type compared, before any text of the puzzle runs.
    """
    try:
        name, answer_type, source, *answers = exchange.parts()
        try:
            entry, shape, code = read(name.decode(), answer_type.decode(), _text(source))
        except (NotAFunction, UnknownType, *_NO_PYTHON) as error:
            exchange.report(CODE[Outcome.UNPARSED], b"puzzle: " + _detail(error))
            return
        for answer in answers:
            if exchange.count():  # the first finds `random` as the zygote left it: seeded
                random.seed(0)
            report_outcome(exchange, entry, shape, code, answer)
    except BaseException as error:  # noqa: BLE001  a puzzle may raise anything
        _report_error(exchange, error)
    finally:
        _exit(0)


def read(name: str, answer_type: str, source: str) -> tuple[str, Shape, typing.Any]:
    """The puzzle's function, the shape of its answer, and its code."""
    if name and answer_type:
        shape = shape_from_text(answer_type)
    else:
        name, shape = read_puzzle(source)
    return name, shape, compile(source, "puzzle", "exec", dont_inherit=True)


def report_outcome(
    exchange: Exchange, entry: str, shape: Shape, code: typing.Any, data: bytes
) -> None:
    """Report what `f` says of one encoded answer."""
    try:
        answer = codec.decode(data)
    except codec.Malformed as error:
        exchange.report(CODE[Outcome.CRASHED], f"not an answer: {error}".encode())
        return
    if not fits(answer, shape):
        exchange.report(CODE[Outcome.MISTYPED], b"not exactly the type that the puzzle asks for")
        return
    try:
        outcome, detail = _ask(entry, code, answer)
    except BaseException as error:  # noqa: BLE001  a puzzle may raise anything
        _report_error(exchange, error)
    else:
        exchange.report(CODE[outcome], detail)


def _ask(entry: str, code: typing.Any, answer: object) -> tuple[Outcome, bytes]:
    namespace = _namespace()
    exec(code, namespace)
    function = namespace.get(entry) or _entry(namespace, PUZZLE_NAMES)
    if function is None:
        return Outcome.UNPARSED, b"puzzle: no function named f"
    value = function(answer)
    if value is True:
        return Outcome.ACCEPTED, b""
    if value is False:
        return Outcome.WRONG, b""
    return Outcome.WRONG, f"f returned a {type(value).__name__[:100]}".encode("utf-8", "replace")


def separate_builtins() -> None:
    """Give candidates a `builtins` module of their own, with the names of `typing` in it.

    They may patch it, and see the patch, while the lines of this file keep the real one. Names
    such as `List` are expected by P3's puzzles. Done once, in the zygote: to copy so many
    references in each child would touch a page of memory for nearly every one.
    """
    names = vars(_BUILTINS)
    names.update({name: getattr(typing, name) for name in typing.__all__})
    names.update(vars(builtins))
    sys.modules["builtins"] = _BUILTINS


def _namespace() -> dict[str, typing.Any]:
    """A new `__main__`."""
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = vars(module)
    namespace["__builtins__"] = _BUILTINS
    return namespace


def _entry(namespace: dict[str, typing.Any], names: tuple[str, ...]) -> typing.Any:
    """The function to call: one of the usual names, otherwise the only function there is."""
    for name in names:
        if callable(namespace.get(name)):
            return namespace[name]
    own = [
        value
        for value in namespace.values()
        if type(value) is FunctionType and value.__globals__ is namespace
    ]
    return own[0] if len(own) == 1 else None


def _text(source: bytes) -> str:
    return source.decode("utf-8", "surrogatepass")


def _report_error(exchange: Exchange, error: BaseException) -> None:
    outcome = Outcome.RAISED
    if isinstance(error, MemoryError):
        # Said without asking for more memory.
        exchange.report(CODE[Outcome.MEMORY], b"MemoryError")
        return
    if isinstance(error, PermissionError | ModuleNotFoundError):
        outcome = Outcome.REFUSED
    exchange.report(CODE[outcome], _detail(error))


def _detail(error: BaseException) -> bytes:
    """One line about an exception, whose own methods may be hostile."""
    name = type(error).__name__
    try:
        text = f"{name}: {error}"
    except BaseException:  # noqa: BLE001  a hostile __str__ may raise anything
        text = name
    return " ".join(text[:300].split()).encode("utf-8", "replace")
