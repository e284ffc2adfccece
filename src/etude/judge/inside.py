"""The zygote: it locks itself up once, then forks one child a step.

No text of a candidate, and no answer, is kept where a later child could find it. Requests wait in
memory that children do not inherit; what a step needs is copied into the step's own exchange.
"""

from __future__ import annotations

import gc
import json
import mmap
import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from etude.judge import cage, child, codec, trial, wire
from etude.judge.exchange import DETAIL_BYTES, Exchange
from etude.judge.heap import fill_holes
from etude.judge.limits import Limits
from etude.judge.pace import measured_pace, work
from etude.judge.steps import Ended, Orphaned, Stepper, prepared
from etude.types import Outcome

_DIGEST = 32
_NEEDED = ("__main__", "resource")
"""`os.wait4` looks the second up each time."""


def boot(
    arguments: Sequence[str], allowed: frozenset[str], filler: list[object], native: Any
) -> None:
    """Serve until the supervisor closes the channel; the process ends here.

    `arguments` are the channel's descriptor and the settings as JSON; `allowed` are the modules
    that candidates may import; `filler` is what is to be kept in memory for its place only.
    """
    channel = int(arguments[0])
    sock = socket.socket(fileno=channel)
    settings = json.loads(arguments[1])
    try:
        stepper = _lock_up(channel, settings, native)
        _forget(allowed)
        filler += _freeze(stepper.native)
        layers = stepper.cage.layers | trial.guarantees(stepper)
        pace = settings["pace"] or measured_pace(stepper)
        greeting = {"layers": layers, "native": stepper.native is not None, "pace": pace}
        sock.sendall(wire.pack(wire.HELLO, [json.dumps(greeting).encode()]))
    except Exception as error:  # noqa: BLE001  told to the supervisor, who raises it
        hello = {"error": f"{type(error).__name__}: {error}"}
        sock.sendall(wire.pack(wire.HELLO, [json.dumps(hello).encode()]))
        os._exit(1)
    _serve(Zygote(sock, stepper, pace))


