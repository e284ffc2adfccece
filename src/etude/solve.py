"""Solve: let the model try the puzzles, and let the judge decide about every attempt.

While the next candidates are sampled, those that are on the disk are judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

from etude import budget, roles, store, streams, tables
from etude.arm import Arm, checked, counted, set_aside_words
from etude.attempts import attempts, verdict_columns
from etude.cluster import Flow, Made, Stage
from etude.types import Puzzle, content_id


def solve(arm: Arm, number: int, model: str | Path, base: str | Path) -> Flow:
    """Sample the round's candidates, `solve.samples` of each puzzle or as `budget` shares them out.

    The last of each puzzle are the base's, as many as `solve.base_share` of them.

    Their verdicts, as far as these are not found yet, are the rest of the flow: see `judge`.
    """
    folder = arm.round(number) / "solve"
    puzzles = len(arm.puzzles(number))
    units = math.ceil(puzzles / arm.recipe.solve.puzzles_per_unit)
    sampling = partial(_sampled, number=number, model=model, base=base)
    judging = partial(_judged, number=number)
    schema = tables.SOLVE if arm.recipe.solve.base_share else tables.OWN
    flow = arm.flow(
        Stage(folder, units, sampling, schema, "engine"),
        Stage(arm.round(number) / "judge", units, judging, tables.JUDGE, "judge"),
    )
    with arm.watched(number, "solve", units) as watched:
        flow.finish(0, watched.tick)
        arm.crew.release("engine")
        count = streams.length(folder)
        watched.summary = f"{budget.words(arm, number)}  {count:,} candidates"
        watched.summary += roles.spent(folder) + set_aside_words(folder)
    return flow


def judge(arm: Arm, number: int, flow: Flow) -> Path:
    """The folder of the round's verdicts, one for each candidate, in units as they were solved.

    `flow` is what `solve` left to do; its time is what judging takes longer than sampling.
    """
    folder = arm.round(number) / "judge"
    with arm.watched(number, "judge", flow.units(1)) as watched:
        flow.finish(1, watched.tick)
        watched.summary = counted(streams.tally(folder, "outcome"))
        if arm.recipe.judge.twice:
            unstable = sum(row["stable"] is False for row in streams.rows(folder, ["stable"]))
            watched.summary += f"  {unstable:,} unstable"
        watched.summary += set_aside_words(folder)
    return folder


def _sampled(arm: Arm, unit: int, *, number: int, model: str | Path, base: str | Path) -> Made:
    chosen = _puzzles(arm, number, unit)
    start = unit * arm.recipe.solve.puzzles_per_unit
    shares = budget.budget(arm, number)[start : start + len(chosen)]
    seed, share = arm.seed(number, "solve", unit), arm.recipe.solve.base_share
    if not share:
        return Made(_candidates(arm, model, chosen, shares, seed), arm.engine_note())
    of_base = [round(share * attempts) for attempts in shares]
    own = [attempts - other for attempts, other in zip(shares, of_base, strict=True)]
    rows = [row | {"base": False} for row in _candidates(arm, model, chosen, own, seed)]
    asked = arm.engine(model, "solve")
    earlier, name = roles.usage(asked) if rows else roles.NOTHING, asked.name
    other = arm.seed(number, "solve by the base", unit)
    found = _candidates(arm, base, chosen, of_base, other, own)
    rows += [row | {"base": True} for row in found]
    place = {puzzle.id: at for at, puzzle in enumerate(chosen)}
    rows.sort(key=lambda row: place[row["puzzle_id"]])  # stable: those of the model come first
    names = {"engine": name, "base": arm.engine(base, "solve").name}
    return Made(rows, arm.engine_note(earlier, names))


def _judged(arm: Arm, unit: int, *, number: int) -> Made:
    puzzles = {puzzle.id: puzzle for puzzle in _puzzles(arm, number, unit)}
    solved = store.read_table(store.unit_path(arm.round(number) / "solve", unit))
    return Made(_verdicts(arm, puzzles, solved), arm.conditions())


def _puzzles(arm: Arm, number: int, unit: int) -> list[Puzzle]:
    size = arm.recipe.solve.puzzles_per_unit
    kept: streams.Kept = arm.remembered("puzzles", number, lambda: arm.puzzles(number))
    return kept[unit * size : (unit + 1) * size]


def _candidates(
    arm: Arm,
    model: str | Path,
    puzzles: list[Puzzle],
    shares: Sequence[int],
    seed: int,
    first: Sequence[int] = (),
) -> list[store.Row]:
    """Those of a unit in the order of its puzzles; puzzles with equal shares are asked together.

    The draws of a puzzle are numbered from its `first` on, without it from 0.
    """
    written: dict[str, list[tuple[str, bool]]] = {puzzle.id: [] for puzzle in puzzles}
    for share in sorted(set(shares) - {0}):
        alike = [puzzle for puzzle, own in zip(puzzles, shares, strict=True) if own == share]
        found = _written(arm, model, alike, share, seed)
        written |= {puzzle.id: own for puzzle, own in zip(alike, found, strict=True)}
    return [
        {
            "candidate_id": content_id(puzzle.id, str(seed), str(draw), source),
            "puzzle_id": puzzle.id,
            "draw": draw,
            "source": source,
            "finished": finished,
        }
        for puzzle, start in zip(puzzles, first or [0] * len(puzzles), strict=True)
        for draw, (source, finished) in enumerate(written[puzzle.id], start)
    ]


def _written(
    arm: Arm, model: str | Path, puzzles: list[Puzzle], samples: int, seed: int
) -> list[list[tuple[str, bool]]]:
    section = arm.recipe.solve
    own = seed if samples == section.samples else store.seed_for(seed, samples)  # other chance
    return attempts(
        arm,
        model,
        puzzles,
        samples=samples,
        seed=own,
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
        role="solve",
    )


def _verdicts(arm: Arm, puzzles: dict[str, Puzzle], candidates: list[store.Row]) -> list[store.Row]:
    groups = [list(group) for _, group in groupby(candidates, lambda row: row["puzzle_id"])]
    jobs = [(puzzles[group[0]["puzzle_id"]], [row["source"] for row in group]) for group in groups]
    rows: list[store.Row] = []
    for group, verdicts in zip(groups, arm.judge.verify_all(jobs), strict=True):
        for candidate, verdict in zip(group, checked(verdicts), strict=True):
            ids = {key: candidate[key] for key in ("candidate_id", "puzzle_id")}
            rows.append(ids | verdict_columns(verdict) | {"stable": verdict.stable})
    return rows
