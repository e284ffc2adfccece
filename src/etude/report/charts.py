"""Charts: from numbers to specifications of plotly charts, each with the table behind it.

A specification is plain data: `{"data": [...], "layout": {...}}`. Colours are names (`@c0`) that
the page's script replaces by those of the reader's light or dark theme. Text goes through `inert`.
Legends are not plotly's: the page prints `keys` above the chart, where they wrap on a phone.
Covered: intervals, curves, lines by round, shares, bars, points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from etude.readings.words import harmless
from etude.report.inert import inert, label
from etude.stats import Estimate

Spec = dict[str, Any]

COLOURS = 8
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
GLYPHS = ("●", "■", "◆", "▲", "✚", "✖", "★", "⬢")
"""How the page shows a symbol of plotly's in a legend."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
STEPS = 7
"""Colours of the ordered scale, from the first round to the last."""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend: `shape` is dot, line, dashed or area; `glyph` stands for a dot."""

    colour: str
    label: str
    shape: str = "dot"
    glyph: str = "●"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its words, and the numbers behind it as a table."""

    name: str
    """Its id in the page: fixed, so that the same folder gives the same bytes."""
    title: str
    says: str
    """What a reader hears who does not see it."""
    spec: Spec
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    keys: Sequence[Key] = ()
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """Values over rows or x values; None where there is none. In percent."""

    label: str
    colour: str
    values: Sequence[Estimate | None]
    mark: int = 0
    """Number of its symbol and dash."""
    faint: bool = False


def colour(number: int) -> str:
    """Of the palette for things without an order."""
    return f"@c{number % COLOURS}"


def step(number: int, of: int) -> str:
    """Of the ordered palette: the last of several is the strongest."""
    return f"@s{STEPS - 1 if of <= 1 else round(number * (STEPS - 1) / (of - 1))}"


def keys_of(series: Sequence[Series], shape: str = "dot") -> list[Key]:
    """The legend of some series."""
    return [
        Key(s.colour, s.label, "dashed" if s.faint else shape, GLYPHS[s.mark % len(GLYPHS)])
        for s in series
    ]


def top_of(highest: float) -> float:
    """The end of a percent axis that holds `highest`."""
    return next((top for top in (2.0, 5, 10, 20, 40, 60, 80) if highest <= top), 100.0)


def said(estimate: Estimate, sign: str = "", unit: str = "%") -> str:
    low, high = f"{estimate.low:{sign}.1f}", f"{estimate.high:{sign}.1f}"
    return f"{estimate.value:{sign}.1f}{unit} [{low}, {high}]"


def _layout(height: int, *, bottom: int = 26, **more: Any) -> Spec:
    """`bottom` leaves room for the ticks, and for the title of an axis if it has one."""
    margin = {"l": 8, "r": 16, "t": 8, "b": bottom}
    return {"height": height, "margin": margin, "showlegend": False, **more}


def _axis(title: str = "", **more: Any) -> Spec:
    text: Spec = {"title": {"text": label(title), "standoff": 6}} if title else {}
    return {"automargin": True, "fixedrange": True, "zeroline": False, **text, **more}


def _points_axis(series: Sequence[Series]) -> Spec:
    """Differences in percentage points: zero is a line of its own."""
    found = [v for s in series for v in s.values if v is not None]
    low, high = min(v.low for v in found), max(v.high for v in found)
    reach = max(1.0, high - low, -low, high)
    span = [min(0.0, low) - 0.04 * reach, max(0.0, high) + 0.04 * reach]
    zero: Spec = {"zeroline": True, "zerolinecolor": "@ink", "zerolinewidth": 1.5}
    return _axis(range=span, nticks=7, tickformat="d", gridcolor="@rule", **zero)


def _plain_axis(series: Sequence[Series]) -> Spec:
    return _axis(range=[0, 1.06 * _highest(series) or 1], nticks=6, gridcolor="@rule")


