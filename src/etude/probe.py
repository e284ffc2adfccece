"""Probe: how much the puzzles that were kept and tried are worth as puzzles.

Each is asked about answers of other puzzles (one that many of them satisfy is weak), about its own
known answers and about fixed probes, twice: the second time in the reverse order and with other
chance, time and hashes. What became of the attempts says how hard it is. Nothing is dropped here:
`select` does as the recipe's `[probe]` says.
"""

from __future__ import annotations

import ast
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path

from etude import store, streams, tables
from etude.answers import accepted_answers, human_answers, solved_in, verdicts_of
from etude.arguments import changed, unused_arguments
from etude.arm import Arm, set_aside_words
from etude.behaviour import (
    Known,
    Probes,
    Signature,
    letters,
    probes_of,
)
from etude.cluster import Made, Stage
from etude.judge import Judge
from etude.judge.looks import MORE, SECOND
from etude.pool import Strangers
from etude.puzzle import syntax_tree
from etude.stats import share_interval
from etude.types import Puzzle

TURNS = 2
"""Other values that an argument is tried with."""


def probe(arm: Arm, number: int) -> Path:
    """The folder of what was found of the round's puzzles, in units as they were solved."""
    folder = arm.round(number) / "probe"
    units = math.ceil(len(arm.puzzles(number)) / arm.recipe.solve.puzzles_per_unit)
    work = partial(_work, number=number)
    with arm.watched(number, "probe", units) as watched:
        flow = arm.flow(Stage(folder, units, work, tables.PROBE, "judge"))
        flow.finish(0, watched.tick)
        watched.summary = summary(streams.rows(folder, FOUND)) + set_aside_words(folder)
    return folder


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    size = arm.recipe.solve.puzzles_per_unit
    probing: _Probing = arm.remembered("probing", number, lambda: _Probing(arm, number))
    chosen = probing.puzzles[unit * size : (unit + 1) * size]
    tried = list(verdicts_of(store.unit_path(arm.round(number) / "judge", unit)))
    rows = probing.rows(chosen, tried, arm.seed(number, "probe", unit))
    return Made(rows, arm.conditions())


FOUND = ("weak", "stable", "idle_arguments")


def summary(rows: Iterable[store.Row]) -> str:
    """`900 puzzles  12 weak  0 unstable`"""
    found = Counter[str]()
    for row in rows:
        found.update(("puzzles",))
        found["weak"] += bool(row["weak"])
        found["unstable"] += row["stable"] is False
        found["idle"] += bool(row["idle_arguments"])
    return (
        f"{found['puzzles']:,} puzzles  {found['weak']:,} weak  {found['unstable']:,} unstable  "
        f"{found['idle']:,} with an idle argument"
    )


class _Pool:
    """Known answers of all rounds up to `rounds`."""

    def __init__(self) -> None:
        self.rounds = 0
        self.strangers = Strangers()


