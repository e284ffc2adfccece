"""Generality: which accepted solutions solve their puzzle with other constants too. Pure.

And of repairs, which were tried on puzzles made of one: which are right for all of these.

A variant may have no answer at all, so the share is one of the variants that any tried solution of
the same puzzle solves, not of all that were drawn. One such hit may be an accident: two are asked
for where two were possible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FEWEST = 2
"""Variants that a solution must solve to generalise, where so many were tried."""

POSED = "posed"
"""The way of a repair that was tried on puzzles that were made of an unsolved one (`posed`)."""
POSED_ANEW = "posed anew and solved"
FORWARD = "forward"
"""The way of an attempt that is asked for what it computes itself (`turn`)."""
REPAIRS = ("puzzle_id", "tried", "way", "repair_id", "derived_id", "outcome", "stable")
"""The columns of REPAIR that are read here."""
TURNS = ("turned_id", "puzzle_id", "way", "repair_id", "outcome", "stable")
"""The columns of TURN that are read here."""
VERDICTS = ("puzzle_id", "variant_id", "candidate_id", "outcome", "stable")
"""The columns of VARY that are read here."""

Rule = Literal["ignore", "prefer", "require"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Generality:
    """What became of one solution on the variants of its puzzle."""

    solved: int
    solvable: int
    """Variants that any tried solution of the puzzle solves."""
    tried: int

    @property
    def share(self) -> float | None:
        """None where no solution solves any variant: then nothing is known."""
        return self.solved / self.solvable if self.solvable else None

    def reaches(self, least: float) -> bool:
        """Whether the solution generalises.

        >>> Generality(3, 4, 6).reaches(0.5), Generality(1, 1, 6).reaches(0.5)
        (True, False)
        """
        enough = self.solved >= min(FEWEST, self.tried)
        return enough and self.solved > 0 and self.solved >= least * self.solvable


def generalities(rows: Iterable[Row]) -> dict[str, dict[str, Generality]]:
    """By puzzle and candidate, from the rows of the table VARY.

    A puzzle without a variant that was judged is not there.
    """
    tried: dict[str, set[str]] = defaultdict(set)
    solved: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for row in rows:
        if row["candidate_id"] is None:
            continue
        puzzle, variant = row["puzzle_id"], row["variant_id"]
        tried[puzzle].add(variant)
        own = solved[puzzle].setdefault(row["candidate_id"], set())
        if is_accepted(row):
            own.add(variant)
    return {
        puzzle: {
            candidate: Generality(len(own), len(set().union(*by.values())), len(tried[puzzle]))
            for candidate, own in by.items()
        }
        for puzzle, by in solved.items()
    }


def right_for_all(rows: Iterable[Row]) -> set[tuple[str, str]]:
    """Puzzle and repair of those that solve every puzzle that was made of one: of the table REPAIR.

    Each of these has an answer, so that all count.
    """
    own = [row for row in rows if row["way"] in (POSED, FORWARD)]
    wrong = {(row["puzzle_id"], row["repair_id"]) for row in own if not is_accepted(row)}
    return {(row["puzzle_id"], row["repair_id"]) for row in own} - wrong


def is_accepted(row: Row) -> bool:
    """Accepted, and not by chance alone."""
    return row["outcome"] == "accepted" and row["stable"] is not False


def preferred(
    rows: Sequence[Row], found: Mapping[str, Generality] | None, rule: Rule, least: float
) -> list[Row]:
    """Of the accepted candidates of one puzzle, in order, those that may teach.

    Those that generalise, where there are any; otherwise, unless the rule is `require`, all. So
    are all where the puzzle has no variants (`found` is None): nothing is known of them.
    """
    if rule == "ignore" or found is None:
        return list(rows)
    general = [
        row
        for row in rows
        if (one := found.get(row["candidate_id"])) is not None and one.reaches(least)
    ]
    return general or ([] if rule == "require" else list(rows))


def repairs(rows: Iterable[Row]) -> Counter[str]:
    """Puzzles that nobody solved, solutions tried on them, how many puzzles they solve: from the
    rows of the table REPAIR."""
    tried: dict[str, int] = {}
    solved, posed = set(), list[Row]()
    for row in rows:
        tried[row["puzzle_id"]] = row["tried"]
        if row["way"] == POSED:
            posed.append(row)
        elif row["derived_id"] == row["puzzle_id"] and is_accepted(row):
            solved.add(row["puzzle_id"])
    return Counter(
        {
            "unsolved puzzles": len(tried),
            "solutions tried": sum(tried.values()),
            "puzzles repaired": len(solved),
            POSED_ANEW: len({puzzle for puzzle, _ in right_for_all(posed)}),
        }
    )


def of_turned(row: Row) -> Row:
    """A row of the table TURN as one of REPAIR: of the turned puzzle, made of an attempt at
    another."""
    return row | {"puzzle_id": row["turned_id"], "of": row["puzzle_id"]}


def turns(rows: Iterable[Row]) -> Counter[str]:
    """Puzzles that were made of attempts, and how many of them were solved: from the rows of the
    table TURN."""
    found = [of_turned(row) for row in rows]
    made = {row["puzzle_id"] for row in found}
    solved = {puzzle for puzzle, _ in right_for_all(found)}
    return Counter({"turned round": len(made), "solved": len(solved)})
