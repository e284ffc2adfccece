"""Measure: how diverse a run's puzzles are beside people's. A pure reader.

    found = measure(Path("runs/tiny"))
    found.groups[0].vendi          # how many entirely different puzzles would be as diverse

The same folder gives the same numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from etude import readings, store
from etude.diversity import clusters, scores
from etude.diversity.puzzles import Sampled, groups_of
from etude.diversity.results import HUMAN, Cluster, Diversity, Group, Point, is_generated
from etude.diversity.scores import Floats, Places, Subsets
from etude.diversity.vectors import vectors_of
from etude.errors import InputError
from etude.stats import Estimate

LIMIT = 2_000
LARGEST = 200
"""Puzzles of a subset at most: enough to compare, few enough to draw a hundred times."""
FEWEST = 10
"""A smaller group is not compared: a subset is half of a group at most."""
UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"))
DIGITS = 6
"""Of every number: sums round differently on another machine."""


def measure(
    folder: Path,
    *,
    limit: int = LIMIT,
    seed: int = 0,
    vectors: str = "ast",
    map: str = "pca",
    model: str | Path | None = None,
) -> Diversity | None:
    """How diverse the puzzles of a run are; None where no round has kept one.

    Args:
        limit: puzzles that are measured of a group, at most.
        vectors: `ast`, `hidden`, or the name or folder of a sentence-transformers model.
        map: `pca` or `umap`.
        model: for `hidden`, the model in place of the run's student.

    Raises:
        InputError: the folder is no run, or what is asked for is not installed or not there.
    """
    if limit < 1:
        raise InputError(f"--limit must be at least 1 but is {limit}.")
    clusters.check_installed()
    clusters.check_map(map)
    if readings.is_evaluation(store.read_recipe(folder)):
        return None
    groups, notes = groups_of(folder, limit, seed)
    if not any(is_generated(group.name) for group in groups):
        return None
    sources = [source for group in groups for _, source in group.drawn]
    made, named = vectors_of(vectors, sources, folder, model)
    return _Measuring(groups, made, seed, notes).diversity(named, map)


class _Measuring:
    """Groups of puzzles with a vector for each puzzle that was drawn."""

    def __init__(
        self, groups: Sequence[Sampled], vectors: Floats, seed: int, notes: Sequence[str]
    ) -> None:
        self.groups = groups
        self.vectors = vectors
        self.seed = seed
        self.notes = list(notes)
        ends = np.cumsum([0, *(len(group.drawn) for group in groups)])
        self.of = {
            group.name: slice(int(a), int(b))
            for group, a, b in zip(groups, ends[:-1], ends[1:], strict=True)
        }
        self.human = vectors[self.of[HUMAN]] if HUMAN in self.of else vectors[:0]

    def diversity(self, named: str, map: str) -> Diversity:
        self._say_small()
        placed = clusters.flat(self.vectors, map, self.seed)
        return Diversity(
            points=tuple(self._points(placed)),
            groups=tuple(self._group(group) for group in self.groups),
            clusters=tuple(self._clusters()),
            vectors=named,
            map=map,
            notes=tuple(self.notes),
        )

    @cached_property
    def matched(self) -> int:
        """Half of the smallest group that is compared; 0 where there is none."""
        sizes = [len(group.drawn) for group in self.groups if len(group.drawn) >= FEWEST]
        return min([LARGEST, *(size // 2 for size in sizes)]) if sizes else 0

    def _say_small(self) -> None:
        small = [group for group in self.groups if len(group.drawn) < FEWEST]
        if small:
            named = ", ".join(f"{group.name} ({len(group.drawn)})" for group in small)
            self.notes.append(f"too few puzzles to compare, at least {FEWEST} are needed: {named}")

    @cached_property
    def labels(self) -> Places:
        """The cluster of each puzzle. They are fitted to as many generated puzzles as human."""
        places = [place for name in self.of for place in self._fitted(name)]
        labels, quality = clusters.clustered(self.vectors[places], self.vectors, self.seed)
        self.notes.append(
            f"{labels.max() + 1} clusters, fitted to {len(places):,} puzzles, "
            f"mean silhouette {quality:.2f}"
        )
        return labels

    def _fitted(self, name: str) -> Iterator[int]:
        """Which puzzles of a group the clusters are fitted to: the first drawn, evenly by round."""
        span = self.of[name]
        if name == HUMAN:
            yield from range(span.start, span.stop)
        elif is_generated(name):
            rounds = [group for group in self.groups if is_generated(group.name)]
            sizes = [len(group.drawn) for group in rounds]
            share = clusters.spread_evenly(sizes, len(self.human) or sum(sizes))
            count = share[[group.name for group in rounds].index(name)]
            yield from range(span.start, span.start + count)

    @cached_property
    def distances(self) -> Floats:
        """Of each puzzle to the nearest other human one."""
        found = scores.nearest(self.vectors, self.human)
        if HUMAN in self.of:
            found[self.of[HUMAN]] = scores.nearest(self.human, self.human, own=True)
        return found.round(DIGITS) + 0.0

    def _points(self, placed: Floats) -> Iterator[Point]:
        for group in self.groups:
            span = range(self.of[group.name].start, self.of[group.name].stop)
            for place, (puzzle_id, source) in zip(span, group.drawn, strict=True):
                x, y = (float(value) for value in placed[place])
                cluster, near = int(self.labels[place]), float(self.distances[place])
                yield Point(x, y, group.name, puzzle_id, source, cluster, near)

    def _group(self, group: Sampled) -> Group:
        size = self.matched if len(group.drawn) >= FEWEST else 0
        vendi, covered = self._vendi(group, size), self._coverage(group, size)
        distances = self.distances[self.of[group.name]]
        return Group(
            name=group.name,
            puzzles=group.puzzles,
            forms=len(set(group.forms)),
            vendi=vendi.value,
            coverage=covered.value,
            nearest=_rounded(float(distances.mean())),
            measured=len(group.drawn),
            matched=size,
            matched_forms=_rounded(scores.distinct_at(group.forms, size)) if size else np.nan,
            vendi_low=vendi.low,
            vendi_high=vendi.high,
            coverage_low=covered.low,
            coverage_high=covered.high,
            human_forms=self._human_forms(group),
        )

    def _vendi(self, group: Sampled, size: int) -> Estimate:
        if not size:
            return UNKNOWN
        vectors = self.vectors[self.of[group.name]]
        subsets = Subsets(len(vectors), size, self.seed)
        return _digits(scores.at_size(subsets, lambda places: scores.vendi(vectors[places])))

    def _coverage(self, group: Sampled, size: int) -> Estimate:
        if not size or len(self.human) < FEWEST:
            return UNKNOWN
        labels = self.labels[self.of[group.name]]
        subsets = Subsets(len(labels), size, self.seed)
        human = self.labels[self.of[HUMAN]]
        own = group.name == HUMAN
        return _digits(scores.coverage(labels, human, subsets, self.seed, own=own))

    def _human_forms(self, group: Sampled) -> float:
        """The share of its puzzles that have the form of another, human one."""
        known = Counter(form for one in self.groups if one.name == HUMAN for form in one.forms)
        itself = group.name == HUMAN
        return _rounded(sum(known[form] > itself for form in group.forms) / group.puzzles)

    def _clusters(self) -> Iterator[Cluster]:
        names = [group.name for group in self.groups for _ in group.drawn]
        puzzles = [one for group in self.groups for one in group.drawn]
        for number in range(int(self.labels.max()) + 1):
            places = np.flatnonzero(self.labels == number)
            if len(places):
                counts = Counter(names[place] for place in places)
                kept = tuple((name, counts[name]) for name in self.of if counts[name])
                yield Cluster(number, kept, *puzzles[self._middle(places, names)])

    def _middle(self, places: Places, names: Sequence[str]) -> int:
        """The puzzle that is nearest to the middle of its cluster; a generated one if any is."""
        middle = self.vectors[places].mean(axis=0)
        chosen = [place for place in places if is_generated(names[place])] or list(places)
        similar = (self.vectors[chosen] @ middle).round(DIGITS)
        return int(chosen[int(similar.argmax())])


def _rounded(value: float) -> float:
    return round(value, DIGITS)


def _digits(found: Estimate) -> Estimate:
    return Estimate(_rounded(found.value), _rounded(found.low), _rounded(found.high))
