"""The map of a run's puzzles beside human and held-out ones, as a picture that needs no page.

A card on the hub shows an SVG file of its folder, without scripts. Covered: the drawing, and the
table of what was measured. What is measured, and how: see `diversity`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from etude import store
from etude.diversity import Diversity, Group, Point, measure
from etude.diversity.results import is_generated
from etude.errors import InputError
from etude.export.markdown import table

NAME = "map.svg"
SIZE = 640
_MARGIN = 24
_COLOURS = ("#1d1f23", "#b07a2a", "#3b6fb6", "#2f8f6b", "#8a4fa3", "#c0504d", "#4f7f8a")
"""Of people's puzzles, of held-out ones, then of the rounds."""


def section(place: Path, run: store.Run) -> list[str]:
    """The card's section on diversity, and `map.svg` beside it.

    Nothing where no round has kept a puzzle; one sentence where an extra is missing.
    """
    try:
        found = measure(run.folder)
    except InputError as reason:
        return ["## Diversity\n", f"Not measured: {reason}\n"]
    if found is None:
        return []
    (place / NAME).write_text(drawn(found.points), "utf-8")
    notes = "".join(f"- {note}\n" for note in found.notes)
    return [
        "## Diversity\n",
        f"![Map of the run's puzzles beside people's]({NAME})\n",
        f"Each mark is a puzzle; near ones are alike (vectors: {found.vectors}, map: {found.map}). "
        "All puzzles of the run, of which the pairs here are a part.\n",
        _measured(found),
        *([notes] if notes else []),
    ]


def _measured(found: Diversity) -> str:
    head = ("puzzles of", "how many", "forms", "Vendi score", "coverage", "distance to human")
    return table(head, [_row(group) for group in found.groups])


def _row(group: Group) -> tuple[object, ...]:
    numbers = ((group.vendi, ".1f"), (group.coverage, ".1%"), (group.nearest, ".3f"))
    shown = ("" if math.isnan(number) else format(number, how) for number, how in numbers)
    return (group.name, group.puzzles, group.forms, *shown)


def drawn(points: Sequence[Point]) -> str:
    """The map as an SVG file: a colour and a line of the legend for each group."""
    groups = list(dict.fromkeys(point.group for point in points))
    xs, ys = [p.x for p in points] or [0.0], [p.y for p in points] or [0.0]
    width = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    reach = SIZE - 2 * _MARGIN

    def at(point: Point) -> str:
        x = _MARGIN + reach * (point.x - min(xs)) / width
        y = _MARGIN + reach * (point.y - min(ys)) / width
        return f'cx="{x:.1f}" cy="{y:.1f}"'

    height = SIZE + 22 * len(groups) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {height}" '
        'font-family="sans-serif" font-size="15">',
        f'<rect width="{SIZE}" height="{height}" fill="#ffffff"/>',
    ]
    for number, group in sorted(enumerate(groups), key=lambda one: not is_generated(one[1])):
        colour = _COLOURS[number % len(_COLOURS)]
        inside = [point for point in points if point.group == group]
        size, opacity = (2.5, 0.5) if is_generated(group) else (3.5, 0.9)  # few, so on top
        marks = "".join(f'<circle {at(point)} r="{size}"/>' for point in inside)
        parts.append(f'<g fill="{colour}" fill-opacity="{opacity}">{marks}</g>')
        y = SIZE + 22 * number
        parts.append(f'<circle cx="{_MARGIN}" cy="{y}" r="5" fill="{colour}"/>')
        label = f"{escape(group)} ({len(inside):,})"
        parts.append(f'<text x="{_MARGIN + 14}" y="{y + 5}" fill="#222222">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])
