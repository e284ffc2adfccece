"""Solve: let the model try the puzzles, and let the judge decide about every attempt."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from pathlib import Path

from etude import roles, store, tables
from etude.arm import Arm, checked, counted
from etude.attempts import attempts, verdict_columns
from etude.cluster import map_units
from etude.types import Puzzle, content_id


def solve(arm: Arm, number: int, model: str | Path) -> Path:
    """The folder of the round's candidates, `solve.samples` of each kept puzzle."""
    stage = arm.round(number) / "solve"
    puzzles = arm.puzzles(number)
    size = arm.recipe.solve.puzzles_per_unit
    units = math.ceil(len(puzzles) / size)

    def work(unit: int) -> list[store.Row]:
        chosen = puzzles[unit * size : (unit + 1) * size]
        return _candidates(arm, model, chosen, arm.seed(number, "solve", unit))

    with arm.watched(number, "solve", units) as watched:
        map_units(stage, units, work, tables.SOLVE, watched.tick, arm.engine_note)
        count = len(store.read_stage(stage))
        watched.summary = f"{len(puzzles):,} x {arm.recipe.solve.samples}  {count:,} candidates"
        watched.summary += roles.spent(stage)
    return stage


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
        role="solve",
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
    puzzles = {puzzle.id: puzzle for puzzle in arm.puzzles(number)}
    units = len(list(solved.glob("[0-9]*.parquet")))

    def work(unit: int) -> list[store.Row]:
        return _verdicts(arm, puzzles, store.read_table(store.unit_path(solved, unit)))

    with arm.watched(number, "judge", units) as watched:
        map_units(stage, units, work, tables.JUDGE, watched.tick, arm.conditions)
        rows = store.read_stage(stage)
        watched.summary = counted(Counter(row["outcome"] for row in rows))
        if arm.recipe.judge.twice:
            watched.summary += f"  {sum(row['stable'] is False for row in rows):,} unstable"
    return stage


def _verdicts(arm: Arm, puzzles: dict[str, Puzzle], candidates: list[store.Row]) -> list[store.Row]:
    groups = [list(group) for _, group in groupby(candidates, lambda row: row["puzzle_id"])]
    jobs = [(puzzles[group[0]["puzzle_id"]], [row["source"] for row in group]) for group in groups]
    rows: list[store.Row] = []
    for group, verdicts in zip(groups, arm.judge.verify_all(jobs), strict=True):
        for candidate, verdict in zip(group, checked(verdicts), strict=True):
            ids = {key: candidate[key] for key in ("candidate_id", "puzzle_id")}
            rows.append(ids | verdict_columns(verdict) | {"stable": verdict.stable})
    return rows
