"""The level `behavioural`: puzzles that accept and refuse the same answers, decided in the judge.

Two puzzles behave alike as `behaviour` says: the same probes accepted and refused, and each accepts
the other's known answers. Two pairs are duplicates where their puzzles behave alike and their
solutions give the same answer. That is evidence, not proof. What is no puzzle, has no known answer
or a solution that the judge does not accept is not compared, and counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from etude import behaviour
from etude.behaviour import Known
from etude.duplicates.finding import Firsts, Item
from etude.errors import Fault
from etude.judge import Judge
from etude.puzzle import NotAPuzzle, parse
from etude.types import Outcome, Puzzle

MOST_ANSWERS = 16
"""Known answers of one puzzle that are used, at most."""


@dataclass(frozen=True, slots=True)
class Behaving:
    """For each item the first that behaves alike, itself if none does."""

    firsts: Firsts
    compared: int
    """Items whose puzzle tells probes apart and has a known answer."""
    untried: int
    """Puzzles that share a signature with more others than they were held against."""


def behavioural(
    items: Iterable[Item],
    judge: Judge,
    answers: Mapping[str, Sequence[str]] | None = None,
    *,
    seed: int = 0,
) -> Behaving:
    """Compare what puzzles do. `answers`: literals that an item's puzzle is known to accept, by the
    item's id; the answers of solutions are found here.

    Raises `Fault` when the sandbox fails.
    """
    items = list(items)
    puzzles = [_puzzle(item) for item in items]
    given = list(_answers(items, puzzles, judge))
    literals: dict[str, list[str]] = defaultdict(list)
    places: dict[str, Puzzle] = {}
    for item, puzzle, answer in zip(items, puzzles, given, strict=True):
        if puzzle is not None:
            places.setdefault(puzzle.id, puzzle)
            literals[puzzle.id] += [answer] if answer else (answers or {}).get(item.id, ())
    known = [
        Known(puzzle, behaviour.answers_of(literals[puzzle.id])[:MOST_ANSWERS])
        for puzzle in places.values()
    ]
    found = behaviour.duplicates(judge, known, behaviour.probes_of(known, seed=seed))
    group = {one.puzzle.id: place for place, one in enumerate(known)}
    group |= {known[place].puzzle.id: places[0] for places in found.groups for place in places[1:]}
    compared = {
        one.puzzle.id
        for one, signature in zip(known, found.signatures, strict=True)
        if signature.informative and one.answers
    }
    return _grouped(items, puzzles, given, group, compared, found.untried)


def _puzzle(item: Item) -> Puzzle | None:
    try:
        return parse(item.puzzle)
    except NotAPuzzle:
        return None


def _answers(
    items: Sequence[Item], puzzles: Sequence[Puzzle | None], judge: Judge
) -> Iterator[str | None]:
    """The answer of each item's solution, where the judge accepts it."""
    jobs = [(item.puzzle, [item.solution]) for item in items if item.solution]
    verdicts = iter(judge.verify_all(jobs))
    for item, puzzle in zip(items, puzzles, strict=True):
        (verdict,) = next(verdicts) if item.solution else (None,)
        if verdict is not None and verdict.outcome is Outcome.FAULT:
            raise Fault(f"the sandbox failed on the pair {item.id}: {verdict.detail}")
        accepted = verdict is not None and verdict.outcome is Outcome.ACCEPTED
        yield verdict.answer if verdict is not None and accepted and puzzle is not None else None


def _grouped(
    items: Sequence[Item],
    puzzles: Sequence[Puzzle | None],
    given: Sequence[str | None],
    group: Mapping[str, int],
    compared: set[str],
    untried: int,
) -> Behaving:
    firsts = np.arange(len(items), dtype=np.int32)
    first: dict[tuple[int, str], int] = {}
    count = 0
    for place, (item, puzzle, answer) in enumerate(zip(items, puzzles, given, strict=True)):
        if puzzle is None or (item.solution and answer is None):
            continue
        count += puzzle.id in compared
        firsts[place] = first.setdefault((group[puzzle.id], answer or ""), place)
    return Behaving(firsts, count, untried)
