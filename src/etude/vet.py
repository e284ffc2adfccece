"""Vet: which proposals are puzzles worth solving.

A proposal is dropped when it is no puzzle, breaks a rule, repeats an earlier one, is a held-out
problem, has the form of too many others, or is satisfied by a trivial answer. What it is worth as
an exercise shows only when it is solved (see `select`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from etude import store, tables
from etude.arm import Arm, counted
from etude.cluster import map_units
from etude.errors import Fault
from etude.prompts import completed
from etude.puzzle import NotAPuzzle, check_rules, parse
from etude.types import Outcome, Prompt, Puzzle

TRIVIAL: dict[str, list[object]] = {
    "int": [*range(-10, 101)],
    "str": ["", "a", "b", "abc", "A", "0", "1", " "],
    "float": [0.0, 1.0, -1.0, 0.5, 2.0, 10.0, 100.0, -0.5, 0.1, 3.0, 1e9, -1e9, 1e-9],
    "List[int]": [[], [0], [1], [-1], [2], [0, 0], [0, 1], [1, 0], [1, 1], [1, 2]],
    "List[str]": [[], [""], ["a"], ["", ""], ["a", "a"], ["a", "b"]],
    "List[float]": [[], [0.0], [1.0], [0.0, 0.0], [0.0, 1.0]],
    "List[bool]": [[], [True], [False], [True, True], [True, False], [False, True]],
}
"""Answers that solve a puzzle only if it is trivial: the paper's kinds of them, by answer type."""


def vet(arm: Arm, number: int) -> Path:
    """The folder of the round's fates, one row a proposal."""
    stage = arm.round(number) / "vet"
    with arm.watched(number, "vet", 1) as watched:
        map_units(stage, 1, lambda _: _rows(arm, number), tables.VET, watched.tick, arm.conditions)
        fates = Counter(row["fate"] for row in store.read_stage(stage))
        watched.summary = counted(fates, "kept")
    return stage


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
        self.most = arm.recipe.vet.max_per_form
        self.held_out = {problem.id for problem in arm.problems}
        self.known = {pair.puzzle.id for pair in arm.seeds}
        self.forms: Counter[str] = Counter()
        self.puzzles: list[Puzzle | None] = []
        for earlier in range(1, number):
            trained = {row["puzzle_id"] for row in store.read_stage(arm.round(earlier) / "select")}
            for puzzle in arm.puzzles(earlier):
                self.known.add(puzzle.id)
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
        opening = "def " + proposal["prompt"].rpartition("def ")[2]
        source = completed(Prompt(proposal["prompt"], opening), proposal["text"], "f")
        try:
            puzzle = parse(source)
        except NotAPuzzle as error:
            return None, "unparsed", str(error)
        try:
            check_rules(puzzle)
        except NotAPuzzle as error:
            return puzzle, "broken rule", str(error)
        if puzzle.id in self.held_out:
            return puzzle, "held out", "is a problem of the suite"
        if puzzle.id in self.known:
            return puzzle, "duplicate", ""
        self.known.add(puzzle.id)
        return puzzle, "kept", ""

    def form_is_full(self, puzzle: Puzzle) -> bool:
        return self.forms[puzzle.form] >= self.most

    def count(self, puzzle: Puzzle) -> None:
        self.forms[puzzle.form] += 1

    def trivial(self, puzzle: Puzzle) -> str:
        """Which trivial answer satisfies the puzzle, or an empty text. Run in the judge."""
        answers = TRIVIAL.get(puzzle.answer_type) or _nested(puzzle.answer_type)
        for answer, outcome in zip(answers, self.judge.satisfied(puzzle, answers), strict=True):
            if outcome is Outcome.ACCEPTED:
                return f"satisfied by {answer!r}"
            if outcome is Outcome.FAULT:
                raise Fault(f"the sandbox failed on {answer!r} for the puzzle {puzzle.id}")
            if outcome is Outcome.TIMEOUT:
                return f"takes too long on {answer!r}"
        return ""


def _nested(answer_type: str) -> list[object]:
    """Trivial answers of a list of lists: empty, and the simpler ones wrapped."""
    inner = answer_type.removeprefix("List[").removesuffix("]")
    return [[], *([answer] for answer in TRIVIAL.get(inner) or _nested(inner))]
