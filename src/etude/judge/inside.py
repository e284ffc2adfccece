"""The zygote: it locks itself up once, then forks one child a step.

It knows nothing of puzzles and solutions. What a step needs goes from the socket into memory that
is made for the step and given back after it, so no text of a candidate, and no answer, is ever
where a later child could find it.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from etude.judge import cage, child, clock, trial, wire
from etude.judge.ended import NOT_STARTED, Ended
from etude.judge.exchange import Exchange
from etude.judge.heap import fill_holes
from etude.judge.limits import Limits
from etude.judge.pace import measured_pace, work
from etude.judge.steps import Orphaned, Stepper, prepared

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
        clock.fix(settings["look"]["clock"])
        filler += _freeze(stepper.native, settings["look"]["random_seed"])
        layers = stepper.cage.layers | trial.guarantees(stepper)
        pace = settings["pace"] or measured_pace(stepper)
        greeting = {"layers": layers, "native": stepper.native is not None, "pace": pace}
        sock.sendall(wire.pack_hello(greeting))
    except Exception as error:  # noqa: BLE001  told to the supervisor, who raises it
        sock.sendall(wire.pack_hello({"error": f"{type(error).__name__}: {error}"}))
        os._exit(1)
    if stepper.native is not None:
        # Comes back only in a child, with what that child is to work in.
        child.work(Exchange.found(stepper.native.serve()))
    try:
        while True:
            _serve(sock, stepper)
    except (Orphaned, wire.BadFrame, BrokenPipeError, ConnectionResetError):
        os._exit(0)


def _serve(sock: socket.socket, stepper: Stepper) -> None:
    """One step. Raises `Orphaned`, `wire.BadFrame` and `OSError` when the supervisor is gone."""
    body, results, room, cpu, wall = wire.read_step(sock)
    try:
        exchange = Exchange.made(body, results, room)
    except OSError as error:
        _drain(sock, body)
        wire.send_end(sock, _not_started(error))
        return
    with exchange.body() as view:
        wire.fill(sock, view)
    try:
        ended = stepper.step(lambda: child.work(exchange), cpu, wall, exchange, results)
    except OSError as error:
        ended = _not_started(error)
    said = exchange.said()
    wire.send_end(sock, ended, said)
    for view in said:
        view.release()
    exchange.close()


def _drain(sock: socket.socket, size: int) -> None:
    """Read so many bytes, and leave nothing of them in memory."""
    scratch = bytearray(4096)
    with memoryview(scratch) as view:
        for start in range(0, size, len(scratch)):
            wire.fill(sock, view[: min(len(scratch), size - start)])
    scratch[:] = bytes(len(scratch))


def _not_started(error: OSError) -> Ended:
    return Ended(NOT_STARTED, error.errno or 0, 0.0, 0)


def _lock_up(channel: int, settings: dict[str, Any], native: Any) -> Stepper:
    limits = Limits(**settings["limits"])
    _settle(channel)
    if native is not None:
        native.compact()
    locked = cage.lock_up(settings["namespaces"], limits, channel)
    return Stepper(locked, limits, channel, prepared(native, locked, channel))


def _freeze(native: Any, random_seed: int) -> list[object]:
    """Forks are cheap when the heap is small and nobody writes to it.

    Returns what is to be kept: it fills holes.
    """
    child.separate_builtins()
    re.purge()  # as between two answers in one child
    _warm()
    child.fix_chance(random_seed)
    gc.collect()
    filler = fill_holes()
    gc.freeze()
    gc.disable()
    if native is not None:
        native.freeze()
    return filler


_PLACES = (
    "executable",
    "_base_executable",
    "prefix",
    "exec_prefix",
    "base_prefix",
    "base_exec_prefix",
)


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
    for name in _PLACES:
        setattr(sys, name, "")
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGCHLD})
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
        body = wire.pack_body([wire.PUZZLE, b"", b"", _WARM_PUZZLE, b""])
        exchange = Exchange.made(len(body), 2, 1000)
        with exchange.body() as view:
            view[:] = body
        exchange.parts()
        code = compile(_WARM_SOLUTION.decode(), "solution", "exec", dont_inherit=True)
        child.report_answer(exchange, code, 1000)
        data = bytes(exchange.said()[2])
        exchange.report(*child.said_of(*child.read("", "", _WARM_PUZZLE.decode()), data))
        exchange.close()
    sys.modules["__main__"] = main
