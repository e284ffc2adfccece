"""Vary: are accepted solutions right for one puzzle only, or for others of its kind?

Each puzzle that was solved, but not too often, is asked again with other constants (`variants`),
and its shortest distinct accepted solutions, given the same constants, answer; the judge decides.
`select` prefers what generalises, and `derive` makes examples of what was accepted. A variant that
is a held-out problem is asked of nobody, and counted.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

from etude import store, streams, tables
from etude.arm import Arm, checked, set_aside_words
from etude.attempts import verdict_columns
from etude.cluster import Made, Stage
from etude.generality import VERDICTS, generalities, is_accepted
from etude.select import distinct
from etude.types import Puzzle
from etude.variants import Variant, variants, with_defaults, words_of

HELD_OUT = "held out"
"""In place of an outcome: the variant is a problem of the suite."""


def vary(arm: Arm, number: int) -> Path | None:
    """The folder of what became of the round's solutions on variants, in units as they were
    solved; None where the recipe asks for none."""
    if not arm.recipe.vary.tries:
        return None
    folder = arm.round(number) / "vary"
    units = math.ceil(len(arm.puzzles(number)) / arm.recipe.solve.puzzles_per_unit)
    work = partial(_work, number=number)
    with arm.watched(number, "vary", units) as watched:
        flow = arm.flow(Stage(folder, units, work, tables.VARY, "judge"))
        flow.finish(0, watched.tick)
        watched.summary = summary(counted(folder, arm.recipe.vary.generality))
        watched.summary += set_aside_words(folder)
    return folder


def counted(folder: Path, least: float) -> Counter[str]:
    """What a `vary` stage found, counted: a puzzle stands in one unit alone."""
    found: Counter[str] = Counter()
    for path in streams.segments(folder):
        rows = list(streams.rows_of(path, VERDICTS))
        by_puzzle = generalities(rows)
        found["puzzles"] += len(by_puzzle)
        found["variants"] += len({_place(row) for row in rows if row["candidate_id"]})
        found["solved"] += len({_place(row) for row in rows if is_accepted(row)})
        found["held out"] += sum(row["outcome"] == HELD_OUT for row in rows)
        found["general"] += sum(
            any(one.reaches(least) for one in own.values()) for own in by_puzzle.values()
        )
    return found


def _place(row: store.Row) -> tuple[str, str]:
    return row["puzzle_id"], row["variant_id"]


def summary(found: Counter[str]) -> str:
    """`279 puzzles  1,674 variants  1,320 solved  180 puzzles with a general solution`"""
    words = [f"{found[name]:,} {name}" for name in ("puzzles", "variants", "solved")]
    words.append(f"{found['general']:,} puzzles with a general solution")
    return "  ".join(words + [f"{found['held out']:,} held out"] * bool(found["held out"]))


def drawn(arm: Arm, puzzle: Puzzle, tries: int) -> list[Variant]:
    """The variants of a puzzle, the same whenever they are asked for."""
    words = arm.remembered("words", None, lambda: words_of(arm.shown))
    return variants(puzzle, tries, words=words, seed=arm.recipe.run.seed)


def held_out(arm: Arm) -> frozenset[str]:
    """The ids of the problems that no variant may be: the vetting's rule."""
    found: frozenset[str] = arm.remembered(
        "held-out ids", None, lambda: frozenset(problem.id for problem in arm.problems)
    )
    return found


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    size = arm.recipe.solve.puzzles_per_unit
    chosen = arm.puzzles(number)[unit * size : (unit + 1) * size]
    solved = _solved(arm, number, unit)
    asked = [
        (variant, [made for row in solved[puzzle.id] if (made := _asked(row, puzzle, variant))])
        for puzzle in chosen
        if puzzle.id in solved
        for variant in drawn(arm, puzzle, arm.recipe.vary.tries)
    ]
    asked = [(variant, rows) for variant, rows in asked if rows]
    barred = held_out(arm)
    rows = [_refused(rows[0]) for variant, rows in asked if variant.puzzle.id in barred]
    asked = [(variant, rows) for variant, rows in asked if variant.puzzle.id not in barred]
    jobs = [(variant.puzzle, [row["solution"] for row in rows]) for variant, rows in asked]
    for (_, own), verdicts in zip(asked, arm.judge.verify_all(jobs), strict=True):
        for row, verdict in zip(own, checked(verdicts), strict=True):
            rows.append(row | verdict_columns(verdict) | {"stable": verdict.stable})
    return Made(rows, arm.conditions())


def _asked(candidate: store.Row, puzzle: Puzzle, variant: Variant) -> store.Row | None:
    """A candidate as it is asked a variant; None if it can't be written so."""
    solution = with_defaults(candidate["source"], puzzle, variant)
    if solution is None:
        return None
    return dict.fromkeys(tables.VARY.names) | {
        "puzzle_id": puzzle.id,
        "variant_id": variant.puzzle.id,
        "variant": variant.puzzle.source,
        "candidate_id": candidate["candidate_id"],
        "solution": solution,
    }


def _refused(row: store.Row) -> store.Row:
    return row | {"candidate_id": None, "solution": None, "outcome": HELD_OUT}


def _solved(arm: Arm, number: int, unit: int) -> dict[str, list[store.Row]]:
    """By puzzle of a unit, the accepted candidates that are tried: the shortest distinct ones."""
    section, folder = arm.recipe.select, arm.round(number)
    tried: Counter[str] = Counter()
    accepted: set[str] = set()
    columns = ["candidate_id", "puzzle_id", "outcome", "stable"]
    for row in streams.rows_of(store.unit_path(folder / "judge", unit), columns):
        tried[row["puzzle_id"]] += 1
        if is_accepted(row):
            accepted.add(row["candidate_id"])
    found: dict[str, list[store.Row]] = defaultdict(list)
    for row in streams.rows_of(store.unit_path(folder / "solve", unit)):
        if row["candidate_id"] in accepted:
            found[row["puzzle_id"]].append(row)
    return {
        puzzle: distinct(rows, section.dedup)[: arm.recipe.vary.solutions]
        for puzzle, rows in found.items()
        if len(rows) / tried[puzzle] <= section.max_solve_rate
    }
