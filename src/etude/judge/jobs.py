"""From what a caller asks to requests for zygotes, and back.

Nothing here looks into a source: hostile text is only encoded, compared and measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from etude.errors import Fault
from etude.judge import codec, wire
from etude.judge.crew import Task
from etude.judge.limits import Limits
from etude.types import Outcome, Puzzle, Solution, Verdict

AnyPuzzle = Puzzle | str
AnySolution = Solution | str

MOST_ITEMS = 64
"""Items of one request: a lost sandbox loses no more."""
_PIECE_BYTES = 4 << 20
_MOST_ANSWERS = 10_000

Result = TypeVar("Result")


class Job(Generic[Result]):
    """Tasks for workers, and what their verdicts mean to the caller."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = tasks

    def wait(self) -> list[Result]:
        """The results, once every task is done. Raises `Fault` when the judge was closed."""
        for task in self.tasks:
            task.done.wait()
            if len(task.verdicts) < len(task.items):
                raise Fault("the judge was closed before it gave a verdict")
        return self._results()

    def cancel(self) -> None:
        """Leave undone what no worker has begun."""
        for task in self.tasks:
            task.cancelled = True

    def _results(self) -> list[Result]:
        raise NotImplementedError

    def _verdicts(self) -> dict[bytes, Verdict]:
        return {
            item: verdict
            for task in self.tasks
            for item, verdict in zip(task.items, task.verdicts, strict=True)
        }


class Verification(Job[Verdict]):
    """Verdicts for solutions of one puzzle."""

    def __init__(
        self, puzzle: AnyPuzzle, solutions: Sequence[AnySolution], limits: Limits, most: int
    ) -> None:
        """`most` solutions go into one request."""
        self._limit = limits.source_bytes
        self._sources = [_encoded(solution) for solution in solutions]
        head = _head(puzzle)
        self._puzzle_fits = len(head[-1]) <= self._limit
        items = [item for item in dict.fromkeys(self._sources) if len(item) <= self._limit]
        pieces = _pieces(items, most) if self._puzzle_fits else iter(())
        super().__init__([Task(wire.VERIFY, head, piece) for piece in pieces])

    def _results(self) -> list[Verdict]:
        verdicts = self._verdicts()
        whose = "" if self._puzzle_fits else "puzzle: "
        too_long = Verdict(Outcome.UNPARSED, detail=f"{whose}longer than {self._limit} bytes")
        return [verdicts.get(source, too_long) for source in self._sources]


class Question(Job[Outcome]):
    """Whether `f` accepts plain answers."""

    def __init__(self, puzzle: AnyPuzzle, answers: Sequence[object], limits: Limits) -> None:
        head = _head(puzzle)
        self._answers = [_plain(answer, limits.answer_bytes) for answer in answers]
        items = list(dict.fromkeys(item for item in self._answers if isinstance(item, bytes)))
        self._fits = len(head[-1]) <= limits.source_bytes
        pieces = _pieces(items, _MOST_ANSWERS) if self._fits else iter(())
        super().__init__([Task(wire.SATISFY, head, piece) for piece in pieces])

    def _results(self) -> list[Outcome]:
        if not self._fits:
            return [Outcome.UNPARSED] * len(self._answers)
        verdicts = self._verdicts()
        return [
            answer if isinstance(answer, Outcome) else verdicts[answer].outcome
            for answer in self._answers
        ]


def _head(puzzle: AnyPuzzle) -> list[bytes]:
    """Name, answer type, source. The first two are empty when a sandbox is to find them."""
    if isinstance(puzzle, Puzzle):
        parts = [puzzle.name, puzzle.answer_type, puzzle.source]
    else:
        parts = ["", "", puzzle]
    return [part.encode("utf-8", "surrogatepass") for part in parts]


def _encoded(solution: AnySolution) -> bytes:
    source = solution.source if isinstance(solution, Solution) else solution
    return source.encode("utf-8", "surrogatepass")


def _plain(answer: object, limit: int) -> bytes | Outcome:
    try:
        return codec.encode(answer, limit)
    except codec.NotPlain:
        return Outcome.MISTYPED
    except codec.TooLarge:
        return Outcome.MEMORY


def _pieces(items: list[bytes], most: int) -> Iterator[list[bytes]]:
    """Runs of at most `most` items, and of at most a few megabytes unless one item is larger."""
    piece: list[bytes] = []
    size = 0
    for item in items:
        if piece and (len(piece) >= most or size + len(item) > _PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(item)
        size += len(item)
    if piece:
        yield piece
