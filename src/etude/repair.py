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
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from etude import store, streams, tables
from etude.arm import Arm, set_aside_words
from etude.batches import seem_right
from etude.borrow import library
from etude.cluster import Made, Stage
from etude.config import Recipe
from etude.edits import edits
from etude.generality import (
    POSED_ANEW,
    REPAIRS,
    generalities,
    is_accepted,
    preferred,
    repairs,
    right_for_all,
)
from etude.lend import Tries, answers_in, as_candidate, borrowed, judged, posed_rows, teaching_posed
from etude.select import distinct
from etude.types import Outcome, Puzzle
from etude.variants import Variant, with_defaults
from etude.vary import drawn, held_out

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
    most, dedup = arm.recipe.repair.per_puzzle, arm.recipe.select.dedup
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
                yield from teaching_posed(others, right, most, dedup)


def _teaching(recipe: Recipe, own: list[store.Row], varied: list[store.Row]) -> list[store.Row]:
    """Of one puzzle: its accepted repairs, and what became of them on variants."""
    rule = recipe.vary
    told = [as_candidate(row) for row in varied]
    found = distinct([as_candidate(row) for row in own], recipe.select.dedup)
    general = generalities(told).get(own[0]["puzzle_id"])
    chosen = preferred(found, general, rule.rule, rule.generality)[: recipe.repair.per_puzzle]
    taken: dict[str, store.Row] = {}
    for one in chosen:
        for row in told:
            if is_accepted(row) and row["repair_id"] == one["repair_id"]:
                taken.setdefault(row["derived_id"], row)
    return [*chosen, *islice(taken.values(), rule.examples)]


def _units(recipe: Recipe) -> int:
    """Units of attempts that make one of repairs."""
    return max(1, PUZZLES // recipe.solve.puzzles_per_unit)


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    size = _units(arm.recipe) * arm.recipe.solve.puzzles_per_unit
    chosen = {one.id: one for one in arm.puzzles(number)[unit * size : (unit + 1) * size]}
    rng = random.Random(arm.seed(number, "repair", unit))
    unsolved = dict(_unsolved(arm, number, unit))
    tries = {puzzle: Tries(chosen[puzzle], wrong) for puzzle, wrong in unsolved.items()}
    if arm.recipe.repair.tries:
        _edit(arm, list(tries.values()), rng)
    seed = arm.seed(number, "borrow", unit)
    if arm.recipe.repair.borrow:
        books = library(arm, number)
        for one, loan, values in borrowed(
            arm, [(one, one.puzzle) for one in tries.values()], books, np.random.default_rng(seed)
        ):
            one.add("borrowed", loan.candidate_id, loan.under(one.puzzle, values), loan.written)
    rows = [one.nothing() for one in tries.values() if one.tried and not one.found]
    asked = [(one.puzzle, one.shortest()) for one in tries.values() if one.found]
    rows += judged(arm, asked)
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
    rows += judged(arm, again)
    if arm.recipe.repair.pose:
        left = [one for puzzle, one in tries.items() if puzzle not in by_puzzle]
        many = _units(arm.recipe)
        answers = answers_in(arm, number, range(unit * many, (unit + 1) * many), chosen)
        rows += posed_rows(arm, left, answers, books, seed)
    return Made([row | tries[row["puzzle_id"]].search() for row in rows], arm.conditions())


def _edit(arm: Arm, tries: Sequence[Tries], rng: random.Random) -> None:
    most = arm.recipe.repair.tries
    near = [_nearest(one.wrong, most, rng) for one in tries]
    jobs = [
        (one.puzzle, [edit.solution for edit in own]) for one, own in zip(tries, near, strict=True)
    ]
    for one, own, hits in zip(tries, near, seem_right(arm.judge, jobs), strict=True):
        one.count(own, hits)
        for edit in (own[place] for place in hits.places):
            one.add("edit", edit.candidate_id, edit.solution, edit.near)


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
    found = distinct([as_candidate(row) for row in accepted], arm.recipe.select.dedup)
    kept = {row["repair_id"] for row in found[: arm.recipe.vary.solutions]}
    return [row for row in accepted if row["repair_id"] in kept]


def _asked(row: store.Row, puzzle: Puzzle, variant: Variant) -> store.Row | None:
    """A repair as it is asked a variant; None if it can't be written so."""
    solution = with_defaults(row["solution"], puzzle, variant)
    if solution is None:
        return None
    told = {"derived_id": variant.puzzle.id, "source": variant.puzzle.source}
    return row | told | {"solution": solution}
