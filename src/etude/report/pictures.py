"""Pictures: small functions from numbers to inline SVG. Colours come from the page's style.

Covered: intervals, curves, bars, shares. Every text is escaped where it is put in.
Not covered: the table that stands behind each picture (the template prints it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 420
"""Units of the drawing: about the pixels of a phone, so that text stays readable there."""
LABELS = 104
"""Units that row labels take at the left."""
RIGHT = 404
SHAPES = ("circle", "square", "diamond")


@dataclass(frozen=True, slots=True)
class Mark:
    """A value with its interval, in percent. `series` chooses colour and shape."""

    series: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Marks over whole x values. A `faint` curve is dashed, without marks."""

    series: int
    points: tuple[tuple[int, Mark], ...]
    faint: bool = False


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """One element. `class_` is class, `_` becomes `-`; text and values are escaped.

    >>> tag("text", "a < b", text_anchor="end")
    Markup('<text text-anchor="end">a &lt; b</text>')
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{shown}>{''.join(escape(text) for text in inside)}</{name}>")


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _svg(title: str, height: float, parts: Sequence[Markup], width: int = WIDTH) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {width} {height:.0f}", role="img", aria_label=title)


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=kind or "label")


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def nice_top(highest: float) -> float:
    """The end of a percent axis that holds `highest`."""
    return next((top for top in (2.0, 5, 10, 20, 40, 60, 80) if highest <= top), 100.0)


def shape(series: int, x: float, y: float, size: float = 4.5) -> Markup:
    """The mark of a series: told apart by colour and by shape."""
    kind, colour = SHAPES[series % len(SHAPES)], f"mark c{series % 5}"
    if kind == "circle":
        return tag("circle", cx=x, cy=y, r=size, class_=colour)
    if kind == "square":
        corner = size * 0.9
        return tag(
            "rect", x=x - corner, y=y - corner, width=2 * corner, height=2 * corner, class_=colour
        )
    reach = size * 1.3
    points = f"{x:.1f},{y - reach:.1f} {x + reach:.1f},{y:.1f} "
    points += f"{x:.1f},{y + reach:.1f} {x - reach:.1f},{y:.1f}"
    return tag("polygon", points=points, class_=colour)


def key(series: int) -> Markup:
    """A mark for the legend beside a picture."""
    return tag("svg", shape(series, 8, 8), viewBox="0 0 16 16", class_="key", aria_hidden="true")


def intervals(title: str, rows: Sequence[tuple[str, Sequence[Mark]]]) -> Markup:
    """A row a label, in it a dot and its interval a series; one shared axis in percent."""
    most = max(1, *(len(marks) for _, marks in rows))
    step, row_height = 13, 13 * most + 12
    bottom = row_height * len(rows) + 6
    top = nice_top(max((mark.high for _, marks in rows for mark in marks), default=0))

    def at(value: float) -> float:
        return LABELS + (RIGHT - LABELS) * value / top

    parts = _axis(at, top, bottom)
    for number, (label, marks) in enumerate(rows):
        middle = 6 + row_height * number + row_height / 2
        if number:
            parts.append(_line(0, 6 + row_height * number, RIGHT, 6 + row_height * number, "grid"))
        parts.append(_text(0, middle + 4, label))
        for place, mark in enumerate(marks):
            y = middle + step * (place - (len(marks) - 1) / 2)
            parts.append(_line(at(mark.low), y, at(mark.high), y, f"interval c{mark.series % 5}"))
            parts.append(shape(mark.series, at(mark.value), y))
    return _svg(title, bottom + 24, parts)


def _axis(at: object, top: float, bottom: float) -> list[Markup]:
    assert callable(at)
    parts = []
    for tick in range(5):
        value = top * tick / 4
        parts.append(_line(at(value), 6, at(value), bottom, "grid"))
        parts.append(_text(at(value), bottom + 16, f"{value:g}%", "middle", "tick"))
    return parts


def curves(title: str, drawn: Sequence[Curve]) -> Markup:
    """Percent over rounds: a line a curve, with the interval of every point."""
    xs = sorted({x for curve in drawn for x, _ in curve.points})
    top = nice_top(max((mark.high for curve in drawn for _, mark in curve.points), default=0))
    left, bottom, height = 44, 206, 194
    reach = max(1, xs[-1] - xs[0])

    def across(x: float) -> float:
        return left + 16 + (RIGHT - left - 32) * (x - xs[0]) / reach

    def up(value: float) -> float:
        return bottom - height * value / top

    parts = []
    for tick in range(5):
        y = up(top * tick / 4)
        parts.append(_line(left, y, RIGHT, y, "grid"))
        parts.append(_text(left - 6, y + 4, f"{top * tick / 4:g}%", "end", "tick"))
    parts += [_text(across(x), bottom + 18, str(x), "middle", "tick") for x in xs]
    parts.append(_text((left + RIGHT) / 2, bottom + 36, "round", "middle", "tick"))
    for curve in drawn:
        parts += _curve(curve, [(across(x), mark) for x, mark in curve.points], up)
    return _svg(title, bottom + 42, parts)


def _curve(curve: Curve, points: Sequence[tuple[float, Mark]], up: object) -> list[Markup]:
    assert callable(up)
    path = " ".join(f"{x:.1f},{up(mark.value):.1f}" for x, mark in points)
    kind = f"curve c{curve.series % 5}" + (" faint" if curve.faint else "")
    parts = [tag("polyline", points=path, class_=kind)]
    if curve.faint:
        return parts
    for x, mark in points:
        parts.append(_line(x, up(mark.low), x, up(mark.high), f"interval c{mark.series % 5}"))
        parts.append(shape(mark.series, x, up(mark.value)))
    return parts


def bars(title: str, rows: Sequence[tuple[str, int]]) -> Markup:
    """Counts as horizontal bars, the longest the first's length; the number beside each."""
    most = max(1, *(count for _, count in rows))
    parts = []
    for number, (label, count) in enumerate(rows):
        y = 26.0 * number
        length = (RIGHT - LABELS - 60) * count / most
        parts.append(_text(0, y + 16, label))
        parts.append(tag("rect", x=LABELS, y=y + 4, width=length, height=16, class_="bar"))
        parts.append(_text(LABELS + length + 6, y + 16, f"{count:,}"))
    return _svg(title, 26 * len(rows) + 4, parts)


