"""Many solutions of one puzzle asked at once: which of them seem to be right.

A batch is a single program in the judge, in which every solution is a function beside the puzzle:
some ten times as many are tried in a second as with a process each. What it says is a hint and no
verdict, for the solutions are in one process with each other and with the puzzle, and any of them
can spoil or forge what is found. So what seems right is judged again, by itself.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from etude.judge import Judge
from etude.puzzle import parse
from etude.types import Outcome, Puzzle, Verdict

SIZE = 100
"""Solutions of a batch."""
GIVEN_UP = 3
"""Solutions of a puzzle that end even a batch of their own; then the others are not asked."""

_HINTS = parse("def f(x: List[int]): return True")
_PLAIN = ("bool", "dict", "float", "int", "list", "set", "str", "tuple")


@dataclass(slots=True)
class _Asked:
    """A puzzle whose solutions are being tried."""

    puzzle: Puzzle
    solutions: Sequence[str]
    hits: set[int] = field(default_factory=set)
    bad: int = 0


def seem_right(judge: Judge, jobs: Sequence[tuple[Puzzle, Sequence[str]]]) -> Iterator[list[int]]:
    """For each puzzle the places of those of its solutions that seem to solve it, in order.

    A batch that ends badly, by one endless loop for example, is tried again in halves.
    """
    asked = [_Asked(puzzle, solutions) for puzzle, solutions in jobs]
    owed = [
        (one, range(start, min(start + SIZE, len(one.solutions))))
        for one in asked
        for start in range(0, len(one.solutions), SIZE)
    ]
    while owed:
        programs = ((_HINTS, [program(one.puzzle, one.solutions, part)]) for one, part in owed)
        found = judge.verify_all(programs)
        halves = []
        for (one, part), (verdict,) in zip(owed, found, strict=True):
            hits = _hits(verdict, part)
            if hits is not None:
                one.hits |= hits
            elif len(part) == 1:
                one.bad += 1
            else:
                middle = len(part) // 2
                halves += [(one, part[:middle]), (one, part[middle:])]
        owed = [(one, part) for one, part in halves if one.bad < GIVEN_UP]
    return (sorted(one.hits) for one in asked)


def _hits(verdict: Verdict, part: range) -> set[int] | None:
    """The places that a batch names, of those that it was asked; None where it ended badly."""
    if verdict.outcome is not Outcome.ACCEPTED or verdict.answer is None:
        return None
    return set(ast.literal_eval(verdict.answer)).intersection(part)


def program(puzzle: Puzzle, solutions: Sequence[str], part: range) -> str:
    """The solution of a batch: its answer is the places of the solutions that seem right.

    >>> puzzle = parse("def f(x: int, a=7): return x > a")
    >>> print(program(puzzle, ["def g(a=7): return a", "def g(a=7): return a + 1"], range(1, 2)))
    def g():
        hits = []
        def f(x: int, a=7): return x > a
        try:
            def g(a=7): return a + 1
            answer = g()
            if type(answer) is int and f(answer) is True: hits.append(1)
        except BaseException: pass
        return hits
    """
    outer = puzzle.answer_type.partition("[")[0].lower()
    typed = f"type(answer) is {outer} and " if outer in _PLAIN else ""
    lines = ["def g():", "    hits = []", textwrap.indent(puzzle.source.rstrip(), "    ")]
    for place in part:
        lines += [
            "    try:",
            textwrap.indent(solutions[place].rstrip(), "        "),
            "        answer = g()",
            f"        if {typed}{puzzle.name}(answer) is True: hits.append({place})",
            "    except BaseException: pass",
        ]
    return "\n".join([*lines, "    return hits"])
