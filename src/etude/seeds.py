"""The human-written pairs that a run starts from: the tiny world's, or a file's."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from etude.config import Recipe
from etude.errors import InputError
from etude.judge.pairs import BrokenLine, Exam, Pair, read_pairs
from etude.puzzle import NotAPuzzle, parse, syntax_tree
from etude.tiny import families
from etude.types import Puzzle


@dataclass(frozen=True, slots=True)
class SeedPair:
    """A puzzle and one solution, written by people."""

    puzzle: Puzzle
    solution: str


def load_seeds(recipe: Recipe) -> list[SeedPair]:
    """The seed pairs of a recipe. Raises `InputError` naming the line of a pair that is none."""
    section = recipe.seeds
    if section.source == "tiny":
        made = families.seed_pairs(
            recipe.run.seed, section.per_family, split_seed=section.split_seed
        )
        return [SeedPair(parse(pair.puzzle), pair.solution) for pair in made]
    pairs = [_seed(section.source, pair) for pair in read_pairs(section.source)]
    if not pairs:
        raise InputError(f"{section.source} must hold at least one pair but holds none.")
    return pairs


def _seed(source: str, pair: Pair | Exam | BrokenLine) -> SeedPair:
    if not isinstance(pair, Pair):
        why = pair.reason if isinstance(pair, BrokenLine) else "a program with tests is no puzzle"
        raise InputError(f"{source}, line {pair.line}: {why}. Mend or remove the line.")
    try:
        puzzle = parse(pair.puzzle)
        _check_names(puzzle, pair.solution)
    except NotAPuzzle as error:
        raise InputError(
            f"{source}, line {pair.line}: a pair must be one function f(answer: type, inputs=...) "
            f"and one function g(inputs=...) but is {error}. Mend or remove the line."
        ) from None
    return SeedPair(puzzle, pair.solution)


def _check_names(puzzle: Puzzle, solution: str) -> None:
    """The model is asked for `f` and `g`, so these must be what it is shown."""
    functions = [node for node in syntax_tree(solution).body if isinstance(node, ast.FunctionDef)]
    names = [puzzle.name, *(function.name for function in functions)]
    if names != ["f", "g"]:
        raise NotAPuzzle(f"a pair with the functions {', '.join(names)}")
