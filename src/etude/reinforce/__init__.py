"""Reinforce: GRPO with the judge as reward, of the model that a training left.

A stage like `train`: what it leaves is a checkpoint, the model that goes on. The prompts are the
puzzles that taught something and the human-written ones, and those of `propose`; `monitor` stops it
when it is paid for something else than what was meant. What it needs is imported where it is done.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from etude import store, streams
from etude.arm import Arm, limits_of, longest_tests
from etude.cluster import Needs, Tick
from etude.config import JudgeSection, Recipe, ReinforceSection
from etude.course import course_of
from etude.errors import MissingExtra
from etude.judge import Judge
from etude.prompts import chosen_examples, proposal_prompt, solving_prompt
from etude.reinforce.job import Job
from etude.reinforce.tasks import Rated, Tasks, make_tasks
from etude.train import conditions_of
from etude.types import Prompt, Puzzle

STAGE = "reinforce"


def check_extra(recipe: Recipe) -> None:
    """Raises `MissingExtra` where the recipe reinforces and TRL is not installed."""
    if recipe.reinforce is not None and find_spec("trl") is None:
        raise MissingExtra(
            "The section [reinforce] needs the Python package trl, which is not installed: "
            "pip install 'etude[rl]'."
        )


def reinforce(arm: Arm, number: int | None, model: Path) -> Path:
    """The model of a round, or for None the student, after its reinforcement: `model` without one.

    A finished one is left alone, an interrupted one goes on from the monitor's last look.
    """
    section = arm.recipe.reinforce
    if section is None or section.when == ("student" if number else "rounds"):
        return model
    out = (arm.round(number) if number else arm.folder / "final") / STAGE
    with arm.watched(number, STAGE, 1) as watched:
        if not store.finished(out):
            watched.tick(0, 1)
            job = _job(arm, number, model, out, section)
            arm.crew.release("engine")  # its memory is wanted
            longest = longest_tests(arm.recipe)
            work = partial(_reinforced, job=job, section=arm.recipe.judge, longest=longest)
            arm.crew.job(work, Needs(arm.recipe.run.threads, 1), watched.tick)
        watched.summary = summary(out)
        if alarm := _alarm(out):
            where = f"round {number}" if number else "the student"
            print(f"the reinforcement of {where} was stopped: {alarm}", file=sys.stderr)
    return out


def _reinforced(tick: Tick, *, job: Job, section: JudgeSection, longest: int) -> None:
    """A reinforcement, wherever it is done."""
    from etude.reinforce.grpo import reinforce as train

    with Judge(section.workers, limits_of(section, longest), section.isolation) as judge:
        train(job, judge, tick)


def summary(out: Path) -> str:
    """`40 steps  reward 0.44 -> 0.58  held apart 0.32 -> 0.30`, and what the monitor found."""
    rows = store.read_table(out / "steps.parquet")
    parts = [f"{rows[-1]['step']:,} steps"]
    for name, word in (("reward", "reward"), ("held_out", "held apart")):
        values = [row[name] for row in rows if row[name] is not None]
        parts += [f"{word} {values[0]:.2f} -> {values[-1]:.2f}"] if values else []
    alarm = _alarm(out)
    return "  ".join(
        [*parts, *([f"stopped: {alarm}; the weights before it are kept"] * bool(alarm))]
    )


def _alarm(out: Path) -> str:
    return str(store.read_table(out / "steps.parquet")[-1]["alarm"] or "")


def _job(arm: Arm, number: int | None, model: Path, out: Path, section: ReinforceSection) -> Job:
    recipe = arm.recipe
    last = number or course_of(arm.run.folder, recipe).kept
    known = [*arm.shown, *(one for each in range(1, last + 1) for one in arm.puzzles(each))]
    layout = recipe.prompt.layout
    shots = chosen_examples(recipe.prompt.examples, recipe.prompt.examples_seed)
    job = Job(
        store.local(model),
        out,
        Tasks([], []),
        section,
        arm.seed(number, STAGE),
        solve_tokens=section.max_new_tokens or recipe.solve.max_new_tokens,
        propose_tokens=recipe.propose.max_new_tokens,
        known=frozenset(puzzle.id for puzzle in known),
        forms=frozenset(puzzle.form for puzzle in known),
        held_out=frozenset(problem.id for problem in arm.problems),
        examples=shots if recipe.prompt.few_shot and layout != "line" else (),
        layout=layout,
        paper=recipe.vet.rules == "paper",
        watched=arm.name == "verified",
        precision=recipe.model.precision,
        attention=recipe.model.attention,
        threads=recipe.run.threads,
        judged=conditions_of(arm, number),
    )
    return replace(job, tasks=_tasks(arm, number, last, job))


def _tasks(arm: Arm, number: int | None, last: int, job: Job) -> Tasks:
    """The prompts, as `propose` and `solve` would write them."""
    from etude.engines.transformers.loading import (
        context_length,
        encode_prompts,
        load_config,
        load_tokenizer,
    )

    context = context_length(load_config(job.model))
    tokenizer = load_tokenizer(job.model)

    def fits(prompt: Prompt, room: int) -> bool:
        [ids] = encode_prompts(tokenizer, [prompt], str(job.model))
        return context is None or len(ids) + room <= context

    def solving(puzzle: Puzzle) -> Prompt | None:
        prompt = solving_prompt(puzzle, job.examples, layout=job.layout)
        return prompt if fits(prompt, job.solve_tokens) else None

    rounds = range(1, last + 1) if number is None else [last]
    rated = [one for each in rounds for one in _rated(arm, each, arm.withdrawn(number))]
    proposing = _proposing(arm, last, lambda prompt: fits(prompt, job.propose_tokens))
    seeds = [pair.puzzle for pair in arm.seeds]
    return make_tasks(rated, seeds, job.section, job.seed, solving, proposing)


def _proposing(
    arm: Arm, number: int, fits: Callable[[Prompt], bool]
) -> Callable[[random.Random], Prompt]:
    section = arm.recipe.prompt
    sources = [puzzle.source for puzzle in arm.shown_in(number)]

    def proposing(rng: random.Random) -> Prompt:
        shown = fits if section.few_shot else None
        return proposal_prompt(sources, rng, layout=section.layout, fits=shown, most=section.shown)[
            0
        ]

    return proposing


def _rated(arm: Arm, number: int, withdrawn: frozenset[str]) -> Iterator[Rated]:
    """The puzzles of a round that taught something. The control knows no solve rate: all are
    middling to it."""
    rows = streams.rows(arm.round(number) / "select", ["puzzle_id", "solve_rate"])
    rates = {row["puzzle_id"]: row["solve_rate"] for row in rows}
    for puzzle in arm.puzzles(number):
        if puzzle.id in rates and puzzle.id not in withdrawn:
            rate = rates[puzzle.id]
            yield Rated(puzzle, 0.5 if rate is None else rate)
