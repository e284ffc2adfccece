"""Python functions as a domain: what a model writes is what the judge runs."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Callable, Sequence

from etude import prompts
from etude.domains.domain import SeedOf
from etude.mutate import opening_of
from etude.prompts import Layout, completed, renamed
from etude.puzzle import NotAPuzzle, check_rules, parse, syntax_tree, without_docstring
from etude.replies import puzzle_source, solution_source
from etude.tiny import families
from etude.tiny.grammar import document
from etude.trivial import trivial_answers
from etude.types import Problem, Prompt, Puzzle


class Python:
    """The domain `python`. See `Domain`."""

    name = "python"
    own = "tiny"
    free = True
    puzzles_are = "one function f(answer: type, inputs=...)"
    solutions_are = "one function g(inputs=...)"

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
        return prompts.proposal_prompt(
            training, rng, layout=layout, fits=fits, most=most, weights=weights, arrange=arrange
        )

    def proposed(self, prompt: str, text: str, layout: Layout) -> str:
        if layout == "chat":
            return puzzle_source(text)
        return completed(Prompt(prompt, opening_of(prompt)), text, "f")

    def parse(self, text: str) -> Puzzle:
        return parse(text)

    def check_rules(self, puzzle: Puzzle, *, paper: bool) -> None:
        check_rules(puzzle, paper=paper)

    def trivial_answers(self, answer_type: str, *, paper: bool) -> list[object]:
        return trivial_answers(answer_type, paper=paper)

    def solving_prompt(
        self, puzzle: Puzzle, examples: Sequence[tuple[str, str]], *, layout: Layout
    ) -> Prompt:
        return prompts.solving_prompt(puzzle, examples, layout=layout)

    def solution(self, prompt: Prompt, text: str) -> str:
        return solution_source(text) if prompt.chat else completed(prompt, text, "g")

    def solution_source(self, text: str) -> str:
        return text

    def shown(self, puzzle: Puzzle) -> str:
        return renamed(without_docstring(puzzle.source).strip(), "f")

    def example_text(self, puzzle: str, solution: str, *, layout: Layout) -> str:
        return prompts.example_text(puzzle, solution, layout=layout)

    def example_tail(self, solution: str, layout: Layout) -> str:
        return solution + prompts.example_end(layout)

    def document(self, rng: random.Random) -> str:
        return "\n".join((*document(rng), ""))

    def pair(self, puzzle: str, solution: str) -> tuple[Puzzle, str]:
        read = parse(puzzle)
        functions = [
            node for node in syntax_tree(solution).body if isinstance(node, ast.FunctionDef)
        ]
        names = [read.name, *(function.name for function in functions)]
        if names != ["f", "g"]:
            raise NotAPuzzle(f"a pair with the functions {', '.join(names)}")
        return read, solution

    def seed_pairs(self, seed: int, per_family: int, split_seed: int) -> list[SeedOf]:
        made = families.seed_pairs(seed, per_family, split_seed=split_seed)
        return [SeedOf(parse(pair.puzzle), pair.solution, pair.family) for pair in made]

    def held_out(self, split_seed: int) -> list[Problem]:
        constants, held = families.held_out(split_seed=split_seed)
        counts: Counter[str] = Counter()
        problems = []
        for part, instances in (("constants", constants), ("families", held)):
            for one in instances:
                name = f"{one.family}/{counts[one.family]}"
                counts[one.family] += 1
                problems.append(Problem(name, part, parse(one.puzzle), solution=one.solution))
        return problems
