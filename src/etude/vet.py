"""Vet: which proposals are puzzles worth solving.

A proposal is dropped when it is no puzzle, breaks a rule, repeats an earlier one, is a held-out
problem, has the form or the cell of too many others, or is satisfied by a trivial answer. What it
is worth as an exercise shows only when it is solved (see `select`). `vet.rules = "paper"` takes the
released code's rules and trivial answers in place of ours.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from functools import partial
from pathlib import Path

from etude import store, streams, tables
from etude.archive import cells_words
from etude.arguments import trimmed
from etude.arm import Arm, counted
from etude.cells import Cell, cell_of, traits, words_of
from etude.cluster import Made, Stage
from etude.config import Recipe
from etude.duplicates.keys import digest, plain
from etude.earlier import Earlier
from etude.errors import Fault
from etude.prompts import renamed
from etude.puzzle import NotAPuzzle, answered_at_once, without_docstring
from etude.trivial import trivial_answers
from etude.types import Outcome, Puzzle

UNDEFINED = "can't be defined"
_MET = ("kept", "over the limit", "same form", "same cell", "trivial")
"""Fates of what a later proposal of the round repeats."""
PROPOSALS = 1 << 16
"""A unit takes so many proposals or somewhat fewer: whole units of them."""


def vet(arm: Arm, number: int) -> Path:
    """The folder of the round's fates, one row a proposal."""
    folder = arm.round(number) / "vet"
    units = vetted_units(arm.recipe)
    work = partial(_work, number=number)
    with arm.watched(number, "vet", units) as watched:
        for unit in range(units):  # one after the other: what one keeps, the next must not repeat
            flow = arm.flow(Stage(folder, unit + 1, work, tables.VET, "judge", spare=False))
            flow.finish(0, lambda done, _: watched.tick(done, units))
        watched.summary = counted(streams.tally(folder, "fate"), "kept") + cells_words(arm, number)
    return folder


def vetted_units(recipe: Recipe) -> int:
    """How many units the vetting of a round has."""
    proposed = math.ceil(recipe.propose.samples / recipe.propose.per_unit)
    return max(1, math.ceil(proposed / _together(recipe)))


