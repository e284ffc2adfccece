"""Units of a run that were set aside: each killed every worker that tried it (see `cluster`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude import cluster, query, store

STAGES = (
    *("propose", "solve", "judge", "vary", "repair", "turn", "probe", "describe", "retell"),
    "evaluate",
)
"""The stages whose units a run can do without."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A unit without rows, and why."""

    arm: str
    round: int | None
    stage: str
    unit: int
    path: Path
    tries: int
    seen: str
    """How the last worker died."""


def set_aside(run: Path) -> list[Aside]:
    """Every unit of a run that was set aside, in the order of arms, rounds and stages."""
    return [
        Aside(arm, number, stage, unit, store.unit_path(folder / stage, unit), **_said(note))
        for arm, number, folder in query.places(run)
        for stage in STAGES
        for unit, note in cluster.notes_of_set_aside(folder / stage)
    ]


def _said(note: str) -> dict[str, Any]:
    said = json.loads(note)
    return {"tries": int(said["tries"]), "seen": str(said["seen"][-1])}


def lines(found: list[Aside]) -> Iterator[str]:
    """For people: one line a unit."""
    for one in found:
        place = "the student" if one.round is None else f"round {one.round}"
        arm = "" if one.arm == "verified" else f" [{one.arm}]"
        kept = "  (its problems count as unsolved)" if one.stage == "evaluate" else ""
        yield f"{place}{arm} {one.stage} unit {one.unit}: {one.tries} times {one.seen}{kept}"
