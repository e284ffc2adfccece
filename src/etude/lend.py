"""Lend: attempts at other puzzles are tried on those that have no solution.

What a puzzle gives fills the holes of a borrowed solution (`borrow`). Many are asked at once
(`batches`), and the shortest of those that seem right by themselves: the judge decides. Where a
puzzle is posed anew (`posed`), the solution has to be right for all that it was posed as.
Covered: what is tried, and what of posed puzzles teaches. Not covered: which puzzles these are (see
`repair` and `turn`).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from etude import store, streams, tables
from etude.arm import Arm, checked
from etude.attempts import verdict_columns
from etude.batches import Asking, Hints, seem_to_fit
from etude.borrow import Library, Loan
from etude.generality import POSED
from etude.holes import Value, given, slot
from etude.posed import is_small, posed
from etude.select import distinct
from etude.types import Outcome, Puzzle, content_id

CHECKED = 6
"""Solutions of a puzzle that seemed right and are judged: the shortest."""


@dataclass(slots=True)
class Tries:
    """What is tried on a puzzle that has no solution."""

    puzzle: Puzzle
    wrong: list[store.Row]
    """The different attempts at it."""
    tried: int = 0
    seconds: float = 0.0
    """CPU time of the batches."""
    found: dict[str, store.Row] = field(default_factory=dict)
    """By their text the solutions that seem right."""

    def count(self, solutions: Sequence[object], hints: Hints) -> None:
        """Batches have said which of these solutions seem right."""
        self.tried += len(solutions)
        self.seconds += hints.cpu_seconds

    def add(self, way: str, candidate: str, solution: str, near: int) -> None:
        """A solution that seems right, and the attempt that it is from."""
        row = dict.fromkeys(tables.REPAIR.names) | {
            "puzzle_id": self.puzzle.id,
            "way": way,
            "candidate_id": candidate,
            "repair_id": content_id(self.puzzle.id, solution),
            "near": near,
            "derived_id": self.puzzle.id,
            "source": self.puzzle.source,
            "solution": solution,
        }
        self.found.setdefault(solution, row)

    def shortest(self) -> list[store.Row]:
        """Those to be judged."""
        return sorted(self.found.values(), key=lambda row: len(row["solution"]))[:CHECKED]

    def nothing(self) -> store.Row:
        """The only row of a puzzle of which nothing was judged."""
        return dict.fromkeys(tables.REPAIR.names) | {"puzzle_id": self.puzzle.id}

    def search(self) -> store.Row:
        """What each row of the puzzle says of the search."""
        return {"tried": self.tried, "search_seconds": self.seconds}


def borrowed(
    arm: Arm, asked: Sequence[tuple[Tries, Puzzle]], books: Library, rng: np.random.Generator
) -> Iterator[tuple[Tries, Loan, list[Value]]]:
    """What seems right of the attempts at other puzzles, with what the puzzle asked gives to it.

    Puzzles with one type of answer that give values of the same kinds are tried together.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[_Borrower]] = defaultdict(list)
    for one, puzzle in asked:
        values = given(puzzle)
        kinds = tuple(value.kind for value in values)
        alike[puzzle.answer_type, kinds].append(_Borrower(one, puzzle, values))
    most = arm.recipe.repair.borrow
    loans = [books.loans(answer, kinds, most, rng) for answer, kinds in alike]
    jobs = [
        ([_asking(one.puzzle, one.values) for one in group], [loan.body for loan in own])
        for group, own in zip(alike.values(), loans, strict=True)
    ]
    fitting = seem_to_fit(arm.judge, jobs)
    for group, own, found in zip(alike.values(), loans, fitting, strict=True):
        for borrower, hits in zip(group, found, strict=True):
            borrower.tries.count(own, hits)
            for place in hits.places:
                yield borrower.tries, own[place], borrower.values


class _Borrower(NamedTuple):
    """A puzzle that borrows."""

    tries: Tries
    puzzle: Puzzle
    values: list[Value]


