"""Repair: what nobody solved is tried with other solutions than the attempts at it.

A wrong attempt is often nearly right: another operator, the operands the other way round. And what
is wrong here may be right there. Of each puzzle without an accepted attempt the solutions one edit
away (`edits`) are tried, those first that most different attempts are near to, and attempts at
other puzzles (`borrow`). Many are asked at once (`batches`), and the shortest of those that seem
right by themselves: the judge decides. No model is asked. What was accepted is asked again with
other constants too, where the recipe asks for that (see `vary`). `derive` makes examples of what it
finds; solve rates stay those of the model's own attempts.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from etude import store, streams, tables
from etude.arm import Arm, checked, set_aside_words
from etude.attempts import verdict_columns
from etude.batches import seem_right
from etude.borrow import Library, library
from etude.cluster import Made, Stage
from etude.config import Recipe
from etude.edits import edits
from etude.generality import generalities, is_accepted, preferred
from etude.select import distinct
from etude.types import Outcome, Puzzle, content_id
from etude.variants import Variant, with_defaults
from etude.vary import drawn, held_out

CHECKED = 6
"""Solutions of a puzzle that seemed right and are judged: the shortest."""


def repair(arm: Arm, number: int) -> Path | None:
    """The folder of the round's repairs, in units as they were solved; None where the recipe asks
    for none."""
    if not arm.recipe.repair.is_on:
        return None
    folder = arm.round(number) / "repair"
    units = math.ceil(len(arm.puzzles(number)) / arm.recipe.solve.puzzles_per_unit)
    work = partial(_work, number=number)
    with arm.watched(number, "repair", units) as watched:
        flow = arm.flow(Stage(folder, units, work, tables.REPAIR, "judge"))
        flow.finish(0, watched.tick)
        watched.summary = summary(counted(folder)) + set_aside_words(folder)
    return folder


def counted(folder: Path) -> Counter[str]:
    """What a `repair` stage tried and found."""
    tried: dict[str, int] = {}
    mended = set()
    columns = ["puzzle_id", "tried", "derived_id", "outcome", "stable"]
    for row in streams.rows(folder, columns):
        tried[row["puzzle_id"]] = row["tried"]
        if row["derived_id"] == row["puzzle_id"] and is_accepted(row):
            mended.add(row["puzzle_id"])
    found = {"unsolved puzzles": len(tried), "solutions tried": sum(tried.values())}
    return Counter(found | {"puzzles repaired": len(mended)})


def summary(found: Counter[str]) -> str:
    """`340 unsolved puzzles  34,020 solutions tried  81 puzzles repaired`"""
    names = ("unsolved puzzles", "solutions tried", "puzzles repaired")
    return "  ".join(f"{found[name]:,} {name}" for name in names)


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
            if own:
                others = [row for row in rows if row["derived_id"] != puzzle]
                yield from _teaching(arm.recipe, own, others)


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


def _as_candidate(row: store.Row) -> store.Row:
    """A row with the columns by which candidates and their variants are chosen among."""
    return row | {
        "wrong_id": row["candidate_id"],
        "candidate_id": row["repair_id"],
        "variant_id": row["derived_id"],
        "puzzle": row["source"],
        "source": row["solution"],
    }


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    size = arm.recipe.solve.puzzles_per_unit
    chosen = {one.id: one for one in arm.puzzles(number)[unit * size : (unit + 1) * size]}
    rng = random.Random(arm.seed(number, "repair", unit))
    books = library(arm, number) if arm.recipe.repair.borrow else None
    tried = [
        (chosen[puzzle], _to_try(arm, chosen[puzzle], wrong, books, rng))
        for puzzle, wrong in _unsolved(arm, number, unit)
    ]
    jobs = [(puzzle, [row["solution"] for row in own]) for puzzle, own in tried]
    rows: list[store.Row] = []
    asked = []
    for (puzzle, own), hits in zip(tried, seem_right(arm.judge, jobs), strict=True):
        if hits:
            found = sorted((own[at] for at in hits), key=lambda row: len(row["solution"]))
            asked.append((puzzle, found[:CHECKED]))
        elif own:
            nothing = {"puzzle_id": puzzle.id, "tried": len(own)}
            rows.append(dict.fromkeys(tables.REPAIR.names) | nothing)
    rows += _judged(arm, asked)
    by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
    for row in rows:
        if is_accepted(row):
            by_puzzle[row["puzzle_id"]].append(row)
    again = [
        (variant.puzzle, [_asked(row, chosen[puzzle], variant) for row in own])
        for puzzle, accepted in by_puzzle.items()
        for own in [_shortest(arm, accepted)]
        for variant in drawn(arm, chosen[puzzle], arm.recipe.vary.tries)
        if variant.puzzle.id not in held_out(arm)
    ]
    return Made([*rows, *_judged(arm, again)], arm.conditions())


def _to_try(
    arm: Arm, puzzle: Puzzle, wrong: list[store.Row], books: Library | None, rng: random.Random
) -> list[store.Row]:
    """The solutions of a puzzle that are tried, each text once."""
    section = arm.recipe.repair
    rows = _nearest(puzzle, wrong, section.tries, rng) if section.tries else []
    if books is not None:
        known = {row["source"] for row in wrong} | {row["solution"] for row in rows}
        loans = books.loans(puzzle, section.borrow, rng)
        rows += [
            _row(puzzle, "borrowed", loan.candidate_id, loan.solution, loan.written)
            for loan in loans
            if loan.solution not in known
        ]
    return [row | {"tried": len(rows)} for row in rows]


def _row(puzzle: Puzzle, kind: str, candidate: str, solution: str, near: int) -> store.Row:
    return dict.fromkeys(tables.REPAIR.names) | {
        "puzzle_id": puzzle.id,
        "kind": kind,
        "candidate_id": candidate,
        "repair_id": content_id(puzzle.id, solution),
        "near": near,
        "derived_id": puzzle.id,
        "source": puzzle.source,
        "solution": solution,
    }


def _unsolved(arm: Arm, number: int, unit: int) -> Iterator[tuple[str, list[store.Row]]]:
    """The puzzles of a unit that were tried and have no accepted attempt, with the wrong ones, each
    text once."""
    folder = arm.round(number)
    columns = ["candidate_id", "puzzle_id", "outcome", "stable"]
    verdicts = list(streams.rows_of(store.unit_path(folder / "judge", unit), columns))
    solved = {row["puzzle_id"] for row in verdicts if row["outcome"] == Outcome.ACCEPTED}
    judged = {row["candidate_id"] for row in verdicts}
    wrong: dict[str, dict[str, store.Row]] = defaultdict(dict)
    for row in streams.rows_of(store.unit_path(folder / "solve", unit)):
        if row["candidate_id"] in judged and row["puzzle_id"] not in solved and row["finished"]:
            wrong[row["puzzle_id"]].setdefault(row["source"], row)
    return ((puzzle, list(own.values())) for puzzle, own in wrong.items())


def _nearest(
    puzzle: Puzzle, wrong: list[store.Row], most: int, rng: random.Random
) -> list[store.Row]:
    """The edits to try: those first that most attempts are near to, of equal ones by chance."""
    known = {row["source"] for row in wrong}
    near: Counter[str] = Counter()
    first: dict[str, store.Row] = {}
    for row in wrong:
        for text in edits(row["source"]):
            if text not in known:
                near[text] += 1
                first.setdefault(text, row)
    order = rng.sample(list(near), len(near))
    order.sort(key=lambda text: -near[text])
    return [
        _row(puzzle, "edit", first[text]["candidate_id"], text, near[text]) for text in order[:most]
    ]


def _shortest(arm: Arm, accepted: list[store.Row]) -> list[store.Row]:
    """The repairs of a puzzle that are tried on variants: as many as of the model's solutions."""
    found = distinct([_as_candidate(row) for row in accepted], arm.recipe.select.dedup)
    kept = {row["repair_id"] for row in found[: arm.recipe.vary.solutions]}
    return [row for row in accepted if row["repair_id"] in kept]


def _asked(row: store.Row, puzzle: Puzzle, variant: Variant) -> store.Row:
    """A repair as it is asked a variant."""
    solution = with_defaults(row["solution"], puzzle, variant)
    assert solution is not None, "what was accepted is Python"
    told = {"derived_id": variant.puzzle.id, "source": variant.puzzle.source}
    return row | told | {"solution": solution}


def _judged(arm: Arm, asked: list[tuple[Puzzle, list[store.Row]]]) -> Iterator[store.Row]:
    jobs = [(puzzle, [row["solution"] for row in own]) for puzzle, own in asked]
    for (_, own), verdicts in zip(asked, arm.judge.verify_all(jobs), strict=True):
        for row, verdict in zip(own, checked(verdicts), strict=True):
            yield row | verdict_columns(verdict) | {"stable": verdict.stable}
