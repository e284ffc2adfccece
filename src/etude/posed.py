"""Posed: unsolved puzzles, asked anew so that an answer exists.

Most puzzles that a model invents have no answer at all: of `x + s == t`, with `s` and `t` as they
came, hardly any has one. Here the answer comes first. Of a puzzle in which an input is compared
with something made of the answer, or a literal in the body is (`rewrites`), some answers are taken,
and for each that gets the value that the judge computes; other inputs are drawn anew (`variants`).
A solution that is right for them all, borrowed as any other (`borrow`), undoes what the puzzle
does.

Covered: what is asked, and of whom. Not covered: what becomes of it (see `repair`).
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from typing import NamedTuple

from etude.arm import Arm, checked
from etude.errors import Fault
from etude.holes import given
from etude.puzzle import NotAPuzzle, parse
from etude.rewrites import Rewrite, rewrites
from etude.types import Outcome, Puzzle, Verdict
from etude.variants import replaced, spliced
from etude.vary import drawn, held_out

FEWEST = 3
"""Puzzles that are made of one, or none of it is asked: a solution of fewer proves little."""
LONGEST = 60
"""Characters of an answer, and of a value that is computed from one."""
_LARGE = re.compile(r"\d{6}")
"""In a number as large, most solutions that repeat something so often take all time or memory."""


class _Wanted(NamedTuple):
    """A puzzle that is to be made."""

    puzzle: Puzzle
    """That was not solved."""
    drawn: Puzzle
    """The same with other constants."""
    changes: list[tuple[Rewrite, str]]
    """Each with the program of its value."""


def posed(
    arm: Arm,
    puzzles: Sequence[Puzzle],
    answers: Mapping[str, Sequence[str]],
    most: int,
    rng: random.Random,
) -> dict[str, list[Puzzle]]:
    """By the id of a puzzle, up to `most` puzzles made of it, each of which has an answer.

    `answers` are literals, by type. Left out are puzzles whose values are the same whatever the
    answer is, held-out problems, and what a trivial answer satisfies.
    """
    wanted = list(_wanted(arm, puzzles, answers, most, rng))
    jobs = (
        (parse(f"def f(x: {rewrite.kind}): return True"), [program])
        for one in wanted
        for rewrite, program in one.changes
    )
    said = iter(arm.judge.verify_all(jobs))
    made: dict[str, dict[str, Puzzle]] = defaultdict(dict)
    different: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for one in wanted:
        verdicts = [checked(next(said))[0] for _ in one.changes]
        values = [_value(verdict) for verdict in verdicts]
        found = _with_values(one, values) if all(values) else None
        if found is not None and _is_fit(arm, one.puzzle, found):
            made[one.puzzle.id].setdefault(found.id, found)
            different[one.puzzle.id].add(tuple(values))
    left = {
        puzzle: list(own.values())
        for puzzle, own in made.items()
        if len(own) >= FEWEST and len(different[puzzle]) > 1
    }
    return without_trivial(arm, left)


def is_small(literal: str | None) -> bool:
    """Whether a value is one to ask about."""
    return bool(literal) and len(literal or "") <= LONGEST and not _LARGE.search(literal or "")


def _value(verdict: Verdict) -> str:
    """Empty where there is none."""
    is_found = verdict.outcome is Outcome.ACCEPTED and is_small(verdict.answer)
    return verdict.answer or "" if is_found else ""


def _with_values(one: _Wanted, values: Sequence[str]) -> Puzzle | None:
    """The puzzle with these values; None if it can't be written."""
    pairs = [(rewrite, value) for (rewrite, _), value in zip(one.changes, values, strict=True)]
    literals = [(rewrite.node, value) for rewrite, value in pairs if not rewrite.name]
    try:
        made = replaced(
            parse(spliced(one.drawn.source, literals)),
            {rewrite.name: value for rewrite, value in pairs if rewrite.name},
        )
    except NotAPuzzle:
        return None
    return None if made is None else made.puzzle


def _is_fit(arm: Arm, puzzle: Puzzle, made: Puzzle) -> bool:
    """Whether it is no held-out problem, and gives values of the same kinds as the puzzle does."""
    kinds = [[value.kind for value in given(one)] for one in (puzzle, made)]
    return made.id not in held_out(arm) and kinds[0] == kinds[1]


def _wanted(
    arm: Arm,
    puzzles: Sequence[Puzzle],
    answers: Mapping[str, Sequence[str]],
    most: int,
    rng: random.Random,
) -> Iterator[_Wanted]:
    for puzzle in puzzles:
        known = answers.get(puzzle.answer_type, ())
        if not known or not rewrites(puzzle, literals=True):
            continue
        others = [puzzle, *(variant.puzzle for variant in drawn(arm, puzzle, most - 1))]
        for one in islice(cycle(others), most):
            answer = rng.choice(known)
            with suppress(NotAPuzzle, ValueError):  # an answer that can't be written there
                found = rewrites(one, literals=True)
                yield _Wanted(puzzle, one, [(each, each.program(answer)) for each in found])


def without_trivial(arm: Arm, found: Mapping[str, list[Puzzle]]) -> dict[str, list[Puzzle]]:
    """Without the puzzles that a trivial answer satisfies, and where too few are left all."""
    every = [(name, one) for name, own in found.items() for one in own]
    jobs = ((one, arm.domain.trivial_answers(one.answer_type, paper=False)) for _, one in every)
    hard: dict[str, list[Puzzle]] = defaultdict(list)
    for (name, one), outcomes in zip(every, arm.judge.satisfied_all(jobs), strict=True):
        if Outcome.FAULT in outcomes:
            raise Fault(f"the sandbox failed on a trivial answer for the puzzle {one.id}")
        if not {Outcome.ACCEPTED, Outcome.TIMEOUT} & set(outcomes):
            hard[name].append(one)
    return {name: own for name, own in hard.items() if len(own) >= FEWEST}
