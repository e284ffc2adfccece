"""Attempts at puzzles: what a model wrote for each, and the columns of what the judge found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from etude import store
from etude.arm import Arm
from etude.domains import Domain
from etude.judge import Program
from etude.prompts import (
    Layout,
    chosen_examples,
    completed,
    exercise_prompt,
    task_message,
)
from etude.replies import solution_source
from etude.roles import Role
from etude.types import Exercise, Prompt, Puzzle, Sample, Verdict


def attempts(
    arm: Arm,
    model: str | Path,
    puzzles: Sequence[Puzzle | Exercise],
    *,
    samples: int,
    seed: int,
    temperature: float,
    max_new_tokens: int,
    role: Role = "evaluate",
) -> list[list[tuple[str, bool]]]:
    """For each puzzle `samples` functions that the model wrote, and whether each was finished.

    A puzzle, or exercise, whose prompt does not fit the model's context gets none.
    """
    section = arm.recipe.prompt
    chosen = chosen_examples(section.examples, section.examples_seed)
    examples = chosen if section.few_shot and section.layout != "line" else ()
    prompts = [
        _exercise_prompt(puzzle, section.layout)
        if isinstance(puzzle, Exercise)
        else arm.domain.solving_prompt(puzzle, examples, layout=section.layout)
        for puzzle in puzzles
    ]
    engine = arm.engine(model, role)
    fitting = [prompt for prompt in prompts if engine.fits(prompt, max_new_tokens)]
    sampled = iter(
        engine.sample(
            fitting, samples, seed=seed, temperature=temperature, max_new_tokens=max_new_tokens
        )
    )
    asked = {id(prompt) for prompt in fitting}
    return [
        _functions(arm.domain, prompt, next(sampled), one) if id(prompt) in asked else []
        for prompt, one in zip(prompts, puzzles, strict=True)
    ]


def _exercise_prompt(exercise: Exercise, layout: Layout) -> Prompt:
    if layout == "chat":
        return Prompt(task_message(exercise), "", chat=True)
    return exercise_prompt(exercise)


def _functions(
    domain: Domain, prompt: Prompt, samples: list[Sample], task: Puzzle | Exercise
) -> list[tuple[str, bool]]:
    if isinstance(task, Puzzle):
        return [(domain.solution(prompt, sample.text), sample.finished) for sample in samples]
    name = task.entry_point
    if prompt.chat:
        return [(solution_source(one.text, names=(name,)), one.finished) for one in samples]
    return [(completed(prompt, sample.text, name), sample.finished) for sample in samples]


def program_of(exercise: Exercise, source: str) -> Program:
    """A function that was written for an exercise, with the exercise's tests."""
    return Program(exercise.preamble, source, exercise.tests, exercise.entry_point)


_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


def placeless(text: str) -> str:
    """A text without the places in memory that objects tell in theirs."""
    return _ADDRESS.sub("at 0x...", text)


def verdict_columns(verdict: Verdict) -> store.Row:
    """The columns of a verdict, as the tables hold them.

    Where an object's text tells its place in memory, that is left out: it is another one whenever
    a sandbox is started, and a run that was continued would end with other bytes.
    """
    return {
        "outcome": str(verdict.outcome),
        "answer": None if verdict.answer is None else placeless(verdict.answer),
        "detail": placeless(verdict.detail),
        "cpu_seconds": verdict.cpu_seconds,
        "peak_bytes": verdict.peak_bytes,
    }
