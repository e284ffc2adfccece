"""The verb `solve`: a model's attempts at a person's own puzzles, and the judge's verdicts.

Covered: the first accepted solution of each puzzle, pass@k over them, every attempt in a file.
Nothing is kept but what --out names; while a server is asked, beside it what was paid so far.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from etude import store
from etude.arm import Arm, checked, counted
from etude.attempts import attempts
from etude.console import Console
from etude.errors import InputError
from etude.evaluate import scores, verdicts_of
from etude.evaluating import Asked, student_of
from etude.readings.words import harmless, percent
from etude.session import check_inputs
from etude.suites import read_puzzles
from etude.types import Outcome, Problem, Verdict

KS = (1, 10, 100)


@dataclass(frozen=True, slots=True)
class Tried:
    """A puzzle with the model's attempts, and the verdicts on them."""

    problem: Problem
    sources: list[str]
    verdicts: list[Verdict]

    @property
    def first(self) -> str | None:
        """The first accepted solution."""
        found = zip(self.sources, self.verdicts, strict=True)
        return next((text for text, one in found if one.outcome is Outcome.ACCEPTED), None)


def solve_file(
    file: Path,
    model: str,
    *,
    samples: int,
    layout: str | None,
    out: Path | None,
    settings: Sequence[str],
    json_lines: bool,
) -> None:
    """Try a model on the puzzles of a file; print the verdicts and the first accepted solutions.

    Raises `InputError` for a file or model that is not what it should be.
    """
    console = Console(json_lines=json_lines)
    problems = read_puzzles(file)
    student = student_of(model)
    recipe = Asked("tiny", None, samples, layout, settings).recipe(student)
    check_inputs(recipe)
    tried: list[Tried] = []
    with (
        _opened(out, file) as sink,
        Arm(store.Run(Path(), recipe), "verified", console.event) as arm,
    ):
        arm.journal = out and out.with_name(f"{out.name}.paid")
        size = recipe.evaluate.problems_per_unit
        for unit, start in enumerate(range(0, len(problems), size)):
            for one in _tried(arm, student, problems[start : start + size], samples, unit):
                tried.append(one)
                _show(console, one)
                _write(sink, one)
        arm.unit_kept()
    _show_scores(console, tried, samples)


def _tried(
    arm: Arm, model: str, problems: Sequence[Problem], samples: int, unit: int
) -> Iterator[Tried]:
    section = arm.recipe.evaluate
    written = attempts(
        arm,
        model,
        [problem.task for problem in problems],
        samples=samples,
        seed=arm.seed(None, "solve", unit),
        temperature=section.temperature,
        max_new_tokens=section.max_new_tokens,
    )
    sources = [[source for source, _ in functions] for functions in written]
    found = verdicts_of(arm.judge, problems, sources)
    for problem, texts, verdicts in zip(problems, sources, found, strict=True):
        yield Tried(problem, texts, checked(verdicts))


def _show(console: Console, tried: Tried) -> None:
    name = harmless(tried.problem.name, lines=1)
    outcomes = Counter(str(verdict.outcome) for verdict in tried.verdicts)
    console.record(
        "puzzle",
        name=tried.problem.name,
        attempts=len(tried.sources),
        outcomes=outcomes,
        solution=tried.first,
    )
    if not tried.sources:
        console.say(f"{name}  not asked: its prompt is too long for the model")
        return
    console.say(f"{name}  {counted(outcomes)}", "bold" if tried.first else "")
    if tried.first is not None:
        for line in harmless(tried.first.rstrip("\n"), lines=40).split("\n"):
            console.say(f"    {line}")


def _show_scores(console: Console, tried: Sequence[Tried], samples: int) -> None:
    """`2 of 3 puzzles solved; in percent: pass@1 40.0 [10.0, 70.0]`; one not asked is unsolved."""
    problems = [one.problem for one in tried]
    rows = [
        {"problem": one.problem.name, "outcome": str(verdict.outcome)}
        for one in tried
        for verdict in one.verdicts
    ]
    made = scores(rows, problems, "own", KS, samples)
    solved = sum(one.first is not None for one in tried)
    console.record(
        "solved",
        puzzles=len(tried),
        solved=solved,
        samples=samples,
        **{f"pass@{score.k}": score.value for score in made},
    )
    cells = [f"pass@{score.k} {percent(score)}" for score in made]
    puzzles = "1 puzzle" if len(tried) == 1 else f"{len(tried):,} puzzles"
    console.say(f"{solved:,} of {puzzles} solved; in percent: {'  '.join(cells)}")


@contextmanager
def _opened(out: Path | None, file: Path) -> Iterator[IO[str] | None]:
    """The file of --out. Raises `InputError` when it can't be written, or is the puzzles' own."""
    if out is None:
        yield None
        return
    if out.exists() and out.samefile(file):
        raise InputError(f"--out must name another file than the puzzles, but both are {file}.")
    try:
        opened = out.open("w", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--out must be a file that can be written, but {out} is not "
            f"({error.strerror}). Choose another."
        ) from None
    with opened as sink:
        yield sink


def _write(sink: IO[str] | None, tried: Tried) -> None:
    if sink is None:
        return
    for draw, (source, verdict) in enumerate(zip(tried.sources, tried.verdicts, strict=True)):
        row = {
            "name": tried.problem.name,
            "puzzle": tried.problem.puzzle and tried.problem.puzzle.source,
            "draw": draw,
            "solution": source,
            "outcome": str(verdict.outcome),
            "answer": verdict.answer,
            "detail": verdict.detail,
        }
        sink.write(json.dumps(row) + "\n")
    sink.flush()
