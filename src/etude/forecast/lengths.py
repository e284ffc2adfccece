"""How long the prompts and documents of a recipe are, in tokens, by samples of them.

By the model's tokenizer where that is at hand, otherwise by characters, and said so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

from etude import domains
from etude.config import Recipe
from etude.prompts import chosen_examples, exercise_prompt
from etude.seeds import SeedPair
from etude.types import Exercise, Problem, Prompt, Puzzle

CHARACTERS = 3.0
"""Characters a token of Python, roughly: GPT-2's tokenizer makes 2.6 of them on P3's puzzles, and
newer ones, which know runs of spaces, 3 to 3.5."""
CONTEXT = 2048
"""Of a model whose configuration is not at hand: GPT-Neo's."""
LOOKED_AT = 4
"""Prompts for proposing that are made, to see how long they are."""

Count = Callable[[Sequence[str]], list[int]]
"""Tokens of each text."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean lengths in tokens."""

    propose: float
    """A prompt for puzzles."""
    solve: float
    """A prompt for a solution; the human puzzles stand for those that will be written."""
    evaluate: float
    seed: float
    """A seed pair as a training document; it also stands for the self-made ones."""
    pretrain: float


def by_characters(texts: Sequence[str]) -> list[int]:
    """Tokens of each text, roughly, without a tokenizer."""
    return [round(len(text) / CHARACTERS) for text in texts]


def measure(
    recipe: Recipe,
    pairs: Sequence[SeedPair],
    shown: Sequence[Puzzle],
    problems: Sequence[Problem],
    count: Count,
    context: int,
) -> Lengths:
    """Prompts and documents made as the run makes them, and counted."""
    rng = random.Random(recipe.run.seed)
    layout, domain = recipe.prompt.layout, domains.named(recipe.domain)
    documents = [
        domain.example_text(pair.puzzle.source, pair.solution, layout=layout) for pair in pairs
    ]
    pretrained = [domain.document(rng) for _ in range(200)] if recipe.pretrain else []
    return Lengths(
        propose=fmean(count(list(islice(_proposing(recipe, shown, count, context), LOOKED_AT)))),
        solve=fmean(count(_solving(recipe, shown))),
        evaluate=fmean(count(_solving(recipe, [problem.task for problem in problems]))),
        seed=fmean(count(documents)),
        pretrain=fmean(count(pretrained)) if pretrained else 0.0,
    )


def _proposing(
    recipe: Recipe, shown: Sequence[Puzzle], count: Count, context: int
) -> Iterator[str]:
    section, room = recipe.prompt, context - recipe.propose.max_new_tokens
    sources = [puzzle.source for puzzle in shown]
    rng = random.Random(recipe.run.seed)

    def fits(prompt: Prompt) -> bool:
        return count([prompt.text])[0] <= room

    while True:
        prompt, _ = domains.named(recipe.domain).proposal_prompt(
            sources,
            rng,
            layout=section.layout,
            fits=fits if section.few_shot else None,
            most=section.shown,
        )
        yield prompt.text


def _solving(recipe: Recipe, tasks: Sequence[Puzzle | Exercise]) -> list[str]:
    section, domain = recipe.prompt, domains.named(recipe.domain)
    chosen = chosen_examples(section.examples, section.examples_seed)
    examples = chosen if section.few_shot and section.layout != "line" else ()
    return [
        exercise_prompt(task).text
        if isinstance(task, Exercise)
        else domain.solving_prompt(task, examples, layout=section.layout).text
        for task in tasks
    ]
