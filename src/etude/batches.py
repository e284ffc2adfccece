"""Many solutions tried at once: which of them seem to be right.

A batch is a single program in the judge, in which solutions are functions beside puzzles: seven
times as many are tried in a second as with a process each, and fourteen times as many where the
same 100 are tried on 40 puzzles (`python benchmarks/batches.py`, 2 cores). What it says is a hint
and no verdict, for all that is in it shares one process, and any of it can spoil or forge what is
found. So what seems right is judged again, by itself.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from etude.judge import Judge
from etude.puzzle import parse
from etude.types import Outcome, Puzzle, Verdict

SIZE = 100
"""Solutions of a batch."""
TOGETHER = 40
"""Puzzles that the same solutions are tried on, in one batch."""
FAILURES = 10
"""Batches of a puzzle that may end badly. One bad solution is found by the seventh at the latest;
of a puzzle that is itself to blame all would, and nothing more is asked of it."""
ENOUGH = 5
"""Solutions of a puzzle that a batch names, where the same ones are tried on many: a verdict keeps
1,000 characters of an answer, and each of them takes four."""

_HINTS = parse("def f(x: str): return True")
_PLAIN = ("bool", "dict", "float", "int", "list", "set", "str", "tuple")


class Asking(NamedTuple):
    """A puzzle, and what it gives to a body that is tried on it."""

    puzzle: Puzzle
    given: Mapping[str, str]
    """By name a value, as a literal."""


class Hints(NamedTuple):
    """What batches say of the solutions of one puzzle."""

    places: list[int]
    """Of those that seem right, in order."""
    cpu_seconds: float
    """The puzzle's part of what the batches took."""


@dataclass(slots=True)
class _Asked:
    """Puzzles and the solutions that are being tried on them."""

    puzzles: Sequence[Puzzle]
    solutions: Sequence[str]
    given: Sequence[Mapping[str, str]] = ()
    """Of each puzzle, where every solution is tried on every puzzle: as bodies, under a header of
    these names."""
    hits: set[tuple[int, int]] = field(default_factory=set)
    """Places of a puzzle and of a solution."""
    seconds: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    """CPU seconds by the place of a puzzle."""
    first: int = 0
    """The place of the first puzzle."""
    failures: int = 0

    def program(self, part: range) -> str:
        if self.given:
            return crossing(list(map(Asking, self.puzzles, self.given)), self.solutions, part)
        return program(self.puzzles[0], self.solutions, part)

    def parts(self) -> list[tuple[_Asked, range]]:
        many = len(self.solutions)
        return [(self, range(at, min(at + SIZE, many))) for at in range(0, many, SIZE)]

    def alone(self) -> list[_Asked]:
        """Each puzzle by itself."""
        return [
            _Asked([puzzle], self.solutions, [given], self.hits, self.seconds, place)
            for place, (puzzle, given) in enumerate(zip(self.puzzles, self.given, strict=True))
        ]

    def take(self, verdict: Verdict, part: range) -> bool:
        """Whether a batch ended well: then what it names is kept."""
        for place in range(self.first, self.first + len(self.puzzles)):
            self.seconds[place] += verdict.cpu_seconds / len(self.puzzles)
        named = re.fullmatch(r"'((?:\d{4})*)'", verdict.answer or "", re.ASCII)
        if verdict.outcome is not Outcome.ACCEPTED or named is None:
            self.failures += 1
            return False
        for one in re.findall(r"\d{4}", named[1]):
            puzzle, offset = int(one[:2]), int(one[2:])
            if puzzle < len(self.puzzles) and offset < len(part):
                self.hits.add((self.first + puzzle, part[offset]))
        return True

    def hints(self) -> list[Hints]:
        """For each puzzle."""
        found: list[list[int]] = [[] for _ in self.puzzles]
        for puzzle, place in sorted(self.hits):
            found[puzzle].append(place)
        return [Hints(places, self.seconds[at]) for at, places in enumerate(found)]


def seem_right(judge: Judge, jobs: Sequence[tuple[Puzzle, Sequence[str]]]) -> Iterator[Hints]:
    """For each puzzle those of its solutions that seem to solve it.

    A batch that ends badly, by one endless loop for example, is tried again in halves, and in the
    end without what ends it.
    """
    asked = [_Asked([puzzle], solutions) for puzzle, solutions in jobs]
    _ask(judge, asked)
    return (one.hints()[0] for one in asked)


def seem_to_fit(
    judge: Judge, jobs: Sequence[tuple[Sequence[Asking], Sequence[str]]]
) -> Iterator[list[Hints]]:
    """For each job, and each of its puzzles, some bodies that seem to solve it.

    Of a job all puzzles have answers of one type and give values by the same names. A body is the
    text behind the colon of a `g` with these arguments. Where many seem right, those that come
    first.
    """
    groups = [
        [
            _Asked([one.puzzle for one in part], bodies, [one.given for one in part])
            for start in range(0, len(asked), TOGETHER)
            for part in [asked[start : start + TOGETHER]]
        ]
        for asked, bodies in jobs
    ]
    _ask(judge, [one for group in groups for one in group])
    return ([hints for one in group for hints in one.hints()] for group in groups)


