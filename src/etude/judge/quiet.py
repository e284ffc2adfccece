"""Whose turn it is when something must run alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Quiet:
    """Many may be busy at once, or one alone. Who wants to be alone comes next.

    >>> quiet = Quiet()
    >>> quiet.enter()
    >>> quiet.wanted
    False
    >>> quiet.leave()
    >>> with quiet.alone():
    ...     quiet.wanted
    True
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._busy = 0
        self._waiting = 0
        self._alone = False

    @property
    def wanted(self) -> bool:
        """Whether somebody is alone or waits for it: the busy should come to an end."""
        return self._alone or self._waiting > 0

    def enter(self) -> None:
        """Be busy, as soon as nobody is alone or waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: not self.wanted)
            self._busy += 1

    def leave(self) -> None:
        """Be busy no longer."""
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody is busy, and keep them out. Whoever asks must not be busy."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._busy and not self._alone)
            self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
