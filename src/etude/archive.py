"""The archive: which kinds of puzzles there are by now, and how many of each.

Its cells (see `cells`) are filled by people's puzzles and by those of earlier rounds, with what is
known of these: attempts, and accepted ones. A cell with few puzzles is thin, and `propose.parents`
draws from each cell alike, as MAP-Elites does from its map: Mouret and Clune, "Illuminating search
spaces by mapping elites" (2015, arXiv 1504.04909); for programming puzzles Pourcel and others,
"ACES" (2024, arXiv 2310.10692). Covered: rounds that are over, each read once. Not covered: what is
decided by it (`parents`, `vet`).
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from etude import streams
from etude.arm import Arm
from etude.cells import Cell, Trait, Traits, cell_of, traits
from etude.difficulty import tried_in
from etude.types import Puzzle


class Round:
    """The puzzles that one round kept, in 37 bytes each."""

    def __init__(self) -> None:
        self._columns = tuple(array(kind) for kind in "QQIBQII")

    def add(self, id: int, like: Traits, attempts: int, accepted: int) -> None:
        for column, value in zip(self._columns, (id, *like, attempts, accepted), strict=True):
            column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[tuple[int, Traits, int, int]]:
        """Each puzzle's id as a number, its traits, its attempts, and how many were accepted."""
        for id, *like, attempts, accepted in zip(*self._columns, strict=True):
            yield id, Traits(*like), attempts, accepted


def kept_in(folder: Path) -> Round:
    """The puzzles that the round kept whose folder is given; all of it must be judged."""
    tried = {one.id: one for one in tried_in(folder)}
    found = Round()
    for puzzle in streams.Kept(folder):
        key = int(puzzle.id, 16)
        one = tried.get(key)
        found.add(key, traits(puzzle), *((one.attempts, one.accepted) if one else (0, 0)))
    return found


@dataclass(slots=True)
class Filled:
    """What one cell holds."""

    people: int = 0
    """Puzzles that people wrote."""
    made: int = 0
    solved: int = 0
    """Of those that a model made, with an accepted attempt."""
    attempts: int = 0
    accepted: int = 0

    def members(self, *, verdicts: bool) -> int:
        """How full the cell is. A puzzle that nobody solves fills none, where verdicts count."""
        return self.people + (self.solved if verdicts else self.made)

    @property
    def solve_rate(self) -> float | None:
        """Of all attempts at its puzzles; None without an attempt."""
        return self.accepted / self.attempts if self.attempts else None


class Archive:
    """The cells that people's puzzles and some rounds fill."""

    def __init__(
        self,
        people: Sequence[Puzzle],
        rounds: Sequence[Round],
        by: Sequence[Trait],
        *,
        verdicts: bool = True,
    ) -> None:
        """`verdicts`: whether a self-made puzzle counts only when an attempt at it was accepted."""
        self._by, self._verdicts = tuple(by), verdicts
        self.cells: defaultdict[Cell, Filled] = defaultdict(Filled)
        self._of: dict[int, Cell] = {}
        self._done: set[int] = set()
        """What is counted as people's, or as solved."""
        for puzzle in people:
            key = int(puzzle.id, 16)
            self._done.add(key)
            self._of[key] = cell = self.cell(puzzle)
            self.cells[cell].people += 1
        for kept in rounds:
            for id, like, attempts, accepted in kept:
                self._add(id, cell_of(like, self._by), attempts, accepted)

    def _add(self, id: int, cell: Cell, attempts: int, accepted: int) -> None:
        """What a round found of a puzzle, which may be known of an earlier one."""
        filled = self.cells[cell]
        filled.attempts += attempts
        filled.accepted += accepted
        filled.made += id not in self._of
        self._of.setdefault(id, cell)
        if accepted and id not in self._done:
            self._done.add(id)
            filled.solved += 1

    def cell(self, puzzle: Puzzle) -> Cell:
        """The cell of a puzzle, known or not."""
        return cell_of(traits(puzzle), self._by)

    def members(self, cell: Cell) -> int:
        """How many puzzles fill a cell."""
        filled = self.cells.get(cell)
        return filled.members(verdicts=self._verdicts) if filled else 0

    def filled(self) -> int:
        """How many cells hold a puzzle."""
        return sum(one.members(verdicts=self._verdicts) > 0 for one in self.cells.values())

    def thinness(self, puzzle_id: str) -> float:
        """One over the number of puzzles in its cell: so that each cell weighs the same in all.

        1 for a puzzle that is not in the archive.
        """
        cell = self._of.get(int(puzzle_id, 16))
        return 1 / max(1, self.members(cell)) if cell is not None else 1.0


def cells_words(arm: Arm, number: int) -> str:
    """`  96 cells, 14 of them new`: of the puzzles that a round kept, where cells matter."""
    if not (arm.recipe.vet.max_per_cell or "thin" in arm.recipe.propose.parents):
        return ""
    before = archive(arm, number)
    found = {before.cell(puzzle) for puzzle in streams.Kept(arm.round(number))}
    new = sum(not before.members(cell) for cell in found)
    return f"  {len(found):,} cells, {new:,} of them new"


def archive(arm: Arm, number: int) -> Archive:
    """The archive as a round begins: people's puzzles, and those of all rounds before it.

    In the control that takes its pairs whatever is found, every puzzle that was kept counts.
    """

    def read() -> Archive:
        rounds = [arm.read_once(arm.round(earlier), kept_in) for earlier in range(1, number)]
        by = arm.recipe.archive.by
        return Archive(arm.shown_in(number), rounds, by, verdicts=arm.name != "unverified")

    found: Archive = arm.remembered("archive", number, read)
    return found
