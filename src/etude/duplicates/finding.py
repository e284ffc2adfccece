"""Find: one pass over the items, then groups at every level.

Covered: a stream of any length; ids, texts, keys and groups lie on the disk where they don't fit
into memory (see `spill`), parsing in several processes. What is in memory whatever there is: a byte
a row, and what `ETUDE_MEMORY` grants.
Not covered: where items come from and what becomes of duplicates (see `etude.dedup`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from etude.duplicates.keys import digest, jaccard, plain, shingles
from etude.duplicates.reading import Read, read_all
from etude.errors import InputError
from etude.spill import Column, Texts, blank, chunks, first_of, parts, spread_keys

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
        rows: Rows,
        firsts: Mapping[str, Firsts],
        *,
        per_form: int,
        unparsed: int,
        crowded: int,
    ) -> None:
        self.ids = rows.ids
        self.firsts = dict(firsts)
        self.per_form = per_form
        self.unparsed = unparsed
        """Items of which a source is no Python: compared as texts alone."""
        self.crowded = crowded
        """Items that were not held against every near one that was proposed (see `minhash`)."""
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

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
        left = np.ones(len(self), bool)
        surest = [level for level in ("canonical", "exact") if level in self.firsts][:1]
        for level in {*levels, *(surest if "form" in levels else ())} - {"form"}:
            firsts = self.firsts[level]
            for chunk in chunks(len(self)):
                left[chunk] &= firsts[chunk] == np.arange(chunk.start, chunk.stop, dtype=np.int32)
        if "form" in levels:
            self._cap(left)
        return left

    def _cap(self, left: Mask) -> None:
        """Leave out, of each form, what is left beyond the first `per_form`."""
        firsts = self.firsts["form"]
        places, keys = Column(np.int32), Column(np.int32)
        for chunk in chunks(len(self)):
            kept = np.flatnonzero(left[chunk])
            places.extend(kept + chunk.start)
            keys.extend(firsts[chunk][kept])
        beyond, own = _ranks(keys.array(), len(self), self.per_form), places.array()
        for chunk in chunks(len(beyond)):
            left[own[chunk][beyond[chunk]]] = False

    def kept(self, *levels: str) -> list[str]:
        """The ids that are left, as `mask`."""
        return [self.ids[place] for place in _places(self.mask(*levels))]

    def duplicates(self, level: str) -> int:
        """How many items a level alone would drop. Copies at a surer level are among them."""
        return len(self) - int(self.mask(level).sum())

    def count(self, level: str) -> int:
        """Groups of more than one item; forms of more than `per_form`."""
        left, firsts = self.mask(level), self.firsts[level]
        seen = np.zeros(len(self), bool)
        for chunk in chunks(len(self)):
            seen[firsts[chunk][~left[chunk]]] = True
        return int(seen.sum())

    def groups(self, level: str) -> Iterator[tuple[str, ...]]:
        """The ids of each group of more than one item, the first of it first."""
        for keys, places in parts(spread_keys(self.firsts[level], len(self))):
            order = np.argsort(keys, kind="stable")
            for group in np.split(places[order], np.flatnonzero(np.diff(keys[order])) + 1):
                if len(group) > 1:
                    yield tuple(self.ids[place] for place in group.tolist())

    def pairs(self, level: str) -> Iterator[Twin]:
        """Each item that a level alone would drop, beside the first of its group."""
        firsts = self.firsts[level]
        for place in _places(~self.mask(level)):
            first = int(firsts[place])
            text, other = self._rows.text(place), self._rows.text(first)
            value = jaccard(shingles(text), shingles(other))
            yield Twin(level, place, self.ids[place], first, self.ids[first], value, text, other)


class Rows:
    """Ids and texts of all items, in their order, and the first item of the same text."""

    def __init__(self, items: Iterable[Item]) -> None:
        self.ids, self._puzzles, self._solutions = Texts(), Texts(), Texts()
        keys = Column(np.uint64)
        for item in items:
            self.ids.append(item.id)
            self._puzzles.append(item.puzzle)
            self._solutions.append(item.solution)
            keys.extend([digest(plain(item.puzzle), plain(item.solution))])
        self.exact: Firsts = first_of(keys.array())

    def __len__(self) -> int:
        return len(self.exact)

    def text(self, place: int) -> str:
        return Item("", self._puzzles[place], self._solutions[place]).text

    def plain(self, places: Iterable[int]) -> Iterator[tuple[str, str]]:
        """Puzzle and solution of each place, as they are compared."""
        for place in places:
            yield plain(self._puzzles[place]), plain(self._solutions[place])


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
    rows = Rows(items)
    near = threshold if "near" in chosen else None
    trees = bool({"canonical", "form"} & set(chosen))
    distinct = _firsts_alone(rows.exact)
    texts = rows.plain(_each(distinct)) if trees or near is not None else iter(())
    read = read_all(texts, trees=trees, near=near, processes=processes)
    found, crowded = _levels(chosen, rows, distinct, read, threshold)
    unparsed = _unparsed(rows.exact, distinct, read) if trees else 0
    return Found(rows, found, per_form=per_form, unparsed=unparsed, crowded=crowded)


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
    chosen: Sequence[str], rows: Rows, distinct: Firsts, read: Read, threshold: float
) -> tuple[dict[str, Firsts], int]:
    """The firsts of each level. Of equal texts only the first was read; the others follow it.

    `distinct` are the places of those that were read.
    """
    ranks = _ranks_of(rows.exact)
    found: dict[str, Firsts] = {}
    crowded = 0
    base: Firsts | None = None
    for level in chosen:
        if level == "exact":
            found[level] = rows.exact
            continue
        if level == "near":
            own, crowded = _near(base, distinct, read, rows, threshold)
        else:
            own = first_of(read.canonical if level == "canonical" else read.form)
            base = own if level == "canonical" else base
        found[level] = _spread(distinct, own, ranks)
    return found, crowded


def _near(
    base: Firsts | None, distinct: Firsts, read: Read, rows: Rows, threshold: float
) -> tuple[Firsts, int]:
    """Near groups among the rows that are their own first in `base`; the others follow theirs."""
    from etude.duplicates import minhash

    if base is None:
        base = blank(len(distinct), np.int32)
        for chunk in chunks(len(base)):
            base[chunk] = np.arange(chunk.start, chunk.stop)
    alone = _firsts_alone(base)
    held = minhash.leaders(
        [_taken(band, alone) for band in read.bands],
        _taken(read.sizes, alone),
        lambda row: rows.text(int(distinct[alone[row]])),
        threshold,
    )
    own = blank(len(base), np.int32)
    for chunk in chunks(len(alone)):
        own[alone[chunk]] = alone[held.first[chunk]]
    for chunk in chunks(len(base)):
        own[chunk] = own[base[chunk]]  # a first is its own first, so that the order does not matter
    return own, held.crowded


def _firsts_alone(firsts: Firsts) -> Firsts:
    """The places of those that are their own first."""
    found = Column(np.int32)
    for chunk in chunks(len(firsts)):
        same = firsts[chunk] == np.arange(chunk.start, chunk.stop, dtype=np.int32)
        found.extend(np.flatnonzero(same) + chunk.start)
    return found.array()


def _taken(values: npt.NDArray[T], places: Firsts) -> npt.NDArray[T]:
    """`values[places]`."""
    found = Column(values.dtype)
    for chunk in chunks(len(places)):
        found.extend(values[places[chunk]])
    return found.array()


def _ranks_of(exact: Firsts) -> Firsts:
    """For each first of a text, which of these it is, from 0; then the same of its copies."""
    ranks = blank(len(exact), np.int32)
    known = 0
    for chunk in chunks(len(exact)):
        own = exact[chunk] == np.arange(chunk.start, chunk.stop, dtype=np.int32)
        ranks[chunk] = np.cumsum(own) - 1 + known
        known += int(own.sum())
    for chunk in chunks(len(exact)):
        ranks[chunk] = ranks[exact[chunk]]
    return ranks


def _spread(distinct: Firsts, own: Firsts, ranks: Firsts) -> Firsts:
    """Firsts among the distinct texts -> firsts among all items."""
    spread = blank(len(ranks), np.int32)
    for chunk in chunks(len(ranks)):
        spread[chunk] = distinct[own[ranks[chunk]]]
    return spread


def _unparsed(exact: Firsts, distinct: Firsts, read: Read) -> int:
    """How many items are no Python, copies of such included."""
    known = np.ones(len(exact), bool)
    for chunk in chunks(len(distinct)):
        known[distinct[chunk]] = read.parsed[chunk]
    return sum(int((~known[exact[chunk]]).sum()) for chunk in chunks(len(exact)))


def _ranks(keys: Firsts, below: int, most: int) -> Mask:
    """Which of some keys stand beyond the first `most` of theirs."""
    beyond = np.zeros(len(keys), bool)
    for own, places in parts(spread_keys(keys, below)):
        order = np.argsort(own, kind="stable")
        new = np.ones(len(order), bool)
        new[1:] = np.diff(own[order]) != 0
        starts = np.flatnonzero(new)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff([*starts.tolist(), len(order)]))
        beyond[places[order[rank >= most]]] = True
    return beyond


def _each(places: Firsts) -> Iterator[int]:
    for chunk in chunks(len(places)):
        yield from places[chunk].tolist()


def _places(mask: Mask) -> Iterator[int]:
    """Where a mask is true."""
    for chunk in chunks(len(mask)):
        yield from (np.flatnonzero(mask[chunk]) + chunk.start).tolist()
