"""Regular expressions as a domain: a puzzle states what words to match, an answer matches them.

notation   text -> puzzle and back, and the Python that the judge runs
families   kinds of puzzles with their answers, split into training and held out
grammar    random puzzles and expressions, for pretraining
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from etude.domains.domain import SeedOf
from etude.domains.regex import families, grammar, notation
from etude.errors import Fault
from etude.prompts import Layout
from etude.puzzle import NotAPuzzle
from etude.types import Problem, Prompt, Puzzle

OPENING = "over"
ASKED = "re:"


class Regex:
    """The domain `regex`. See `Domain`."""

    name = "regex"
    own = "regex"
    free = False
    puzzles_are = "a text `over LETTERS: CLAUSE & CLAUSE`"
    solutions_are = "a regular expression on one line"

    def proposal_prompt(
        self,
        training: Sequence[str],
        rng: random.Random,
        *,
        layout: Layout,
        fits: Callable[[Prompt], bool] | None,
        most: int,
        weights: Sequence[float] | None = None,
        arrange: Callable[[list[int]], list[int]] = list,
    ) -> tuple[Prompt, list[int]]:
        """Shows nothing: a recipe of this domain has no few-shot prompts."""
        return Prompt(OPENING, OPENING, line=True), []

    def proposed(self, prompt: str, text: str, layout: Layout) -> str:
        return f"{OPENING}{text}".partition("\n")[0]

    def parse(self, text: str) -> Puzzle:
        return notation.puzzle_of(text)

    def check_rules(self, puzzle: Puzzle, *, paper: bool) -> None:
        notation.check(notation.read(notation.text_of(puzzle.source)))

    def trivial_answers(self, answer_type: str, *, paper: bool) -> list[object]:
        return list(families.TRIVIAL)

    def solving_prompt(
        self, puzzle: Puzzle, examples: Sequence[tuple[str, str]], *, layout: Layout
    ) -> Prompt:
        return Prompt(f"{self.shown(puzzle)}\n{ASKED}", ASKED, line=True)

    def solution(self, prompt: Prompt, text: str) -> str:
        return notation.solution_of(text.partition("\n")[0].removeprefix(" "))

    def solution_source(self, text: str) -> str:
        if text.startswith("def g("):
            notation.answer_of(text)
            return text
        answer = text.strip("\n").removeprefix(ASKED).removeprefix(" ")
        if "\n" in answer:
            raise NotAPuzzle("an answer of more than one line")
        return notation.solution_of(answer)

    def shown(self, puzzle: Puzzle) -> str:
        return _text(puzzle.source)

    def example_text(self, puzzle: str, solution: str, *, layout: Layout) -> str:
        return f"{_text(puzzle)}\n{ASKED}{self.example_tail(solution, layout)}"

    def example_tail(self, solution: str, layout: Layout) -> str:
        try:
            return f" {notation.answer_of(solution)}\n"
        except NotAPuzzle as reason:
            raise Fault(
                f"a solution can't be written in the domain {self.name}: {reason}"
            ) from None

    def document(self, rng: random.Random) -> str:
        puzzle, answer = grammar.document(rng)
        return f"{puzzle}\n{ASKED} {answer}\n"

    def pair(self, puzzle: str, solution: str) -> tuple[Puzzle, str]:
        made = notation.puzzle_of(puzzle.strip("\n"))
        self.check_rules(made, paper=False)
        return made, self.solution_source(solution)

    def seed_pairs(self, seed: int, per_family: int, split_seed: int) -> list[SeedOf]:
        made = families.seed_pairs(seed, per_family, split_seed)
        return [
            SeedOf(self.parse(one.text), notation.solution_of(one.answer), one.family)
            for one in made
        ]

    def held_out(self, split_seed: int) -> list[Problem]:
        constants, held = families.held_out(split_seed)
        problems = []
        for part, instances in (("constants", constants), ("families", held)):
            counts: dict[str, int] = {}
            for one in instances:
                number = counts[one.family] = counts.get(one.family, -1) + 1
                solution = notation.solution_of(one.answer)
                name = f"{one.family}/{number}"
                problems.append(Problem(name, part, self.parse(one.text), solution=solution))
        return problems


def _text(source: str) -> str:
    try:
        return notation.text_of(source)
    except NotAPuzzle as reason:  # nothing but `parse` makes the sources of this domain
        raise Fault(f"a puzzle can't be written in the domain regex: {reason}") from None
