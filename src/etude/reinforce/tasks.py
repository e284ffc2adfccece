"""What a reinforcement asks for: each step's prompts, and the puzzles that are held apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from etude.config import ReinforceSection
from etude.types import Prompt, Puzzle


@dataclass(frozen=True, slots=True)
class Task:
    """A prompt: for a solution of `puzzle`, or where that is None for a puzzle."""

    prompt: Prompt
    puzzle: Puzzle | None = None


@dataclass(frozen=True, slots=True)
class Rated:
    """A puzzle with the share of right candidates that the round found."""

    puzzle: Puzzle
    rate: float

    @property
    def learnability(self) -> float:
        """p(1 - p), the variance of an attempt's reward (arXiv 2504.03380)."""
        return self.rate * (1 - self.rate)


@dataclass(frozen=True)
class Tasks:
    steps: list[list[Task]]
    probe: list[Task]
    """Never rewarded: no puzzle of their forms is in `steps`."""


Solving = Callable[[Puzzle], Prompt | None]
"""The prompt that asks for a solution; None where it does not fit the model."""
Proposing = Callable[[random.Random], Prompt]


def make_tasks(
    rated: Sequence[Rated],
    seeds: Sequence[Puzzle],
    section: ReinforceSection,
    seed: int,
    solving: Solving,
    proposing: Proposing,
) -> Tasks:
    """The tasks of all steps, of puzzles whose attempts differ, and of the human-written ones.

    Those with the most to learn are asked first. Where there are fewer than places, all are asked
    again in another order; where there is none of one kind, the other takes its places.
    """
    rng = random.Random(seed)
    prompts = {puzzle.id: solving(puzzle) for puzzle in [*seeds, *(one.puzzle for one in rated)]}
    middling = sorted(
        (one for one in rated if one.learnability and prompts[one.puzzle.id]),
        key=lambda one: (-one.learnability, one.puzzle.id),
    )
    pool = [one.puzzle for one in middling]
    human = [puzzle for puzzle in seeds if prompts[puzzle.id]]
    apart = _apart([*human, *pool], section.probe, rng)
    human = [puzzle for puzzle in human if puzzle.form not in apart]
    pool = [puzzle for puzzle in pool if puzzle.form not in apart]

    def task(puzzle: Puzzle) -> Task:
        prompt = prompts[puzzle.id]
        assert prompt is not None, "those that do not fit were left out"
        return Task(prompt, puzzle)

    proposals, of_seeds, of_pool = _places(section, human, pool)
    asked = section.steps * of_pool
    from_seeds, from_pool = _endless(human, rng), _endless(pool[: max(asked, 1)], rng)
    steps = []
    for _ in range(section.steps):
        chosen = [*islice(from_seeds, of_seeds), *islice(from_pool, of_pool)]
        steps.append([task(one) for one in chosen])
        steps[-1] += [Task(proposing(rng)) for _ in range(proposals)]
    return Tasks(steps, [task(puzzle) for form in sorted(apart) for puzzle in apart[form]])


def _places(
    section: ReinforceSection, human: Sequence[Puzzle], pool: Sequence[Puzzle]
) -> tuple[int, int, int]:
    """Of a step's prompts: proposals, solutions of human-written puzzles, of the model's own."""
    proposals = round(section.propose_share * section.prompts)
    if not human and not pool:
        proposals = section.prompts
    rest = section.prompts - proposals
    of_seeds = round(section.seed_share * rest) if pool else rest
    of_seeds = of_seeds if human else 0
    return proposals, of_seeds, rest - of_seeds


def _apart(puzzles: Sequence[Puzzle], most: int, rng: random.Random) -> dict[str, list[Puzzle]]:
    """Whole forms, drawn by chance, with at most so many puzzles and at most a quarter of all."""
    forms: dict[str, dict[str, Puzzle]] = {}
    for puzzle in puzzles:
        forms.setdefault(puzzle.form, {})[puzzle.id] = puzzle
    room = min(most, sum(map(len, forms.values())) // 4)
    apart = {}
    for form in rng.sample(sorted(forms), len(forms)):
        if len(forms[form]) <= room:
            apart[form] = list(forms[form].values())
            room -= len(forms[form])
    return apart


def _endless(puzzles: Sequence[Puzzle], rng: random.Random) -> Iterator[Puzzle]:
    """All of them, shuffled, and then again in another order."""
    while puzzles:
        yield from rng.sample(puzzles, len(puzzles))
