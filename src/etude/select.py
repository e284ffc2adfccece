"""Select: which accepted pairs become training texts.

Verified: of each puzzle that the model solved sometimes but not too often, the shortest distinct
accepted solutions. Unverified, the control: as many pairs, drawn at random whatever the verdict.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

from etude import store, tables
from etude.arm import Arm
from etude.cluster import map_units
from etude.duplicates.keys import keys_of
from etude.prompts import example_text
from etude.types import Puzzle, content_id


def select(arm: Arm, number: int) -> Path:
    """The folder of the round's examples."""
    stage = arm.round(number) / "select"

    def work(_: int) -> list[store.Row]:
        if arm.name == "unverified":
            return _unverified(arm, number)
        return _verified(arm, number)

    with arm.watched(number, "select", 1) as watched:
        map_units(stage, 1, work, tables.SELECT, watched.tick)
        rows = store.read_stage(stage)
        puzzles = len({row["puzzle_id"] for row in rows})
        watched.summary = f"{puzzles:,} puzzles  {len(rows):,} examples"
    return stage


def _attempts(arm: Arm, number: int) -> list[tuple[Puzzle, list[store.Row]]]:
    """Each puzzle of the round with its candidates and their outcomes, in order."""
    folder = arm.round(number)
    outcomes = {row["candidate_id"]: _outcome(row) for row in store.read_stage(folder / "judge")}
    by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
    for row in store.read_stage(folder / "solve"):
        by_puzzle[row["puzzle_id"]].append(row | {"outcome": outcomes[row["candidate_id"]]})
    return [(puzzle, by_puzzle[puzzle.id]) for puzzle in arm.puzzles(number)]


def _outcome(verdict: store.Row) -> str:
    """What a candidate counts as: accepted by chance is not accepted."""
    return "unstable" if verdict["stable"] is False else str(verdict["outcome"])


def _verified(arm: Arm, number: int) -> list[store.Row]:
    section = arm.recipe.select
    rows: list[store.Row] = []
    for puzzle, tried in _attempts(arm, number):
        accepted = [row for row in tried if row["outcome"] == "accepted"]
        rate = len(accepted) / len(tried) if tried else 0.0
        if 0 < rate <= section.max_solve_rate:
            shortest = _distinct(accepted, section.dedup)[: section.per_puzzle]
            rows += [_example(arm, puzzle, row, rate) for row in shortest]
    return rows


def _unverified(arm: Arm, number: int) -> list[store.Row]:
    """As many pairs as the verified arm has of this round; its file is waited for."""
    verified = store.round_folder(arm.run.folder, number) / "select"
    store.wait_for(store.unit_path(verified, 0))
    pool = [
        (puzzle, row)
        for puzzle, tried in _attempts(arm, number)
        for row in _distinct([row for row in tried if row["finished"]], arm.recipe.select.dedup)
    ]
    random.Random(arm.seed(number, "select")).shuffle(pool)
    count = len(store.read_stage(verified))
    return [_example(arm, puzzle, row, None) for puzzle, row in pool[:count]]


def _distinct(rows: list[store.Row], level: str) -> list[store.Row]:
    """One candidate of each source, the shortest first; at the level `canonical` the shortest of
    those that are the same but for names, layout and order of operands."""
    by_source: dict[str, store.Row] = {}
    for row in rows:
        by_source.setdefault(row["source"], row)
    ordered = sorted(by_source.values(), key=lambda row: (len(row["source"]), row["source"]))
    if level == "exact":
        return ordered
    first: dict[int, store.Row] = {}
    for row in ordered:
        first.setdefault(keys_of(row["source"], "").canonical, row)
    return list(first.values())


def _example(arm: Arm, puzzle: Puzzle, row: store.Row, rate: float | None) -> store.Row:
    text = example_text(puzzle.source, row["source"], layout=arm.recipe.prompt.layout)
    text = store.escaped(text)  # as it will be trained on, by whose id that is recorded
    return {
        "example_id": content_id(text),
        "puzzle_id": puzzle.id,
        "candidate_id": row["candidate_id"],
        "text": text,
        "solve_rate": rate,
    }
