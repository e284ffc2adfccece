"""Which row an id names."""

from __future__ import annotations

from dataclasses import dataclass

from etude.lineage.sources import Sources
from etude.readings import ARMS

MADE = (
    ("variants", "variant_id"),
    ("rewritten", "derived_id"),
    ("repairs", "derived_id"),
    ("turned", "derived_id"),
    ("turned", "turned_id"),
)
"""The views of puzzles that are made of others, and the columns of their ids."""
KINDS = (
    ("example", "examples", "example_id"),
    ("derived", "derived", "example_id"),
    ("candidate", "candidates", "candidate_id"),
    ("puzzle", "vetted", "puzzle_id"),
    ("proposal", "proposals", "proposal_id"),
    *(("made", view, column) for view, column in MADE),
)
"""What a row id can name: the kind, the view that holds it, and its column."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a row stands. A seed and a problem stand in no round."""

    kind: str
    id: str
    arm: str
    round: int | None
    copies: int = 0


def find(sources: Sources, row_id: str) -> Found | None:
    """The row of an id; of several, the loop's first. A kept puzzle goes before its copies."""
    row_id = row_id.strip()
    if not row_id:
        return None
    for kind, view, column in KINDS:
        fate = "fate = 'kept'" if view == "vetted" else "true"
        rows = sources.tables.rows(
            f"select arm, round, {fate} as kept, count(*) as n from {view} where {column} = ? "
            "group by all",
            [row_id],
        )
        if rows:
            first = min(
                rows, key=lambda row: (not row["kept"], ARMS.index(row["arm"]), row["round"])
            )
            return Found(
                kind, row_id, first["arm"], first["round"], sum(row["n"] for row in rows) - 1
            )
    return _problem(sources, row_id) or _seed(sources, row_id)


def _problem(sources: Sources, name: str) -> Found | None:
    rows = sources.tables.rows(
        "select distinct problem from problems where problem = ? or problem_id = ? order by 1",
        [name, name],
    )
    return Found("problem", rows[0]["problem"], ARMS[0], None, len(rows) - 1) if rows else None


def _seed(sources: Sources, row_id: str) -> Found | None:
    seeds, _ = sources.readable_seeds()
    ids = {seed.puzzle.id for seed in seeds} | {seed.example_id for seed in seeds}
    return Found("seed", row_id, ARMS[0], 0) if row_id in ids else None


def known_ids(sources: Sources) -> str:
    """Ids that can be asked for."""
    for kind, view, column in KINDS:
        rows = sources.tables.rows(
            f"select {column} as id from {view} where {column} is not null "
            "order by arm <> 'verified', round desc limit 1"
        )
        if rows:
            return f"Ids are 16 hex digits; this run knows for example the {kind} {rows[0]['id']}."
    return "It has no rows yet."
