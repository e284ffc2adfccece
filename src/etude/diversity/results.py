"""What was measured of a run's puzzles: plain values, for whoever shows them."""

from __future__ import annotations

from dataclasses import dataclass

HUMAN = "human"
HELD_OUT = "held out"


def is_generated(group: str) -> bool:
    """Whether a group is one of a round, and not people's."""
    return group not in (HUMAN, HELD_OUT)


@dataclass(frozen=True, slots=True)
class Point:
    """A puzzle on the map."""

    x: float
    y: float
    group: str
    """`human`, `held out` or `round N`."""
    puzzle_id: str
    source: str
    """Hostile text: escape it."""
    cluster: int
    nearest: float
    """Distance to the nearest other human puzzle, from 0; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Group:
    """One group of puzzles. What depends on how many there are is of `matched` puzzles each; a
    number that can't be had, as the group or the human one is too small, is NaN."""

    name: str
    puzzles: int
    forms: int
    """Distinct forms of all puzzles of the group."""
    vendi: float
    """Vendi score of `matched` puzzles."""
    coverage: float
    """Share of the human puzzles' clusters, from 0 to 1, that `matched` puzzles fall in."""
    nearest: float
    """Mean distance to the nearest other human puzzle."""
    measured: int
    """Puzzles that were drawn of the group for all but `puzzles` and `forms`."""
    matched: int
    """Puzzles of a subset: the same for all groups. 0 where nothing could be compared."""
    matched_forms: float
    """Distinct forms among `matched` puzzles, on average."""
    vendi_low: float
    vendi_high: float
    coverage_low: float
    coverage_high: float
    human_forms: float
    """Share of all puzzles of the group whose form is that of another, human puzzle."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Puzzles that are alike."""

    number: int
    counts: tuple[tuple[str, int], ...]
    """Measured puzzles of each group that has any."""
    puzzle_id: str
    source: str
    """The puzzle nearest to the cluster's middle: a generated one if there is one. Hostile text."""

    @property
    def human(self) -> int:
        return dict(self.counts).get(HUMAN, 0)

    @property
    def generated(self) -> int:
        return sum(count for name, count in self.counts if is_generated(name))


@dataclass(frozen=True, slots=True)
class Diversity:
    """What was measured."""

    points: tuple[Point, ...]
    groups: tuple[Group, ...]
    vectors: str
    """What stands for a puzzle: `ast`, `hidden states ...`, or a model's name."""
    notes: tuple[str, ...]
    """What was sampled, left out, or could not be compared, for people."""
    clusters: tuple[Cluster, ...]
    map: str
    """`pca` or `umap`."""
