"""What an import found: outcomes, duplicates, text that is no pair, problems that are met.

The numbers are counted in SQL over the import's segments, so a million pairs need no more memory
than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from etude import query, store
from etude.decontaminate import Hit
from etude.duplicates import Item, find
from etude.export.pairs import AT_ONCE, COUNTED, NONE
from etude.importing.reading import UNPARSED
from etude.judge.judge import usable_cores

SHOWN = 5
"""Unparsed lines that are named on the terminal; the file beside the pairs has them all."""


@dataclass(frozen=True, slots=True)
class Integrity:
    """The report on an imported file."""

    outcomes: dict[str, int]
    """By the judge's outcome, `unparsed` for what is no pair; `unstable` for accepted by chance."""
    duplicates: dict[str, int]
    """By level, how many of the accepted pairs it would leave out."""
    puzzles: int
    """Different puzzles among the accepted pairs."""
    kept: int
    """Accepted pairs without the duplicates of the level that was asked for."""
    reasons: dict[str, int]
    """Why text is no pair, the most frequent reasons first."""
    first: tuple[tuple[int, str], ...]
    """Line and reason of the first of them."""
    suite: str = ""
    problems: int = 0
    """Held-out problems that the pairs were compared with."""
    hits: Sequence[Hit] = field(default=(), repr=False)

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())

    @property
    def accepted(self) -> int:
        return self.outcomes.get("accepted", 0)

    def as_dict(self) -> dict[str, Any]:
        met: dict[str, int] = {}
        for hit in self.hits:
            met[hit.level] = met.get(hit.level, 0) + 1
        return {
            "items": self.total,
            "outcomes": self.outcomes,
            "puzzles": self.puzzles,
            "duplicates": self.duplicates,
            "kept": self.kept,
            "unparsed": self.reasons,
            "first_unparsed": [{"line": line, "reason": reason} for line, reason in self.first],
            "suite": self.suite or None,
            "problems": self.problems,
            "problems_met": met,
        }


class Segments:
    """The judged segments of an import. A context manager."""

    def __init__(self, paths: Sequence[Path], dedup: str, scratch: Path) -> None:
        self._db = duckdb.connect(":memory:")
        query.bounded(self._db)
        self._db.execute("set temp_directory = ?", [str(scratch)])
        files = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
        self._db.execute(
            "create view items as select *, case when outcome = 'accepted' and stable = false "
            f"then 'unstable' else outcome end as found from read_parquet([{files}])"
        )
        levels = COUNTED if dedup in (*COUNTED, NONE) else (*COUNTED, dedup)
        found = find(self._items(), levels, processes=usable_cores())
        mask = found.mask(*([] if dedup == NONE else [dedup]))
        self._duplicates = {level: found.duplicates(level) for level in levels}
        self._kept = int(mask.sum())
        self._db.register("left_over", pa.table({"place": np.flatnonzero(mask)}))

    def _items(self) -> Iterator[Item]:
        found = self._db.execute(
            "select puzzle, solution from items where found = 'accepted' "
            "order by line, name, solution"
        )
        while batch := found.fetchmany(AT_ONCE):
            yield from (Item("", puzzle, solution) for puzzle, solution in batch)

    def integrity(self) -> Integrity:
        """Everything that is counted."""
        outcomes = self._rows("select found, count(*) from items group by all order by 2 desc, 1")
        reasons = self._rows(
            f"select detail, count(*) from items where outcome = '{UNPARSED}' "
            "group by all order by 2 desc, 1 limit 20"
        )
        first = self._rows(
            f"select line, detail from items where outcome = '{UNPARSED}' "
            f"order by line limit {SHOWN}"
        )
        puzzles = "select count(distinct puzzle_id) from items where found = 'accepted'"
        return Integrity(
            outcomes=dict(outcomes),
            duplicates=self._duplicates,
            puzzles=int(self._rows(puzzles)[0][0]),
            kept=self._kept,
            reasons=dict(reasons),
            first=tuple(first),
        )

    def kept(self) -> Iterator[list[store.Row]]:
        """The pairs to write, in the order of the file."""
        return self._batches(
            """
            select * exclude (place, found, outcome, detail, peak_bytes) from (
                select row_number() over (order by line, name, solution) - 1 as place, *
                from items where found = 'accepted'
            ) join left_over using (place) order by place
            """
        )

    def rejected(self) -> Iterator[list[store.Row]]:
        """Everything but accepted pairs, in the order of the file."""
        return self._batches(
            "select * exclude (found) from items where found <> 'accepted' "
            "order by line, name, solution"
        )

    def _batches(self, query: str) -> Iterator[list[store.Row]]:
        found = self._db.execute(query)
        names = [column[0] for column in found.description or ()]
        while batch := found.fetchmany(AT_ONCE):
            yield [dict(zip(names, row, strict=True)) for row in batch]

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._db.execute(query).fetchall()

    def __enter__(self) -> Segments:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
