"""Recall: puzzles of earlier rounds that nobody solved, to be tried again beside the new ones.

What the model of then could not do, a later one may. With `retry.puzzles` a round takes so many of
them, those first of which most is expected to be learned (see `difficulty`); each is tried again in
`retry.tries` rounds at most. They are solved after the round's own puzzles, and their examples are
the round's. Not covered: puzzles that would teach nothing if they were solved, as `select` drops
them or a person withdrew them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from etude import store, streams, tables
from etude.arm import Arm
from etude.cluster import Made, Stage
from etude.difficulty import learnability, rates, tried_in
from etude.select import barred_in


def recall(arm: Arm, number: int) -> None:
    """Choose the puzzles of earlier rounds that a round tries again; nothing where it is off."""
    if not arm.recipe.retry.puzzles:
        return
    folder = arm.round(number) / streams.AGAIN
    work = partial(_work, number=number)
    arm.withdrawn(number)  # the reviews that count are frozen here, not by a worker
    with arm.watched(number, streams.AGAIN, 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.RECALL, "plain", spare=False))
        flow.finish(0, watched.tick)
        watched.summary = f"{streams.length(folder):,} unsolved puzzles tried again"


def _work(arm: Arm, _: int, *, number: int) -> Made:
    chosen = _chosen(arm, number)[: arm.recipe.retry.puzzles]
    found: dict[str, store.Row] = {}
    columns = ["proposal_id", "source", "answer_type", "inputs", "form"]
    for earlier in range(1, number):
        ids = ({"puzzle_id": one.puzzle_id} for one in chosen if one.first == earlier)
        vetted = streams.beside(ids, "puzzle_id", arm.round(earlier) / "vet", columns)
        found |= {row["puzzle_id"]: row for _, row in vetted if row is not None}
    return Made([_row(found[one.puzzle_id], one) for one in chosen])


@dataclass(slots=True)
class _Unsolved:
    """A puzzle that no round has solved yet; in the control, that has taught nothing yet."""

    puzzle_id: str
    first: int
    """The round that kept it."""
    tries: int = 0
    """Rounds in which it was tried."""
    attempts: int = 0
    expected: float | None = None


def _row(vetted: store.Row, one: _Unsolved) -> store.Row:
    columns = {name: vetted[name] for name in tables.RECALL.names if name in vetted}
    told = {"first_round": one.first, "tries": one.tries, "attempts": one.attempts}
    return columns | told | {"expected": one.expected}


def _chosen(arm: Arm, number: int) -> list[_Unsolved]:
    """What may be tried again, in the order in which it is; whoever stands first is tried first."""
    most = arm.recipe.retry.tries
    left = [one for one in _unsolved(arm, number) if one.tries and one.tries <= most]
    if arm.name == "unverified":
        random.Random(arm.seed(number, streams.AGAIN)).shuffle(left)
        return left
    known = rates(arm, number)
    for one in left:
        one.expected = known.of_tried(one.puzzle_id).mean
    return sorted(left, key=lambda one: (-learnability(one.expected or 0.0), one.tries, one.first))


def _unsolved(arm: Arm, number: int) -> Iterator[_Unsolved]:
    """The puzzles of earlier rounds in their order, but for those that are done with."""
    done = set(map(_key, arm.withdrawn(number)))
    found: dict[int, _Unsolved] = {}
    for earlier in range(1, number):
        done.update(map(_key, barred_in(arm, earlier)))
        done.update(_solved(arm, earlier))
        for puzzle in arm.puzzles(earlier):
            found.setdefault(_key(puzzle.id), _Unsolved(puzzle.id, earlier))
        for tried in arm.read_once(arm.round(earlier), tried_in):
            found[tried.id].tries += 1
            found[tried.id].attempts += tried.attempts
    return (one for key, one in found.items() if key not in done)


def _solved(arm: Arm, earlier: int) -> Iterator[int]:
    """The control asks no verdicts: what has taught is done with there."""
    if arm.name == "unverified":
        taught = streams.rows(arm.round(earlier) / "select", ["puzzle_id"])
        return (_key(row["puzzle_id"]) for row in taught)
    tried = arm.read_once(arm.round(earlier), tried_in)
    return (one.id for one in tried if one.accepted)


def _key(puzzle_id: str) -> int:
    return int(puzzle_id, 16)
