"""How much of a suite a model may have seen: its problems against training examples. Pure.

Levels, from the surest to the loosest:

    exact       the problem's text stands in the example up to the end of a line, white space aside
    canonical   the example's puzzle is the same but for names, layout and order of operands
    form        it is the same but for its constants too
    8-gram      the example holds at least half of the problem's runs of 8 tokens

`contamination` gives the worst example of each problem and level, `Screen` every one. An exercise
has no canonical form: only `exact` and `8-gram` speak of it. n-grams find what was reworded, and
also what is merely alike (both texts are given, so that a person can tell).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from etude.domains import PYTHON, Domain
from etude.duplicates.keys import keys_of
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
    puzzle: str = ""
    """Source of its puzzle; without it only `exact` and `8-gram` speak of the text."""


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


@dataclass(frozen=True, slots=True)
class Met:
    """One problem that one example meets at one level."""

    place: int
    """Of the problem among those of the screen."""
    level: str
    share: float
    """Of the problem's 8-grams, how many stand in the example."""


def contamination(
    problems: Sequence[Problem], trained: Iterable[Trained], domain: Domain = PYTHON
) -> list[Hit]:
    """At most one hit for each problem and level, in the order of the problems and LEVELS.

    Takes 13 seconds for 100,000 examples of the length of P3's, against its 228 problems.
    """
    screen = Screen(problems, domain=domain)
    count: Counter[tuple[int, str]] = Counter()
    worst: dict[tuple[int, str], tuple[float, Trained]] = {}
    for example in trained:
        for met in screen.held(example):
            key = met.place, met.level
            count[key] += 1
            if key not in worst or met.share > worst[key][0]:
                worst[key] = met.share, example
    return [
        Hit(problem.name, problem.part, level, count[key], share, example.id, text, example.text)
        for place, (problem, text) in enumerate(zip(problems, screen.texts, strict=True))
        for level in LEVELS
        if (key := (place, level)) in worst
        for share, example in [worst[key]]
    ]


def counts(hits: Iterable[Hit]) -> dict[str, int]:
    """Problems that are met at each level."""
    found = Counter(hit.level for hit in hits)
    return {level: found[level] for level in LEVELS}


class Screen:
    """The problems by what is looked up of each example."""

    def __init__(
        self, problems: Sequence[Problem], *, share: float = OVERLAP, domain: Domain = PYTHON
    ) -> None:
        """`share`: of a problem's 8-grams, from which on an example counts. `domain` is that of the
        examples: texts are compared as it shows them."""
        self.problems = problems
        self.share = share
        self.texts = [shown_text(problem, domain) for problem in problems]
        self._plain = [_plain(text) for text in self.texts]
        self._sizes: list[int] = []
        self._index: dict[Gram, list[int]] = defaultdict(list)
        self._ids: dict[str, list[int]] = defaultdict(list)
        self._canonical: dict[int, list[int]] = defaultdict(list)
        self._forms: dict[int, list[int]] = defaultdict(list)
        for place, problem in enumerate(problems):
            grams = set(grams_of(self.texts[place]))
            self._sizes.append(len(grams))
            for gram in grams:
                self._index[gram].append(place)
            if problem.puzzle is not None:
                keys = keys_of(PYTHON.shown(problem.puzzle), "")
                self._ids[problem.puzzle.id].append(place)
                self._canonical[keys.canonical].append(place)
                self._forms[keys.form].append(place)

    def held(self, example: Trained) -> list[Met]:
        """The problems that an example meets, by level."""
        shared: Counter[int] = Counter()
        for gram in self._index.keys() & set(grams_of(example.text)):
            shared.update(self._index[gram])
        share = {place: count / self._sizes[place] for place, count in shared.items()}
        same, alike = self._by_tree(example)
        met = [(place, "canonical") for place in same] + [(place, "form") for place in alike]
        for place, part in share.items():
            if part >= self.share:
                met.append((place, "8-gram"))
            if part == 1 and _holds(example.text, self._plain[place]):
                met.append((place, "exact"))
        return sorted(
            (Met(place, level, share.get(place, 0.0)) for place, level in met),
            key=lambda one: (one.place, LEVELS.index(one.level)),
        )

    def _by_tree(self, example: Trained) -> tuple[set[int], set[int]]:
        """The problems that the example's puzzle is, and those of its form.

        Ids know puzzles whose arguments are named otherwise; keys leave the names of a puzzle alone
        that may look at them, as one with `eval` does, but know names of its own, and operands.
        """
        same = set(self._ids.get(example.puzzle_id, ()))
        keys = keys_of(example.puzzle, "")
        if not example.puzzle or not keys.parsed:
            return same, same
        same |= set(self._canonical.get(keys.canonical, ()))
        return same, same | set(self._forms.get(keys.form, ()))


def shown_text(problem: Problem, domain: Domain = PYTHON) -> str:
    """A problem as a model would see it in training: a puzzle as its domain shows it, so for Python
    `f` without its docstring; an exercise with its reference solution."""
    if problem.puzzle is not None:
        return domain.shown(problem.puzzle)
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


def _holds(text: str, plain: str) -> bool:
    """Whether it stands there and a line ends where it ends: `len(x) == a` is another problem than
    `len(x) == a and x[0] == b`."""
    found, ends = "", set()
    for line in text.splitlines():
        if words := _plain(line):
            found += f" {words}" if found else words
            ends.add(len(found))
    return any(found.startswith(plain, end - len(plain)) for end in ends if end >= len(plain))
