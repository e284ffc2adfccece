"""From what a caller asks to plans for workers, and back.

Nothing here looks into a source: hostile text is only encoded, compared and measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

from etude.errors import Fault, InputError
from etude.judge import codec, plans
from etude.judge.arguments import check_text, listed
from etude.judge.crew import Task
from etude.judge.limits import Limits
from etude.judge.looks import FIRST, Look
from etude.judge.program import Program, program_plan
from etude.types import Outcome, Puzzle, Solution, Verdict

AnyPuzzle = Puzzle | str
AnySolution = Solution | str

MOST_ITEMS = 72
"""Solutions of one task."""
_PIECE_BYTES = 4 << 20
_MOST_ANSWERS = 10_000

Result = TypeVar("Result")


class Job(Generic[Result]):
    """Tasks for workers, and what their results mean to the caller."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks

    def wait(self) -> list[Result]:
        """The results, once every task is done. Raises `Fault` when the judge was closed."""
        for task in self.tasks:
            task.done.wait()
            if task.error is not None:
                raise task.error
            if not task.finished:
                raise Fault("the judge was closed before it gave a verdict")
        return self._results([result for task in self.tasks for result in task.result])

    def cancel(self) -> None:
        """Leave undone what has not been begun."""
        for task in self.tasks:
            task.cancelled = True

    def _results(self, found: Sequence[Any]) -> list[Result]:
        """Results for the caller from those of all tasks, in order."""
        raise NotImplementedError


class Verification(Job[Verdict]):
    """Verdicts for solutions of one puzzle."""

    def __init__(
        self,
        puzzle: AnyPuzzle,
        solutions: Iterable[AnySolution],
        limits: Limits,
        most: int,
        *,
        twice: bool = False,
    ) -> None:
        """At most `most` solutions go into one task."""
        self._limit = limits.source_bytes
        self._sources = [
            source_of(solution).encode("utf-8", "surrogatepass")
            for solution in listed("solutions", solutions)
        ]
        head = _head(puzzle)
        self._puzzle_fits = len(head[-1]) <= self._limit
        fitting = (source for source in self._sources if len(source) <= self._limit)
        self._items = list(dict.fromkeys(fitting)) if self._puzzle_fits else []
        super().__init__(
            [
                Task(plans.Verification(head, limits, twice=twice).plan(piece))
                for piece in plans.groups(self._items, most, _PIECE_BYTES)
            ]
        )

    def _results(self, found: Sequence[Verdict]) -> list[Verdict]:
        verdicts = dict(zip(self._items, found, strict=True))
        whose = "" if self._puzzle_fits else "puzzle: "
        too_long = Verdict(Outcome.UNPARSED, detail=f"{whose}longer than {self._limit} bytes")
        return [verdicts.get(source, too_long) for source in self._sources]


class Trial(Job[Verdict]):
    """The verdict on one program with tests."""

    def __init__(self, program: Program, limits: Limits) -> None:
        if not isinstance(program, Program):
            raise InputError(
                "a program must be an etude.judge.Program, but is of type "
                f"{type(program).__name__}: give Program(prompt, completion, tests, entry_point)"
            )
        super().__init__([Task(program_plan(program, limits))])

    def _results(self, found: Sequence[Verdict]) -> list[Verdict]:
        return list(found)


class Question(Job[Outcome]):
    """Whether `f` accepts plain answers."""

    def __init__(
        self,
        puzzle: AnyPuzzle,
        answers: Iterable[object],
        limits: Limits,
        look: Look = FIRST,
    ) -> None:
        head = _head(puzzle)
        self._answers = [
            _plain(answer, limits.answer_bytes) for answer in listed("answers", answers)
        ]
        self._fits = len(head[-1]) <= limits.source_bytes
        plain = (answer for answer in self._answers if isinstance(answer, bytes))
        self._items = list(dict.fromkeys(plain)) if self._fits else []
        super().__init__(
            [
                Task(plans.question(head, piece, limits, look))
                for piece in plans.groups(self._items, _MOST_ANSWERS, _PIECE_BYTES)
            ]
        )

    def _results(self, found: Sequence[Outcome]) -> list[Outcome]:
        if not self._fits:
            return [Outcome.UNPARSED] * len(self._answers)
        outcomes = dict(zip(self._items, found, strict=True))
        return [
            answer if isinstance(answer, Outcome) else outcomes[answer] for answer in self._answers
        ]


def _head(puzzle: AnyPuzzle) -> list[bytes]:
    """Name, answer type, source. The first two are empty when a sandbox is to find them."""
    if isinstance(puzzle, Puzzle):
        parts = [puzzle.name, puzzle.answer_type, puzzle.source]
    else:
        check_text("a puzzle", puzzle)
        parts = ["", "", puzzle]
    return [part.encode("utf-8", "surrogatepass") for part in parts]


def source_of(solution: AnySolution) -> str:
    """The text of a solution. Raises `InputError` for what is none."""
    source = solution.source if isinstance(solution, Solution) else solution
    check_text("a solution", source)
    return source


def _plain(answer: object, limit: int) -> bytes | Outcome:
    try:
        return codec.encode(answer, limit)
    except codec.NotPlain:
        return Outcome.MISTYPED
    except codec.TooLarge:
        return Outcome.MEMORY
