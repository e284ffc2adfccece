"""Charts: plotly figures as JSON. Colours of text and grid are the page's, put in by its script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from etude import readings
from etude.browse import counts
from etude.browse.library import Shelf
from etude.errors import InputError
from etude.tables import OUTCOMES

COLOURS = ("#2a78d6", "#c96a1b", "#1f9d6b", "#a24fb5", "#b8323f", "#7a7a1f")
OUTCOME_COLOURS = {
    "accepted": "#1f9d6b", "wrong": "#c96a1b", "mistyped": "#d9a441", "raised": "#b8323f",
    "timeout": "#7d5fd3", "memory": "#4a6fd0", "crashed": "#8c5a3c", "refused": "#5d6d7e",
    "unparsed": "#9aa1a8",
}  # fmt: skip
DASHES = ("solid", "dash", "dot")
SYMBOLS = ("circle", "square", "diamond")
BINS = ("never", "up to 25%", "25 to 50%", "50 to 75%", "75 to 99%", "always")


def chart(shelf: Shelf, name: str) -> str:
    """A figure of the overview as plotly's JSON. Raises `InputError` for an unknown name."""
    if name not in CHARTS:
        raise InputError(f"A chart must be one of {', '.join(CHARTS)}.")
    return str(shelf.answer(("chart", name), lambda: CHARTS[name](shelf).to_json()))


def by_round(shelf: Shelf) -> go.Figure:
    """pass@k of the loop after each round and of the student, with 95% intervals."""
    rows = [row for row in counts.scores(shelf) if row["arm"] == "verified"]
    places = list(dict.fromkeys(row["round"] for row in rows))
    figure = _figure("pass@k, percent")
    parts = list(dict.fromkeys(row["part"] for row in rows))
    ks = sorted({row["k"] for row in rows})
    for part, k in dict.fromkeys((row["part"], row["k"]) for row in rows):
        made = [row for row in rows if (row["part"], row["k"]) == (part, k)]
        figure.add_scatter(
            x=[_place(row["round"]) for row in made],
            y=[100 * row["value"] for row in made],
            error_y={
                "array": [100 * (row["high"] - row["value"]) for row in made],
                "arrayminus": [100 * (row["value"] - row["low"]) for row in made],
                "thickness": 1.2,
                "width": 3,
            },
            name=f"{readings.PARTS.get(part, part)} pass@{k}",
            mode="lines+markers",
            line={
                "color": COLOURS[parts.index(part) % len(COLOURS)],
                "dash": DASHES[ks.index(k) % len(DASHES)],
                "width": 2,
            },
            marker={"symbol": SYMBOLS[ks.index(k) % len(SYMBOLS)], "size": 8},
        )
    figure.update_xaxes(categoryorder="array", categoryarray=[_place(n) for n in places])
    return figure


def _place(number: int | None) -> str:
    return "student" if number is None else f"round {number}"


def outcome_shares(shelf: Shelf) -> go.Figure:
    """What the judge found, as a share of the candidates of each round."""
    found = counts.outcomes(shelf)
    labels = [f"round {n}" if arm == "verified" else f"{arm} {n}" for arm, n in found]
    figure = _figure("percent of candidates")
    for outcome in (name for name in OUTCOMES if any(name in c for c in found.values())):
        shares = [100 * c.get(outcome, 0) / sum(c.values()) for c in found.values()]
        figure.add_bar(x=labels, y=shares, name=outcome, marker={"color": OUTCOME_COLOURS[outcome]})
    figure.update_layout(barmode="stack")
    figure.update_xaxes(type="category")
    return figure


def solve_rates(shelf: Shelf) -> go.Figure:
    """How many tried puzzles of the loop were solved how often, by round."""
    rows = shelf.rows(
        "select round, case when accepted = 0 then 0 when accepted = attempts then 5 "
        "else ceil(4 * accepted / attempts)::int end as bin, count(*) as n "
        "from kept where arm = 'verified' and attempts > 0 group by all order by all"
    )
    figure = _figure("puzzles")
    for number in dict.fromkeys(row["round"] for row in rows):
        made = {row["bin"]: row["n"] for row in rows if row["round"] == number}
        heights = [made.get(bin, 0) for bin in range(len(BINS))]
        figure.add_bar(x=list(BINS), y=heights, name=f"round {number}")
    figure.update_xaxes(title="share of attempts accepted", type="category")
    figure.update_layout(barmode="group", colorway=list(COLOURS))
    return figure


CHARTS: dict[str, Callable[[Shelf], go.Figure]] = {
    "rounds": by_round,
    "outcomes": outcome_shares,
    "rates": solve_rates,
}


def _figure(unit: str, margins: Sequence[int] = (48, 8, 8, 40)) -> go.Figure:
    left, right, top, bottom = margins
    figure: Any = go.Figure()
    figure.update_layout(
        template="none",
        margin={"l": left, "r": right, "t": top, "b": bottom},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "y": -0.28, "yanchor": "top"},
        height=340,
        hovermode="closest",
    )
    figure.update_yaxes(title=unit, rangemode="tozero", automargin=True)
    figure.update_xaxes(automargin=True)
    return figure
