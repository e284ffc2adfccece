"""Evaluate: attempts at held-out problems, judged, and pass@k with intervals over problems."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from etude import store, tables
from etude.arm import Arm, checked
from etude.attempts import attempts, verdict_columns
from etude.cluster import map_units
from etude.errors import InputError
from etude.stats import mean_interval, paired_difference, pass_at_k
from etude.types import Problem, Score


def evaluate(
    arm: Arm,
    number: int | None,
    folder: Path,
    model: str | Path,
    samples: int,
    before: Path | None = None,
) -> list[Score]:
    """Score a model on the run's suite. Attempts and scores are kept in `folder`/evaluate.

    The summary compares it, problem by problem, with the scores in `before`/evaluate.
    """
    stage = folder / "evaluate"
    size = arm.recipe.evaluate.problems_per_unit
    problems = arm.problems
    units = math.ceil(len(problems) / size)

    def work(unit: int) -> list[store.Row]:
        chosen = problems[unit * size : (unit + 1) * size]
        return _unit(arm, model, chosen, samples, arm.seed(number, "evaluate", unit))

    with arm.watched(number, "evaluate", units) as watched:
        map_units(stage, units, work, tables.EVALUATE, watched.tick, arm.conditions)
        rows = store.read_stage(stage)
        if not rows:
            raise InputError(
                f"evaluate.max_new_tokens must leave room for a prompt in the model's context, but "
                f"with {arm.recipe.evaluate.max_new_tokens} not one problem fits. Lower it."
            )
        made = scores(rows, problems, arm.recipe.evaluate.suite, arm.recipe.evaluate.ks, samples)
        store.write_table(stage / "scores.parquet", [asdict(s) for s in made], tables.SCORES)
        watched.summary = summary(made)
        if before is not None:
            earlier = store.read_stage(before / "evaluate")
            watched.summary += "  " + gain(earlier, rows, problems, samples)
    return made


def _unit(
    arm: Arm, model: str | Path, problems: list[Problem], samples: int, seed: int
) -> list[store.Row]:
    section = arm.recipe.evaluate
    puzzles = [problem.puzzle for problem in problems]
    written = attempts(
        arm,
        model,
        puzzles,
        samples=samples,
        seed=seed,
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    jobs = [
        (puzzle, [source for source, _ in functions])
        for puzzle, functions in zip(puzzles, written, strict=True)
    ]
    rows: list[store.Row] = []
    judged = zip(problems, jobs, arm.judge.verify_all(jobs), strict=True)
    for problem, (_, sources), verdicts in judged:
        for draw, (source, verdict) in enumerate(zip(sources, checked(verdicts), strict=True)):
            ids = {"problem": problem.name, "part": problem.part, "draw": draw, "source": source}
            rows.append(ids | verdict_columns(verdict))
    return rows


def scores(
    rows: Sequence[store.Row],
    problems: Sequence[Problem],
    suite: str,
    ks: Sequence[int],
    samples: int,
) -> list[Score]:
    """pass@k of each part for every k that `samples` attempts allow.

    A problem without an attempt (its prompt does not fit the model) counts as never solved.
    """
    accepted = Counter(row["problem"] for row in rows if row["outcome"] == "accepted")
    parts: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        parts[problem.part].append(problem.name)
    made = []
    for part, names in parts.items():
        for k in (k for k in ks if k <= samples):
            values = [pass_at_k(samples, accepted[name], k) for name in names]
            mean = mean_interval(values)
            made.append(Score(suite, part, k, mean.value, mean.low, mean.high, len(names), samples))
    return made


def gain(
    before: Sequence[store.Row],
    after: Sequence[store.Row],
    problems: Sequence[Problem],
    samples: int,
) -> str:
    """What was gained on the round before, paired by problem, in percent.

    `gain in pass@1 +2.8 [+1.1, +4.5]`
    """
    rates = []
    for rows in (before, after):
        accepted = Counter(row["problem"] for row in rows if row["outcome"] == "accepted")
        rates.append([100 * accepted[problem.name] / samples for problem in problems])
    difference = paired_difference(*rates)
    return f"gain in pass@1 {difference.value:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]"


def summary(made: Sequence[Score]) -> str:
    """`constants pass@1 12.8 [11.2, 14.5]`, in percent, for the two smallest k of each part."""
    shown = sorted({score.k for score in made})[:2]
    return "  ".join(
        f"{score.part} pass@{score.k} {100 * score.value:.1f}"
        f" [{100 * score.low:.1f}, {100 * score.high:.1f}]"
        for score in made
        if score.k in shown
    )
