"""Borrow: solutions that were written for other puzzles, under the header of this one.

A wrong answer to one puzzle may be the right one to another, which gives other values: inputs, and
constants in its body. An attempt can be borrowed where the other puzzle asks for an answer of the
same type, and gives a value of each kind that the attempt reads (`holes`). After Andrychowicz and
others, "Hindsight Experience Replay" (2017), with tasks that there are for made-up ones.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from etude import streams
from etude.arm import Arm
from etude.holes import Opened, Value, assignments, filled, opened, slotted
from etude.types import Outcome, Puzzle

MOST = 50_000
"""About so many different attempts are remembered, those of the latest rounds; of one round so many
at most, the first ones."""
_ENDED = (Outcome.ACCEPTED, Outcome.WRONG, Outcome.MISTYPED, Outcome.RAISED)
"""Of attempts that did not run out of time or memory."""

Kind = tuple[str, tuple[str, ...]]
"""The type of the answer, and the kinds of values that an attempt reads."""


class Loan(NamedTuple):
    """A body to try, and where it is from."""

    body: str
    """The text behind the colon of a `g`, with `_slot0_`, ... for the values of a puzzle."""
    candidate_id: str
    """The first attempt with it."""
    written: int
    """How many attempts have it."""

    def under(self, puzzle: Puzzle, values: Sequence[Value]) -> str:
        """The solution of a puzzle with this body."""
        return f"def g({puzzle.inputs}):{filled(self.body, values)}"


@dataclass(slots=True)
class Library:
    """What was written in the rounds so far."""

    kinds: dict[Kind, Counter[str]]
    """By kind the bodies with holes, with how often they were written."""
    first: dict[tuple[str, Opened], str]
    """By type of answer and body, the first attempt that has it."""

    def loans(
        self, answer_type: str, kinds: Sequence[str], most: int, rng: np.random.Generator
    ) -> list[Loan]:
        """Up to `most` different bodies for puzzles with such answers that give values of these
        kinds, shortest first.

        Each hole takes a value of its own. Drawn without replacement: what was written twice as
        often is twice as likely to be next, of all the ways to fill its holes together.
        """
        own, wanted = Counter(kinds), list[tuple[Opened, tuple[int, ...], int, int]]()
        for (answer, holes), bodies in self.kinds.items():
            if answer == answer_type and Counter(holes) <= own:
                ways = assignments(holes, kinds)
                wanted += [
                    (Opened(body, holes), way, count, len(ways))
                    for body, count in bodies.items()
                    for way in ways
                ]
        # Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
        shares = np.array([count / ways for _, _, count, ways in wanted])
        keys = rng.exponential(size=len(wanted)) / shares
        drawn = [wanted[at] for at in np.argsort(keys, kind="stable")[:most]]
        made = [
            Loan(slotted(found.body, way), self.first[answer_type, found], count)
            for found, way, count, _ in drawn
        ]
        return sorted(made, key=lambda loan: (len(loan.body), loan.body))


def library(arm: Arm, number: int) -> Library:
    """The attempts of the rounds up to this one."""
    made = Library(defaultdict(Counter), {})
    for earlier in range(number, 0, -1):
        for kind, bodies in arm.read_once(arm.round(earlier), written).items():
            answer, holes = kind
            for body, (candidate, count) in bodies.items():
                made.kinds[kind][body] += count
                made.first[answer, Opened(body, holes)] = candidate
        if len(made.first) >= MOST:
            break
    return made


def written(folder: Path) -> dict[Kind, dict[str, tuple[str, int]]]:
    """The attempts of one round by kind and body: the first one's id, and how many there are."""
    puzzles = {puzzle.id: puzzle for puzzle in streams.Kept(folder)}
    judged = streams.rows(folder / "judge", ["candidate_id", "outcome"])
    ended = {row["candidate_id"] for row in judged if row["outcome"] in _ENDED}
    made: dict[Kind, dict[str, tuple[str, int]]] = defaultdict(dict)
    room = MOST
    columns = ["candidate_id", "puzzle_id", "source", "finished"]
    for row in streams.rows(folder / "solve", columns):
        if not row["finished"] or row["candidate_id"] not in ended:
            continue
        puzzle = puzzles[row["puzzle_id"]]
        for found in opened(row["source"], puzzle):
            bodies = made[puzzle.answer_type, found.kinds]
            if found.body not in bodies and (room := room - 1) < 0:
                continue
            first, count = bodies.get(found.body, (row["candidate_id"], 0))
            bodies[found.body] = (first, count + 1)
    return made
