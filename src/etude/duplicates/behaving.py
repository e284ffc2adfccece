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
from etude.duplicates.keys import keys_of, plain
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
    literals: dict[int, list[str]] = defaultdict(list)
    first: dict[int, Puzzle] = {}
    keys = [keys_of(plain(item.puzzle), "").canonical for item in items]
    for item, key, puzzle, answer in zip(items, keys, puzzles, given, strict=True):
        if puzzle is not None:
            first.setdefault(key, puzzle)
            literals[key] += [answer] if answer else (answers or {}).get(item.id, ())
    known = [
        Known(puzzle, behaviour.answers_of(literals[key])[:MOST_ANSWERS])
        for key, puzzle in first.items()
    ]
    found = behaviour.duplicates(judge, known, behaviour.probes_of(known, seed=seed))
    leader = {place: places[0] for places in found.groups for place in places}
    group = {key: leader.get(place, place) for place, key in enumerate(first)}
    compared = {
        key
        for key, one, signature in zip(first, known, found.signatures, strict=True)
        if signature.informative and one.answers
    }
    read = [key if puzzle is not None else None for key, puzzle in zip(keys, puzzles, strict=True)]
    return _grouped(items, read, given, group, compared, found.untried)


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
    keys: Sequence[int | None],
    given: Sequence[str | None],
    group: Mapping[int, int],
    compared: set[int],
    untried: int,
) -> Behaving:
    firsts = np.arange(len(items), dtype=np.int32)
    first: dict[tuple[int, str], int] = {}
    count = 0
    for place, (item, key, answer) in enumerate(zip(items, keys, given, strict=True)):
        if key is None or (item.solution and answer is None):
            continue
        count += key in compared
        firsts[place] = first.setdefault((group[key], answer or ""), place)
    return Behaving(firsts, count, untried)