def _ask(judge: Judge, asked: Sequence[_Asked]) -> None:
    owed = [part for one in asked for part in one.parts()]
    while owed:
        found = judge.verify_all((_HINTS, [one.program(part)]) for one, part in owed)
        halves, divided = [], {}
        for (one, part), (verdict,) in zip(owed, found, strict=True):
            if one.take(verdict, part):
                continue
            if len(one.puzzles) > 1 and (
                verdict.outcome is Outcome.UNPARSED or one.failures > FAILURES
            ):
                divided[id(one)] = one
            elif len(part) > 1:
                middle = len(part) // 2
                halves += [(one, part[:middle]), (one, part[middle:])]
        owed = [
            (one, part)
            for one, part in halves
            if id(one) not in divided and one.failures <= FAILURES
        ]
        owed += [part for one in divided.values() for own in one.alone() for part in own.parts()]


def program(puzzle: Puzzle, solutions: Sequence[str], part: range) -> str:
    """The solution of a batch. Its answer tells those that seem right: of each the place of the
    puzzle and its own in the batch, two digits each.

    >>> puzzle = parse("def f(x: int, a=7): return x > a")
    >>> print(program(puzzle, ["def g(a=7): return a", "def g(a=7): return a + 1"], range(1, 2)))
    def g():
        hits = ''
        def f(x: int, a=7): return x > a
        try:
            def g(a=7): return a + 1
            answer = g()
            if type(answer) is int and f(answer) is True: hits += '0000'
        except BaseException: pass
        return hits
    """
    typed = _typed(puzzle)
    lines = ["def g():", "    hits = ''", textwrap.indent(puzzle.source.rstrip(), "    ")]
    for offset, place in enumerate(part):
        lines += [
            "    try:",
            textwrap.indent(solutions[place].rstrip(), "        "),
            "        answer = g()",
            f"        if {typed}{puzzle.name}(answer) is True: hits += '00{offset:02}'",
            "    except BaseException: pass",
        ]
    return "\n".join([*lines, "    return hits"])


def crossing(asked: Sequence[Asking], bodies: Sequence[str], part: range) -> str:
    """The same for bodies that are each tried on all puzzles.

    >>> asked = [Asking(parse("def f(x: int, a=7): return x > a"), {"a": "7"})]
    >>> print(crossing(asked, [" return a", " return a + 1"], range(1, 2)))
    def g():
        hits, asked = [], []
        try:
            def f(x: int, a=7): return x > a
            asked.append([0, 0, f, lambda: dict(a=7)])
        except BaseException: pass
        def ask(g, place):
            for one in asked:
                try:
                    answer = g(**one[3]())
                    if type(answer) is int and one[2](answer) is True and one[1] < 5:
                        one[1] += 1
                        hits.append(f'{one[0]:02}{place:02}')
                except BaseException: pass
        def g(a): return a + 1
        ask(g, 0)
        return ''.join(hits)
    """
    names, typed = ", ".join(asked[0].given), _typed(asked[0].puzzle)
    lines = ["def g():", "    hits, asked = [], []"]
    for number, (puzzle, given) in enumerate(asked):
        known = f"lambda: dict({_arguments(given)})"
        lines += [
            "    try:",
            textwrap.indent(puzzle.source.rstrip(), "        "),
            f"        asked.append([{number}, 0, {puzzle.name}, {known}])",
            "    except BaseException: pass",
        ]
    lines += [
        "    def ask(g, place):",
        "        for one in asked:",
        "            try:",
        "                answer = g(**one[3]())",
        f"                if {typed}one[2](answer) is True and one[1] < {ENOUGH}:",
        "                    one[1] += 1",
        "                    hits.append(f'{one[0]:02}{place:02}')",
        "            except BaseException: pass",
    ]
    for offset, place in enumerate(part):
        body = textwrap.indent(f"def g({names}):{bodies[place]}", "    ")
        lines += [body, f"    ask(g, {offset})"]
    return "\n".join([*lines, "    return ''.join(hits)"])


def _arguments(given: Mapping[str, str]) -> str:
    """Values by name: made anew for each call, as a call may change them."""
    return ", ".join(f"{name}={value}" for name, value in given.items())


def _typed(puzzle: Puzzle) -> str:
    """What is asked of the type of an answer before `f` is: lists of what is not looked at."""
    outer = puzzle.answer_type.partition("[")[0].lower()
    return f"type(answer) is {outer} and " if outer in _PLAIN else ""
