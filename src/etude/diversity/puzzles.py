"""The puzzles of a run, in groups: people's, the held-out ones, and those of each round.

Covered: drawing at most `limit` puzzles of a group by a hash of their ids, so that a run of a
million rows is read in seconds, and the same puzzles are drawn whatever the order of the rows.
Not covered: what is alike among them (see `scores`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from etude import store
from etude.arm import load_problems
from etude.config import Recipe
from etude.diversity.results import HELD_OUT, HUMAN
from etude.errors import InputError
from etude.query import Tables
from etude.seeds import load_shown


@dataclass(frozen=True, slots=True)
class Sampled:
    """One group of puzzles, of which some were drawn."""

    name: str
    puzzles: int
    """All puzzles of the group."""
    forms: tuple[str, ...]
    """The form of each of them, those that were not drawn included."""
    drawn: tuple[tuple[str, str], ...]
    """Id and source of each puzzle that was drawn."""


def groups_of(folder: Path, limit: int, seed: int) -> tuple[list[Sampled], list[str]]:
    """The groups that hold puzzles, people's first, and what is to be said of them.

    Raises `InputError` when the folder is no run.
    """
    recipe = store.read_recipe(folder)
    notes: list[str] = []
    people = _people(recipe, limit, seed, notes)
    found = [group for group in [*people, *_rounds(folder, limit, seed)] if group.puzzles]
    cut = [f"{len(g.drawn):,} of {g.puzzles:,} of {g.name}" for g in found if _is_cut(g)]
    if cut:
        notes.append(f"measured on a sample: {', '.join(cut)} (seed {seed})")
    return found, notes


def _is_cut(group: Sampled) -> bool:
    return len(group.drawn) < group.puzzles


def _people(recipe: Recipe, limit: int, seed: int, notes: list[str]) -> list[Sampled]:
    """What people wrote; where a file of theirs is not at hand, that is said."""
    found = []
    try:
        shown = [(puzzle.id, puzzle.source, puzzle.form) for puzzle in load_shown(recipe)]
        found.append(_sampled(HUMAN, shown, limit, seed))
    except InputError as error:
        notes.append(f"without human puzzles: {error}")
    try:
        problems = [one.puzzle for one in load_problems(recipe) if one.puzzle is not None]
        held = [(puzzle.id, puzzle.source, puzzle.form) for puzzle in problems]
        found.append(_sampled(HELD_OUT, held, limit, seed))
    except InputError as error:
        notes.append(f"without held-out puzzles: {error}")
    return found


def _sampled(name: str, puzzles: Iterable[tuple[str, str, str]], limit: int, seed: int) -> Sampled:
    """The same rule as for rounds: the smallest hashes are drawn. Equal ids are one puzzle."""
    different = {one[0]: one for one in puzzles}.values()
    ordered = sorted(different, key=lambda one: (_hash(one[0], seed), one[0]))
    drawn = tuple((puzzle_id, source) for puzzle_id, source, _ in ordered[:limit])
    return Sampled(name, len(ordered), tuple(form for *_, form in ordered), drawn)


def _hash(puzzle_id: str, seed: int) -> str:
    return hashlib.md5(f"{puzzle_id}{seed}".encode(), usedforsecurity=False).hexdigest()


_DRAWN = """
with kept as (
    select round, puzzle_id, min(source) as source
    from vetted where arm = 'verified' and fate = 'kept' and puzzle_id is not null
    group by round, puzzle_id
)
select round, puzzle_id, source from kept
qualify row_number() over (
    partition by round order by md5(puzzle_id || ?), puzzle_id
) <= ?
order by round, md5(puzzle_id || ?), puzzle_id
"""
_FORMS = """
select round, form, count(distinct puzzle_id) as puzzles
from vetted where arm = 'verified' and fate = 'kept' and puzzle_id is not null
group by round, form order by round, form
"""


def _rounds(folder: Path, limit: int, seed: int) -> list[Sampled]:
    with Tables(folder) as tables:
        rows = tables.rows(_DRAWN, [str(seed), limit, str(seed)])
        counted = tables.rows(_FORMS)
    return [_round(number, rows, counted) for number in sorted({row["round"] for row in rows})]


def _round(number: int, rows: Sequence[store.Row], counted: Sequence[store.Row]) -> Sampled:
    forms = [row for row in counted if row["round"] == number]
    return Sampled(
        f"round {number}",
        sum(row["puzzles"] for row in forms),
        tuple(row["form"] or "" for row in forms for _ in range(row["puzzles"])),
        tuple((row["puzzle_id"], row["source"]) for row in rows if row["round"] == number),
    )
