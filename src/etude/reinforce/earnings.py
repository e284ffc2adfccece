"""What samples earn: a solution that is accepted, a puzzle by how much there is to learn from it.

A proposed puzzle earns 4p(1 - p) where the policy itself solves it with a rate p in a few attempts
(the variance of an attempt's reward; Absolute Zero, arXiv 2505.03335, rewards 1 - p instead), and
for a form not seen before a little more. It earns nothing where it is no puzzle, breaks a rule, is
known or a held-out problem, is satisfied by a trivial answer, or was never solved. Every verdict is
the judge's. TRL is not imported here: these are called like its reward functions.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from etude.errors import Fault
from etude.judge import Judge
from etude.prompts import completed
from etude.puzzle import NotAPuzzle, answered_at_once, check_rules, parse, syntax_tree
from etude.reinforce.tasks import Task
from etude.replies import puzzle_source, solution_source
from etude.rewards import SolverReward
from etude.trivial import trivial_answers
from etude.types import Outcome, Prompt, Puzzle

Row = dict[str, Any]
Attempting = Callable[[Sequence[Puzzle], int], list[list[str]]]
"""Puzzles and a step -> of each the solutions that the policy writes as it is now; none where the
prompt does not fit."""
SOLVE, PROPOSE = "solve", "propose"


@dataclass
class Known:
    """What a proposal must not repeat, and the forms that are no longer new."""

    puzzles: set[str]
    forms: set[str]
    held_out: frozenset[str] = frozenset()


@dataclass
class Earnings:
    """Judges the samples of a step, and keeps what is to be told of them."""

    judge: Judge
    known: Known
    attempting: Attempting
    novelty: float
    paper: bool = False
    """Whether puzzles are vetted by the paper's rules."""
    dealt: int | None = None
    """Where not None, the rewards of a step are dealt out anew by chance, with this seed: the
    control that learns from as many rewards, whoever earned them."""
    rows: list[Row] = field(default_factory=list)
    """One for each sample since they were last taken away."""

    def __post_init__(self) -> None:
        self._solver = SolverReward(self.judge, prefix_column="opening")

    def solver(self, step: int, tasks: Sequence[Task], texts: Sequence[str]) -> list[float | None]:
        """The rewards of solutions, each for its own task."""
        outcomes: list[str] = []
        puzzles = [task.puzzle for task in tasks if task.puzzle]
        rewards = self._solver(
            [],
            texts,
            puzzle=[puzzle.source for puzzle in puzzles],
            opening=[task.prompt.opening for task in tasks],
            log_extra=lambda _, values: outcomes.extend(values),
        )
        rewards = self._dealt(rewards, step, SOLVE)
        for puzzle, task, text, outcome, reward in zip(
            puzzles, tasks, texts, outcomes, rewards, strict=True
        ):
            source = solution_source(text, task.prompt.opening)
            row = {"step": step, "task": SOLVE, "puzzle_id": puzzle.id, "source": source}
            row |= {"outcome": outcome, "solve_rate": None, "reward": reward}
            self.rows.append(row | {"constant": _constant(puzzle, source, outcome)})
        return rewards

    def proposer(
        self, step: int, tasks: Sequence[Task], texts: Sequence[str], finished: Sequence[bool]
    ) -> list[float | None]:
        """The rewards of proposals."""
        rows = [
            self._looked_at(_proposed(task.prompt, text), done) | {"step": step}
            for task, text, done in zip(tasks, texts, finished, strict=True)
        ]
        trying = [row for row in rows if row["outcome"] == "kept"]
        self._try(trying, step)
        for row in rows:
            row["reward"] = None if row["outcome"] == "fault" else self._worth(row)
        rewards = self._dealt([row["reward"] for row in rows], step, PROPOSE)
        for row, reward in zip(rows, rewards, strict=True):
            del row["puzzle"], row["new_form"]
            self.rows.append(row | {"reward": reward})
        return rewards

    def take(self) -> list[Row]:
        """The rows since the last time."""
        taken, self.rows = self.rows, []
        return taken

    def recall(self, rows: Iterable[Row]) -> None:
        """Takes up what was proposed before an interruption."""
        for row in rows:
            if row["task"] == PROPOSE and row["puzzle_id"] is not None:
                self.known.puzzles.add(row["puzzle_id"])
                self.known.forms.add(parse(row["source"]).form)

    def _looked_at(self, source: str, finished: bool) -> Row:
        """A proposal as far as it can be told without solving it."""
        row: Row = {"task": PROPOSE, "puzzle_id": None, "source": source, "solve_rate": None}
        row |= {"constant": None, "puzzle": None, "new_form": False}
        try:
            if not finished:
                raise NotAPuzzle("not finished")
            puzzle = parse(source)
            check_rules(puzzle, paper=self.paper)
        except NotAPuzzle:
            return row | {"outcome": "no puzzle"}
        known = self.known
        if puzzle.id in known.held_out or puzzle.id in known.puzzles:
            return row | {"outcome": "duplicate"}
        new = puzzle.form not in known.forms
        known.puzzles.add(puzzle.id)
        known.forms.add(puzzle.form)
        row |= {"puzzle_id": puzzle.id, "source": puzzle.source, "puzzle": puzzle, "new_form": new}
        return row | {"outcome": self._vetted(puzzle)}

    def _vetted(self, puzzle: Puzzle) -> str:
        """As `vet` does: kept, trivial, broken rule; or fault where the sandbox failed."""
        answers = trivial_answers(puzzle.answer_type, paper=self.paper)
        if self.paper:
            [outcome] = self.judge.satisfied(answered_at_once(puzzle), [answers[-1]])
            if outcome is not Outcome.ACCEPTED:
                return "fault" if outcome is Outcome.FAULT else "broken rule"
        found = set(self.judge.satisfied(puzzle, answers))
        if Outcome.FAULT in found:
            return "fault"
        slow = Outcome.TIMEOUT in found and not self.paper
        return "trivial" if Outcome.ACCEPTED in found or slow else "kept"

    def _try(self, rows: Sequence[Row], step: int) -> None:
        """The policy's own attempts, judged in one batch; `outcome` says what came of them."""
        puzzles = [row["puzzle"] for row in rows]
        sources = self.attempting(puzzles, step) if puzzles else []
        jobs = list(zip(puzzles, sources, strict=True))
        for row, verdicts in zip(rows, self.judge.verify_all(jobs), strict=True):
            counts = Counter(verdict.outcome for verdict in verdicts)
            tried = len(verdicts) - counts[Outcome.FAULT]
            if not tried:
                row["outcome"] = "fault" if verdicts else "does not fit"
                continue
            row["solve_rate"] = counts[Outcome.ACCEPTED] / tried
            row["outcome"] = "solved" if counts[Outcome.ACCEPTED] else "unsolved"

    def _worth(self, row: Row) -> float:
        if row["outcome"] != "solved":
            return 0.0
        rate = row["solve_rate"]
        return float(4 * rate * (1 - rate) + self.novelty * row["new_form"])

    def _dealt(self, rewards: list[float | None], step: int, kind: str) -> list[float | None]:
        if self.dealt is None:
            return rewards
        rng = random.Random(f"{self.dealt} {step} {kind}")
        return rng.sample(rewards, len(rewards))