def _serve(zygote: Zygote) -> None:
    try:
        while True:
            zygote.serve()
    except (Orphaned, wire.BadFrame, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def _lock_up(channel: int, settings: dict[str, Any], native: Any) -> Stepper:
    limits = Limits(**settings["limits"])
    _settle(channel)
    if native is not None:
        native.compact()
    locked = cage.lock_up(settings["namespaces"], limits, channel)
    return Stepper(locked, limits, channel, prepared(native, locked, channel))


def _freeze(native: Any) -> list[object]:
    """Forks are cheap when the heap is small and nobody writes to it.

    Returns what is to be kept: it fills holes.
    """
    child.separate_builtins()
    _warm()
    gc.collect()
    filler = fill_holes()
    gc.freeze()
    gc.disable()
    if native is not None:
        native.freeze()
    return filler


def _settle(channel: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, channel)
    os.closerange(channel + 1, 4096)
    os.environ.clear()
    # They name places of this machine, and differ from one start to the next.
    sys.argv.clear()
    sys.orig_argv.clear()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    sys.setrecursionlimit(child.RECURSION_LIMIT)


def _forget(allowed: frozenset[str]) -> None:
    """Leave only the allowed modules to be imported by a candidate."""
    for name in list(sys.modules):
        if name not in allowed and name not in _NEEDED:
            del sys.modules[name]
    sys.path.clear()
    sys.path_importer_cache.clear()


_WARM_PUZZLE = b"""def f(x: List[int], n=3):
    return len(x) == n and sorted(i * i for i in x if i < n) == [int(str(n))]
"""
_WARM_SOLUTION = b"""def g(n=3):
    return [i for i in range(n)]
"""
_WARM_TURNS = 20
"""The interpreter adapts code to what it meets only after several runs."""


def _warm() -> None:
    """Let the interpreter do once what every child would otherwise do anew."""
    main = sys.modules["__main__"]
    work()
    for _ in range(_WARM_TURNS):
        exchange = Exchange([b"", b"", _WARM_PUZZLE, _WARM_SOLUTION], 2, 1000)
        _, _, puzzle, solution = exchange.parts()
        code = compile(solution.decode(), "solution", "exec", dont_inherit=True)
        child.report_answer(exchange, code, 1000)
        data = exchange.payload()
        codec.literal(data)
        child.report_outcome(exchange, *child.read("", "", puzzle.decode()), data)
        exchange.close()
    sys.modules["__main__"] = main
    random.seed(0)  # for every child: what they do with it, they do to their copy


@dataclass(frozen=True, slots=True)
class Report:
    """What one candidate came to."""

    outcome: Outcome
    detail: bytes = b""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    answer: str = ""
    like: int = -1
    """An earlier candidate of the request with the same answer: its outcome holds."""
    near: bool = False
    """A step came near its CPU limit."""

    def frame(self) -> bytes:
        numbers = wire.REPORT.pack(
            child.CODE[self.outcome],
            self.like,
            int(self.cpu_seconds * 1e6),
            self.peak_bytes,
            self.near,
        )
        text = self.answer.encode("utf-8", "surrogatepass")
        return wire.pack(wire.VERDICT, [numbers, text, self.detail[:DETAIL_BYTES]])


class Request:
    """The parts of one frame, in memory that is not copied into children.

    The first parts are the puzzle's name, its answer type and its source.
    """

    HEAD = 3

    def __init__(self, sock: socket.socket) -> None:
        self.kind, self._lengths = wire.read_head(sock)
        if len(self._lengths) < self.HEAD:
            raise wire.BadFrame("no puzzle")
        self.items = len(self._lengths) - self.HEAD
        self._digests = sum(self._lengths)
        private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
        size = self._digests + _DIGEST * self.items + 1
        self._memory = mmap.mmap(-1, size, **private)
        if hasattr(mmap, "MADV_DONTFORK"):
            self._memory.madvise(mmap.MADV_DONTFORK)
        self._view = memoryview(self._memory)
        wire.fill(sock, self._view[: self._digests])
        self._known: list[int] = []
        self.puzzle_reads = False
        """True once a child has read the puzzle."""

    def part(self, number: int) -> memoryview:
        start = sum(self._lengths[:number])
        return self._view[start : start + self._lengths[number]]

    def puzzle(self) -> list[memoryview]:
        return [self.part(number) for number in range(self.HEAD)]

    def item(self, number: int) -> memoryview:
        return self.part(self.HEAD + number)

    def met(self, data: bytes, item: int) -> int:
        """The earlier item that had this answer, or -1, and then it is remembered as this one's."""
        digest = sha256(data).digest()
        for place, known in enumerate(self._known):
            start = self._digests + _DIGEST * place
            if self._view[start : start + _DIGEST] == digest:
                return known
        start = self._digests + _DIGEST * len(self._known)
        self._view[start : start + _DIGEST] = digest
        self._known.append(item)
        return -1

    def close(self) -> None:
        self._view.release()
        self._memory.close()


class Zygote:
    """Answers requests, one after the other."""

    def __init__(self, sock: socket.socket, stepper: Stepper, pace: float) -> None:
        """`pace` is what `measured_pace` gave when the judge was started."""
        self._sock = sock
        self._stepper = stepper
        self._pace = pace
        self._scale = 1.0
        self._limits = stepper.limits

    def serve(self) -> None:
        """One request. Raises `Orphaned` and `wire.BadFrame` when the supervisor is gone."""
        request = Request(self._sock)
        if request.kind in (wire.VERIFY, wire.ALONE):
            if request.kind == wire.ALONE:
                self._scale = max(1.0, measured_pace(self._stepper) / self._pace)
            for number in range(request.items):
                self._sock.sendall(self._verify(request, number).frame())
            self._scale = 1.0
        elif request.kind == wire.SATISFY:
            self._sock.sendall(wire.pack(wire.OUTCOMES, [self._satisfy(request)]))
        else:
            raise wire.BadFrame("an unknown kind")
        request.close()

    def _verify(self, request: Request, number: int) -> Report:
        try:
            found, data = self._solution(request.item(number))
            if found.outcome is not Outcome.ACCEPTED:
                return self._unless_puzzle_is_broken(request, found)
            return self._with_puzzle(request, number, found, data)
        except OSError as error:
            return Report(Outcome.FAULT, str(error).encode())

    def _run(self, job: Callable[[], None]) -> Ended:
        return self._stepper.run(job, scale=self._scale)

    def _solution(self, source: memoryview) -> tuple[Report, bytes]:
        """`g()` in a child: accepted means that it gave an answer, encoded in the bytes."""
        limit = self._limits.answer_bytes
        exchange = Exchange([source], 1, limit)
        try:
            ended = self._run(lambda: child.run_solution(exchange, limit))
            return _report(exchange, ended, "g"), exchange.payload()
        finally:
            exchange.close()

    def _unless_puzzle_is_broken(self, request: Request, found: Report) -> Report:
        """No solution is to blame when nobody could read the puzzle."""
        if request.puzzle_reads:
            return found
        exchange = Exchange(request.puzzle(), 1, 0)
        try:
            ended = self._run(lambda: child.run_puzzle(exchange))
            if ended.cause is None and exchange.results():
                return _report(exchange, ended, "f")
        finally:
            exchange.close()
        request.puzzle_reads = True
        return found

    def _with_puzzle(self, request: Request, number: int, found: Report, data: bytes) -> Report:
        try:
            answer = codec.literal(data)
        except codec.Malformed as error:
            detail = f"not an answer: {error}".encode()
            return Report(Outcome.CRASHED, detail, found.cpu_seconds, found.peak_bytes)
        like = request.met(data, number)
        if like >= 0:
            return replace(found, answer=answer, like=like)
        exchange = Exchange([*request.puzzle(), data], 1, 0)
        try:
            ended = self._run(lambda: child.run_puzzle(exchange))
            judged = _report(exchange, ended, "f")
        finally:
            exchange.close()
        request.puzzle_reads = judged.outcome is not Outcome.UNPARSED
        cpu = found.cpu_seconds + judged.cpu_seconds
        peak = max(found.peak_bytes, judged.peak_bytes)
        near = found.near or judged.near
        return Report(judged.outcome, judged.detail, cpu, peak, answer, near=near)

    def _satisfy(self, request: Request) -> bytes:
        """A byte an answer. A child that dies takes one answer with it; the next goes on."""
        outcomes = bytearray()
        while len(outcomes) < request.items:
            outcomes += bytes(self._satisfy_from(request, len(outcomes)))
        return bytes(outcomes)

    def _satisfy_from(self, request: Request, start: int) -> list[int]:
        answers = [request.item(number) for number in range(start, request.items)]
        exchange = Exchange([*request.puzzle(), *answers], len(answers), 0)
        try:
            job = lambda: child.run_puzzle(exchange)  # noqa: E731
            ended = self._stepper.run(job, exchange, len(answers))
            outcomes = [_outcome_code(code) for code in exchange.results()]
        except OSError:
            return [child.CODE[Outcome.FAULT]]
        finally:
            exchange.close()
        unparsed = child.CODE[Outcome.UNPARSED]
        if outcomes[:1] == [unparsed]:
            return [unparsed] * len(answers)
        if len(outcomes) < len(answers):
            outcomes.append(child.CODE[ended.cause or Outcome.CRASHED])
        if ended.cause is Outcome.TIMEOUT:
            # A puzzle that hangs on one answer would cost the whole limit on each of the others.
            outcomes += [child.CODE[Outcome.TIMEOUT]] * (len(answers) - len(outcomes))
        return outcomes


def _outcome_code(code: int) -> int:
    """What a child said, as far as it may say that: a fault is found by the zygote's own eyes."""
    said = code < len(wire.ORDER) and wire.ORDER[code] is not Outcome.FAULT
    return code if said else child.CODE[Outcome.CRASHED]


def _report(exchange: Exchange, ended: Ended, step: str) -> Report:
    """What a step came to: the zygote's own eyes first, then what the child said."""
    cpu, peak = ended.cpu_seconds, ended.peak_bytes
    if ended.cause is not None:
        detail = f"{step}: {ended.detail}".encode()
        return Report(ended.cause, detail, cpu, peak, near=ended.near)
    results = exchange.results()
    if not results or results[0] >= len(wire.ORDER):
        return Report(Outcome.CRASHED, f"{step} left without an answer".encode(), cpu, peak)
    outcome = wire.ORDER[_outcome_code(results[0])]
    return Report(outcome, exchange.detail(), cpu, peak, near=ended.near)
