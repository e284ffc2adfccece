"""Propose: ask the model for puzzles. What it wrote is kept whole, whatever it is."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

from etude import roles, store, tables
from etude.arm import Arm
from etude.cluster import map_units
from etude.prompts import proposal_prompt
from etude.types import Prompt, Puzzle, content_id


def propose(arm: Arm, number: int, model: str | Path) -> Path:
    """The folder of the round's proposals, `propose.samples` of them."""
    section = arm.recipe.propose
    stage = arm.round(number) / "propose"
    shown = arm.shown_in(number)
    units = math.ceil(section.samples / section.per_unit)

    def work(unit: int) -> list[store.Row]:
        size = min(section.per_unit, section.samples - unit * section.per_unit)
        return _unit(arm, model, shown, arm.seed(number, "propose", unit), size)

    with arm.watched(number, "propose", units) as watched:
        map_units(stage, units, work, tables.PROPOSE, watched.tick, arm.engine_note)
        rows = store.read_stage(stage)
        finished = sum(row["finished"] for row in rows)
        watched.summary = f"{len(rows):,} asked  {finished:,} finished{roles.spent(stage)}"
    return stage


def _unit(
    arm: Arm, model: str | Path, shown: Sequence[Puzzle], seed: int, size: int
) -> list[store.Row]:
    section = arm.recipe.propose
    prompts, parents = _prompts(arm, shown, seed, math.ceil(size / section.per_prompt), model)
    sampled = arm.engine(model, "propose").sample(
        prompts,
        math.ceil(size / len(prompts)),  # shared out evenly: what is sampled may have to be paid
        seed=seed,
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    rows: list[store.Row] = []
    for prompt, parent_ids, samples in zip(prompts, parents, sampled, strict=True):
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
    arm: Arm, puzzles: Sequence[Puzzle], seed: int, count: int, model: str | Path
) -> tuple[list[Prompt], list[list[str]]]:
    """`count` prompts, each with its own reshuffled training puzzles, and the ids of those."""
    rng = random.Random(seed)
    section = arm.recipe.prompt
    engine = arm.engine(model, "propose")

    def fits(prompt: Prompt) -> bool:
        return engine.fits(prompt, arm.recipe.propose.max_new_tokens)

    sources = [puzzle.source for puzzle in puzzles]
    made = [
        proposal_prompt(
            sources,
            rng,
            layout=section.layout,
            fits=fits if section.few_shot else None,
            most=section.shown,
        )
        for _ in range(count)
    ]
    return [prompt for prompt, _ in made], [
        [puzzles[index].id for index in shown] for _, shown in made
    ]
