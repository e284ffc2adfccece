"""What a domain is: how its puzzles and answers are written, and what it starts a run with.

In a run's tables the `source` of a puzzle and of a candidate is always Python, the very text that
the judge runs: so the judge, and every reader, knows one language. A domain turns what a model
writes into that, and back into what a model is shown and trained on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from etude.prompts import Layout
from etude.types import Problem, Prompt, Puzzle


class SeedOf(NamedTuple):
    """A pair of a domain's own seeds."""

    puzzle: Puzzle
    solution: str
    """Source of `g`."""
    family: str


class Domain(Protocol):
    """One kind of puzzles. All of it is text in, text out; nothing is executed."""

    name: str
    """What `domain` in a recipe is."""
    own: str
    """The name of its own seeds (`seeds.source`) and of its own suite (`evaluate.suite`)."""
    free: bool
    """Whether models write the programs themselves, which then may rest on chance."""
    puzzles_are: str
    """What a puzzle must be, in words; and what a solution."""
    solutions_are: str

    def proposal_prompt(
        self,
        training: Sequence[str],
        rng: random.Random,
        *,
        layout: Layout,
        fits: Callable[[Prompt], bool] | None,
        most: int,
        weights: Sequence[float] | None = None,
        arrange: Callable[[list[int]], list[int]] = list,
    ) -> tuple[Prompt, list[int]]:
        """What a puzzle is asked for with, and the places of the training sources that it shows:
        those of more weight rather come first, in the order that `arrange` makes of it."""

    def proposed(self, prompt: str, text: str, layout: Layout) -> str:
        """The puzzle in a sample, as text for `parse`: `text` is what followed `prompt`."""

    def parse(self, text: str) -> Puzzle:
        """The puzzle of a text; of a `source` that it made before, the same. Raises `NotAPuzzle`
        with a short reason, the same for the same defect."""

    def check_rules(self, puzzle: Puzzle, *, paper: bool) -> None:
        """What a proposal must keep besides. Raises `NotAPuzzle` with the reason."""

    def trivial_answers(self, answer_type: str, *, paper: bool) -> list[object]:
        """Answers that solve a puzzle only if it is trivial."""

    def solving_prompt(
        self, puzzle: Puzzle, examples: Sequence[tuple[str, str]], *, layout: Layout
    ) -> Prompt:
        """What a solution is asked for with."""

    def solution(self, prompt: Prompt, text: str) -> str:
        """Source of `g` from a sample, whatever that says: the judge finds what is wrong."""

    def solution_source(self, text: str) -> str:
        """Source of `g` from what a person wrote, or a table holds. Raises `NotAPuzzle`."""

    def shown(self, puzzle: Puzzle) -> str:
        """A puzzle as a model is shown it."""

    def example_text(self, puzzle: str, solution: str, *, layout: Layout) -> str:
        """The training text of a pair of sources. It ends with `example_tail`."""

    def example_tail(self, solution: str, layout: Layout) -> str:
        """What is to be learned of it where the puzzle is only read."""

    def document(self, rng: random.Random) -> str:
        """One text to pretrain on."""

    def pair(self, puzzle: str, solution: str) -> tuple[Puzzle, str]:
        """A pair as a file has it: the puzzle, and source of `g`. Raises `NotAPuzzle`."""

    def seed_pairs(self, seed: int, per_family: int, split_seed: int) -> list[SeedOf]:
        """Pairs of training families. Raises `InputError` when a family has too few puzzles."""

    def held_out(self, split_seed: int) -> list[Problem]:
        """The suite: problems of the parts `constants` and `families`, with reference solutions."""
