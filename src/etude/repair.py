"""Repair: what nobody solved is tried with other solutions than the attempts at it.

A wrong attempt is often nearly right: another operator, the operands the other way round. And what
is wrong here may be right there. Of each puzzle without an accepted attempt the solutions one edit
away (`edits`) are tried, those first that most different attempts are near to, and attempts at
other puzzles (`borrow`). Many are asked at once (`batches`), and the shortest of those that seem
right by themselves: the judge decides. No model is asked. What was accepted is asked again with
other constants too, where the recipe asks for that (see `vary`). A puzzle that is left may have no
answer: it is posed anew, so that it has one (`posed`), and again tried with what is borrowed.
`derive` makes examples of what all this finds; solve rates stay those of the model's own attempts.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from etude import store, streams, tables
from etude.arm import Arm, checked, set_aside_words
from etude.attempts import verdict_columns
from etude.batches import Asking, Hints, seem_right, seem_to_fit
from etude.borrow import Library, Loan, library
from etude.cluster import Made, Stage
from etude.config import Recipe
from etude.edits import edits
from etude.generality import (
    POSED,
    POSED_ANEW,
    REPAIRS,
    generalities,
    is_accepted,
    preferred,
    repairs,
    right_for_all,
)
from etude.holes import Value, given, slot
from etude.posed import is_small, posed
from etude.select import distinct
from etude.types import Outcome, Puzzle, content_id
from etude.variants import Variant, with_defaults
from etude.vary import drawn, held_out

CHECKED = 6
"""Solutions of a puzzle that seemed right and are judged: the shortest."""
PUZZLES = 1_000
"""About so many puzzles make a unit: the more, the more are tried with the same solutions."""


def repair(arm: Arm, number: int) -> Path | None:
    """The folder of the round's repairs, in units as they were solved; None where the recipe asks
    for none."""
    if not arm.recipe.repair.is_on:
        return None
    folder = arm.round(number) / "repair"
    size = _units(arm.recipe) * arm.recipe.solve.puzzles_per_unit
    units = math.ceil(len(arm.puzzles(number)) / size)
    work = partial(_work, number=number)
    with arm.watched(number, "repair", units) as watched:
        flow = arm.flow(Stage(folder, units, work, tables.REPAIR, "judge"))
        flow.finish(0, watched.tick)
        watched.summary = summary(counted(folder)) + set_aside_words(folder)
    return folder


def counted(folder: Path) -> Counter[str]:
    """What a `repair` stage tried and found."""
    return repairs(streams.rows(folder, list(REPAIRS)))


def summary(found: Counter[str]) -> str:
    """`340 unsolved puzzles  34,020 solutions tried  81 puzzles repaired`"""
    return "  ".join(
        f"{found[name]:,} {name}"
        for name in ("unsolved puzzles", "solutions tried", "puzzles repaired", POSED_ANEW)
        if found[name] or name != POSED_ANEW
    )


def repaired(arm: Arm, number: int) -> Iterator[store.Row]:
    """The rows that teach: of each puzzle the shortest distinct repairs, then variants with one.

    Which repairs, and how many variants, `[vary]` says, as of the model's own solutions.
    """
    for path in streams.segments(arm.round(number) / "repair"):
        by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
        for row in streams.rows_of(path):
            by_puzzle[row["puzzle_id"]].append(row)
        for puzzle, rows in by_puzzle.items():
            own = [row for row in rows if row["derived_id"] == puzzle and is_accepted(row)]
            others = [row for row in rows if row["derived_id"] not in (None, puzzle)]
            if own:
                yield from _teaching(arm.recipe, own, others)
            elif right := right_for_all(others):
                yield from _teaching_posed(arm.recipe, others, right)


def _teaching(recipe: Recipe, own: list[store.Row], varied: list[store.Row]) -> list[store.Row]:
    """Of one puzzle: its accepted repairs, and what became of them on variants."""
    rule = recipe.vary
    told = [_as_candidate(row) for row in varied]
    found = distinct([_as_candidate(row) for row in own], recipe.select.dedup)
    general = generalities(told).get(own[0]["puzzle_id"])
    chosen = preferred(found, general, rule.rule, rule.generality)[: recipe.repair.per_puzzle]
    taken: dict[str, store.Row] = {}
    for one in chosen:
        for row in told:
            if is_accepted(row) and row["repair_id"] == one["repair_id"]:
                taken.setdefault(row["derived_id"], row)
    return [*chosen, *islice(taken.values(), rule.examples)]


def _teaching_posed(
    recipe: Recipe, rows: list[store.Row], right: set[tuple[str, str]]
) -> list[store.Row]:
    """Of what one puzzle was posed as: the first of it with the shortest distinct solutions, and
    others with one of these. Such puzzles ask for what no attempt has."""
    told = [_as_candidate(row) for row in rows if (row["puzzle_id"], row["repair_id"]) in right]
    first = told[0]["derived_id"]
    own = distinct([row for row in told if row["derived_id"] == first], recipe.select.dedup)
    chosen = own[: recipe.repair.per_puzzle]
    taken: dict[str, store.Row] = {}
    for row in told:
        if row["derived_id"] != first and row["repair_id"] == chosen[0]["repair_id"]:
            taken.setdefault(row["derived_id"], row)
    return [*chosen, *taken.values()][: recipe.repair.per_puzzle]


def _as_candidate(row: store.Row) -> store.Row:
    """A row with the columns by which candidates and their variants are chosen among."""
    return row | {
        "wrong_id": row["candidate_id"],
        "candidate_id": row["repair_id"],
        "variant_id": row["derived_id"],
        "puzzle": row["source"],
        "source": row["solution"],
    }


def _units(recipe: Recipe) -> int:
    """Units of attempts that make one of repairs."""
    return max(1, PUZZLES // recipe.solve.puzzles_per_unit)


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    size = _units(arm.recipe) * arm.recipe.solve.puzzles_per_unit
    chosen = {one.id: one for one in arm.puzzles(number)[unit * size : (unit + 1) * size]}
    rng = random.Random(arm.seed(number, "repair", unit))
    unsolved = dict(_unsolved(arm, number, unit))
    tries = {puzzle: _Tries(chosen[puzzle], wrong) for puzzle, wrong in unsolved.items()}
    if arm.recipe.repair.tries:
        _edit(arm, list(tries.values()), rng)
    seed = arm.seed(number, "borrow", unit)
    if arm.recipe.repair.borrow:
        books = library(arm, number)
        for one, loan, values in _borrowed(
            arm, [(one, one.puzzle) for one in tries.values()], books, np.random.default_rng(seed)
        ):
            one.add("borrowed", loan.candidate_id, loan.under(one.puzzle, values), loan.written)
    rows = [one.nothing() for one in tries.values() if one.tried and not one.found]
    asked = [(one.puzzle, one.shortest()) for one in tries.values() if one.found]
    rows += _judged(arm, asked)
    by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
    for row in rows:
        if is_accepted(row):
            by_puzzle[row["puzzle_id"]].append(row)
    again = [
        (variant.puzzle, [made for row in own if (made := _asked(row, chosen[puzzle], variant))])
        for puzzle, accepted in by_puzzle.items()
        for own in [_shortest(arm, accepted)]
        for variant in drawn(arm, chosen[puzzle], arm.recipe.vary.tries)
        if variant.puzzle.id not in held_out(arm)
    ]
    rows += _judged(arm, again)
    if arm.recipe.repair.pose:
        left = [one for puzzle, one in tries.items() if puzzle not in by_puzzle]
        rows += _posed_rows(arm, left, _answers(arm, number, unit, chosen), books, seed)
    return Made([row | tries[row["puzzle_id"]].search() for row in rows], arm.conditions())


@dataclass(slots=True)
class _Tries:
    """What is tried on a puzzle that nobody solved."""

    puzzle: Puzzle
    wrong: list[store.Row]
    """The different attempts at it."""
    tried: int = 0
    seconds: float = 0.0
    """CPU time of the batches."""
    found: dict[str, store.Row] = field(default_factory=dict)
    """By their text the solutions that seem right."""

    def count(self, solutions: Sequence[object], hints: Hints) -> None:
        self.tried += len(solutions)
        self.seconds += hints.cpu_seconds

    def add(self, way: str, candidate: str, solution: str, near: int) -> None:
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
        return sorted(self.found.values(), key=lambda row: len(row["solution"]))[:CHECKED]

    def nothing(self) -> store.Row:
        return dict.fromkeys(tables.REPAIR.names) | {"puzzle_id": self.puzzle.id}

    def search(self) -> store.Row:
        return {"tried": self.tried, "search_seconds": self.seconds}


def _edit(arm: Arm, tries: Sequence[_Tries], rng: random.Random) -> None:
    most = arm.recipe.repair.tries
    near = [_nearest(one.wrong, most, rng) for one in tries]
    jobs = [
        (one.puzzle, [edit.solution for edit in own]) for one, own in zip(tries, near, strict=True)
    ]
    for one, own, hits in zip(tries, near, seem_right(arm.judge, jobs), strict=True):
        one.count(own, hits)
        for edit in (own[place] for place in hits.places):
            one.add("edit", edit.candidate_id, edit.solution, edit.near)


def _borrowed(
    arm: Arm, asked: Sequence[tuple[_Tries, Puzzle]], books: Library, rng: np.random.Generator
) -> Iterator[tuple[_Tries, Loan, list[Value]]]:
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

    tries: _Tries
    puzzle: Puzzle
    values: list[Value]


def _posed_rows(
    arm: Arm,
    left: Sequence[_Tries],
    answers: Mapping[str, Sequence[str]],
    books: Library,
    seed: int,
) -> Iterator[store.Row]:
    """What becomes of borrowed solutions on the puzzles that are made of those that are left."""
    rng = random.Random(seed)
    made = posed(arm, [one.puzzle for one in left], answers, arm.recipe.repair.pose, rng)
    asked = [(one, made[one.puzzle.id][0]) for one in left if one.puzzle.id in made]
    hits: dict[str, list[Loan]] = defaultdict(list)
    for one, loan, _ in _borrowed(arm, asked, books, np.random.default_rng(seed + 1)):
        hits[one.puzzle.id].append(loan)
    jobs: list[tuple[Puzzle, list[store.Row]]] = []
    for one, _ in asked:
        loans = hits[one.puzzle.id][:CHECKED]
        for puzzle in made[one.puzzle.id] if loans else ():
            jobs.append((puzzle, [_posed_row(one.puzzle, puzzle, loan) for loan in loans]))
    yield from _judged(arm, jobs)


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


def _answers(
    arm: Arm, number: int, unit: int, chosen: Mapping[str, Puzzle]
) -> dict[str, list[str]]:
    """By type, what attempts at puzzles of this unit answered, right or wrong, but for what is
    tried on every puzzle."""
    found: dict[str, set[str]] = defaultdict(set)
    many = _units(arm.recipe)
    for own in range(unit * many, (unit + 1) * many):
        judged = store.unit_path(arm.round(number) / "judge", own)
        if not judged.exists():
            break
        for row in streams.rows_of(judged, ["puzzle_id", "outcome", "answer"]):
            ended = row["outcome"] in (Outcome.ACCEPTED, Outcome.WRONG)
            if ended and is_small(row["answer"]):
                found[chosen[row["puzzle_id"]].answer_type].add(row["answer"])
    return {
        kind: sorted(own - set(map(repr, arm.domain.trivial_answers(kind, paper=False))))
        for kind, own in found.items()
    }


def _asking(puzzle: Puzzle, values: Sequence[Value]) -> Asking:
    return Asking(puzzle, {slot(at): value.expression for at, value in enumerate(values)})


def _unsolved(arm: Arm, number: int, unit: int) -> Iterator[tuple[str, list[store.Row]]]:
    """The puzzles of a unit that were tried and have no accepted attempt, with the wrong ones, each
    text once."""
    folder, many = arm.round(number), _units(arm.recipe)
    columns = ["candidate_id", "puzzle_id", "outcome", "stable"]
    for own in range(unit * many, (unit + 1) * many):
        judged = store.unit_path(folder / "judge", own)
        if not judged.exists():
            break
        verdicts = list(streams.rows_of(judged, columns))
        solved = {row["puzzle_id"] for row in verdicts if row["outcome"] == Outcome.ACCEPTED}
        known = {row["candidate_id"] for row in verdicts}
        wrong: dict[str, dict[str, store.Row]] = defaultdict(dict)
        for row in streams.rows_of(store.unit_path(folder / "solve", own)):
            if row["candidate_id"] in known and row["puzzle_id"] not in solved and row["finished"]:
                wrong[row["puzzle_id"]].setdefault(row["source"], row)
        yield from ((puzzle, list(texts.values())) for puzzle, texts in wrong.items())


class _Edit(NamedTuple):
    solution: str
    candidate_id: str
    near: int
    """Different attempts that it is one edit away from."""


def _nearest(wrong: list[store.Row], most: int, rng: random.Random) -> list[_Edit]:
    """The edits to try: those first that most attempts are near to, of equal ones by chance."""
    known = {row["source"] for row in wrong}
    near: Counter[str] = Counter()
    first: dict[str, str] = {}
    for row in wrong:
        for text in edits(row["source"]):
            if text not in known:
                near[text] += 1
                first.setdefault(text, row["candidate_id"])
    order = rng.sample(list(near), len(near))
    order.sort(key=lambda text: -near[text])
    return [_Edit(text, first[text], near[text]) for text in order[:most]]


def _shortest(arm: Arm, accepted: list[store.Row]) -> list[store.Row]:
    """The repairs of a puzzle that are tried on variants: as many as of the model's solutions."""
    found = distinct([_as_candidate(row) for row in accepted], arm.recipe.select.dedup)
    kept = {row["repair_id"] for row in found[: arm.recipe.vary.solutions]}
    return [row for row in accepted if row["repair_id"] in kept]


def _asked(row: store.Row, puzzle: Puzzle, variant: Variant) -> store.Row | None:
    """A repair as it is asked a variant; None if it can't be written so."""
    solution = with_defaults(row["solution"], puzzle, variant)
    if solution is None:
        return None
    told = {"derived_id": variant.puzzle.id, "source": variant.puzzle.source}
    return row | told | {"solution": solution}


def _judged(arm: Arm, asked: list[tuple[Puzzle, list[store.Row]]]) -> Iterator[store.Row]:
    jobs = [(puzzle, [row["solution"] for row in own]) for puzzle, own in asked]
    for (_, own), verdicts in zip(asked, arm.judge.verify_all(jobs), strict=True):
        for row, verdict in zip(own, checked(verdicts), strict=True):
            yield row | verdict_columns(verdict) | {"stable": verdict.stable}