def _together(recipe: Recipe) -> int:
    """Units of proposals that are vetted as one."""
    return max(1, PROPOSALS // recipe.propose.per_unit)


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    size = _together(arm.recipe)
    proposed = arm.round(number) / "propose"
    paths = streams.segments(proposed)[unit * size : (unit + 1) * size]
    proposals = (row for path in paths for row in streams.rows_of(path))
    screen = arm.remembered("vetting", (number, unit), lambda: Vetting(arm, number, unit))
    screen.begin(unit)
    rows = [screen.vetted(proposal) for proposal in proposals]
    arm.remembered("vetting", (number, unit + 1), lambda: screen)
    return Made(rows, arm.conditions())


class _Before:
    """What the rounds before one know: their puzzles, and how many of each form were trained on."""

    def __init__(self) -> None:
        self.rounds = 0
        self.known = Earlier()
        self.forms: Counter[int] = Counter()

    def go_on(self, arm: Arm, number: int) -> None:
        """Read the rounds up to the one before `number`, as far as they were not read."""
        for earlier in range(self.rounds + 1, number):
            selected = streams.rows(arm.round(earlier) / "select", ["puzzle_id"])
            trained = {int(row["puzzle_id"], 16) for row in selected}
            for puzzle in arm.puzzles(earlier):
                self.known.add(puzzle.id, earlier, _shown(puzzle.source))
                if int(puzzle.id, 16) in trained:
                    self.forms[digest(puzzle.form)] += 1
            self.rounds = earlier


class Vetting:
    """What a round's proposals are held against: everything known before them, and each other."""

    def __init__(self, arm: Arm, number: int, unit: int) -> None:
        """As it stands before a unit: what earlier ones found is read from their tables."""
        self.arm, self.number = arm, number
        self.judge = arm.judge
        self.section = arm.recipe.vet
        self.paper = self.section.rules == "paper"
        self.domain, self.layout = arm.domain, arm.recipe.prompt.layout
        self.held_out = {problem.id for problem in arm.problems}
        self.before: _Before = arm.remembered("before", None, _Before)
        if self.before.rounds >= number:  # a round that is vetted again
            self.before = _Before()
        self.before.go_on(arm, number)
        self.shown, self.known = Earlier(), Earlier()
        """Places are rounds; 0 is what was shown from the start."""
        self.forms: Counter[int] = Counter()
        self.cells: Counter[Cell] = Counter()
        """Of this round alone."""
        self.room = self.section.max_puzzles
        for puzzle in arm.shown_in(number):
            self.shown.add(puzzle.id, 0, _shown(puzzle.source))
        for path in streams.segments(arm.round(number) / "vet")[:unit]:
            self._recall(path)

    def _recall(self, path: Path) -> None:
        """Take up what an earlier unit of this round found."""
        for row in streams.rows_of(path):
            undefined = row["fate"] == "broken rule" and row["detail"].startswith(UNDEFINED)
            if undefined or row["fate"] in _MET:
                self.known.add(row["puzzle_id"], self.number, _shown(row["source"]))
            if row["fate"] == "kept":
                known = (row[name] for name in ("answer_type", "inputs", "form"))
                self._keep(Puzzle(row["puzzle_id"], row["source"], "f", *known))

    def begin(self, unit: int) -> None:
        self.skips = random.Random(self.arm.seed(self.number, "vet", unit))

    def vetted(self, proposal: store.Row) -> store.Row:
        """The row of one proposal."""
        row, puzzle = self.row(proposal)
        if puzzle is None:
            return row
        if self.room == 0:
            row["fate"] = "over the limit"
        elif self._of_form(puzzle) >= self.section.max_per_form:
            row["fate"] = "same form"
        elif self._cell_is_full(puzzle):
            row |= {"fate": "same cell", "detail": words_of(puzzle, self.arm.recipe.archive.by)}
        elif detail := self.undefined(puzzle):
            row |= {"fate": "broken rule", "detail": detail}
        elif detail := self.trivial(puzzle):
            row |= {"fate": "trivial", "detail": detail}
        else:
            self._keep(puzzle)
        return row

    def row(self, proposal: store.Row) -> tuple[store.Row, Puzzle | None]:
        """The row of one proposal, as far as its text alone decides; its puzzle, if that is left to
        be looked at."""
        row: store.Row = dict.fromkeys(tables.VET.names)
        row["proposal_id"] = proposal["proposal_id"]
        puzzle, row["fate"], row["detail"] = self._read(proposal)
        if puzzle is not None:
            row |= {
                "puzzle_id": puzzle.id,
                "source": puzzle.source,
                "answer_type": puzzle.answer_type,
                "inputs": puzzle.inputs,
                "form": puzzle.form,
            }
        return row, puzzle if row["fate"] == "kept" else None

    def _read(self, proposal: store.Row) -> tuple[Puzzle | None, str, str]:
        if not proposal["finished"]:
            return None, "unparsed", "not finished within the token limit"
        source = self.domain.proposed(proposal["prompt"], proposal["text"], self.layout)
        try:
            puzzle = self.domain.parse(source)
            if self.section.unused == "trim":
                left = trimmed(puzzle)
                puzzle = left if left.inputs else puzzle
        except NotAPuzzle as error:
            return None, "unparsed", str(error)
        try:
            self.domain.check_rules(puzzle, paper=self.paper)
        except NotAPuzzle as error:
            return puzzle, "broken rule", str(error)
        if puzzle.id in self.held_out:
            return puzzle, "held out", "is a problem of the suite"
        text = _shown(puzzle.source)
        for known in (self.shown, self.before.known, self.known):
            if found := known.find(puzzle.id, text):
                return puzzle, "duplicate", self.repeats(puzzle.id, *found)
        self.known.add(puzzle.id, self.number, text)
        return puzzle, "kept", ""

    def _of_form(self, puzzle: Puzzle) -> int:
        """Puzzles of its form that were trained on in earlier rounds, or are kept in this one."""
        key = digest(puzzle.form)
        return self.before.forms[key] + self.forms[key]

    def _keep(self, puzzle: Puzzle) -> None:
        self.forms[digest(puzzle.form)] += 1
        if self.section.max_per_cell:
            self.cells[self._cell(puzzle)] += 1
        self.room -= 1

    def _cell_is_full(self, puzzle: Puzzle) -> bool:
        most = self.section.max_per_cell
        return bool(most) and self.cells[self._cell(puzzle)] >= most

    def _cell(self, puzzle: Puzzle) -> Cell:
        return cell_of(traits(puzzle), self.arm.recipe.archive.by)

    def repeats(self, id: str, place: int, same: bool) -> str:
        """At which level a known puzzle is met again, and which: `exact: puzzle ID of round 1`."""
        where = "shown from the start" if place == 0 else f"of round {place}"
        where = "of this round" if place == self.number else where
        return f"{'exact' if same else 'canonical'}: puzzle {id} {where}"

    def undefined(self, puzzle: Puzzle) -> str:
        """Why the function can't even be defined and called, by the paper's rule; run in the judge.

        The paper calls `f(None)` with `return True` as its first line.
        """
        if not self.paper:
            return ""
        answer = trivial_answers(puzzle.answer_type, paper=True)[-1]
        [outcome] = self.judge.satisfied(answered_at_once(puzzle), [answer])
        if outcome is Outcome.FAULT:
            raise Fault(f"the sandbox failed on defining the puzzle {puzzle.id}")
        return "" if outcome is Outcome.ACCEPTED else f"{UNDEFINED}: {outcome}"

    def trivial(self, puzzle: Puzzle) -> str:
        """Which trivial answer satisfies the puzzle, or an empty text. Run in the judge.

        One puzzle in so many is let through untried where the recipe asks for that. By the
        paper's rules one that takes too long is not trivial.
        """
        if self.skips.random() < self.section.skip_triviality:
            return ""
        answers = self.domain.trivial_answers(puzzle.answer_type, paper=self.paper)
        for answer, outcome in zip(answers, self.judge.satisfied(puzzle, answers), strict=True):
            if outcome is Outcome.ACCEPTED:
                return f"satisfied by {answer!r}"
            if outcome is Outcome.FAULT:
                raise Fault(f"the sandbox failed on {answer!r} for the puzzle {puzzle.id}")
            if outcome is Outcome.TIMEOUT and not self.paper:
                return f"takes too long on {answer!r}"
        return ""


def _shown(source: str) -> str:
    """A puzzle's text as prompts show it: those of P3 have another name and a docstring."""
    return plain(renamed(without_docstring(source).strip(), "f"))
