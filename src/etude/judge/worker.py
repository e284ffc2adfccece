"""The supervisor's side of one zygote: start it, talk to it, end it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from etude.errors import Fault, InputError
from etude.judge import wire
from etude.judge.ended import Ended
from etude.judge.group import Group
from etude.judge.limits import Limits
from etude.judge.looks import FIRST, Look

_SCRIPT = Path(__file__).with_name("zygote.py")
_START_SECONDS = 60.0
_END_SECONDS = 5.0
_BUFFER = 1 << 20


class Gone(Exception):
    """The zygote has died, or does not answer."""


class Zygote:
    """A running zygote. Not thread-safe: one thread talks to it."""

    def __init__(
        self, limits: Limits, look: Look = FIRST, *, namespaces: bool, pace: float = 0.0
    ) -> None:
        """Start it, without waiting until it is ready. Raises `Fault` and `InputError`.

        `pace` is what an earlier one found the machine's to be; 0 to have it measured.
        """
        self.pace = pace
        self.native = False
        loop = _inner_loop()
        self._sock, theirs = socket.socketpair()
        for sock in (self._sock, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._ends = self._sock.makefile("rb")
        settings = {"limits": asdict(limits), "namespaces": namespaces, "pace": pace}
        try:
            self._process = _start(theirs, settings | {"look": asdict(look)}, loop)
        except OSError as error:
            self._ends.close()
            self._sock.close()
            raise Fault(f"could not start a sandbox process: {error}") from error
        finally:
            theirs.close()
        self._group: Group | None = None
        self.group = ""
        """What its control group bounds, or why there is none."""
        try:
            self._group = Group(limits)
            self._group.add(self._process.pid)
            self.group = ", ".join(self._group.bounds)
        except OSError as error:
            self.group = f"none: {error}"

    def layers(self) -> Mapping[str, str]:
        """Wait until it is ready: each layer with "" (on) or the reason it is off.

        Raises `Fault`.
        """
        self._sock.settimeout(_START_SECONDS)
        try:
            hello = wire.read_hello(self._ends)
        except (OSError, wire.BadFrame) as error:
            self.end()
            raise Fault(f"a sandbox process did not start: {error}") from error
        layers: Mapping[str, str] | None = hello.get("layers")
        if layers is None:
            self.end()
            raise Fault(f"a sandbox process did not start: {hello.get('error', 'no greeting')}")
        self.pace, self.native = hello["pace"], hello["native"]
        return layers

    def send(self, frame: bytes, seconds: float) -> None:
        """Hand over a step. Raises `Gone`."""
        self._sock.settimeout(seconds)
        try:
            self._sock.sendall(frame)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self, seconds: float) -> Ended:
        """How the oldest step that was handed over ended. Raises `Gone`."""
        self._sock.settimeout(seconds)
        try:
            return wire.read_end(self._ends)
        except (OSError, wire.BadFrame) as error:
            raise Gone(str(error) or type(error).__name__) from error

    def kill(self) -> None:
        """From any thread: make it die, and with it everything it started."""
        self._process.kill()

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        if self._group is not None:
            self._group.kill()
        # The process that was killed may be the one outside the namespaces: the end of the
        # stream says that the one inside is gone too.
        with contextlib.suppress(OSError):
            self._sock.settimeout(_END_SECONDS)
            while self._sock.recv(1 << 16):
                pass
        if self._group is not None:
            self._group.remove()
        self._ends.close()
        self._sock.close()


def _inner_loop() -> str:
    """`native` to use the C extension where it was built, otherwise `python`."""
    loop = os.environ.get("ETUDE_JUDGE_LOOP", "native")
    if loop not in ("native", "python"):
        raise InputError(f"ETUDE_JUDGE_LOOP must be native or python, but is {loop!r}")
    return loop


def _preloaded() -> dict[str, str]:
    """The extension, in the process from its first moment: it decides where memory lies."""
    found = importlib.util.find_spec("etude.judge._native")
    # ld.so knows no way to write a path with one of these.
    if found is None or not found.origin or any(mark in found.origin for mark in " :"):
        return {}
    return {"LD_PRELOAD": found.origin}


def _start(
    theirs: socket.socket, settings: Mapping[str, Any], loop: str
) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise InputError("the judge needs a Python program to start, but sys.executable is empty")
    # No -I: it would ignore PYTHONHASHSEED. The environment is ours alone, so nothing else is read.
    command = [sys.executable, "-s", "-S", "-P", "-Wignore", str(_SCRIPT)]
    environment = {"PYTHONHASHSEED": str(settings["look"]["hash_seed"]), "TZ": "UTC0"}
    if "LD_LIBRARY_PATH" in os.environ:  # some installations don't find libpython without it
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    if loop == "native":
        environment |= _preloaded()
    return subprocess.Popen(
        [*command, str(theirs.fileno()), json.dumps(settings), loop],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        start_new_session=True,
    )
