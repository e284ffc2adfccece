"""What a page is made of: sections, with charts, tables and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from etude import readings
from etude.report.charts import Chart
from etude.report.facts import Facts, Shown
from etude.stats import Estimate
from etude.types import Score


@dataclass(frozen=True, slots=True)
class Code:
    """A cell, or a text, in which every space counts."""

    text: str


Cell = str | Code


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is shown on its own; the first column names the row."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    note: str = ""
    texts: Sequence[int] = ()
    """Columns that are read as text: to the left."""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading."""

    name: str
    title: str
    intro: str
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    points: Sequence[str] = ()
    gallery: Sequence[Shown] = field(default=())


Runs = Sequence[Facts]


def part_name(part: str) -> str:
    return readings.PARTS.get(part, part)


def estimate(score: Score | Estimate) -> Estimate:
    """In percent."""
    return Estimate(100 * score.value, 100 * score.low, 100 * score.high)


def slug(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in text[:40].lower())
