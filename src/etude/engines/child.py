"""An object in a process of its own, asked over a pipe. When the process goes, all its memory goes.

    child = Child(sys.executable, "package.module:Worker", "model", dtype="auto")
    child.ask("method", 1, 2)          # worker.method(1, 2) there; what it raises is raised here
    child.close()

The interpreter may be that of another environment, whose packages would contradict those of this
one; it needs etude. The child dies with the process that started it, and never hears a Ctrl-C.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from etude.errors import Fault, InputError, UserError, WorkerDied

GRACE_SECONDS = 10.0
"""How long a child may take to leave before it is killed."""


class Child:
    """The calling side."""

    def __init__(self, python: str, target: str, *args: Any, **options: Any) -> None:
        """Starts the process, and returns when `target(*args, **options)` is made there.

        Raises:
            InputError: no such interpreter, or `target` raised one.
            Fault: it raised something else, or the process died.
        """
        self._connection, theirs = multiprocessing.Pipe()
        start = f"from {__name__} import main; main()"
        command = [python, "-P", "-c", start, str(theirs.fileno()), str(os.getpid())]
        try:
            # A process group of its own: a Ctrl-C is for this process, which ends the child.
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], process_group=0, stdin=subprocess.DEVNULL
            )
        except OSError as error:
            self._connection.close()
            raise InputError(
                f"{python} must be a Python interpreter, but can't be run ({error.strerror})."
            ) from None
        finally:
            theirs.close()
        try:
            self._send((target, args, options))
            self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, method: str, *args: Any) -> Any:
        """What a method of the object returns.

        Raises:
            InputError: it raised one, or the child is closed.
            WorkerDied: the process died.
            Fault: it raised something else.
        """
        if self._connection.closed:
            raise InputError("The process of this engine is closed: open the engine again.")
        try:
            self._send((method, args, {}))
            return self._answer()
        except KeyboardInterrupt:
            self.close()  # its answer, still to come, would be taken for that to the next question
            raise

    def close(self) -> None:
        """Ends the process. Calling it twice is harmless."""
        self._connection.close()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _send(self, request: tuple[str, tuple[Any, ...], dict[str, Any]]) -> None:
        try:
            self._connection.send(request)
        except (BrokenPipeError, ConnectionResetError):
            raise self._death() from None

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

    def _death(self) -> WorkerDied:
        self.close()
        return WorkerDied(f"the engine's process died with exit code {self._process.returncode}")


def serve(connection: Connection) -> None:
    """What runs in the process: makes the object, and asks it, until the other side is gone."""
    try:
        target, args, options = connection.recv()
        made = _reply(connection, lambda: _find(target)(*args, **options), keep=True)
        while made is not None:
            method, args, options = connection.recv()
            _reply(connection, lambda: getattr(made, method)(*args, **options))  # noqa: B023
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _find(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _reply(connection: Connection, call: Callable[[], Any], *, keep: bool = False) -> Any:
    """Sends what the call returns or raises; with `keep`, only that it returned."""
    made = None
    try:
        made = call()
        answer = ("done", None if keep else made)
    except UserError as error:
        answer = ("input", str(error))
    except BaseException:  # noqa: BLE001 - it goes to the other side, which raises it
        answer = ("fault", traceback.format_exc())
    connection.send(answer)
    return made


def _leave_with(parent: int) -> None:
    """A killed run must not leave a process on the GPU, not even a busy one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    """Where the process begins: with the pipe's number and that of its parent."""
    pipe, parent = map(int, sys.argv[1:])
    os.dup2(2, 1)  # what libraries print must not stand among our own lines
    _leave_with(parent)
    serve(Connection(pipe))
