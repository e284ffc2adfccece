"""Propose: ask the model for puzzles. What it wrote is kept whole, whatever it is."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from etude import roles, store, streams, tables
from etude.arm import Arm, set_aside_words
from etude.breeding import Breeder
from etude.cluster import Made, Stage
from etude.mutate import PARENTS
from etude.parents import Parents, parents
from etude.shares import Shown, arranged
from etude.types import Prompt, Sample, content_id
from etude.variants import words_of


def propose(arm: Arm, number: int, model: str | Path, base: str | Path) -> Path:
    """The folder of the round's proposals, `propose.samples` of them.

    The last units are the base's, as many as `propose.base_share` of them.
    """
    section = arm.recipe.propose
    folder = arm.round(number) / "propose"
    units = math.ceil(section.samples / section.per_unit)
    own = units - round(section.base_share * units)
    work = partial(_work, number=number, model=model, base=base, own=own)
    arm.shown_in(number)  # the reviews that count are frozen here, not by a worker
    schema = tables.PROPOSE if section.mutate else tables.FREE
    with arm.watched(number, "propose", units) as watched:
        flow = arm.flow(Stage(folder, units, work, schema, "engine"))
        flow.finish(0, watched.tick)
        asked = streams.length(folder)
        finished = sum(row["finished"] for row in streams.rows(folder, ["finished"]))
        watched.summary = f"{asked:,} asked  {finished:,} finished{roles.spent(folder)}"
        watched.summary += _pool_words(arm, number)
        watched.summary += _mutations_words(folder) if section.mutate else ""
        watched.summary += set_aside_words(folder)
    return folder


def _pool_words(arm: Arm, number: int) -> str:
    """`  20 self-made parents`, where the recipe asks for some."""
    if not arm.recipe.propose.pool:
        return ""
    among = parents(arm, number)
    count = len(among.puzzles) - among.people
    return f"  {count:,} self-made parent{'s' * (count != 1)}"


def _mutations_words(folder: Path) -> str:
    """`  320 change  320 combine`: how many proposals were asked for by each kind of mutation."""
    found = Counter(row["mutation"] for row in streams.rows(folder, ["mutation"]))
    return "".join(f"  {found[kind]:,} {kind}" for kind in PARENTS if found[kind])


class Asked(NamedTuple):
    """One prompt to propose with."""

    prompt: Prompt
    parents: list[str]
    """Ids of the puzzles that it shows, or starts from."""
    mutation: str | None = None
    """Its kind; None for a free one."""


def _work(
    arm: Arm, unit: int, *, number: int, model: str | Path, base: str | Path, own: int
) -> Made:
    """The first `own` units are the model's, the rest the base's."""
    model = model if unit < own else base
    section = arm.recipe.propose
    size = min(section.per_unit, section.samples - unit * section.per_unit)
    seed, among = arm.seed(number, "propose", unit), parents(arm, number)
    mutated = round(section.mutate * size)
    rows: list[store.Row] = []
    earlier = roles.NOTHING
    if free := size - mutated:
        asked = _free(arm, model, among, seed, math.ceil(free / section.per_prompt))
        rows += _rows(asked, _sampled(arm, model, asked, seed, free), seed, 0)
    if mutated:
        earlier = roles.usage(arm.engine(model, "propose")) if free else earlier
        chance = arm.seed(number, "mutate", unit)
        asked = _mutations(arm, model, among, chance, math.ceil(mutated / section.per_mutation))
        rows += _rows(asked, _sampled(arm, model, asked, chance, mutated), seed, free)
    return Made(rows, arm.engine_note(earlier))


def _sampled(
    arm: Arm, model: str | Path, asked: Sequence[Asked], seed: int, size: int
) -> list[list[Sample]]:
    """By prompt, its samples: `size` in all."""
    section = arm.recipe.propose
    sampled = arm.engine(model, "propose").sample(
        [one.prompt for one in asked],
        math.ceil(size / len(asked)),  # shared out evenly: what is sampled may have to be paid
        seed=seed,
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    left = size
    for place, samples in enumerate(sampled):
        sampled[place] = samples[:left]
        left -= len(sampled[place])
    return sampled


def _rows(
    asked: Sequence[Asked], sampled: Sequence[Sequence[Sample]], seed: int, first: int
) -> list[store.Row]:
    """The rows of samples that a unit numbers from `first` on."""
    pairs = [(one, each) for one, own in zip(asked, sampled, strict=True) for each in own]
    return [
        {
            "proposal_id": content_id(str(seed), str(draw), sample.text),
            "draw": draw,
            "parents": one.parents,
            "prompt": one.prompt.text,
            "text": sample.text,
            "finished": sample.finished,
            "mutation": one.mutation,
        }
        for draw, (one, sample) in enumerate(pairs, first)
    ]


def _fits(arm: Arm, model: str | Path) -> Callable[[Prompt], bool]:
    engine = arm.engine(model, "propose")
    return lambda prompt: engine.fits(prompt, arm.recipe.propose.max_new_tokens)


def _free(arm: Arm, model: str | Path, among: Parents, seed: int, count: int) -> list[Asked]:
    """`count` prompts, each with its own reshuffled parents, and the ids of those."""
    rng = random.Random(seed)
    section = arm.recipe.prompt
    fits = _fits(arm, model)
    sources = [puzzle.source for puzzle in among.puzzles]
    made = [
        arm.domain.proposal_prompt(
            sources,
            rng,
            layout=section.layout,
            fits=fits if section.few_shot else None,
            most=section.shown,
            weights=among.weights,
            arrange=partial(arranged, people=among.people, share=section.human_share),
        )
        for _ in range(count)
    ]
    return [Asked(prompt, [among.puzzles[at].id for at in shown]) for prompt, shown in made]


def _mutations(arm: Arm, model: str | Path, among: Parents, seed: int, count: int) -> list[Asked]:
    """`count` prompts that start from one or two parents, each of a kind that chance decides."""
    section = arm.recipe.propose
    breeder = Breeder(
        among,
        Shown(arm.recipe.prompt.human_share),
        random.Random(seed),
        arm.recipe.prompt.layout,
        _fits(arm, model),
        section.redraw,
        arm.remembered("words", None, lambda: words_of(arm.shown)) if section.redraw else (),
    )
    asked = []
    for _ in range(count):
        kind = breeder.rng.choice(section.mutations)
        prompt, places = breeder.prompt(kind)
        asked.append(Asked(prompt, [among.puzzles[at].id for at in places], kind))
    return asked