def posed_rows(
    arm: Arm,
    left: Sequence[Tries],
    answers: Mapping[str, Sequence[str]],
    books: Library,
    seed: int,
) -> Iterator[store.Row]:
    """What becomes of borrowed solutions on the puzzles that are made of those that are left."""
    rng = random.Random(seed)
    made = posed(arm, [one.puzzle for one in left], answers, arm.recipe.repair.pose, rng)
    asked = [(one, made[one.puzzle.id][0]) for one in left if one.puzzle.id in made]
    hits: dict[str, list[Loan]] = defaultdict(list)
    for one, loan, _ in borrowed(arm, asked, books, np.random.default_rng(seed + 1)):
        hits[one.puzzle.id].append(loan)
    jobs: list[tuple[Puzzle, list[store.Row]]] = []
    for one, _ in asked:
        loans = hits[one.puzzle.id][:CHECKED]
        for puzzle in made[one.puzzle.id] if loans else ():
            jobs.append((puzzle, [_posed_row(one.puzzle, puzzle, loan) for loan in loans]))
    yield from judged(arm, jobs)


def _posed_row(puzzle: Puzzle, asked: Puzzle, loan: Loan) -> store.Row:
    return dict.fromkeys(tables.REPAIR.names) | {
        "puzzle_id": puzzle.id,
        "way": POSED,
        "candidate_id": loan.candidate_id,
        "repair_id": content_id(puzzle.id, loan.body),
        "near": loan.written,
        "derived_id": asked.id,
        "source": asked.source,
        "solution": loan.under(asked, given(asked)),
    }


def answers_in(
    arm: Arm, number: int, units: Iterable[int], chosen: Mapping[str, Puzzle]
) -> dict[str, list[str]]:
    """By type, what attempts at puzzles of these units answered, right or wrong, but for what is
    tried on every puzzle."""
    found: dict[str, set[str]] = defaultdict(set)
    for unit in units:
        path = store.unit_path(arm.round(number) / "judge", unit)
        if not path.exists():
            break
        for row in streams.rows_of(path, ["puzzle_id", "outcome", "answer"]):
            ended = row["outcome"] in (Outcome.ACCEPTED, Outcome.WRONG)
            if ended and is_small(row["answer"]):
                found[chosen[row["puzzle_id"]].answer_type].add(row["answer"])
    return {
        kind: sorted(own - set(map(repr, arm.domain.trivial_answers(kind, paper=False))))
        for kind, own in found.items()
    }


def _asking(puzzle: Puzzle, values: Sequence[Value]) -> Asking:
    return Asking(puzzle, {slot(at): value.expression for at, value in enumerate(values)})


def teaching_posed(
    rows: list[store.Row], right: set[tuple[str, str]], most: int, dedup: str
) -> list[store.Row]:
    """Of what one puzzle was posed as: the first of it with the shortest distinct solutions, and
    others with one of these, so many at most. Such puzzles ask for what no attempt has."""
    told = [as_candidate(row) for row in rows if (row["puzzle_id"], row["repair_id"]) in right]
    first = told[0]["derived_id"]
    own = distinct([row for row in told if row["derived_id"] == first], dedup)
    chosen = own[:most]
    taken: dict[str, store.Row] = {}
    for row in told:
        if row["derived_id"] != first and row["repair_id"] == chosen[0]["repair_id"]:
            taken.setdefault(row["derived_id"], row)
    return [*chosen, *taken.values()][:most]


def as_candidate(row: store.Row) -> store.Row:
    """A row with the columns by which candidates and their variants are chosen among."""
    return row | {
        "wrong_id": row["candidate_id"],
        "candidate_id": row["repair_id"],
        "variant_id": row["derived_id"],
        "puzzle": row["source"],
        "source": row["solution"],
    }


def judged(arm: Arm, asked: list[tuple[Puzzle, list[store.Row]]]) -> Iterator[store.Row]:
    """The rows with the verdicts on their solutions, each of the puzzle beside it."""
    jobs = [(puzzle, [row["solution"] for row in own]) for puzzle, own in asked]
    for (_, own), verdicts in zip(asked, arm.judge.verify_all(jobs), strict=True):
        for row, verdict in zip(own, checked(verdicts), strict=True):
            yield row | verdict_columns(verdict) | {"stable": verdict.stable}
