"""Known answers: what the seeds' solutions give, what the judge accepted of each puzzle, and the
answers of strangers that a puzzle is tried with."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from etude import store
from etude.arm import Arm, checked
from etude.behaviour import MOST_KNOWN, Known, answers_of, key_of
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


class Strangers:
    """By answer type, the different known answers, in the order of their coming.

    What is asked of them costs no more when they are many.
    """

    def __init__(self) -> None:
        self._answers: dict[str, list[object]] = defaultdict(list)
        self._places: dict[str, dict[bytes, int]] = defaultdict(dict)
        """By type and the key of an answer, where it stands among them."""
        self._givers: dict[str, list[set[str]]] = defaultdict(list)
        """By type and place, the puzzles that gave the answer."""
        self._given: dict[str, list[int]] = defaultdict(list)
        """By puzzle, the places of its own answers."""

    def add(self, one: Known) -> None:
        """A puzzle's own answers, MOST_KNOWN of them at most."""
        kind = one.puzzle.answer_type
        for answer in one.answers[:MOST_KNOWN]:
            place = self._places[kind].setdefault(key_of(answer), len(self._answers[kind]))
            if place == len(self._answers[kind]):
                self._answers[kind].append(answer)
                self._givers[kind].append(set())
            if one.puzzle.id not in self._givers[kind][place]:
                self._givers[kind][place].add(one.puzzle.id)
                self._given[one.puzzle.id].append(place)

    def drawn(self, puzzle: Puzzle, most: int, rng: random.Random) -> list[object]:
        """Up to `most` answers of the puzzle's type, none of them given by that puzzle alone.

        They are those that `rng` draws from a list of all others, without making the list.
        """
        kind = puzzle.answer_type
        answers, givers = self._answers.get(kind, []), self._givers.get(kind, [])
        own = sorted(place for place in self._given.get(puzzle.id, ()) if len(givers[place]) == 1)
        others = len(answers) - len(own)
        chosen = []
        for place in rng.sample(range(others), min(others, most)):
            for mine in own:
                place += mine <= place
            chosen.append(answers[place])
        return chosen
