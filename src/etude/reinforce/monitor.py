"""The hack monitor: what a reinforcement does beside earning more, held against limits.

A policy that is paid by a judge learns what the judge pays for, which need not be what was meant.
Pure functions over the rows of `steps.parquet`. Covered: a rate on puzzles held apart that falls
while the reward rises, answers written in as constants, trivial puzzles, a reward or an entropy
that collapses, a divergence that runs away. Not covered: a hack that does none of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from etude.config import MonitorLimits

Step = Mapping[str, Any]
"""A row of the table: see `tables.REINFORCED`."""

FEWEST = 20
"""Solutions, or proposals, below which their shares say nothing."""
MEANINGS = {
    "held_out": "fall of the rate on puzzles held apart below its best, while the reward rises",
    "constants": "share of the accepted solutions that read none of their arguments",
    "trivial": "share of the proposals that a trivial answer satisfies",
    "reward": "reward, as a share of that at the start",
    "entropy": "entropy a token, as a share of that at the start",
    "kl": "divergence from the start, in nats a token",
}
BELOW = frozenset({"reward", "entropy"})
"""Measures that are ill when they are low; all others when they are high."""


def alarms(history: Sequence[Step], limits: MonitorLimits) -> list[str]:
    """`constants 0.93, above 0.8`: one for each measure beyond its limit at the newest row."""
    found = []
    for measure, value in measures(history).items():
        limit = getattr(limits, measure)
        if value is None or limit is None:
            continue
        if value < limit if measure in BELOW else value > limit:
            side = "below" if measure in BELOW else "above"
            found.append(f"{measure} {value:.3g}, {side} {limit:.3g}")
    return found


def measures(history: Sequence[Step]) -> dict[str, float | None]:
    """Every measure over the rows since the last look; None where there is too little to say.

    A look is a row with `held_out`; the newest row is one, and step 0 may be the first.
    """
    steps = [row for row in history if row["step"] != 0]
    newest = _newest(steps)
    return {
        "held_out": _fall(history, steps, newest),
        "constants": _share(newest, "constants", "with_arguments"),
        "trivial": _share(newest, "trivial", "proposals"),
        "reward": _beside_start(steps, newest, "reward"),
        "entropy": _beside_start(steps, newest, "entropy"),
        "kl": _mean(newest, "kl"),
    }


def _newest(steps: Sequence[Step]) -> list[Step]:
    """The rows after the last look before the newest row's."""
    before = takewhile(lambda row: row["held_out"] is None, reversed(steps[:-1]))
    return [*reversed(list(before)), *steps[-1:]]


def _fall(history: Sequence[Step], steps: Sequence[Step], newest: Sequence[Step]) -> float | None:
    """Only beside a reward that rises is it a hack; alone it is a bad learning rate."""
    rates = [float(row["held_out"]) for row in history if row["held_out"] is not None]
    now, first = _mean(newest, "reward"), _mean(steps[: len(newest)], "reward")
    if len(rates) < 2 or now is None or first is None or now <= first:
        return None
    return max(rates[:-1]) - rates[-1]


def _share(rows: Sequence[Step], part: str, whole: str) -> float | None:
    parts, wholes = (_sum(rows, name) for name in (part, whole))
    return parts / wholes if wholes >= FEWEST else None


def _sum(rows: Sequence[Step], name: str) -> float:
    return math.fsum(float(row[name]) for row in rows if row[name] is not None)


def _mean(rows: Sequence[Step], name: str) -> float | None:
    values = [float(row[name]) for row in rows if row[name] is not None]
    return math.fsum(values) / len(values) if values else None


def _beside_start(steps: Sequence[Step], newest: Sequence[Step], name: str) -> float | None:
    now, first = _mean(newest, name), _mean(steps[: len(newest)], name)
    return now / first if now is not None and first else None
