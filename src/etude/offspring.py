"""Processes of multiprocessing that belong to the one that started them.

They hear no Ctrl-C, which is for their parent, and they don't outlive it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait


@contextmanager
def no_interrupt() -> Iterator[None]:
    """A process started in here never gets a Ctrl-C: this one does, and ends it."""
    resource_tracker.ensure_running()  # its own start would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def die_with_parent() -> None:
    """In such a process: it must not go on after its run was killed, beside the one that continues
    it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch(sentinel: int, leave: Callable[[int], None]) -> None:
        wait([sentinel])
        leave(1)

    threading.Thread(target=watch, args=(parent.sentinel, os._exit), daemon=True).start()
