"""Breeding: which puzzles a mutation starts from, and the prompts that come of it.

Covered: kinds and parents drawn by chance and weights, people's share of the parents, parents that
don't lend themselves to a kind passed over. Not covered: what a prompt says (see `mutate`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from etude.errors import InputError
from etude.mutate import PARENTS, mutation_prompt
from etude.parents import Parents
from etude.prompts import Layout, shuffled
from etude.shares import Shown
from etude.types import Prompt

PARTNERS = 8
"""Second parents that are tried with one first parent."""


@dataclass(frozen=True)
class Breeder:
    """Makes the mutation prompts of a unit, one after another."""

    among: Parents
    shown: Shown
    """People's share of the parents, counted over all prompts so far."""
    rng: random.Random
    layout: Layout
    fits: Callable[[Prompt], bool]
    redraw: bool
    words: Sequence[str]
    """What words of constants are drawn from."""

    def prompt(self, kind: str) -> tuple[Prompt, list[int]]:
        """A prompt of a kind, and the places of its parents in `among.puzzles`.

        Raises `InputError` where no puzzle lends itself to it, or none is short enough.
        """
        order = shuffled(len(self.among.puzzles), self.rng, self.among.weights)
        for places in self._parents(kind, order):
            parents = [self.among.puzzles[place] for place in places]
            words = self.words if self.redraw else None
            prompt = mutation_prompt(kind, parents, self.rng, layout=self.layout, words=words)
            if prompt is not None and self.fits(prompt):
                for place in places:
                    self.shown.take(by_people=place < self.among.people)
                return prompt, places
        raise InputError(
            f"A mutation of the kind {kind} must start from puzzles that lend themselves to it and "
            f"leave room for propose.max_new_tokens in the model's context, but none of the "
            f"{len(order):,} puzzles does. Leave {kind} out of propose.mutations, or give other "
            "seeds or fewer propose.max_new_tokens."
        )

    def _parents(self, kind: str, order: Sequence[int]) -> Iterator[list[int]]:
        """The parents that may be taken, those first that chance and weights put first."""
        for first in self._allowed(order, self.shown):
            if PARENTS[kind] == 1:
                yield [first]
                continue
            after = copy.copy(self.shown)
            after.take(by_people=first < self.among.people)
            partners = (one for one in self._allowed(order, after) if self._pair(first, one))
            yield from ([first, second] for second in islice(partners, PARTNERS))

    def _allowed(self, order: Sequence[int], shown: Shown) -> Iterator[int]:
        return (one for one in order if one < self.among.people or not shown.owes_people)

    def _pair(self, first: int, second: int) -> bool:
        """Whether two puzzles can be one: in the layout `line` they ask for the same type."""
        one, other = self.among.puzzles[first], self.among.puzzles[second]
        if first == second:
            return False
        return self.layout != "line" or bool(one.answer_type == other.answer_type and other.inputs)
