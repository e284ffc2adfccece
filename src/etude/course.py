"""The course of a run: how many rounds there were, and up to which one the student learns.

Decided by the tables `health` of the loop alone, so that every arm and every reader agrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from etude import store
from etude.config import Recipe

STOP = "stop"
"""The state of a measure that ends the rounds."""


@dataclass(frozen=True, slots=True)
class Course:
    """`last`: the last round of the run; `kept`: the last whose examples the student learns."""

    last: int
    kept: int
    stopped: bool


def may_stop(recipe: Recipe) -> bool:
    """Whether the recipe sets a limit at which the rounds end."""
    if recipe.reinforce is not None and recipe.reinforce.on_alarm == "stop":
        return True
    return any(limit is not None for limit in recipe.health.stop.model_dump().values())


def stops_after(run: Path, recipe: Recipe, number: int) -> bool:
    """Whether the rounds end with this one; the loop's finding is waited for."""
    if not may_stop(recipe):
        return False
    path = store.unit_path(store.round_folder(run, number) / "health", 0)
    store.wait_for(path)
    return any(row["state"] == STOP for row in store.read_table(path))


def course_of(run: Path, recipe: Recipe) -> Course:
    """The course of a run whose rounds have ended, or as far as they have come."""
    held_out: dict[int, float] = {}
    for number in range(1, recipe.run.rounds + 1):
        rows = store.read_stage(store.round_folder(run, number) / "health")
        measured = {row["measure"]: row["value"] for row in rows}
        if measured.get("held_out") is not None:
            held_out[number] = measured["held_out"]
        if any(row["state"] == STOP for row in rows):
            best = _best(held_out, number)
            return Course(number, best if recipe.health.keep == "best" else number, True)
    return Course(recipe.run.rounds, recipe.run.rounds, False)


def _best(held_out: dict[int, float], last: int) -> int:
    return max(held_out, key=lambda each: (held_out[each], -each), default=last)


def needed(run: Path, recipe: Recipe, number: int) -> frozenset[int]:
    """The rounds up to `number` whose weights `run.checkpoints` keeps, and which a stop may go
    back to."""
    most = recipe.run.checkpoints
    if most == "all":
        return frozenset(range(1, number + 1))
    newest = frozenset(range(max(1, number - most + 1), number + 1))
    if not may_stop(recipe) or recipe.health.keep != "best":
        return newest
    held_out: dict[int, float] = {}
    for each in range(1, number + 1):
        for row in store.read_stage(store.round_folder(run, each) / "health"):
            if row["measure"] == "held_out" and row["value"] is not None:
                held_out[each] = row["value"]
    return newest | {_best(held_out, number)}
