"""The pool: the different answers that are known, by answer type, and which puzzles gave each.

Covered: millions of answers, on the disk where they don't fit into memory; drawing some that other
puzzles gave. Not covered: where they come from.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from etude.behaviour import MOST_KNOWN, Known, key_of
from etude.duplicates.keys import digest_of
from etude.judge import codec
from etude.spill import Column, Pile, blank, chunks, first_of
from etude.types import Puzzle


@dataclass(frozen=True, slots=True)
class _Type:
    """The answers of one type, in the order in which they were first given."""

    places: npt.NDArray[np.int32]
    """Where each stands among all that were given."""
    givers: npt.NDArray[np.uint64]
    """Of those with one giver alone, the puzzles that gave them, sorted."""
    ranks: npt.NDArray[np.int64]
    """And which answers these are."""


class Strangers:
    """What puzzles are known to accept: answers are added, round by round, and drawn."""

    def __init__(self) -> None:
        self._data = Pile()
        self._ends, self._keys = Column(np.int64), Column(np.uint64)
        self._givers, self._kinds = Column(np.uint64), Column(np.int16)
        self._numbers: dict[str, int] = {}
        """Of answer types."""
        self._read: tuple[memoryview, npt.NDArray[np.int64], list[_Type]] | None = None

    def add(self, known: Iterable[Known]) -> None:
        """The answers of some puzzles, MOST_KNOWN of each at most."""
        self._read = None
        for one in known:
            kind, giver = one.puzzle.answer_type, int(one.puzzle.id, 16)
            number = self._numbers.setdefault(kind, len(self._numbers))
            for answer in one.answers[:MOST_KNOWN]:
                encoded = key_of(answer)
                self._data.append(encoded)
                self._ends.extend([self._data.size])
                self._keys.extend([digest_of(kind.encode("utf-8", "surrogatepass"), encoded)])
                self._givers.extend([giver])
                self._kinds.extend([number])

    def __len__(self) -> int:
        """Answers that were added, equal ones counted each time."""
        return len(self._ends)

    def drawn(self, puzzle: Puzzle, most: int, rng: random.Random) -> list[object]:
        """Up to `most` answers of the puzzle's type, none of them given by that puzzle alone.

        They are those that `rng` draws from a list of all others, without making the list.
        """
        number = self._numbers.get(puzzle.answer_type)
        if number is None:
            return []
        data, ends, types = self._sorted()
        own, key = types[number], np.uint64(int(puzzle.id, 16))
        start, end = np.searchsorted(own.givers, key), np.searchsorted(own.givers, key, "right")
        alone = own.ranks[start:end].tolist()
        others = len(own.places) - len(alone)
        found = []
        for rank in rng.sample(range(others), min(others, most)):
            place = int(own.places[_beyond(rank, alone)])
            first = int(ends[place - 1]) if place else 0
            found.append(codec.decode(bytes(data[first : int(ends[place])])))
        return found

    def _sorted(self) -> tuple[memoryview, npt.NDArray[np.int64], list[_Type]]:
        if self._read is None:
            columns = (self._keys.array(), self._givers.array(), self._kinds.array())
            types = _sorted(*columns, len(self._numbers))
            self._read = self._data.view(), self._ends.array(), types
        return self._read


def _beyond(rank: int, left_out: Iterable[int]) -> int:
    """A rank among those that are not left out (sorted) -> the rank among all."""
    for other in left_out:
        rank += rank >= other
    return rank


def _sorted(
    keys: npt.NDArray[np.uint64],
    givers: npt.NDArray[np.uint64],
    types: npt.NDArray[np.int16],
    count: int,
) -> list[_Type]:
    """The different answers of each type."""
    firsts = first_of(keys)
    several = blank(len(keys), np.bool_)
    places = [Column(np.int32) for _ in range(count)]
    for chunk in chunks(len(keys)):
        first = firsts[chunk]
        several[first[givers[chunk] != givers[first]]] = True
        new = np.flatnonzero(first == np.arange(chunk.start, chunk.stop)) + chunk.start
        for number, column in enumerate(places):
            column.extend(new[types[new] == number])
    return [_of_type(column.array(), givers, several) for column in places]


def _of_type(
    places: npt.NDArray[np.int32], givers: npt.NDArray[np.uint64], several: npt.NDArray[np.bool_]
) -> _Type:
    alone = np.flatnonzero(~several[places])
    own = givers[places[alone]]
    order = np.argsort(own, kind="stable")
    return _Type(places, own[order], alone[order])
