"""What runs in a child: the only lines of etude that share a process with a candidate.

A child may do as it likes with its own memory, so nothing here has to hold against the candidate.
What it reports about `g()` is an answer, plain data that any process could have sent; what it
reports about `f(answer)` is no more than what `f` could have returned.
"""

from __future__ import annotations

import builtins
import mmap
import random
import re
import sys
import typing
from contextlib import suppress
from os import _exit
from types import FunctionType, ModuleType

from etude.judge import codec, pace, recorded
from etude.judge.carry import leaves_nothing
from etude.judge.exchange import DETAIL_BYTES, Exchange
from etude.judge.shape import Shape, UnknownType, fits, shape_from_text
from etude.judge.source import PUZZLE_NAMES, SOLUTION_NAMES, NotAFunction, read_puzzle
from etude.judge.wire import (
    ASKS,
    CALLS,
    ORDER,
    PACE,
    PUZZLE,
    QUIET_PUZZLE,
    SOLUTION,
    TESTS,
)
from etude.types import Outcome

CODE = {outcome: number for number, outcome in enumerate(ORDER)}
RECURSION_LIMIT = 3000
_BUILTINS = ModuleType("builtins")
_CHANCE = random.getstate()
_SEED = 0
# Given back before an error is reported, so that a candidate that took all memory leaves some for
# it. Nobody touches its pages, and the zygote's size, to which the limit is added, includes it.
_RESERVE = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
# The interpreter's own words when memory ends while it makes the traceback of a MemoryError.
_LOST_ERROR = ("error return without exception set",)
# What compile() raises for text that is no Python, however it is broken.
_NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)


def work(exchange: Exchange) -> None:
    """Do what the parts of the exchange ask for. Does not return."""
    try:
        kind, *parts = exchange.parts()
        _JOBS[kind](exchange, *parts)
    except BaseException as error:  # noqa: BLE001  a candidate may raise anything
        _RESERVE.close()
        exchange.report(*_said_of_error(error))
    finally:
        _exit(0)


def run_solution(exchange: Exchange, source: bytes) -> None:
    """Report the encoded value of `g()`, as long as the exchange has room for."""
    try:
        code = compile(_text(source), "solution", "exec", dont_inherit=True)
    except _NO_PYTHON as error:
        exchange.report(CODE[Outcome.UNPARSED], _detail(error))
        return
    report_answer(exchange, code, exchange.room)


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


def run_puzzle(
    exchange: Exchange, name: bytes, answer_type: bytes, source: bytes, *answers: bytes
) -> None:
    """Report an outcome of `f` for each encoded answer.

    An answer is decoded, and its type compared, before any text of the puzzle runs.
    """
    try:
        entry, shape, code = read(name.decode(), answer_type.decode(), _text(source))
    except (NotAFunction, UnknownType, *_NO_PYTHON) as error:
        exchange.report(CODE[Outcome.UNPARSED], b"puzzle: " + _detail(error))
        return
    for answer in answers:
        if exchange.count():  # the first finds `random` as the zygote left it: seeded
            _renew_chance(exchange.count())
        exchange.report(*said_of(entry, shape, code, answer))


def run_quiet_puzzle(
    exchange: Exchange, name: bytes, answer_type: bytes, source: bytes, *answers: bytes
) -> None:
    """As `run_puzzle`, with all details as lines in the payload, for a puzzle that can carry
    nothing over from one answer to the next; for any other, no results."""
    try:
        text = _text(source)
        entry, shape, code = read(name.decode(), answer_type.decode(), text)
    except MemoryError:
        return  # the other answers took some; alone there may be enough
    except (NotAFunction, UnknownType, *_NO_PYTHON) as error:
        exchange.report(CODE[Outcome.UNPARSED], b"puzzle: " + _detail(error))
        return
    harmless = False
    with suppress(*_NO_PYTHON):  # a tree is more than `compile` needs: no word about the text
        harmless = leaves_nothing(text)
    if not harmless:
        return
    details: list[bytes] = []
    for answer in answers:
        if details:
            random.setstate(_CHANCE)
            re.purge()  # takes the flags 2 and 2.0 for the same
        outcome, detail = said_of(entry, shape, code, answer)
        details.append(detail[:DETAIL_BYTES])
        exchange.report(outcome, detail, b"\n".join(details))


def run_calls(exchange: Exchange, source: bytes, entry: bytes, *calls: bytes) -> None:
    """Make calls of a program's function, and leave their results."""
    try:
        code = compile(_text(source), "program", "exec", dont_inherit=True)
    except _NO_PYTHON as error:
        exchange.report(CODE[Outcome.UNPARSED], _detail(error))
        return
    namespace = _namespace()
    exec(code, namespace)
    function = namespace.get(_text(entry))
    if not callable(function):
        exchange.report(CODE[Outcome.UNPARSED], b"no function named " + entry[:100])
        return
    for call in calls:
        try:
            result = recorded.called(function, call, exchange.room)
            fits_in = exchange.leave(recorded.packed([result]))
        except codec.NotPlain as error:
            exchange.report(CODE[Outcome.MISTYPED], str(error).encode("utf-8", "replace"))
            return
        except codec.TooLarge:
            fits_in = False
        if not fits_in:
            exchange.report(CODE[Outcome.MEMORY], b"results that are too large")
            return
    exchange.report(CODE[Outcome.ACCEPTED])


