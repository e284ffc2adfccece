"""The tables that the pages read: those of a run as it is now, opened anew when segments appear.

Segments never change, so what was read stays true until there are more of them. Covered: noticing
that, the puzzles with what became of them, answers that are kept until then. Not covered: what the
pages ask (see `finds`, `counts`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude import reviews, store
from etude.config import Recipe
from etude.query import ACCEPTED, VIEWS, Tables, places
from etude.reviews import Review
from etude.types import content_id

LOOK_SECONDS = 1.0
"""The folder is looked at, at most, this often."""
MOST_ANSWERS = 500

_KEPT = f"""
    create table kept as
    select p.arm, p.round, p.puzzle_id, p.proposal_id, p.source, p.answer_type, p.inputs, p.form,
           coalesce(t.attempts, 0) as attempts, coalesce(t.accepted, 0) as accepted,
           count(*) over (partition by p.arm, p.form) as same_form
    from vetted as p left join (
        select arm, puzzle_id, count(*) as attempts,
               count(*) filter (where {ACCEPTED}) as accepted
        from verdicts group by all
    ) as t using (arm, puzzle_id)
    where p.fate = 'kept'
"""


@dataclass(frozen=True, slots=True)
class Place:
    """How many segments one stage of one round has."""

    arm: str
    round: int | None
    stage: str
    segments: int


class Shelf:
    """The tables of one moment. `rows` and `answer` may be asked by several threads."""

    def __init__(self, folder: Path, listing: tuple[Place, ...]) -> None:
        self.listing = listing
        self.tables = Tables(folder)
        self._lock = threading.Lock()
        self._answers: dict[object, Any] = {}
        self._kept = False

    def rows(self, query: str, parameters: Sequence[object] = ()) -> list[Any]:
        """What a query finds, one dict a row. `kept` is a table like any other."""
        if "kept" in query:
            self._make_kept()
        return self.tables.rows(query, parameters)

    def value(self, query: str, parameters: Sequence[object] = ()) -> Any:
        return next(iter(self.rows(query, parameters)[0].values()))

    def answer(self, key: object, make: Callable[[], Any]) -> Any:
        """What `make` gives, kept for the next who asks for the same."""
        if key not in self._answers:
            made = make()
            if len(self._answers) >= MOST_ANSWERS:
                self._answers.clear()
            self._answers[key] = made
            return made
        return self._answers[key]

    def _make_kept(self) -> None:
        with self._lock:
            if not self._kept:
                self.tables.rows(_KEPT)
                self._kept = True


class Library:
    """One run: its shelf of this moment, and the reviews."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recipe: Recipe = store.Run.read(folder).recipe
        self._lock = threading.Lock()
        self._looked = 0.0
        self._shelf: Shelf | None = None
        self._reviews: dict[str, list[Review]] = {}

    @property
    def shelf(self) -> Shelf:
        """The tables as they are now, or were a second ago."""
        with self._lock:
            now = time.monotonic()
            if self._shelf is None or now - self._looked > LOOK_SECONDS:
                listing = segments(self.folder)
                if self._shelf is None or self._shelf.listing != listing:
                    self._shelf = Shelf(self.folder, listing)
                self._looked = now
            return self._shelf

    @property
    def reviews(self) -> list[Review]:
        """Every decision, in order. A segment is read once."""
        found = []
        for path in reviews.paths(self.folder):
            if path.name not in self._reviews:
                self._reviews[path.name] = reviews.read_segment(path)
            found += self._reviews[path.name]
        return found

    def warm(self) -> None:
        """Open the tables before the first page is asked for."""
        self.shelf.value("select count(*) from kept")

    @property
    def generation(self) -> str:
        """Another text whenever there is something new to see."""
        listing = repr(self.shelf.listing)
        return content_id(listing, str(len(reviews.paths(self.folder))))


def segments(run: Path) -> tuple[Place, ...]:
    """How many segments each stage has by now."""
    stages = list(dict.fromkeys(stage for stage, _, _ in VIEWS.values()))
    found = []
    for arm, number, folder in places(run):
        for stage in stages:
            try:
                with os.scandir(folder / stage) as entries:
                    count = sum(entry.name.endswith(".parquet") for entry in entries)
            except FileNotFoundError:
                continue
            found.append(Place(arm, number, stage, count))
    return tuple(found)
