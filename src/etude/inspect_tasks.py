"""Suites as tasks for inspect_ai (the extra `inspect`): a dataset, `generate()`, the judge.

    inspect eval etude/p3 --model ... -T folder=p3
    inspect eval etude/puzzles --model ... -T file=mine.jsonl
    inspect eval etude/humaneval --model ... -T file=HumanEval.jsonl --epochs 10

Covered: chat models, which are asked in words and answer with a block of Python. Not covered: base
models that go on where a prompt ends; for these there is `etude evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from etude.errors import InputError
from etude.judge import Limits
from etude.prompts import task_message
from etude.scorers import etude_program_scorer, etude_scorer
from etude.suites import load, read_puzzles
from etude.types import Problem

try:
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.solver import generate
except ImportError as error:
    raise InputError(
        f"etude.inspect_tasks needs inspect_ai ({error}): pip install 'etude[inspect]'"
    ) from error

__all__ = ["etude_program_scorer", "etude_scorer", "humaneval", "mbpp", "p3", "puzzles"]

_CPU_SECONDS = Limits().cpu_seconds


@task
def p3(folder: str | None = None, half: str = "test", cpu_seconds: float = _CPU_SECONDS) -> Task:
    """P3: its `test` half of 228 puzzles, its `train` half, or `all`.

    `folder` holds P3's two files; without it they are downloaded once. Raises `InputError`.
    """
    suite = {"test": "p3", "train": "p3-train", "all": "p3-all"}.get(half)
    if suite is None:
        raise InputError(f"half must be test, train or all, but is {half!r}.")
    return _of_puzzles("p3", load(suite, folder=_path(folder)), cpu_seconds)


@task
def puzzles(file: str, cpu_seconds: float = _CPU_SECONDS) -> Task:
    """A person's own puzzles, in a file that `etude solve` reads. Raises `InputError`."""
    return _of_puzzles(Path(file).stem, read_puzzles(Path(file)), cpu_seconds)


@task
def humaneval(file: str, plus: bool = False, cpu_seconds: float = _CPU_SECONDS) -> Task:
    """HumanEval, or HumanEval+ (`plus`), from its file. Raises `InputError`."""
    return _of_exercises("humaneval", "humaneval+" if plus else "humaneval", file, cpu_seconds)


@task
def mbpp(file: str, plus: bool = False, cpu_seconds: float = _CPU_SECONDS) -> Task:
    """MBPP's test half, or MBPP+ (`plus`), from its file. Raises `InputError`."""
    return _of_exercises("mbpp", "mbpp+" if plus else "mbpp", file, cpu_seconds)


def _of_puzzles(name: str, problems: Sequence[Problem], cpu_seconds: float) -> Task:
    samples = [
        Sample(
            id=problem.name,
            input=task_message(problem.task),
            target=problem.solution,
            metadata={"puzzle": problem.puzzle.source, "part": problem.part},
        )
        for problem in problems
        if problem.puzzle
    ]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=etude_scorer(cpu_seconds=cpu_seconds),
    )


def _of_exercises(name: str, suite: str, file: str, cpu_seconds: float) -> Task:
    samples = [
        Sample(
            id=problem.name,
            input=task_message(problem.task),
            target=problem.solution,
            metadata={
                "preamble": problem.exercise.preamble,
                "tests": problem.exercise.tests,
                "entry_point": problem.exercise.entry_point,
            },
        )
        for problem in load(suite, folder=Path(file))
        if problem.exercise
    ]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=etude_program_scorer(cpu_seconds=cpu_seconds),
    )


def _path(folder: str | None) -> Path | None:
    return None if folder is None else Path(folder)
