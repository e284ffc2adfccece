"""Screen: which puzzles, and which examples that would be trained on, are near a held-out problem.

Held out are the suite that the run is scored on and those that `[decontaminate]` names. A kept
puzzle is held against their puzzles at the levels `canonical`, `form` and `behaviour`; an example
against their texts at the levels `exact` and `8-gram` (see `decontaminate`). Every hit is a row
with both texts. Nothing is dropped here: `select` leaves out what is marked as dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from etude import store, streams, tables
from etude.answers import reference_answers, solved_in
from etude.arm import Arm, load_held_out
from etude.behaviour import Alike, Known, probes_of
from etude.cluster import Made, Stage
from etude.decontaminate import Met, Screen, Trained
from etude.select import await_loop, wanted

PUZZLE_LEVELS = ("canonical", "form")
TEXT_LEVELS = ("exact", "8-gram")
BEHAVIOUR = "behaviour"
AT_ONCE = 2_048
"""Puzzles whose behaviour is looked at together."""
PROBES = 64
"""Answers that a puzzle is tried with, at most: the references of held-out problems first."""


def screen(arm: Arm, number: int) -> Path:
    """The folder of the round's hits."""
    folder = arm.round(number) / "screen"
    await_loop(arm, number)
    work = partial(_work, number=number)
    with arm.watched(number, "screen", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.SCREEN, "judge", spare=False))
        flow.finish(0, watched.tick)
        watched.summary = summary(streams.rows(folder, ["suite", "problem", "level"]))
    return folder


def _work(arm: Arm, _: int, *, number: int) -> Made:
    return Made(_Screening(arm, number).rows(), arm.conditions())


def behaving_alike(arm: Arm, known: Sequence[Known]) -> list[tuple[int, int]]:
    """The held-out problem and the puzzle, by their places, that accept and refuse the same.

    Only puzzles with an accepted answer, and problems with a reference solution.
    """
    held_out = _held_out(arm)
    solved = [place for place, one in enumerate(known) if one.answers]
    pairs = held_out.alike.pairs([known[place] for place in solved])
    return [(held_out.places[one], solved[other]) for one, other in pairs]


def summary(rows: Iterable[store.Row]) -> str:
    """`held-out problems met: 3 by form, 1 by behaviour`"""
    met = {(row["suite"], row["problem"], row["level"]) for row in rows}
    counts = Counter(level for _, _, level in met)
    levels = ("exact", *PUZZLE_LEVELS, BEHAVIOUR, "8-gram")
    cells = [f"{counts[level]:,} by {level}" for level in levels if counts[level]]
    return f"held-out problems met: {', '.join(cells) or 'none'}"


class _HeldOut:
    """The held-out problems: the same in all rounds."""

    def __init__(self, arm: Arm) -> None:
        held_out = load_held_out(arm.recipe)
        self.suites = [suite for suite, _ in held_out]
        self.problems = [problem for _, problem in held_out]
        self.screen = Screen(self.problems, share=arm.recipe.decontaminate.share, domain=arm.domain)
        self.places = [place for place, problem in enumerate(self.problems) if problem.puzzle]
        """Of the puzzles among them."""
        known = reference_answers(arm.judge, [self.problems[place] for place in self.places])
        self.alike = Alike(arm.judge, known, probes_of(known, most=PROBES))


def _held_out(arm: Arm) -> _HeldOut:
    found: _HeldOut = arm.remembered("held out", None, lambda: _HeldOut(arm))
    return found


class _Screening:
    """What a round has that is held against the held-out problems."""

    def __init__(self, arm: Arm, number: int) -> None:
        self.arm, self.number = arm, number
        self.section = arm.recipe.decontaminate
        held_out = _held_out(arm)
        self.suites, self.problems = held_out.suites, held_out.problems
        self.screen = held_out.screen
        self.puzzles = arm.puzzles(number)

    def rows(self) -> list[store.Row]:
        """Every hit: of puzzles, in their order, then of examples."""
        found = [*self._by_text(), *self._by_behaviour()]
        barred = {row["puzzle_id"] for row in found if row["dropped"]}
        return [*found, *self._examples(barred)]

    def _by_text(self) -> Iterator[store.Row]:
        for puzzle in self.puzzles:
            own = Trained("", puzzle.source, puzzle.id, puzzle.source)
            for met in self.screen.held(own):
                if met.level in PUZZLE_LEVELS:
                    yield self._row(met, own)

    def _by_behaviour(self) -> Iterator[store.Row]:
        solved = solved_in(self.arm, self.number)
        while some := list(islice(solved, AT_ONCE)):
            for place, other in behaving_alike(self.arm, some):
                puzzle = some[other].puzzle
                own = Trained("", puzzle.source, puzzle.id, puzzle.source)
                share = {met.place: met.share for met in self.screen.held(own)}
                yield self._row(Met(place, BEHAVIOUR, share.get(place, 0.0)), own)

    def _examples(self, barred: set[str]) -> Iterator[store.Row]:
        """Hits of examples, as far as these are wanted when what is dropped is left out."""
        rows, count = wanted(self.arm, self.number)
        for row in rows:
            if count == 0:
                return
            own = Trained(row["example_id"], row["text"], row["puzzle_id"])
            hits = [
                self._row(met, own) for met in self.screen.held(own) if met.level in TEXT_LEVELS
            ]
            yield from hits
            count -= row["puzzle_id"] not in barred and not any(hit["dropped"] for hit in hits)

    def _row(self, met: Met, own: Trained) -> store.Row:
        problem = self.problems[met.place]
        return {
            "suite": self.suites[met.place],
            "problem": problem.name,
            "part": problem.part,
            "level": met.level,
            "share": met.share,
            "puzzle_id": own.puzzle_id,
            "example_id": own.id or None,
            "dropped": self.section.action == "drop" and met.level in self.section.levels,
            "problem_text": self.screen.texts[met.place],
            "example_text": own.text,
        }
