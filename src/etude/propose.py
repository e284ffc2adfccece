"""Propose: ask the model for puzzles. What it wrote is kept whole, whatever it is."""

from __future__ import annotations

import math
import random
from functools import partial
from pathlib import Path

from etude import roles, store, streams, tables
from etude.arm import Arm, set_aside_words
from etude.cluster import Made, Stage
from etude.parents import Parents, parents
from etude.prompts import proposal_prompt
from etude.types import Prompt, content_id


def propose(arm: Arm, number: int, model: str | Path) -> Path:
    """The folder of the round's proposals, `propose.samples` of them."""
    section = arm.recipe.propose
    folder = arm.round(number) / "propose"
    units = math.ceil(section.samples / section.per_unit)
    work = partial(_work, number=number, model=model)
    arm.shown_in(number)  # the reviews that count are frozen here, not by a worker
    with arm.watched(number, "propose", units) as watched:
        flow = arm.flow(Stage(folder, units, work, tables.PROPOSE, "engine"))
        flow.finish(0, watched.tick)
        asked = streams.length(folder)
        finished = sum(row["finished"] for row in streams.rows(folder, ["finished"]))
        watched.summary = f"{asked:,} asked  {finished:,} finished{roles.spent(folder)}"
        watched.summary += _pool_words(arm, number) + set_aside_words(folder)
    return folder


def _pool_words(arm: Arm, number: int) -> str:
    """`  20 self-made parents`, where the recipe asks for some."""
    if not arm.recipe.propose.pool:
        return ""
    count = len(parents(arm, number).puzzles) - len(arm.shown_in(number))
    return f"  {count:,} self-made parent{'s' * (count != 1)}"


def _work(arm: Arm, unit: int, *, number: int, model: str | Path) -> Made:
    section = arm.recipe.propose
    size = min(section.per_unit, section.samples - unit * section.per_unit)
    rows = _unit(arm, model, parents(arm, number), arm.seed(number, "propose", unit), size)
    return Made(rows, arm.engine_note())


def _unit(arm: Arm, model: str | Path, shown: Parents, seed: int, size: int) -> list[store.Row]:
    section = arm.recipe.propose
    prompts, chosen = _prompts(arm, shown, seed, math.ceil(size / section.per_prompt), model)
    sampled = arm.engine(model, "propose").sample(
        prompts,
        math.ceil(size / len(prompts)),  # shared out evenly: what is sampled may have to be paid
        seed=seed,
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    rows: list[store.Row] = []
    for prompt, parent_ids, samples in zip(prompts, chosen, sampled, strict=True):
        for sample in samples[: size - len(rows)]:
            rows.append(
                {
                    "proposal_id": content_id(str(seed), str(len(rows)), sample.text),
                    "draw": len(rows),
                    "parents": parent_ids,
                    "prompt": prompt.text,
                    "text": sample.text,
                    "finished": sample.finished,
                }
            )
    return rows


def _prompts(
    arm: Arm, among: Parents, seed: int, count: int, model: str | Path
) -> tuple[list[Prompt], list[list[str]]]:
    """`count` prompts, each with its own reshuffled parents, and the ids of those."""
    rng = random.Random(seed)
    section = arm.recipe.prompt
    engine = arm.engine(model, "propose")

    def fits(prompt: Prompt) -> bool:
        return engine.fits(prompt, arm.recipe.propose.max_new_tokens)

    sources = [puzzle.source for puzzle in among.puzzles]
    made = [
        proposal_prompt(
            sources,
            rng,
            layout=section.layout,
            fits=fits if section.few_shot else None,
            most=section.shown,
            weights=among.weights,
        )
        for _ in range(count)
    ]
    return [prompt for prompt, _ in made], [
        [among.puzzles[index].id for index in shown] for _, shown in made
    ]