def _percent_axis(highest: float, **more: Any) -> Spec:
    top = top_of(highest)
    ticks = [top * part / 4 for part in range(5)]
    names = [f"{tick:g}%" for tick in ticks]
    span = [-0.015 * top, 1.015 * top]
    return _axis(range=span, tickvals=ticks, ticktext=names, gridcolor="@rule", **more)


def _highest(series: Sequence[Series]) -> float:
    return max((v.high for s in series for v in s.values if v is not None), default=0.0)


def _error(values: Sequence[Estimate], colour: str) -> Spec:
    return {
        "type": "data",
        "symmetric": False,
        "array": [v.high - v.value for v in values],
        "arrayminus": [v.value - v.low for v in values],
        "color": colour,
        "thickness": 2,
        "width": 0,
    }


def _marker(one: Series, size: int = 9) -> Spec:
    symbol = SYMBOLS[one.mark % len(SYMBOLS)]
    return {
        "color": one.colour,
        "symbol": symbol,
        "size": size,
        "line": {"color": "@page", "width": 1},
    }


def intervals(
    rows: Sequence[str], series: Sequence[Series], *, best: str = "", unit: str = "%"
) -> Spec:
    """A row a label, in it a dot and its 95% interval a series; one axis for all.

    `unit` is %, `points` for differences in percent, or nothing.
    """
    sign, short = ("+", "") if unit == "points" else ("", unit)
    count = max(1, len(series))
    room = 0.62 / count
    data = []
    for number, one in enumerate(series):
        shift = room * (number - (count - 1) / 2)
        found = [(n, v) for n, v in enumerate(one.values) if v is not None]
        values = [v for _, v in found]
        texts = [
            f"{label(rows[n])}<br>{label(one.label)}: {said(v, sign, short)}" for n, v in found
        ]
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [v.value for v in values],
                "y": [n + shift for n, _ in found],
                "error_x": _error(values, one.colour),
                "marker": _marker(one),
                "hoverinfo": "text",
                "hovertext": texts,
            }
        )
    names = [f"<b>{label(row)}</b>" if row == best else label(row) for row in rows]
    between = [_between(n - 0.5) for n in range(1, len(rows))]
    y = _axis(
        tickvals=list(range(len(rows))),
        ticktext=names,
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        ticklabelstandoff=6,
    )
    axes = {"%": lambda: _percent_axis(_highest(series)), "points": lambda: _points_axis(series)}
    x = axes.get(unit, lambda: _plain_axis(series))()
    height = 40 + len(rows) * (14 * count + 14)
    return {"data": data, "layout": _layout(height, xaxis=x, yaxis=y, shapes=between)}


