"""Known answers: what the seeds' solutions give, what the judge accepted of each puzzle, and the
answers of strangers that a puzzle is tried with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from etude import store, streams
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


def verdicts(stage: Path) -> Iterator[store.Row]:
    """The verdicts of a `judge` stage; what was accepted by chance has the outcome `unstable`."""
    for path in streams.segments(stage):
        yield from verdicts_of(path)


def verdicts_of(path: Path) -> Iterator[store.Row]:
    """Those of one unit."""
    for row in streams.rows_of(path, ["puzzle_id", "outcome", "answer", "stable"]):
        yield row | {"outcome": "unstable"} if row["stable"] is False else row


def accepted_answers(rows: Iterable[store.Row]) -> dict[str, tuple[object, ...]]:
    """By puzzle, up to MOST_KNOWN different accepted answers of some verdicts.

    An answer too long for its table is left out.
    """
    literals: dict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        own = literals[row["puzzle_id"]]
        if row["outcome"] == Outcome.ACCEPTED and row["answer"] and len(own) < MOST_KNOWN:
            own[row["answer"]] = None
    return {puzzle: answers_of(found) for puzzle, found in literals.items()}


def solved_in(arm: Arm, number: int) -> Iterator[Known]:
    """The puzzles of a round with their accepted answers, in order, a unit at a time."""
    puzzles, size = arm.puzzles(number), arm.recipe.solve.puzzles_per_unit
    for start in range(0, len(puzzles), size):
        path = store.unit_path(arm.round(number) / "judge", start // size)
        answers = accepted_answers(verdicts_of(path))
        for puzzle in puzzles[start : start + size]:
            yield Known(puzzle, answers.get(puzzle.id, ()))
