"""The tracker's own process: hears of finished stages on standard input, reads them, sends them.

What the tracker prints goes to `track/NAME.log`; on standard output goes nothing but the reason of
a failure. It ends with its input, and soon after its parent, whatever the tracker is doing.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etude import store
from etude.tracking.backends import Backend, open_backend
from etude.tracking.measures import measures

ORPHAN_SECONDS = 10.0
"""How long it may go on sending after its run was killed."""


def main() -> None:
    """Arguments: the tracker's name, the run's folder, the parent's process id."""
    name, folder, parent = sys.argv[1], store.place(sys.argv[2]), int(sys.argv[3])
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    reason = os.dup(1)
    path = store.scratch(folder) / "track" / f"{name}.log"
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        _track(name, folder)
    except BaseException as error:  # noqa: BLE001 - the run hears of it, and goes on
        traceback.print_exc()
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        os.write(reason, told.encode("utf-8", "backslashreplace")[:2000])
        sys.stderr.flush()
        os._exit(1)  # a tracker that failed may hang in what it does at exit


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    time.sleep(ORPHAN_SECONDS)
    os._exit(1)


def _track(name: str, folder: Path) -> None:
    run = store.Run.read(folder)
    track = store.scratch(folder) / "track"
    backend = open_backend(name, track, _identity(track), run)
    told = Told(track / f"{name}.told")
    for event in _events():
        stage = (event["arm"], event["round"], event["stage"])
        if stage not in told:
            _send(backend, run, event)
            told.add(stage)
    backend.finish()


def _events() -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in sys.stdin)


def _send(backend: Backend, run: store.Run, event: dict[str, Any]) -> None:
    for one in measures(run, event["arm"], event["round"], event["stage"], event["seconds"]):
        backend.log(one.axis, one.at, one.values)


def _identity(track: Path) -> str:
    """What the run is called by trackers, on this and every other machine; kept for the next
    start."""
    path = track / "id"
    if not path.is_file():
        store.write_atomically(path, uuid.uuid4().hex[:12].encode())
    return path.read_text("utf-8").strip()


Stage = tuple[str, int | None, str]


class Told:
    """The stages that have been sent, kept in a file: a run that is continued tells them again.

    A last line without an end is left out: its process was killed in the middle of it, and that
    stage is sent once more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text("utf-8") if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            store.write_atomically(path, whole.encode())
        self._stages: set[Stage] = {tuple(json.loads(line)) for line in whole.splitlines()}

    def __contains__(self, stage: Stage) -> bool:
        return stage in self._stages

    def add(self, stage: Stage) -> None:
        self._stages.add(stage)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(stage) + "\n")
