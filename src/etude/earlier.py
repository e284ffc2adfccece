"""The puzzles that a round's proposals may repeat: by id where each stands, and a key of its text.

Covered: millions of them, in 20 bytes each and a dict of the latest. Not covered: what a puzzle is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from etude.duplicates.keys import digest

LATEST = 1 << 17
"""So many stand in a dict, before they are sorted in among the others."""


class Earlier:
    """Which puzzles are known. The first who names one says where it stands.

    >>> known = Earlier()
    >>> known.add("00000000000000aa", 3, "def f(x: int): return x > 2")
    >>> known.find("00000000000000aa", "def f(y: int): return y > 2")
    (3, False)
    """

    def __init__(self) -> None:
        self._latest: dict[int, tuple[int, int]] = {}
        self._ids = np.zeros(0, np.uint64)
        self._places = np.zeros(0, np.int32)
        self._texts = np.zeros(0, np.uint64)

    def add(self, id: str, place: int, text: str) -> None:
        """A puzzle that stands at a place; nothing changes where it is known."""
        key = int(id, 16)
        if self._find(key) is None:
            self._latest[key] = place, digest(text)
            if len(self._latest) == LATEST:
                self._sort_in()

    def find(self, id: str, text: str) -> tuple[int, bool] | None:
        """Where a puzzle stands, and whether with this very text; None for a new one."""
        found = self._find(int(id, 16))
        return None if found is None else (found[0], found[1] == digest(text))

    def _find(self, key: int) -> tuple[int, int] | None:
        if key in self._latest:
            return self._latest[key]
        at = int(np.searchsorted(self._ids, np.uint64(key)))
        if at < len(self._ids) and self._ids[at] == key:
            return int(self._places[at]), int(self._texts[at])
        return None

    def _sort_in(self) -> None:
        places, texts = zip(*self._latest.values(), strict=True)
        ids = _joined(self._ids, list(self._latest))
        order = np.argsort(ids, kind="stable")
        self._ids = ids[order]
        self._places = _joined(self._places, places)[order]
        self._texts = _joined(self._texts, texts)[order]
        self._latest.clear()


def _joined(known: npt.NDArray, new: object) -> npt.NDArray:  # type: ignore[type-arg]
    return np.concatenate([known, np.array(new, known.dtype)])
