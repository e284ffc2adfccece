"""Evaluate: attempts at held-out problems, judged, and pass@k with intervals over problems.

What the model wrote passes through a stage of its own, `attempt`, so that it is judged while more
is sampled, and none of it is lost. The folder of `evaluate` holds, beside the attempts:

    scores.parquet          pass@k of each part for every k up to the attempts: the whole curve
    problems.parquet        each problem: attempts, accepted, what the others were
    contamination.parquet   which problems the training examples meet, and how (see `decontaminate`)
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from etude import decontaminate, roles, store, tables
from etude.arm import Arm, checked, set_aside_words
from etude.attempts import attempts, program_of, verdict_columns
from etude.cluster import SET_ASIDE, Flow, Made, Stage
from etude.domains import Domain
from etude.errors import InputError
from etude.exposure import trained_on
from etude.judge import Judge
from etude.stats import mean_intervals, paired_difference, pass_at_all_k, standard_errors
from etude.types import Exercise, Problem, Score, Verdict


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
    problems = arm.problems
    flow = _flow(arm, number, folder, model, samples)
    with arm.watched(number, "evaluate", flow.units(1)) as watched:
        flow.finish(0, lambda done, total: watched.tick(0, total))
        flow.finish(1, watched.tick)
        store.remove_stage(folder / "attempt")
        rows = store.read_stage(stage)
        if not rows:
            raise InputError(
                f"evaluate.max_new_tokens must leave room for a prompt in the model's context, but "
                f"with {arm.recipe.evaluate.max_new_tokens} not one problem fits. Lower it."
            )
        section = arm.recipe.evaluate
        made = write_scores(stage, rows, problems, section.suite, section.ks, samples)
        _write_contamination(stage, problems, model, arm.domain)
        watched.summary = summary(made)
        if before is not None:
            earlier = store.read_stage(before / "evaluate")
            watched.summary += "  " + gain(earlier, rows, problems, samples)
        watched.summary += roles.spent(stage) + set_aside_words(stage)
    return made


def _flow(arm: Arm, number: int | None, folder: Path, model: str | Path, samples: int) -> Flow:
    units = math.ceil(len(arm.problems) / arm.recipe.evaluate.problems_per_unit)
    written = folder / "attempt"
    sampling = partial(_attempted, number=number, model=model, samples=samples)
    judging = partial(_judged, written=written)
    return arm.flow(
        Stage(written, units, sampling, tables.ATTEMPT, "engine", passing=True),
        Stage(folder / "evaluate", units, judging, tables.EVALUATE, "judge"),
    )


def _attempted(arm: Arm, unit: int, *, number: int | None, model: str | Path, samples: int) -> Made:
    """What the model wrote for a unit's problems, none of it looked at."""
    section = arm.recipe.evaluate
    problems = _problems(arm, unit)
    written = attempts(
        arm,
        model,
        [problem.task for problem in problems],
        samples=samples,
        seed=arm.seed(number, "evaluate", unit),
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    rows = [
        {"problem": problem.name, "part": problem.part, "draw": draw, "source": source}
        for problem, functions in zip(problems, written, strict=True)
        for draw, (source, _) in enumerate(functions)
    ]
    return Made(rows, arm.engine_note())


def _judged(arm: Arm, unit: int, *, written: Path) -> Made:
    """The attempts of a unit with their verdicts."""
    attempted = store.read_table(store.unit_path(written, unit))
    tried: dict[str, list[store.Row]] = defaultdict(list)
    for row in attempted:
        tried[row["problem"]].append(row)
    problems = [problem for problem in _problems(arm, unit) if tried[problem.name]]
    sources = [[row["source"] for row in tried[problem.name]] for problem in problems]
    rows: list[store.Row] = []
    for problem, verdicts in zip(problems, verdicts_of(arm.judge, problems, sources), strict=True):
        for row, verdict in zip(tried[problem.name], checked(verdicts), strict=True):
            rows.append(row | verdict_columns(verdict))
    return Made(rows, arm.conditions() | _passed_on(store.unit_path(written, unit)))


def _passed_on(written: Path) -> dict[str, str]:
    """What the segment of the attempts says of how it was made, which is removed."""
    keys = (roles.NOTE_KEY, SET_ASIDE)
    return {key: note for key in keys for note in store.segment_notes(written, key)}


def _problems(arm: Arm, unit: int) -> list[Problem]:
    size = arm.recipe.evaluate.problems_per_unit
    return arm.problems[unit * size : (unit + 1) * size]


def verdicts_of(
    judge: Judge, problems: Sequence[Problem], sources: Sequence[Sequence[str]]
) -> Iterator[list[Verdict]]:
    """For each problem the verdicts on its sources, in order. Equal sources are judged once."""
    distinct = [list(dict.fromkeys(tried)) for tried in sources]
    found = judge.verify_all(
        job
        for problem, tried in zip(problems, distinct, strict=True)
        for job in (
            [program_of(problem.task, source) for source in tried]
            if isinstance(problem.task, Exercise)
            else [(problem.task, tried)]
        )
    )
    for problem, tried, once in zip(problems, sources, distinct, strict=True):
        if isinstance(problem.task, Exercise):
            verdicts = [next(found)[0] for _ in once]
        else:
            verdicts = next(found)
        known = dict(zip(once, verdicts, strict=True))
        yield [known[source] for source in tried]


def write_scores(
    stage: Path,
    rows: Sequence[store.Row],
    problems: Sequence[Problem],
    suite: str,
    ks: Sequence[int],
    samples: int,
) -> list[Score]:
    """Write the curve and the table of problems. The scores of the asked `ks`."""
    curve = scores(rows, problems, suite, range(1, samples + 1), samples)
    accepted = accepted_by_part(rows, problems)
    written = []
    for score in curve:
        errors = standard_errors(samples, list(accepted[score.part].values()), score.k)
        extra = {"error_attempts": errors.attempts, "error_problems": errors.problems}
        written.append(asdict(score) | extra | {"asked": score.k in ks})
    store.write_table(stage / "scores.parquet", written, tables.SCORES)
    table = problem_rows(rows, problems, samples)
    store.write_table(stage / "problems.parquet", table, tables.PROBLEMS)
    return [score for score in curve if score.k in ks]


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
    wanted = [k for k in ks if k <= samples]
    columns = [k - 1 for k in wanted]
    made = []
    for part, accepted in accepted_by_part(rows, problems).items():
        values = pass_at_all_k(samples, list(accepted.values()))[:, columns]
        for k, mean in zip(wanted, mean_intervals(values), strict=True):
            made.append(
                Score(suite, part, k, mean.value, mean.low, mean.high, len(accepted), samples)
            )
    return made


def accepted_by_part(
    rows: Sequence[store.Row], problems: Sequence[Problem]
) -> dict[str, dict[str, int]]:
    """How many attempts at each problem were accepted, by part, in the order of the suite."""
    accepted = Counter(row["problem"] for row in rows if row["outcome"] == "accepted")
    parts: dict[str, dict[str, int]] = defaultdict(dict)
    for problem in problems:
        parts[problem.part][problem.name] = accepted[problem.name]
    return parts


def problem_rows(
    rows: Sequence[store.Row], problems: Sequence[Problem], samples: int
) -> list[store.Row]:
    """Each problem with what became of its attempts; pass@1 over `samples`, attempted or not."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        found[row["problem"]][row["outcome"]] += 1
    return [
        {
            "problem": problem.name,
            "problem_id": problem.id,
            "part": problem.part,
            "attempts": found[problem.name].total(),
            "pass_at_1": found[problem.name]["accepted"] / samples,
        }
        | {outcome: found[problem.name][outcome] for outcome in tables.OUTCOMES}
        for problem in problems
    ]


def _write_contamination(
    stage: Path, problems: Sequence[Problem], model: str | Path, domain: Domain
) -> None:
    """Nothing is written where the model's training examples are not known.

    Where a run was copied without the file of its seeds, that is said: the scores are there.
    """
    try:
        trained = trained_on(model)
    except InputError as error:
        print(f"The suite was not held against what was trained on: {error}", file=sys.stderr)
        return
    if trained is not None:
        hits = decontaminate.contamination(problems, trained, domain)
        store.write_table(
            stage / "contamination.parquet", [asdict(hit) for hit in hits], tables.CONTAMINATION
        )


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
