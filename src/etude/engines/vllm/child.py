"""An object in a process of its own, asked over a pipe. When the process goes, all its memory goes.

    child = Child(Worker, "model")     # Worker("model") is made in a fresh interpreter
    child.ask("method", 1, 2)          # worker.method(1, 2); what it raises is raised here
    child.close()

The child dies with the process that started it, and never hears a Ctrl-C.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from etude.errors import Fault, InputError, UserError

GRACE_SECONDS = 10.0
"""How long a child may take to leave before it is killed."""


class Child:
    """The calling side."""

    def __init__(self, make: Callable[..., Any], *args: Any) -> None:
        """Starts the process and returns when `make(*args)` is done there.

        Raises:
            InputError: `make` raised one.
            Fault: it raised something else, or the process died.
        """
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, args), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, method: str, *args: Any) -> Any:
        """What a method of the object returns.

        Raises:
            InputError: it raised one, or the child is closed.
            Fault: it raised something else, or the process died.
        """
        if self._connection.closed:
            raise InputError("The process of this engine is closed: open the engine again.")
        try:
            self._connection.send((method, args))
        except (BrokenPipeError, ConnectionResetError):
            raise self._death() from None
        return self._answer()

    def close(self) -> None:
        """Ends the process. Calling it twice is harmless."""
        self._connection.close()
        self._process.join(GRACE_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()

    def _answer(self) -> Any:
        try:
            kind, value = self._connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._death() from None
        if kind == "input":
            raise InputError(value)
        if kind == "fault":
            raise Fault(f"the engine's process failed:\n{value}")
        return value

    def _death(self) -> Fault:
        self._process.join(GRACE_SECONDS)
        return Fault(f"the engine's process died with exit code {self._process.exitcode}")


def _serve(connection: Connection, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What runs in the process, until the other side closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_with_parent()
    made: list[Any] = []

    def start() -> None:
        made.append(make(*args))

    _reply(connection, start)
    while made:
        try:
            method, given = connection.recv()
        except EOFError:
            return
        _reply(connection, getattr(made[0], method), *given)


def _reply(connection: Connection, call: Callable[..., Any], *args: Any) -> None:
    try:
        answer = ("done", call(*args))
    except UserError as error:
        answer = ("input", str(error))
    except BaseException:  # noqa: BLE001 - it goes to the other side, which raises it
        answer = ("fault", traceback.format_exc())
    connection.send(answer)


def _leave_with_parent() -> None:
    """A killed run must not leave a process on the GPU."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
