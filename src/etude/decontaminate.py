"""How much of a suite a model may have seen: its problems against training examples. Pure.

Levels, from the surest to the loosest:

    exact       the problem's text stands in the example, white space aside
    canonical   the example's puzzle is the same but for names and layout (equal ids)
    form        it is the same but for its constants
    8-gram      the example holds at least half of the problem's runs of 8 tokens

An exercise has no canonical form: only `exact` and `8-gram` speak of it. n-grams find what was
reworded, and also what is merely alike (both texts are given, so that a person can tell).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from etude.prompts import renamed
from etude.puzzle import without_docstring
from etude.types import Problem

LEVELS = ("exact", "canonical", "form", "8-gram")
GRAM = 8
OVERLAP = 0.5
"""The share of a problem's n-grams from which an example counts."""
_TOKEN = re.compile(r"\w+|[^\w\s]")

Gram = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A text that a model was trained on."""

    id: str
    text: str
    puzzle_id: str = ""
    form: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A problem that training examples meet, and the worst of these examples."""

    problem: str
    part: str
    level: str
    examples: int
    share: float
    """Of the problem's 8-grams, how many stand in the example."""
    example_id: str
    problem_text: str
    example_text: str


def contamination(problems: Sequence[Problem], trained: Iterable[Trained]) -> list[Hit]:
    """At most one hit for each problem and level, in the order of the problems and LEVELS.

    Takes 13 seconds for 100,000 examples of the length of P3's, against its 228 problems.
    """
    screen = _Screen(problems)
    for example in trained:
        screen.hold(example)
    return screen.hits()


def counts(hits: Iterable[Hit]) -> dict[str, int]:
    """Problems that are met at each level."""
    found = Counter(hit.level for hit in hits)
    return {level: found[level] for level in LEVELS}


class _Screen:
    """The problems by what is looked up of each example."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        self.texts = [shown_text(problem) for problem in problems]
        self.plain = [_plain(text) for text in self.texts]
        self.sizes: list[int] = []
        self.index: dict[Gram, list[int]] = defaultdict(list)
        self.ids: dict[str, list[int]] = defaultdict(list)
        self.forms: dict[str, list[int]] = defaultdict(list)
        self.met: Counter[tuple[int, str]] = Counter()
        self.worst: dict[tuple[int, str], tuple[float, Trained]] = {}
        for place, problem in enumerate(problems):
            grams = set(grams_of(self.texts[place]))
            self.sizes.append(len(grams))
            for gram in grams:
                self.index[gram].append(place)
            if problem.puzzle is not None:
                self.ids[problem.puzzle.id].append(place)
                self.forms[problem.puzzle.form].append(place)

    def hold(self, example: Trained) -> None:
        """Hold one example against all problems."""
        shared: Counter[int] = Counter()
        for gram in self.index.keys() & set(grams_of(example.text)):
            shared.update(self.index[gram])
        share = {place: count / self.sizes[place] for place, count in shared.items()}
        for place in self.ids.get(example.puzzle_id, ()):
            self._note(place, "canonical", share, example)
        for place in self.forms.get(example.form, ()):
            self._note(place, "form", share, example)
        for place, part in share.items():
            if part >= OVERLAP:
                self._note(place, "8-gram", share, example)
            if part == 1 and self.plain[place] in _plain(example.text):
                self._note(place, "exact", share, example)

    def _note(self, place: int, level: str, share: dict[int, float], example: Trained) -> None:
        key = place, level
        self.met[key] += 1
        found = share.get(place, 0.0)
        if key not in self.worst or found > self.worst[key][0]:
            self.worst[key] = found, example

    def hits(self) -> list[Hit]:
        return [
            Hit(
                problem.name,
                problem.part,
                level,
                self.met[place, level],
                self.worst[place, level][0],
                self.worst[place, level][1].id,
                self.texts[place],
                self.worst[place, level][1].text,
            )
            for place, problem in enumerate(self.problems)
            for level in LEVELS
            if (place, level) in self.worst
        ]


def shown_text(problem: Problem) -> str:
    """A problem as a model would see it in training: a puzzle `f` without its docstring; an
    exercise with its reference solution."""
    if problem.puzzle is not None:
        return renamed(without_docstring(problem.puzzle.source).strip(), "f")
    exercise = problem.exercise
    assert exercise is not None
    solution = problem.solution.removeprefix(exercise.opening)
    return f"{exercise.prompt}{solution}" if problem.solution else exercise.prompt


def grams_of(text: str) -> Iterable[Gram]:
    """The runs of 8 tokens of a text; none of a shorter one."""
    tokens = _TOKEN.findall(text)
    return zip(*(tokens[start:] for start in range(GRAM)), strict=False)


def _plain(text: str) -> str:
    return " ".join(text.split())