def run_tests(
    exchange: Exchange,
    prompt: bytes,
    tests: bytes,
    entry: bytes,
    guess: bytes,
    calls: bytes,
    results: bytes,
) -> None:
    """Run tests on what is known of a program. Report an outcome, or ask for more calls."""
    known = (recorded.unpacked(calls), recorded.unpacked(results))
    stand_in = recorded.StandIn(_text(entry), *known, guess=bool(guess), limit=exchange.room)
    said = CODE[Outcome.ACCEPTED], b""
    try:
        _test(stand_in, _text(prompt), _text(tests), _text(entry))
    except recorded.Unresolved:
        pass
    except SyntaxError as error:
        said = CODE[Outcome.UNPARSED], b"tests: " + _detail(error)
    except AssertionError as error:
        said = CODE[Outcome.WRONG], _detail(error)
    except BaseException as error:  # noqa: BLE001  tests may raise anything
        _RESERVE.close()
        said = _said_of_error(error)
    refused = stand_in.refused
    if refused and (isinstance(refused, recorded.TooMany) or not stand_in.unknown):
        exchange.report(CODE[Outcome.UNPARSED], b"tests: " + _detail(refused))
    elif stand_in.unknown:
        exchange.report(ASKS, b"", recorded.packed(stand_in.made))
    elif not stand_in.made and said[0] in (CODE[Outcome.ACCEPTED], CODE[Outcome.WRONG]):
        never = b"tests: they never call " + entry[:100]
        exchange.report(CODE[Outcome.UNPARSED], b": ".join(filter(None, (never, said[1]))))
    else:
        exchange.report(*said)


def _test(stand_in: recorded.StandIn, prompt: str, tests: str, entry: str) -> None:
    namespace = _namespace()
    exec(_helpers(prompt), namespace)
    namespace[entry] = stand_in
    helper = namespace.get("check")  # of the prompt, or the stand-in: not the tests' own
    exec(compile(tests, "tests", "exec", dont_inherit=True), namespace)
    check = namespace.get("check")
    if callable(check) and check is not helper:
        check(stand_in)


def _helpers(prompt: str) -> typing.Any:
    """What stands in a prompt before the function that is to be completed, and its imports."""
    for text in (prompt, prompt + "\n    pass\n"):
        with suppress(*_NO_PYTHON):
            return compile(text, "prompt", "exec", dont_inherit=True)
    return compile("", "prompt", "exec")


def run_pace(exchange: Exchange) -> None:
    """A fixed piece of work."""
    pace.work()


_JOBS: dict[bytes, typing.Callable[..., None]] = {
    SOLUTION: run_solution,
    PUZZLE: run_puzzle,
    QUIET_PUZZLE: run_quiet_puzzle,
    PACE: run_pace,
    CALLS: run_calls,
    TESTS: run_tests,
}


def read(name: str, answer_type: str, source: str) -> tuple[str, Shape, typing.Any]:
    """The puzzle's function, the shape of its answer, and its code."""
    if name and answer_type:
        shape = shape_from_text(answer_type)
    else:
        name, shape = read_puzzle(source)
    return name, shape, compile(source, "puzzle", "exec", dont_inherit=True)


def said_of(entry: str, shape: Shape, code: typing.Any, data: bytes) -> tuple[int, bytes]:
    """What `f` says of one encoded answer: the outcome's code and a detail."""
    try:
        answer = codec.decode(data)
    except codec.Malformed as error:
        return CODE[Outcome.CRASHED], f"not an answer: {error}".encode()
    if not fits(answer, shape):
        return CODE[Outcome.MISTYPED], b"not exactly the type that the puzzle asks for"
    try:
        outcome, detail = _ask(entry, code, answer)
    except BaseException as error:  # noqa: BLE001  a puzzle may raise anything
        _RESERVE.close()
        return _said_of_error(error)
    return CODE[outcome], detail


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
    return Outcome.WRONG, _line(f"f returned a {type(value).__name__[:100]}")


def fix_chance(seed: int) -> None:
    """In the zygote: where `random` stands at the beginning of every step."""
    global _CHANCE, _SEED
    random.seed(seed)
    _CHANCE, _SEED = random.getstate(), seed


def _renew_chance(number: int) -> None:
    """For another answer in the same process: as in a process of its own. In a later look at the
    same answers (see `looks`) each has other chance."""
    if _SEED:
        random.seed(_SEED + number)
    else:
        random.setstate(_CHANCE)


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


def _said_of_error(error: BaseException) -> tuple[int, bytes]:
    """Of what a candidate raised; the reserve has been given back, since a call needs memory."""
    lost = isinstance(error, SystemError) and error.args == _LOST_ERROR
    if lost or isinstance(error, MemoryError):
        return CODE[Outcome.MEMORY], b"MemoryError"
    refused = isinstance(error, PermissionError | ModuleNotFoundError)
    return CODE[Outcome.REFUSED if refused else Outcome.RAISED], _detail(error)


def _detail(error: BaseException) -> bytes:
    """One line about an exception, whose own methods may be hostile."""
    name = type(error).__name__
    try:
        text = f"{name}: {error}"
    except BaseException:  # noqa: BLE001  a hostile __str__ may raise anything
        text = name
    return _line(text)


def _line(text: str) -> bytes:
    return " ".join(text[:300].split()).encode("utf-8", "replace")
