"""Difficulty: how often a puzzle is expected to be solved, from the verdicts of earlier rounds.

What was tried tells of the puzzle itself, of others of its form (canonical source without
constants), and of others of its answer type. Each is shrunk towards the next, wider one by a prior
of weight s = `difficulty.prior`:

    all      m0 = (s / 2 + sum of w r) / (s + sum of w)     over all puzzles tried
    type     m1 = (s m0  + sum of w r) / (s + sum of w)     over those of the answer type
    form     m2 = (s m1  + sum of w r) / (s + sum of w)     over those of the form
    puzzle   Beta(a, b),  a = s m2 + sum of w k,  b = s (1 - m2) + sum of w (n - k)

k of n attempts at a puzzle were accepted in a round, r = k / n, and w = `difficulty.decay` ** (how
many rounds ago that was), for the model was a weaker one. The last line is the posterior of a
Beta-Bernoulli model, and a / (a + b) its mean, the expected solve rate. In the lines above puzzles
count, not attempts: those at one puzzle say little of another. See Gelman and others, "Bayesian
Data Analysis" (3rd edition, 2013), 2.4 and 5.3; the prior's weight is fixed here, not fitted.

Covered: rounds that are over, read once. Not covered: what is decided by it (`budget`, `parents`,
`recall`, `select`).
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from etude import streams
from etude.arm import Arm
from etude.config import DifficultySection
from etude.duplicates.keys import digest
from etude.types import Outcome, Puzzle


class Tried(NamedTuple):
    """What became of one puzzle in one round."""

    id: int
    """The puzzle's id as a number; so its form's and its answer type's keys."""
    form: int
    answer_type: int
    attempts: int
    accepted: int


class Round:
    """The puzzles of one round that were tried, in 32 bytes each."""

    def __init__(self, rows: Iterator[Tried]) -> None:
        self._columns = tuple(array(kind) for kind in "QQQII")
        for row in rows:
            for column, value in zip(self._columns, row, strict=True):
                column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Tried]:
        return map(Tried._make, zip(*self._columns, strict=True))


def tried_in(folder: Path) -> Round:
    """What became of the puzzles of the round whose folder is given; all of it must be judged.

    What was accepted by chance was not accepted. A puzzle without a verdict was not tried.
    """
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in streams.rows(folder / "judge", ["puzzle_id", "outcome", "stable"]):
        own = counts[row["puzzle_id"]]
        own[0] += 1
        own[1] += row["outcome"] == Outcome.ACCEPTED and row["stable"] is not False
    return Round(
        Tried(
            int(puzzle.id, 16),
            digest(puzzle.form),
            digest(puzzle.answer_type),
            *counts[puzzle.id],
        )
        for puzzle in streams.Kept(folder)
        if puzzle.id in counts
    )


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a puzzle's solve rate: Beta(a, b)."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        """The expected solve rate, between 0 and 1."""
        return self.a / (self.a + self.b)


def learnability(rate: float) -> float:
    """p (1 - p) of a solve rate p: the variance of one attempt, highest where a puzzle is solved
    half the time.

    As a measure of what is worth learning from: Rutherford and others, "No Regrets: Investigating
    and Improving Regret Approximations for Curriculum Discovery" (NeurIPS 2024, arXiv 2408.15099);
    for language models Foster and others, "Learning to Reason at the Frontier of Learnability"
    (2025, arXiv 2502.12272).
    """
    return rate * (1 - rate)


class Rates:
    """What is believed of puzzles after some rounds.

    >>> rates = Rates([], DifficultySection(prior=4))
    >>> rates.belief(1, form=2, answer_type=3)
    Belief(a=2.0, b=2.0)
    """

    def __init__(self, rounds: Sequence[Round], section: DifficultySection) -> None:
        """`rounds` in their order, the last of which counts in full."""
        self._prior = section.prior
        self._all = [0.0, 0.0]
        self._types: defaultdict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._forms: defaultdict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._own: dict[int, tuple[float, float]] = {}
        self._kinds: dict[int, tuple[int, int]] = {}
        for age, tried in zip(reversed(range(len(rounds))), rounds, strict=True):
            self._add(tried, section.decay**age)

    def _add(self, tried: Round, weight: float) -> None:
        for one in tried:
            for level in (self._all, self._types[one.answer_type], self._forms[one.form]):
                level[0] += weight
                level[1] += weight * one.accepted / one.attempts
            attempts, accepted = self._own.get(one.id, (0.0, 0.0))
            self._own[one.id] = (
                attempts + weight * one.attempts,
                accepted + weight * one.accepted,
            )
            self._kinds[one.id] = one.form, one.answer_type

    def of(self, puzzle: Puzzle) -> Belief:
        """What is believed of a puzzle, tried or not."""
        return self.belief(int(puzzle.id, 16), digest(puzzle.form), digest(puzzle.answer_type))

    def of_tried(self, puzzle_id: str) -> Belief:
        """What is believed of a puzzle that was tried; of any other, what is of all."""
        key = int(puzzle_id, 16)
        return self.belief(key, *self._kinds.get(key, (-1, -1)))

    def belief(self, id: int, form: int, answer_type: int) -> Belief:
        """By the keys of a puzzle, its form and its answer type (see `Tried`)."""
        rate = 0.5
        levels = (self._all, self._types.get(answer_type), self._forms.get(form))
        for count, total in (level for level in levels if level is not None):
            rate = (self._prior * rate + total) / (self._prior + count)
        attempts, accepted = self._own.get(id, (0.0, 0.0))
        return Belief(self._prior * rate + accepted, self._prior * (1 - rate) + attempts - accepted)


def rates(arm: Arm, number: int) -> Rates:
    """What is believed as a round begins: by the verdicts of all rounds before it."""

    def read() -> Rates:
        rounds = [arm.read_once(arm.round(earlier), tried_in) for earlier in range(1, number)]
        return Rates(rounds, arm.recipe.difficulty)

    found: Rates = arm.remembered("rates", number, read)
    return found
