"""Known answers: what the seeds' solutions give, and what the judge accepted of each puzzle."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from etude import store
from etude.arm import Arm, checked
from etude.behaviour import MOST_KNOWN, Known, answers_of
from etude.judge import Judge
from etude.types import Outcome, Problem, Puzzle


def human_answers(arm: Arm) -> list[Known]:
    """The seed pairs with the answers of their solutions."""
    pairs = [(pair.puzzle, pair.solution) for pair in arm.seeds]
    return _solved(arm.judge, pairs)


def reference_answers(judge: Judge, problems: Sequence[Problem]) -> list[Known]:
    """The puzzles among some problems with the answers of their reference solutions, if any."""
    return _solved(judge, [(one.puzzle, one.solution) for one in problems if one.puzzle])


def _solved(judge: Judge, pairs: Sequence[tuple[Puzzle, str]]) -> list[Known]:
    judged = judge.verify_all(
        (puzzle, [solution] if solution else []) for puzzle, solution in pairs
    )
    return [
        Known(
            puzzle,
            answers_of(v.answer for v in checked(verdicts) if v.outcome is Outcome.ACCEPTED),
        )
        for (puzzle, _), verdicts in zip(pairs, judged, strict=True)
    ]


def verdicts(stage: Path) -> list[store.Row]:
    """The verdicts of a `judge` stage; what was accepted by chance has the outcome `unstable`."""
    rows: list[store.Row] = []
    for path in sorted(stage.glob("[0-9]*.parquet")):
        with store.open_table(path) as file:
            read = file.read(["puzzle_id", "outcome", "answer", "stable"])
        rows += [
            row | {"outcome": "unstable"} if row["stable"] is False else row
            for row in read.to_pylist()
        ]
    return rows


def accepted_answers(stages: Iterable[Path]) -> dict[str, tuple[object, ...]]:
    """By puzzle, up to MOST_KNOWN different accepted answers of some `judge` stages.

    An answer too long for its table is left out.
    """
    literals: dict[str, dict[str, None]] = defaultdict(dict)
    for row in (row for stage in stages for row in verdicts(stage)):
        own = literals[row["puzzle_id"]]
        if row["outcome"] == Outcome.ACCEPTED and row["answer"] and len(own) < MOST_KNOWN:
            own[row["answer"]] = None
    return {puzzle: answers_of(found) for puzzle, found in literals.items()}
