"""Solve: let the model try the puzzles, and let the judge decide about every attempt."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from pathlib import Path

from etude import store, tables
from etude.arm import Arm, checked, counted
from etude.cluster import map_units
from etude.prompts import PAPER_EXAMPLES, completed, solving_prompt
from etude.types import Prompt, Puzzle, Sample, Verdict, content_id
from etude.vet import kept_puzzles


def solve(arm: Arm, number: int, model: str | Path) -> Path:
    """The folder of the round's candidates, `solve.samples` of each kept puzzle."""
    stage = arm.round(number) / "solve"
    puzzles = kept_puzzles(arm.round(number) / "vet")
    size = arm.recipe.solve.puzzles_per_unit
    units = math.ceil(len(puzzles) / size)

    def work(unit: int) -> list[store.Row]:
        chosen = puzzles[unit * size : (unit + 1) * size]
        return _candidates(arm, model, chosen, arm.seed(number, "solve", unit))

    with arm.watched(number, "solve", units) as watched:
        map_units(stage, units, work, tables.SOLVE, watched.tick)
        count = len(store.read_stage(stage))
        watched.summary = f"{len(puzzles):,} x {arm.recipe.solve.samples}  {count:,} candidates"
    return stage


def attempts(
    arm: Arm,
    model: str | Path,
    puzzles: list[Puzzle],
    *,
    samples: int,
    seed: int,
    temperature: float,
    max_new_tokens: int,
) -> list[list[tuple[str, bool]]]:
    """For each puzzle `samples` functions that the model wrote, and whether each was finished.

    A puzzle whose prompt does not fit the model's context gets none.
    """
    section = arm.recipe.prompt
    examples = PAPER_EXAMPLES if section.few_shot and section.layout == "paper" else ()
    prompts = [solving_prompt(puzzle, examples, layout=section.layout) for puzzle in puzzles]
    engine = arm.engine(model)
    fitting = [prompt for prompt in prompts if engine.fits(prompt, max_new_tokens)]
    sampled = iter(
        engine.sample(
            fitting, samples, seed=seed, temperature=temperature, max_new_tokens=max_new_tokens
        )
    )
    asked = {id(prompt) for prompt in fitting}
    return [_functions(prompt, next(sampled)) if id(prompt) in asked else [] for prompt in prompts]


def _functions(prompt: Prompt, samples: list[Sample]) -> list[tuple[str, bool]]:
    return [(completed(prompt, sample.text, "g"), sample.finished) for sample in samples]


def _candidates(arm: Arm, model: str | Path, puzzles: list[Puzzle], seed: int) -> list[store.Row]:
    section = arm.recipe.solve
    written = attempts(
        arm,
        model,
        puzzles,
        samples=section.samples,
        seed=seed,
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    return [
        {
            "candidate_id": content_id(puzzle.id, str(seed), str(draw), source),
            "puzzle_id": puzzle.id,
            "draw": draw,
            "source": source,
            "finished": finished,
        }
        for puzzle, functions in zip(puzzles, written, strict=True)
        for draw, (source, finished) in enumerate(functions)
    ]


def judge(arm: Arm, number: int) -> Path:
    """The folder of the round's verdicts, one for each candidate, in units as they were solved."""
    stage = arm.round(number) / "judge"
    solved = arm.round(number) / "solve"
    puzzles = {puzzle.id: puzzle for puzzle in kept_puzzles(arm.round(number) / "vet")}
    units = len(list(solved.glob("[0-9]*.parquet")))

    def work(unit: int) -> list[store.Row]:
        return _verdicts(arm, puzzles, store.read_table(store.unit_path(solved, unit)))

    with arm.watched(number, "judge", units) as watched:
        map_units(stage, units, work, tables.JUDGE, watched.tick)
        rows = store.read_stage(stage)
        watched.summary = counted(Counter(row["outcome"] for row in rows))
    return stage


def _verdicts(arm: Arm, puzzles: dict[str, Puzzle], candidates: list[store.Row]) -> list[store.Row]:
    groups = [list(group) for _, group in groupby(candidates, lambda row: row["puzzle_id"])]
    jobs = [(puzzles[group[0]["puzzle_id"]], [row["source"] for row in group]) for group in groups]
    rows: list[store.Row] = []
    for group, verdicts in zip(groups, arm.judge.verify_all(jobs), strict=True):
        for candidate, verdict in zip(group, checked(verdicts), strict=True):
            ids = {key: candidate[key] for key in ("candidate_id", "puzzle_id")}
            rows.append(ids | verdict_columns(verdict))
    return rows


def verdict_columns(verdict: Verdict) -> store.Row:
    """The columns of a verdict, as the tables hold them."""
    return {
        "outcome": str(verdict.outcome),
        "answer": verdict.answer,
        "detail": verdict.detail,
        "cpu_seconds": verdict.cpu_seconds,
        "peak_bytes": verdict.peak_bytes,
    }