def held_out_rate(judge: Judge, tasks: Sequence[Task], written: Sequence[list[str]]) -> float:
    """The share of accepted solutions of puzzles. Raises `Fault` where the sandbox failed."""
    jobs = [(task.puzzle, sources) for task, sources in zip(tasks, written, strict=True)]
    found: Counter[Outcome] = Counter()
    for verdicts in judge.verify_all([(puzzle, own) for puzzle, own in jobs if puzzle]):
        found.update(verdict.outcome for verdict in verdicts)
    if found[Outcome.FAULT]:
        raise Fault(f"the sandbox failed {found[Outcome.FAULT]} times on the puzzles held apart")
    return found[Outcome.ACCEPTED] / found.total()


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """What the table of steps counts of the samples of a step."""
    solved = [row for row in rows if row["task"] == SOLVE]
    proposed = Counter(row["outcome"] for row in rows if row["task"] == PROPOSE)
    constants = [row["constant"] for row in solved if row["constant"] is not None]
    return {
        "solutions": len(solved),
        "accepted": sum(row["outcome"] == Outcome.ACCEPTED for row in solved),
        "with_arguments": len(constants),
        "constants": sum(constants),
        "proposals": proposed.total(),
        "no_puzzle": proposed["no puzzle"] + proposed["broken rule"],
        "duplicates": proposed["duplicate"],
        "trivial": proposed["trivial"],
        "unsolved": proposed["unsolved"] + proposed["does not fit"],
    }


def _proposed(prompt: Prompt, text: str) -> str:
    return puzzle_source(text) if prompt.chat else completed(prompt, text, "f")


def _constant(puzzle: Puzzle, source: str, outcome: str) -> bool | None:
    """Whether an accepted solution reads none of the puzzle's arguments; None for all others.

    >>> from etude.puzzle import parse
    >>> puzzle = parse("def f(x: int, a=7): return x + a == 9")
    >>> _constant(puzzle, "def g(a=7): return 2", "accepted")
    True
    >>> _constant(puzzle, "def g(a=7): return 9 - a", "accepted")
    False
    """
    if outcome != Outcome.ACCEPTED or not puzzle.inputs:
        return None
    try:
        tree = syntax_tree(source)
    except NotAPuzzle:
        return None
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    if function is None:
        return None
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = {argument.arg for argument in every}
    read = {
        node.id
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return not names & read
