"""Find: one pass over the items, then groups at every level.

Covered: a stream of any length in memory for its ids and texts; parsing in several processes.
Not covered: where items come from and what becomes of duplicates (see `etude.dedup`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from etude.duplicates.keys import digest, jaccard, plain, shingles
from etude.duplicates.reading import Read, read_all
from etude.errors import InputError

LEVELS = ("exact", "canonical", "form", "near")
PER_FORM = 12
"""Rows of one form that are kept, as in `vet.max_per_form`."""
THRESHOLD = 0.8

Firsts = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Item:
    """A puzzle, or a pair of puzzle and solution. Ids are the caller's."""

    id: str
    puzzle: str
    solution: str = ""

    @property
    def text(self) -> str:
        return f"{self.puzzle}\n{self.solution}" if self.solution else self.puzzle


@dataclass(frozen=True, slots=True)
class Twin:
    """A duplicate and the first of its group, each with its place among the items, from 0."""

    level: str
    place: int
    id: str
    first_place: int
    first: str
    jaccard: float
    """The true Jaccard index of their runs of 3 tokens, whatever the level."""
    text: str
    first_text: str


class Found:
    """What `find` found. Everything is in the order of the items.

    `firsts[level][n]` is the place of the first of item n's group at that level, n itself where
    it is the first. At the level `form` every member of a form beyond `per_form` is a duplicate.
    """

    def __init__(
        self,
        ids: Sequence[str],
        texts: Texts,
        firsts: Mapping[str, Firsts],
        *,
        per_form: int,
        unparsed: int,
        crowded: int,
    ) -> None:
        self.ids = ids
        self.firsts = dict(firsts)
        self.per_form = per_form
        self.unparsed = unparsed
        """Items of which a source is no Python: compared as texts alone."""
        self.crowded = crowded
        """Items that were not held against every near one that was proposed (see `minhash`)."""
        self._texts = texts

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def levels(self) -> tuple[str, ...]:
        return tuple(self.firsts)

    def add(self, level: str, firsts: Firsts) -> None:
        """Groups that were found elsewhere, such as by behaviour."""
        self.firsts[level] = firsts

    def mask(self, *levels: str) -> Mask:
        """Which items are left when those that these levels find are dropped.

        The cap on a form counts what the other levels leave, and copies at the surest level that
        was asked for go before it.
        """
        places = np.arange(len(self), dtype=np.int32)
        left = np.ones(len(self), bool)
        surest = [level for level in ("canonical", "exact") if level in self.firsts][:1]
        for level in {*levels, *(surest if "form" in levels else ())} - {"form"}:
            left &= self.firsts[level] == places
        if "form" in levels:
            left[left] = _ranks(self.firsts["form"][left]) < self.per_form
        return left

    def kept(self, *levels: str) -> list[str]:
        """The ids that are left, as `mask`."""
        return [self.ids[place] for place in np.flatnonzero(self.mask(*levels)).tolist()]

    def duplicates(self, level: str) -> int:
        """How many items a level alone would drop. Copies at a surer level are among them."""
        return len(self) - int(self.mask(level).sum())

    def count(self, level: str) -> int:
        """Groups of more than one item; forms of more than `per_form`."""
        return len(np.unique(self.firsts[level][~self.mask(level)]))

    def groups(self, level: str) -> Iterator[tuple[str, ...]]:
        """The ids of each group of more than one item, the first of it first."""
        firsts = self.firsts[level]
        order = np.argsort(firsts, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(firsts[order])) + 1):
            if len(group) > 1:
                yield tuple(self.ids[place] for place in group.tolist())

    def pairs(self, level: str) -> Iterator[Twin]:
        """Each item that a level alone would drop, beside the first of its group."""
        firsts = self.firsts[level]
        for place in np.flatnonzero(~self.mask(level)).tolist():
            first = int(firsts[place])
            text, other = self._texts[place], self._texts[first]
            value = jaccard(shingles(text), shingles(other))
            yield Twin(level, place, self.ids[place], first, self.ids[first], value, text, other)