class _Probing:
    """What the puzzles of a round are tried with; read when a unit is owed."""

    def __init__(self, arm: Arm, number: int) -> None:
        self.arm = arm
        self.number = number
        self.section = arm.recipe.probe
        self.puzzles = arm.puzzles(number)

    @cached_property
    def human(self) -> list[Known]:
        found: list[Known] = self.arm.remembered(
            "human answers", None, lambda: human_answers(self.arm)
        )
        return found

    @cached_property
    def probes(self) -> Probes:
        """The same in all rounds, so that signatures can be compared."""
        return probes_of(self.human, seed=self.arm.recipe.run.seed)

    @cached_property
    def pool(self) -> Strangers:
        """The answers of people's puzzles, and of all rounds up to this one, which is added."""
        kept: _Pool = self.arm.remembered("pool", None, _Pool)
        if kept.rounds > self.number:  # a round that is looked at again
            kept = _Pool()
        if not kept.rounds:
            kept.strangers.add(self.human)
        for number in range(kept.rounds + 1, self.number + 1):
            kept.strangers.add(solved_in(self.arm, number))
            kept.rounds = number
        return kept.strangers

    def strangers(self, puzzle: Puzzle, seed: int) -> list[object]:
        """Answers of other puzzles of the same type."""
        rng = random.Random(f"{seed} {puzzle.id}")
        return self.pool.drawn(puzzle, self.section.strangers, rng)

    def rows(
        self, puzzles: Sequence[Puzzle], tried: Sequence[store.Row], seed: int
    ) -> list[store.Row]:
        """What is found of some puzzles, given the verdicts on their candidates.

        Raises `Fault` when the sandbox fails.
        """
        known = accepted_answers(tried)
        attempts: dict[str, Counter[str]] = defaultdict(Counter)
        for row in tried:
            attempts[row["puzzle_id"]][row["outcome"]] += 1
        parts = [
            (
                list(known.get(puzzle.id, ())),
                self.strangers(puzzle, seed),
                list(self.probes.get(puzzle.answer_type, ())),
            )
            for puzzle in puzzles
        ]
        asked = [[*own, *strangers, *probes] for own, strangers, probes in parts]
        looks = looked_at(self.arm.judge, puzzles, asked, free=self.arm.domain.free)
        idle = self._idle(puzzles, [own + others for own, others, _ in parts], looks)
        return [
            self._row(puzzle, len(own), len(strangers), look)
            | difficulty(attempts[puzzle.id])
            | {"idle_arguments": names}
            for puzzle, (own, strangers, _), look, names in zip(
                puzzles, parts, looks, idle, strict=True
            )
        ]

    def _idle(
        self,
        puzzles: Sequence[Puzzle],
        answers: Sequence[list[object]],
        looks: Sequence[Sequence[str]],
    ) -> list[list[str]]:
        """The arguments whose other values change no verdict on these answers.

        Where no answer is accepted nothing is concluded.
        """
        said = [look[0][: len(asked)] for look, asked in zip(looks, answers, strict=True)]
        idle = [
            list(changed(p, 0)) if "a" in one else [] for p, one in zip(puzzles, said, strict=True)
        ]
        for turn in range(TURNS):
            owed = [
                (place, name, other)
                for place, puzzle in enumerate(puzzles)
                if idle[place]
                for name, other in changed(puzzle, turn).items()
                if name in idle[place]
            ]
            found = self.arm.judge.satisfied_all(
                (other, answers[place]) for place, _, other in owed
            )
            for (place, name, other), outcomes in zip(owed, found, strict=True):
                if letters(other, outcomes) != said[place]:
                    idle[place].remove(name)
        return idle

    def _row(self, puzzle: Puzzle, own: int, strangers: int, looks: Sequence[str]) -> store.Row:
        said = looks[0]
        satisfied = said[own : own + strangers].count("a")
        return {
            "puzzle_id": puzzle.id,
            "answer_type": puzzle.answer_type,
            "strangers": strangers,
            "satisfied": satisfied,
            "weak": satisfied > self.section.max_satisfied * strangers,
            "stable": is_stable(own, looks),
            "unused_arguments": unused_arguments(puzzle),
            "signature": Signature(puzzle.answer_type, said[own + strangers :]).text,
        }


def difficulty(outcomes: Counter[str]) -> store.Row:
    """How often a puzzle was solved, with its interval."""
    attempts, accepted = outcomes.total(), outcomes["accepted"]
    made = share_interval(accepted, attempts) if attempts else None
    return {
        "attempts": attempts,
        "accepted": accepted,
        "solve_rate": made and made.value,
        "low": made and made.low,
        "high": made and made.high,
    }


def looked_at(
    judge: Judge, puzzles: Sequence[Puzzle], asked: Sequence[list[object]], *, free: bool = True
) -> list[list[str]]:
    """What each puzzle says of its answers, and what it says when it is asked again: with other
    chance, time, hashes and places in memory, from the last answer to the first. A puzzle that
    may rest on chance, by its text, is asked again several times; but none in a domain whose
    programs no model writes (`free`).

    One text a look, with a letter an answer, in their order. Raises `Fault` when the sandbox fails.
    """
    first = judge.satisfied_all(zip(puzzles, asked, strict=True))
    said = [[letters(puzzle, one)] for puzzle, one in zip(puzzles, first, strict=True)]
    for look in (SECOND, *MORE):
        places = [
            place
            for place, puzzle in enumerate(puzzles)
            if look is SECOND or (free and _may_rest_on_chance(puzzle))
        ]
        jobs = [(puzzles[place], asked[place][::-1]) for place in places]
        for place, again in zip(places, judge.satisfied_all(jobs, look=look), strict=True):
            said[place].append(letters(puzzles[place], again)[::-1])
    return said


CHANCE = frozenset(
    ("set", "frozenset", "hash", "id", "repr", "object", "globals", "vars", "open", "__import__")
)
"""Names by which a puzzle reaches what differs from look to look."""


def _may_rest_on_chance(puzzle: Puzzle) -> bool:
    """By its text: it imports something, makes sets, hashes or asks for places."""
    return any(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Set | ast.SetComp)
        or (isinstance(node, ast.Name) and node.id in CHANCE)
        for node in ast.walk(syntax_tree(puzzle.source))
    )


def is_stable(own: int, looks: Sequence[str]) -> bool | None:
    """Whether all looks say the same, and accept the first `own` answers, which were accepted
    before.

    Nothing is concluded from an answer on which one of them came to no end; None without any.
    """
    ended = [said for said in zip(*looks, strict=True) if "t" not in said]
    if not ended:
        return None
    refused = any(letter in "re" for letter in looks[0][:own])
    return not refused and all(len(set(said)) == 1 for said in ended)
