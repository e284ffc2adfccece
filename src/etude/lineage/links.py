"""What a chain is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Link:
    """One thing that a row came from, or that came of it."""

    kind: str
    """`example`, `candidate`, `verdict`, ...: `docs/lineage.md` has them all with their keys."""
    of: str
    """The id of the row that it belongs to."""
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chain:
    """The row that was asked for comes first, then what it came from, then what came of it."""

    run: Path
    kind: str
    """What the id names: example, derived, candidate, puzzle, proposal, seed or problem."""
    id: str
    arm: str
    round: int | None
    copies: int
    """Other rows with the same id, in other rounds or controls."""
    links: tuple[Link, ...]

    def of_kind(self, kind: str) -> list[Link]:
        return [link for link in self.links if link.kind == kind]