def shares(title: str, rows: Sequence[tuple[str, Sequence[tuple[int, int]]]]) -> Markup:
    """A full bar a row, cut in proportion: each piece is (colour number, count)."""
    parts = []
    for number, (label, pieces) in enumerate(rows):
        x, y = float(LABELS), 30.0 * number
        parts.append(_text(0, y + 19, label))
        total = max(1, sum(count for _, count in pieces))
        for colour, count in pieces:
            width = (RIGHT - LABELS) * count / total
            parts.append(
                tag("rect", x=x, y=y + 4, width=width, height=22, class_=f"piece o{colour}")
            )
            x += width
    return _svg(title, 30 * len(rows) + 4, parts)


def loss(title: str, points: Sequence[tuple[int, float]]) -> Markup:
    """One loss curve, from zero, with its first and last value. Infinite values are left out."""
    points = [(step, value) for step, value in points if math.isfinite(value)]
    if not points:
        return _svg(title, 20, [_text(4, 14, "no finite loss")], 200)
    width, bottom, height = 200, 76, 66
    top = max(value for _, value in points) or 1.0
    last = max(1, points[-1][0])
    places = [
        (4 + (width - 8) * step / last, bottom - height * value / top) for step, value in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [
        _line(4, bottom, width - 4, bottom, "axis"),
        tag("polyline", points=path, class_="curve c0"),
        *(tag("circle", cx=p[0], cy=p[1], r=2, class_="mark c0") for p in (places[0], places[-1])),
        _text(4, bottom + 16, f"{points[0][1]:.2f} at step {points[0][0]:,}", "start", "tick"),
        _text(width - 4, bottom + 16, f"{points[-1][1]:.2f} at {last:,}", "end", "tick"),
    ]
    return _svg(title, bottom + 22, parts, width)
