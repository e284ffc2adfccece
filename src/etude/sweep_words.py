"""The table of a sweep: for people as lines, for machines as one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from etude import readings
from etude.console import Lines, aligned, duration, part_heading
from etude.errors import UserError
from etude.forecast import Forecast
from etude.readings.members import Difference, Row
from etude.readings.words import percent, signed


def table_lines(rows: Sequence[Row], differences: Sequence[Difference], width: int) -> Lines:
    """A block a part of the suite: rows by k, then what each row gained on the first."""
    if not rows:
        return ["", "No member has been scored yet."]
    parts = dict.fromkeys(score.part for row in rows for score in row.scores)
    lines: Lines = []
    for part in parts:
        lines += ["", *_part(part, rows, differences, width)]
    return [*lines, "", "Intervals are over problems; another seed would differ more."]


def _part(part: str, rows: Sequence[Row], differences: Sequence[Difference], width: int) -> Lines:
    scored = [row for row in rows if any(score.part == part for score in row.scores)]
    made = [score for row in scored for score in row.scores if score.part == part]
    ks = readings.ks_of(made)
    head = ["", *(f"pass@{k}" for k in ks)]

    def cell(row: Row, k: int) -> str:
        score = row.score(part, k)
        return percent(score) if score else "-"

    known = {(d.label, d.k): d.difference for d in differences if d.part == part}

    def gained(label: str, k: int) -> str:
        return signed(known[label, k]) if (label, k) in known else "-"

    table = [head, *([row.label, *(cell(row, k) for k in ks)] for row in scored)]
    against = [row.label for row in scored if any((row.label, k) in known for k in ks)]
    first = rows[0].label
    gains = [[f"{label} - {first}:", *(gained(label, k) for k in ks)] for label in against]
    lines = [part_heading(part, made), *aligned(table)]
    return [*lines, *aligned([head, *gains])[1:]] if gains else lines


def as_dict(
    name: str,
    rows: Sequence[Row],
    differences: Sequence[Difference],
    failed: Mapping[str, UserError],
) -> dict[str, Any]:
    """The table for machines; values are from 0 to 1."""
    return {
        "name": name,
        "rows": [
            {"label": r.label, "folder": str(r.folder), "scores": [asdict(s) for s in r.scores]}
            for r in rows
        ],
        "differences": [asdict(difference) for difference in differences],
        "failed": {member: str(error) for member, error in failed.items()},
    }


def forecast_lines(made: Mapping[str, Forecast]) -> Lines:
    """A row a member: texts, checks, tokens trained on, time, money."""
    rows = [["", "texts", "checks", "trained on", "time", "money"]]
    for name, each in made.items():
        works = [cost.work for cost in each.costs]
        rows.append([
            name,
            f"{sum(work.samples for work in works):,}",
            f"{sum(work.checks for work in works):,}",
            f"{sum(cost.trained for cost in each.costs):,.0f}",
            duration(3600 * each.hours),
            f"{each.money:,.2f}" if each.money else "",
        ])  # fmt: skip
    total = 3600 * sum(each.hours for each in made.values())
    money = sum(each.money for each in made.values())
    rows.append(["all", "", "", "", duration(total), f"{money:,.2f}"])
    return aligned(rows if money else [row[:-1] for row in rows])
