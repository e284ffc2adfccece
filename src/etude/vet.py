"""Vet: which proposals are puzzles worth solving.

A proposal is dropped when it is no puzzle, breaks a rule, repeats an earlier one, is a held-out
problem, has the form of too many others, or is satisfied by a trivial answer. What it is worth as
an exercise shows only when it is solved (see `select`). `vet.rules = "paper"` takes the released
code's rules and trivial answers in place of ours.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path

from etude import store, tables
from etude.arm import Arm, counted, kept_puzzles
from etude.cluster import Made, Stage
from etude.duplicates.keys import plain
from etude.errors import Fault
from etude.prompts import completed, renamed
from etude.puzzle import NotAPuzzle, answered_at_once, check_rules, parse, without_docstring
from etude.replies import puzzle_source
from etude.trivial import trivial_answers
from etude.types import Outcome, Prompt, Puzzle


def vet(arm: Arm, number: int) -> Path:
    """The folder of the round's fates, one row a proposal."""
    folder = arm.round(number) / "vet"
    work = partial(_work, number=number)
    with arm.watched(number, "vet", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.VET, "judge", spare=False))
        flow.finish(0, watched.tick)
        fates = Counter(row["fate"] for row in store.read_stage(folder))
        watched.summary = counted(fates, "kept")
    return folder


def _work(arm: Arm, _: int, *, number: int) -> Made:
    return Made(_rows(arm, number), arm.conditions())


def _rows(arm: Arm, number: int) -> list[store.Row]:
    proposals = store.read_stage(arm.round(number) / "propose")
    screen = _Screen(arm, number)
    rows = [screen.row(proposal) for proposal in proposals]
    left = [(at, puzzle) for at, puzzle in enumerate(screen.puzzles) if puzzle is not None]
    room = arm.recipe.vet.max_puzzles
    for at, puzzle in left:
        if room == 0:
            rows[at]["fate"] = "over the limit"
        elif screen.form_is_full(puzzle):
            rows[at]["fate"] = "same form"
        elif detail := screen.undefined(puzzle):
            rows[at] |= {"fate": "broken rule", "detail": detail}
        elif detail := screen.trivial(puzzle):
            rows[at] |= {"fate": "trivial", "detail": detail}
        else:
            screen.count(puzzle)
            room -= 1
    return rows


class _Screen:
    """What a round's proposals are held against: everything known before them, and each other."""

    def __init__(self, arm: Arm, number: int) -> None:
        self.judge = arm.judge
        self.section = arm.recipe.vet
        self.paper = self.section.rules == "paper"
        self.skips = random.Random(arm.seed(number, "vet"))
        self.chat = arm.recipe.prompt.layout == "chat"
        self.held_out = {problem.id for problem in arm.problems}
        self.known: dict[str, tuple[str, Puzzle]] = {}
        """Where each known puzzle stands, by its id, and the puzzle."""
        for puzzle in arm.shown_in(number):
            self.know(puzzle, "shown from the start")
        self.forms: Counter[str] = Counter()
        self.puzzles: list[Puzzle | None] = []
        for earlier in range(1, number):
            trained = arm.read_once(arm.round(earlier), _taught)
            for puzzle in arm.read_once(arm.round(earlier), kept_puzzles):
                self.know(puzzle, f"of round {earlier}")
                self.forms[puzzle.form] += puzzle.id in trained

    def row(self, proposal: store.Row) -> store.Row:
        """The row of one proposal, as far as its text alone decides."""
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
        self.puzzles.append(puzzle if row["fate"] == "kept" else None)
        return row

    def _read(self, proposal: store.Row) -> tuple[Puzzle | None, str, str]:
        if not proposal["finished"]:
            return None, "unparsed", "not finished within the token limit"
        source = self._source(proposal)
        try:
            puzzle = parse(source)
        except NotAPuzzle as error:
            return None, "unparsed", str(error)
        try:
            check_rules(puzzle, paper=self.paper)
        except NotAPuzzle as error:
            return puzzle, "broken rule", str(error)
        if puzzle.id in self.held_out:
            return puzzle, "held out", "is a problem of the suite"
        if puzzle.id in self.known:
            return puzzle, "duplicate", self.repeats(puzzle)
        self.know(puzzle, "of this round")
        return puzzle, "kept", ""

    def know(self, puzzle: Puzzle, where: str) -> None:
        self.known.setdefault(puzzle.id, (where, puzzle))

    def repeats(self, puzzle: Puzzle) -> str:
        """At which level a known puzzle is met again, and which: `exact: puzzle ID of round 1`."""
        where, known = self.known[puzzle.id]
        level = "exact" if _shown(puzzle) == _shown(known) else "canonical"
        return f"{level}: puzzle {puzzle.id} {where}"

    def _source(self, proposal: store.Row) -> str:
        if self.chat:
            return puzzle_source(proposal["text"])
        opening = "def " + proposal["prompt"].rpartition("def ")[2]
        return completed(Prompt(proposal["prompt"], opening), proposal["text"], "f")

    def form_is_full(self, puzzle: Puzzle) -> bool:
        return self.forms[puzzle.form] >= self.section.max_per_form

    def count(self, puzzle: Puzzle) -> None:
        self.forms[puzzle.form] += 1

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
        return "" if outcome is Outcome.ACCEPTED else f"can't be defined: {outcome}"

    def trivial(self, puzzle: Puzzle) -> str:
        """Which trivial answer satisfies the puzzle, or an empty text. Run in the judge.

        One puzzle in so many is let through untried where the recipe asks for that. By the
        paper's rules one that takes too long is not trivial.
        """
        if self.skips.random() < self.section.skip_triviality:
            return ""
        answers = trivial_answers(puzzle.answer_type, paper=self.paper)
        for answer, outcome in zip(answers, self.judge.satisfied(puzzle, answers), strict=True):
            if outcome is Outcome.ACCEPTED:
                return f"satisfied by {answer!r}"
            if outcome is Outcome.FAULT:
                raise Fault(f"the sandbox failed on {answer!r} for the puzzle {puzzle.id}")
            if outcome is Outcome.TIMEOUT and not self.paper:
                return f"takes too long on {answer!r}"
        return ""


def _taught(folder: Path) -> frozenset[str]:
    """The puzzles of a round's folder that became examples."""
    return frozenset(row["puzzle_id"] for row in store.read_stage(folder / "select"))


def _shown(puzzle: Puzzle) -> str:
    """A puzzle's text as prompts show it: those of P3 have another name and a docstring."""
    return plain(renamed(without_docstring(puzzle.source).strip(), "f"))