def find(
    items: Iterable[Item],
    levels: Sequence[str] = LEVELS,
    *,
    per_form: int = PER_FORM,
    threshold: float = THRESHOLD,
    processes: int = 1,
) -> Found:
    """The duplicates among items, at each of the levels.

    `near` holds items against each other that no surer one of the levels joins. With more than one
    of `processes`, sources are parsed in processes of their own; then the caller's main module
    must be safe to import. Same items, same result, however many they are.
    Raises `InputError` for an unknown level, bounds that make no sense, or `near` without rensa.
    """
    chosen = _checked(levels, per_form, threshold)
    ids: list[str] = []
    texts = Texts()
    exact = array("i")

    def distinct() -> Iterator[tuple[str, str]]:
        known: dict[int, int] = {}
        for place, item in enumerate(items):
            puzzle, solution = plain(item.puzzle), plain(item.solution)
            ids.append(item.id)
            first = known.setdefault(digest(puzzle, solution), place)
            exact.append(first)
            if first == place:
                texts.append(item.text)
                yield puzzle, solution
            else:
                texts.repeat(first)

    near = threshold if "near" in chosen else None
    trees = bool({"canonical", "form"} & set(chosen))
    read = read_all(distinct(), trees=trees, near=near, processes=processes)
    firsts = np.array(exact, np.int32)
    unparsed = _spread(~read.parsed, firsts) if trees else np.zeros(len(firsts), bool)
    found, crowded = _levels(chosen, firsts, read, texts, threshold)
    return Found(
        ids, texts, found, per_form=per_form, unparsed=int(unparsed.sum()), crowded=crowded
    )


def _checked(levels: Sequence[str], per_form: int, threshold: float) -> tuple[str, ...]:
    """The levels in their order."""
    unknown = [level for level in levels if level not in LEVELS]
    if unknown or not levels:
        raise InputError(
            f"levels must be of {', '.join(LEVELS)}, but got {', '.join(unknown) or 'none'}."
        )
    if per_form < 1:
        raise InputError(f"per_form must be at least 1, but is {per_form}.")
    if not 0.3 <= threshold <= 1:
        raise InputError(
            f"threshold must be from 0.3 to 1, but is {threshold}: of what is less alike, nearly "
            "every pair would be looked at."
        )
    return tuple(level for level in LEVELS if level in levels)


def _levels(
    chosen: Sequence[str], exact: Firsts, read: Read, texts: Texts, threshold: float
) -> tuple[dict[str, Firsts], int]:
    """The firsts of each level. Of equal texts only the first was read; the others follow it."""
    places = np.flatnonzero(exact == np.arange(len(exact), dtype=np.int32)).astype(np.int32)
    found: dict[str, Firsts] = {}
    crowded = 0
    base = np.arange(len(places), dtype=np.int32)
    for level in chosen:
        if level == "exact":
            own = np.arange(len(places), dtype=np.int32)
        elif level == "near":
            own, crowded = _near(base, places, read, texts, threshold)
        else:
            own = _first_of(read.canonical if level == "canonical" else read.form)
            base = own if level == "canonical" else base
        found[level] = _spread(places[own], exact)
    return found, crowded


def _near(
    base: Firsts, places: Firsts, read: Read, texts: Texts, threshold: float
) -> tuple[Firsts, int]:
    """Near groups among the rows that are their own first in `base`; the others follow theirs."""
    from etude.duplicates import minhash

    alone = np.flatnonzero(base == np.arange(len(base), dtype=np.int32)).astype(np.int32)
    held = minhash.leaders(
        read.bands[alone], read.sizes[alone], lambda row: texts[int(places[alone[row]])], threshold
    )
    own = base.copy()
    own[alone] = alone[held.first]
    return own[base], held.crowded


def _first_of(keys: npt.NDArray[np.uint64]) -> Firsts:
    """For each row the first with the same key."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first[group].astype(np.int32)


def _spread(values: npt.NDArray[T], exact: Firsts) -> npt.NDArray[T]:
    """Values of the distinct texts -> of all items."""
    rank = np.cumsum(exact == np.arange(len(exact), dtype=np.int32)) - 1
    spread: npt.NDArray[T] = values[rank[exact]]
    return spread


def _ranks(keys: Firsts) -> Firsts:
    """Which occurrence of its key each one is, from 0."""
    seen: Counter[int] = Counter()
    ranks = np.zeros(len(keys), np.int32)
    for place, key in enumerate(keys.tolist()):
        ranks[place] = seen[key]
        seen[key] += 1
    return ranks


class Texts:
    """Many texts in one piece of memory; equal ones are kept once."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._starts = array("q")
        self._ends = array("q")

    def append(self, text: str) -> None:
        self._starts.append(len(self._data))
        self._data += text.encode("utf-8", "surrogatepass")
        self._ends.append(len(self._data))

    def repeat(self, place: int) -> None:
        """The same text again."""
        self._starts.append(self._starts[place])
        self._ends.append(self._ends[place])

    def __getitem__(self, place: int) -> str:
        data = self._data[self._starts[place] : self._ends[place]]
        return data.decode("utf-8", "surrogatepass")
