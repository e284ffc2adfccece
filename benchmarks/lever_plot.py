"""The plot of `levers.py`: what each lever has more than the plain loop, and how it got there.

One HTML file that needs no network. Above, one mark a lever and column: the mean of the paired
differences with Student's interval. Below, pass@k of the models of the rounds, thick for the mean
over seeds and thin for each seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lever_runs import Reading

SHOWN = (("families", 1), ("families", 10), ("families", 100))
BY_ROUND = (("families", 1), ("families", 10))
COLOURS = ("#4c78a8", "#e45756", "#54a24b", "#f58518", "#72b7b2", "#b279a2", "#9d755d", "#eeca3b")
ROW, MARGIN, LOWER = 26, 150, 360
"""Pixels of a lever above, of the titles, and of the charts below."""


def plot(
    path: Path,
    found: Mapping[str, Sequence[Reading]],
    interval: Callable[[Sequence[float]], tuple[float, float, float]],
) -> None:
    """Write the plot of rows as `levers.rows` gives them; the first is the plain loop."""
    others = [label for label in found if label != next(iter(found))]
    upper = ROW * len(others) + MARGIN
    figure = make_subplots(
        rows=2,
        cols=6,
        specs=[
            [{"colspan": 2}, None] * 3,
            [{"colspan": 3}, None, None, {"colspan": 3}, None, None],
        ],
        row_heights=[upper, LOWER],
        subplot_titles=[
            *(f"{part} pass@{k}, minus {next(iter(found))}" for part, k in SHOWN),
            *(f"{part} pass@{k} by round" for part, k in BY_ROUND),
        ],
        vertical_spacing=0.14,
    )
    for place, (part, k) in enumerate(SHOWN):
        _differences(figure, 2 * place + 1, found, f"{part}@{k}", interval)
    for place, (part, k) in enumerate(BY_ROUND):
        _rounds(figure, 3 * place + 1, found, f"{part}@{k}", legend=place == 0)
    figure.update_layout(
        template="simple_white",
        height=upper + LOWER + MARGIN,
        width=1100,
        legend={"orientation": "h", "y": -0.08},
    )
    figure.update_yaxes(autorange="reversed", row=1)
    figure.update_yaxes(title_text="percent", row=2, col=1)
    figure.update_xaxes(title_text="points, with Student's 95% interval over seeds", row=1, col=3)
    figure.update_xaxes(title_text="round", row=2)
    figure.write_html(path, include_plotlyjs=True)


def _differences(
    figure: go.Figure,
    column: int,
    found: Mapping[str, Sequence[Reading]],
    score: str,
    interval: Callable[[Sequence[float]], tuple[float, float, float]],
) -> None:
    first, *others = found
    before = {one.seed: one.scores[score] for one in found[first]}
    for label in others:
        gaps = [one.scores[score] - before[one.seed] for one in found[label] if one.seed in before]
        if not gaps:
            continue
        mean, low, high = interval(gaps)
        known = len(gaps) > 1
        figure.add_scatter(
            x=[mean],
            y=[f"{label} ({len(gaps)})"],
            error_x={
                "array": [high - mean if known else 0],
                "arrayminus": [mean - low if known else 0],
            },
            mode="markers",
            marker={"color": COLOURS[0] if known and (low > 0 or high < 0) else "#999999"},
            showlegend=False,
            row=1,
            col=column,
        )
    figure.add_vline(x=0, line={"color": "#999999", "dash": "dot"}, row=1, col=column)
    if column > 1:
        figure.update_yaxes(showticklabels=False, row=1, col=column)


def _rounds(
    figure: go.Figure,
    column: int,
    found: Mapping[str, Sequence[Reading]],
    score: str,
    *,
    legend: bool,
) -> None:
    for number, (label, readings) in enumerate(found.items()):
        curves = []
        for one in readings:
            rounds = [at for at in range(1, one.rounds + 1) if f"{score} round {at}" in one.scores]
            if rounds:
                curves.append((rounds, [one.scores[f"{score} round {at}"] for at in rounds]))
        same = [curve for curve in curves if curve[0] == curves[0][0]]
        if not same:
            continue
        means = [fmean(values) for values in zip(*(curve for _, curve in same), strict=True)]
        lines = [(x, y, 1, 0.35) for x, y in curves if len(curves) > 1]
        for x, y, width, opacity in [*lines, (same[0][0], means, 3, 1)]:
            figure.add_scatter(
                x=x,
                y=y,
                name=label,
                mode="lines",
                opacity=opacity,
                line={"color": COLOURS[number % len(COLOURS)], "width": width},
                showlegend=legend and width > 1,
                row=2,
                col=column,
            )
