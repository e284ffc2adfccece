"""What a chain is read from: the run's tables, the notes of their segments, its recipe, its seeds.

Every question is one of SQL about a few rows, so that a run of a million is asked in a second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from etude import domains, store
from etude.errors import InputError
from etude.judge.record import METADATA_KEY
from etude.query import Tables
from etude.roles import NOTE_KEY
from etude.seeds import load_seeds, load_shown
from etude.types import Puzzle, content_id


@dataclass(frozen=True, slots=True)
class Seed:
    """A puzzle written by people, and the text that it teaches by, where it has a solution."""

    puzzle: Puzzle
    name: str
    example_id: str
    text: str


class Sources:
    """One run, opened for questions."""

    def __init__(self, run: store.Run, tables: Tables) -> None:
        self.run = run
        self.tables = tables

    def rows(
        self, view: str, column: str, value: object, arm: str, number: int | None = None
    ) -> list[store.Row]:
        """The rows of a view with a value, of one arm, and of one round where it is given."""
        where, values = f"{column} = ? and arm = ?", [value, arm]
        if number is not None:
            where += " and round = ?"
            values.append(number)
        return self.tables.rows(f"select * from {view} where {where} order by round", values)

    def stage(self, arm: str, number: int, stage: str) -> Path:
        return store.round_folder(store.arm_folder(self.run.folder, arm), number) / stage

    def origin(self, arm: str, number: int, stage: str, column: str, value: str) -> dict[str, Any]:
        """The unit that a row was made in, with its seed, and what its segment says of it."""
        folder = self.stage(arm, number, stage)
        paths = sorted(str(path) for path in folder.glob("[0-9]*.parquet"))
        found = self.tables.rows(
            f"select filename from read_parquet(?, filename = true) where {column} = ? limit 1",
            [paths, value],
        )
        unit = int(Path(found[0]["filename"]).stem)
        said = notes(store.unit_path(folder, unit))
        seed = store.seed_for(self.run.recipe.run.seed, arm, number, stage, unit)
        return {"unit": unit, "seed": seed, **said}

    @cached_property
    def seeds(self) -> list[Seed]:
        """The seed puzzles; raises `InputError` where the file that they are from is gone."""
        recipe = self.run.recipe
        domain = domains.named(recipe.domain)
        found = []
        pairs = load_seeds(recipe)
        for pair in pairs:
            text = domain.example_text(
                pair.puzzle.source, pair.solution, layout=recipe.prompt.layout
            )
            found.append(Seed(pair.puzzle, pair.name, content_id(text), text))
        known = {pair.puzzle.id for pair in pairs}
        shown = [puzzle for puzzle in load_shown(recipe) if puzzle.id not in known]
        return found + [Seed(puzzle, "", "", "") for puzzle in shown]

    def readable_seeds(self) -> tuple[list[Seed], str]:
        """The seeds, or none and why they can't be read here."""
        try:
            return self.seeds, ""
        except InputError as error:
            return [], f"the run's seeds are not there: {error}"


def notes(segment: Path) -> dict[str, Any]:
    """What a segment says of the engine and the judge that made it, None for what it does not."""
    said = store.read_schema(segment).metadata or {}
    engine = json.loads(said.get(NOTE_KEY.encode(), b"null"))
    judge = json.loads(said.get(METADATA_KEY.encode(), b"null"))
    base = engine and engine.get("base")
    return {"engine": engine and engine["engine"], "base": base, "judge": judge}