def _between(y: float) -> Spec:
    line = {"color": "@rule", "width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}


def curves(xs: Sequence[int], series: Sequence[Series], x_title: str, *, log: bool = True) -> Spec:
    """Lines in percent with the band of their 95% intervals."""
    data = []
    for one in series:
        found = [(x, v) for x, v in zip(xs, one.values, strict=True) if v is not None]
        data += _band(one, found)
        texts = [f"{label(one.label)}<br>{label(x_title)} {x:,}: {said(v)}" for x, v in found]
        data.append(
            {
                "type": "scatter",
                "mode": "lines" if len(found) > 1 else "markers",
                "x": [x for x, _ in found],
                "y": [v.value for _, v in found],
                "line": {"color": one.colour, "width": 2.5, "dash": DASHES[one.mark % len(DASHES)]},
                "marker": _marker(one),
                "hoverinfo": "text",
                "hovertext": texts,
            }
        )
    ticks = _ticks(xs) if log else list(xs)
    kind = {"type": "log"} if log else {}
    names = [f"{tick:,}" for tick in ticks]
    x = _axis(x_title, tickvals=ticks, ticktext=names, showgrid=False, ticklabelstandoff=4, **kind)
    y = _percent_axis(_highest(series))
    return {"data": data, "layout": _layout(300, bottom=40, xaxis=x, yaxis=y)}


def _band(one: Series, found: Sequence[tuple[int, Estimate]]) -> list[Spec]:
    if len(found) < 2 or one.faint:
        return []
    xs = [x for x, _ in found]
    edge = {"type": "scatter", "mode": "lines", "hoverinfo": "skip", "line": {"width": 0}}
    low = {**edge, "x": xs, "y": [v.low for _, v in found]}
    high = {**edge, "x": xs, "y": [v.high for _, v in found], "fill": "tonexty"}
    return [low, {**high, "fillcolor": f"{one.colour}/15"}]


def _ticks(xs: Sequence[int]) -> list[int]:
    """1, 2, 5, 10, ... within the values, and the last."""
    last = max(xs, default=1)
    steps = [m * 10**e for e in range(7) for m in (1, 2, 5) if m * 10**e <= last]
    kept = [tick for tick in steps if tick == last or last / tick >= 1.35]
    return kept if kept and kept[-1] == last else [*kept, last]


def by_round(rounds: Sequence[int], series: Sequence[Series]) -> Spec:
    """Lines over rounds, a dot with its 95% interval a round; faint ones are dashed."""
    data = []
    for number, one in enumerate(series):
        shift = 0.05 * (number - (len(series) - 1) / 2)
        found = [(x, v) for x, v in zip(rounds, one.values, strict=True) if v is not None]
        values = [v for _, v in found]
        trace: Spec = {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [x + shift for x, _ in found],
            "y": [v.value for v in values],
            "line": {"color": one.colour, "width": 1.5 if one.faint else 2.5},
            "marker": _marker(one, 6 if one.faint else 9),
            "hoverinfo": "text",
            "hovertext": [f"round {x}, {label(one.label)}<br>{said(v)}" for x, v in found],
        }
        if one.faint:
            trace["line"]["dash"] = "dash"
        else:
            trace["error_y"] = _error(values, one.colour)
        data.append(trace)
    span = [min(rounds) - 0.3, max(rounds) + 0.3]
    shown = list(rounds) if len(rounds) <= 12 else list(rounds)[:: math.ceil(len(rounds) / 12)]
    x = _axis("round", tickvals=shown, ticktext=[str(r) for r in shown], range=span, showgrid=False)
    y = _percent_axis(_highest(series))
    return {"data": data, "layout": _layout(300, bottom=40, xaxis=x, yaxis=y)}


Part = tuple[str, str, Sequence[float]]
"""A kind of the parts of bars: its name, its colour, its count in every row."""


def shares(rows: Sequence[str], parts: Sequence[Part]) -> Spec:
    """A full bar a row, cut in proportion; what is wide enough has its percentage inside."""
    totals = [max(1, sum(counts[n] for _, _, counts in parts)) for n in range(len(rows))]
    data = []
    for name, tone, counts in parts:
        share = [100 * count / total for count, total in zip(counts, totals, strict=True)]
        texts = [
            f"{label(row)}<br>{label(name)}: {count:,} ({part:.1f} %)"
            for row, count, part in zip(rows, counts, share, strict=True)
        ]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": share,
                "y": list(range(len(rows))),
                "marker": {"color": tone, "line": {"color": "@page", "width": 1}},
                "text": [f"{part:.0f}" if part >= 7 else "" for part in share],
                "textposition": "inside",
                "insidetextanchor": "middle",
                "insidetextfont": {"color": tone.replace("@", "@on-")},
                "textangle": 0,
                "hoverinfo": "text",
                "hovertext": texts,
            }
        )
    x = _percent_axis(100, showgrid=False)
    layout = _layout(42 + 30 * len(rows), xaxis=x, yaxis=_rows_axis(rows))
    return {"data": data, "layout": {**layout, "barmode": "stack", "bargap": 0.22}}


def _rows_axis(rows: Sequence[str]) -> Spec:
    return _axis(
        tickvals=list(range(len(rows))),
        ticktext=[label(row) for row in rows],
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        ticklabelstandoff=6,
    )


