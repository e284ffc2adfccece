"""What a look at a run finds: counts, and what is broken, owed or set aside."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class At:
    """A stage of a run: whose, of which round (None for the student's), and its folder."""

    arm: str
    round: int | None
    stage: str
    folder: Path

    def as_dict(self) -> dict[str, Any]:
        return {"arm": self.arm, "round": self.round, "stage": self.stage}

    def __str__(self) -> str:
        place = "final" if self.round is None else f"round {self.round}"
        return f"{'' if self.arm in ('', 'verified') else f'[{self.arm}] '}{place} {self.stage}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A segment, or a checkpoint, that is not as it was written."""

    at: At
    path: Path
    flaw: str
    again: bool
    """Whether a run makes it again when it is gone; what people decided, it can't."""
    later: tuple[str, ...] = ()
    """Finished stages, by their folders in the run, that may have been made from it."""


@dataclass
class Findings:
    """Of a whole run. Only what is not well is kept one by one."""

    folder: Path
    segments: Counter[str] = field(default_factory=Counter)
    """`whole`, `without` a checksum, `broken`."""
    checkpoints: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    bytes: int = 0
    broken: list[Broken] = field(default_factory=list)
    owed: list[tuple[At, list[int]]] = field(default_factory=list)
    """Units that a stage which has begun does not have; those of broken segments among them."""
    trainings: list[At] = field(default_factory=list)
    """Trainings that are broken, or only half there."""
    aside: list[tuple[At, int, str]] = field(default_factory=list)
    """Units that killed whoever worked on them: which, and what was seen."""
    leftovers: int = 0
    """Files and folders of processes that were killed: harmless."""
    recipe: str = ""
    """What is wrong with the recipe; empty when it is as it was at the start."""

    @property
    def whole(self) -> bool:
        return not self.broken and not self.recipe

    def as_dict(self) -> dict[str, Any]:
        return {
            "run": str(self.folder),
            "whole": self.whole,
            "segments": dict(self.segments),
            "rows": self.rows,
            "bytes": self.bytes,
            "checkpoints": dict(self.checkpoints),
            "recipe": self.recipe or None,
            "owed": [at.as_dict() | {"units": units} for at, units in self.owed],
            "trainings": [at.as_dict() for at in self.trainings],
            "leftovers": self.leftovers,
        }
