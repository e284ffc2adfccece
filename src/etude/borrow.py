"""Borrow: solutions that were written for other puzzles, under the header of this one.

A wrong answer to one puzzle may be the right one to another. An attempt can be borrowed where the
other puzzle asks for an answer of the same type, and has all inputs that the attempt names. After
Andrychowicz and others, "Hindsight Experience Replay" (2017), with the tasks that there are in
place of ones made up.
"""

from __future__ import annotations

import ast
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from etude import streams
from etude.arguments import behind_header
from etude.arm import Arm
from etude.puzzle import NotAPuzzle, syntax_tree
from etude.types import Outcome, Puzzle

MOST = 50_000
"""About so many different attempts are remembered, those of the latest rounds; of one round so many
at most, the first ones."""
LONGEST = 400
"""Characters of an attempt that is remembered."""
_ENDED = (Outcome.ACCEPTED, Outcome.WRONG, Outcome.MISTYPED, Outcome.RAISED)
"""Of attempts that did not run out of time or memory."""

Kind = tuple[str, frozenset[str]]
"""The type of the answer, and the inputs that an attempt names."""


class Loan(NamedTuple):
    """A body to try, and where it is from."""

    body: str
    """The text behind the colon of a `g`."""
    candidate_id: str
    """The first attempt with it."""
    written: int
    """How many attempts have it."""

    def under(self, puzzle: Puzzle) -> str:
        """The solution of a puzzle with this body."""
        return f"def g({puzzle.inputs}):{self.body}"


@dataclass(slots=True)
class Library:
    """What was written in the rounds so far."""

    kinds: dict[Kind, Counter[str]]
    """By kind the bodies, with how often they were written."""
    first: dict[tuple[str, str], str]
    """By type of answer and body, the first attempt that has it."""

    def loans(
        self, answer_type: str, names: Collection[str], most: int, rng: random.Random
    ) -> list[Loan]:
        """Up to `most` different bodies for puzzles with such answers and inputs, shortest first.

        Drawn without replacement: what was written twice as often is twice as likely to be next.
        """
        fitting = [
            (body, count)
            for (own, named), bodies in self.kinds.items()
            if own == answer_type and named <= set(names)
            for body, count in bodies.items()
        ]
        # Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
        keys = [rng.expovariate(count) for _, count in fitting]
        order = sorted(range(len(fitting)), key=keys.__getitem__)[:most]
        drawn = sorted((fitting[at] for at in order), key=lambda pair: (len(pair[0]), pair[0]))
        return [Loan(body, self.first[answer_type, body], count) for body, count in drawn]


def library(arm: Arm, number: int) -> Library:
    """The attempts of the rounds up to this one."""
    made = Library(defaultdict(Counter), {})
    for earlier in range(number, 0, -1):
        for kind, bodies in arm.read_once(arm.round(earlier), written).items():
            for body, (candidate, count) in bodies.items():
                made.kinds[kind][body] += count
                made.first[kind[0], body] = candidate
        if len(made.first) >= MOST:
            break
    return made


def written(folder: Path) -> dict[Kind, dict[str, tuple[str, int]]]:
    """The attempts of one round by kind and body: the first one's id, and how many there are."""
    types = {puzzle.id: puzzle.answer_type for puzzle in streams.Kept(folder)}
    judged = streams.rows(folder / "judge", ["candidate_id", "outcome"])
    ended = {row["candidate_id"] for row in judged if row["outcome"] in _ENDED}
    made: dict[Kind, dict[str, tuple[str, int]]] = defaultdict(dict)
    known: dict[str, tuple[str, frozenset[str]] | None] = {}
    room = MOST
    columns = ["candidate_id", "puzzle_id", "source", "finished"]
    for row in streams.rows(folder / "solve", columns):
        if not row["finished"] or row["candidate_id"] not in ended:
            continue
        if row["source"] not in known:
            known[row["source"]] = _body(row["source"])
        found = known[row["source"]]
        if found is not None:
            body, named = found
            bodies = made[types[row["puzzle_id"]], named]
            if body not in bodies and (room := room - 1) < 0:
                continue
            first, count = bodies.get(body, (row["candidate_id"], 0))
            bodies[body] = (first, count + 1)
    return made


def _body(solution: str) -> tuple[str, frozenset[str]] | None:
    """What stands behind the header of `g`, and the inputs named there; None if it is not the only
    function of the text, or is too long."""
    if len(solution) > LONGEST:
        return None
    try:
        tree = syntax_tree(solution)
    except NotAPuzzle:
        return None
    match tree.body:
        case [ast.FunctionDef(name="g", decorator_list=[]) as function]:
            inputs = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
            names = {one.id for one in _walk(function.body) if isinstance(one, ast.Name)}
            return behind_header(solution, function), frozenset(inputs & names)
    return None


def _walk(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    return (one for statement in statements for one in ast.walk(statement))