def bars(rows: Sequence[str], parts: Sequence[Part], *, stacked: bool, unit: str = "") -> Spec:
    """Counts as horizontal bars: a part beside or on top of the other, numbers where they fit."""
    data = []
    for name, tone, counts in parts:
        texts = [
            f"{label(row)}<br>{label(name)}: {_count(count)}{unit}"
            for row, count in zip(rows, counts, strict=True)
        ]
        data.append(
            {
                "type": "bar",
                "orientation": "h",
                "x": list(counts),
                "y": list(range(len(rows))),
                "marker": {"color": tone, "line": {"color": "@page", "width": 1}},
                "text": [] if stacked else [_count(count) for count in counts],
                "textposition": "none" if stacked else "outside",
                "cliponaxis": False,
                "hoverinfo": "text",
                "hovertext": texts,
            }
        )
    room = 22 if stacked else 17 * len(parts) + 12
    sums = [sum(counts[n] for _, _, counts in parts) for n in range(len(rows))]
    most = max(sums if stacked else [c for *_, counts in parts for c in counts], default=0)
    x = _axis(range=[0, 1.02 * most if stacked else 1.18 * most or 1], gridcolor="@rule", nticks=5)
    layout = _layout(40 + room * len(rows), xaxis=x, yaxis=_rows_axis(rows))
    mode = {"barmode": "stack" if stacked else "group", "bargap": 0.25, "bargroupgap": 0.05}
    return {"data": data, "layout": {**layout, **mode}}


def _count(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


Line = tuple[str, str, int, Sequence[tuple[float, float]]]
"""Its name, its colour, the number of its dash, its points."""


def lines(drawn: Sequence[Line], x_title: str, y_title: str) -> Spec:
    """Plain lines; values that are not finite are left out."""
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [x for x, y in points if math.isfinite(y)],
            "y": [y for _, y in points if math.isfinite(y)],
            "line": {"color": tone, "width": 2, "dash": DASHES[dash]},
            "hoverinfo": "text",
            "hovertext": [
                f"{label(name)}<br>{label(x_title)} {x:,}: {y:.3f}"
                for x, y in points
                if math.isfinite(y)
            ],
        }
        for name, tone, dash, points in drawn
    ]
    x = _axis(x_title, showgrid=False, rangemode="tozero")
    y = _axis(y_title, gridcolor="@rule", rangemode="tozero")
    return {"data": data, "layout": _layout(300, bottom=40, xaxis=x, yaxis=y)}


@dataclass(frozen=True, slots=True)
class Cloud:
    """Points of one group of a map: x, y, a short text, and all there is to read."""

    colour: str
    mark: int
    points: Sequence[tuple[float, float, str, str]]


def cloud(clouds: Sequence[Cloud]) -> Spec:
    """A map: places without units. What there is to read of a point, the page shows below it."""
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": [x for x, *_ in one.points],
            "y": [y for _, y, *_ in one.points],
            "marker": {
                "color": one.colour,
                "symbol": SYMBOLS[one.mark % len(SYMBOLS)],
                "size": 8 if one.mark else 6,
                "opacity": 0.75,
                "line": {"color": "@page", "width": 0.5},
            },
            "hoverinfo": "text",
            "hovertext": [inert(short, lines=5, width=44) for *_, short, _ in one.points],
            "customdata": [harmless(text, lines=30) for *_, text in one.points],
        }
        for one in clouds
    ]
    bare = {"showticklabels": False, "showgrid": False, "zeroline": False, "ticks": ""}
    layout = _layout(460, xaxis=bare, yaxis=bare)
    layout["margin"] = {"l": 4, "r": 4, "t": 4, "b": 4}
    hover = {"align": "left", "font": {"family": "@mono", "size": 11}}
    return {"data": data, "layout": {**layout, "hoverlabel": hover, "zoomable": True}}
