"""Parents: the puzzles that prompts may show when a model is asked for more, and their weights.

People's puzzles, and with `propose.pool` self-made ones of earlier rounds that became examples.
With `propose.parents = "learnable"` the weight of each is its learnability (see `difficulty`), so
that prompts rather show what the model solves about half the time; what was never tried goes by its
form and type. With `thin` each cell weighs the same (see `archive`), so that prompts rather show
what there are few of; with `thin-learnable` the two are multiplied. The weights say both who is in
the pool and who comes first in a prompt.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from etude import streams
from etude.archive import archive
from etude.arm import Arm
from etude.difficulty import learnability, rates
from etude.prompts import shuffled
from etude.types import Puzzle

Weights = Sequence[float] | None
"""By puzzle, none below 0; None where all are alike."""


@dataclass(frozen=True, slots=True)
class Parents:
    """Puzzles to show, and what each weighs."""

    puzzles: Sequence[Puzzle]
    weights: Weights
    people: int
    """So many of them, the first, are people's."""


def parents(arm: Arm, number: int) -> Parents:
    """Those of a round: people's first, then self-made ones.

    The control that takes its pairs whatever is found asks no verdicts here either: its pool is of
    what it was trained on, and all are equally learnable; its cells are filled by what was kept.
    """

    def find() -> Parents:
        shown = arm.shown_in(number)
        puzzles = [*shown, *_pool(arm, number, {puzzle.id for puzzle in shown})]
        worth = _worth(arm, number)
        return Parents(puzzles, worth and list(map(worth, puzzles)), len(shown))

    found: Parents = arm.remembered("parents", number, find)
    return found


def _worth(arm: Arm, number: int) -> Callable[[Puzzle | str], float] | None:
    """What a puzzle weighs, or one that was tried and is given by its id; None: all are alike."""
    asked = arm.recipe.propose.parents
    parts: list[Callable[[Puzzle | str], float]] = []
    if "learnable" in asked and arm.name != "unverified":
        known = rates(arm, number)
        parts.append(
            lambda one: learnability(
                (known.of_tried(one) if isinstance(one, str) else known.of(one)).mean
            )
        )
    if "thin" in asked:
        cells = archive(arm, number)
        parts.append(lambda one: cells.thinness(one if isinstance(one, str) else one.id))
    return (lambda one: math.prod(part(one) for part in parts)) if parts else None


def _pool(arm: Arm, number: int, shown: set[str]) -> Iterator[Puzzle]:
    """At most `propose.pool` of the puzzles that became examples in earlier rounds, in their order:
    drawn by their weights."""
    most = arm.recipe.propose.pool
    if not most:
        return
    taught = _taught(arm, number, shown)
    worth = _worth(arm, number)
    weights: Weights = worth and [worth(one) for _, one in taught]
    order = shuffled(len(taught), random.Random(arm.seed(number, "parents")), weights)
    chosen = [taught[place] for place in sorted(order[:most])]
    for earlier in range(1, number):
        rows = ({"puzzle_id": one} for made, one in chosen if made == earlier)
        columns = ["source", "answer_type", "inputs", "form"]
        found = streams.beside(rows, "puzzle_id", arm.round(earlier) / "vet", columns)
        for asked, row in found:
            assert row is not None, "an example is of a puzzle that was kept"
            source, *rest = itemgetter(*columns)(row)
            yield Puzzle(asked["puzzle_id"], source, "f", *rest)


def _taught(arm: Arm, number: int, shown: set[str]) -> list[tuple[int, str]]:
    """Round and id of every puzzle with examples that people neither withdrew nor show already."""
    left_out = shown | arm.withdrawn(number)
    found: dict[str, int] = {}
    for earlier in range(1, number):
        for row in streams.rows(arm.round(earlier) / "select", ["puzzle_id"]):
            if row["puzzle_id"] not in left_out:
                found.setdefault(row["puzzle_id"], earlier)
    return [(earlier, puzzle) for puzzle, earlier in found.items()]
