"""Live tracking: what a run says goes to trackio, TensorBoard or Weights & Biases too.

    with tracking("tensorboard", Path("runs/tiny")) as hear:
        climb(run, arms, hear)

The tracker lives in a process of its own, which is told of each finished stage and reads the tables
itself. So nothing that it does can stop or hold up a run: where it fails, hangs or dies, one line
of warning says so and the run goes on without it. What has been sent is noted in the run's folder
`track/`, so that a run that is continued goes on in the same tracked run and sends nothing twice.

Covered: counts, rates, scores with the ends of their intervals, losses, health, seconds. Offline
unless the user says otherwise: see `docs/tracking.md`. Not covered: texts, which stay in the run.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from etude import store
from etude.errors import InputError
from etude.readings.words import harmless
from etude.types import Event

INSTALL = {
    "trackio": "pip install 'etude[track]'",
    "tensorboard": "pip install tensorboard",
    "wandb": "pip install wandb",
}
"""The trackers, and what installs each."""
PATIENCE = 60.0
"""Seconds that a tracker may take at the end, to send what it has."""
_LAST_WORDS = 5.0

Hear = Callable[[Event], None]


def check_tracker(name: str) -> None:
    """Raises `InputError` for a tracker that is none, or is not installed."""
    if name not in INSTALL:
        raise InputError(
            f"--track must be {', '.join(list(INSTALL)[:-1])} or {list(INSTALL)[-1]}, "
            f"but got {harmless(name, lines=1)}."
        )
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"--track {name} needs the Python package {name}, which is not installed: "
            f"{INSTALL[name]}."
        )


@contextmanager
def tracking(name: str | None, folder: Path) -> Iterator[Hear]:
    """Hears the events of a run while it lasts; without a name they go nowhere."""
    if name is None:
        yield lambda event: None
        return
    tracker = Tracker(name, folder)
    try:
        yield tracker.hear
    finally:
        tracker.close()


class Tracker:
    """The tracker's process, from the side of the run. None of its methods raises or waits long."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = store.scratch(folder) / "track" / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        start = "from etude.tracking.child import main; main()"
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            # A process group of its own: a Ctrl-C is for the run, which ends its tracker.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", start, name, str(folder), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            self._warn(f"can't be started ({error.strerror})")
            return
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    def hear(self, event: Event) -> None:
        """Pass a finished stage on; a tracker that no longer reads is given up."""
        if self._process is None or not event.done >= event.total > 0:
            return
        if self._process.poll() is not None:
            self._gone()
            return
        assert self._process.stdin is not None
        kept = {name: value for name, value in asdict(event).items() if name != "summary"}
        line = json.dumps(kept).encode() + b"\n"
        try:
            os.write(self._process.stdin.fileno(), line)  # whole or not at all: it is short
        except BlockingIOError:
            self._give_up("takes nothing more")
        except OSError:
            self._gone()

    def close(self) -> None:
        """Let it send what it has, for a bounded time."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._give_up(f"did not end within {PATIENCE:.0f} seconds")
            return
        if self._process.returncode:
            self._gone()
        else:
            self._drop()

    def _gone(self) -> None:
        """It has ended by itself: with a reason, or by a crash."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            code = self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self._give_up("takes nothing more")
            return
        said = self._process.stdout.read(2000).decode("utf-8", "replace").strip()
        self._drop()
        self._warn(f"failed ({harmless(said, lines=1, width=200) or f'exit code {code}'})")

    def _give_up(self, why: str) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._drop()
        self._warn(why)

    def _drop(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        self._process = None

    def _warn(self, why: str) -> None:
        print(
            f"--track {self.name} {why}: the run goes on without it. More in {self.log}",
            file=sys.stderr,
        )
