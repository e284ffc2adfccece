"""The human-written pairs that a run starts from: a domain's own, P3's training half, a file's.

Covered: reading them. Not covered: whether a solution solves its puzzle (see `vouch`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude import domains
from etude.config import Recipe, SeedsSection
from etude.domains import Domain
from etude.errors import Fault, InputError
from etude.judge.pairs import BrokenLine, Exam, Pair, read_pairs
from etude.prompts import renamed
from etude.puzzle import NotAPuzzle, parse
from etude.suites.p3 import p3_records
from etude.types import Puzzle

P3 = "p3-train"
"""The 155 training puzzles of P3, the first instance of each problem, as in the paper."""


@dataclass(frozen=True, slots=True)
class SeedPair:
    """A puzzle and one solution, written by people."""

    puzzle: Puzzle
    solution: str
    name: str = ""
    """What messages call it: its line in a file, its name in P3, its family in the tiny world."""


def load_seeds(recipe: Recipe) -> list[SeedPair]:
    """The seed pairs of a recipe. Raises `InputError` naming the line of a pair that is none.

    Of P3's 155 training puzzles the 145 that come with a reference solution.
    """
    section = recipe.seeds
    domain = domains.named(recipe.domain)
    if section.source == domain.own:
        made = domain.seed_pairs(recipe.run.seed, section.per_family, section.split_seed)
        return [SeedPair(pair.puzzle, pair.solution, pair.family) for pair in made]
    if section.source == P3:
        solved = [record for record in _p3(section) if record["sol_bodies"]]
        return [
            SeedPair(_p3_puzzle(record), _p3_solution(record), record["name"]) for record in solved
        ]
    pairs = [_seed(domain, section.source, pair) for pair in read_pairs(section.source)]
    if not pairs:
        raise InputError(f"{section.source} must hold at least one pair but holds none.")
    return pairs


def load_shown(recipe: Recipe) -> list[Puzzle]:
    """The puzzles that are shown when proposing: those of the pairs, and P3's unsolved ones."""
    if recipe.seeds.source == P3:
        return [_p3_puzzle(record) for record in _p3(recipe.seeds)]
    return [pair.puzzle for pair in load_seeds(recipe)]


def _p3(section: SeedsSection) -> list[dict[str, Any]]:
    return p3_records("train", Path(section.folder) if section.folder else None)


def _p3_puzzle(record: dict[str, Any]) -> Puzzle:
    """P3 calls the functions `sat` and `sol`; the model is asked for `f` and `g`."""
    try:
        return parse(renamed(record["sat"], "f"))
    except NotAPuzzle as reason:  # the file's sum is checked, so this is no input of the user's
        raise Fault(f"The problem {record['name']} can't be read: {reason}.") from reason


def _p3_solution(record: dict[str, Any]) -> str:
    """The shortest reference solution, without its docstring, which tells the puzzle in English."""
    body: str = min(record["sol_bodies"], key=len)
    return f"{renamed(record['sol_header'], 'g')}\n{body}"


def _seed(domain: Domain, source: str, pair: Pair | Exam | BrokenLine) -> SeedPair:
    if not isinstance(pair, Pair):
        why = pair.reason if isinstance(pair, BrokenLine) else "a program with tests is no puzzle"
        raise InputError(f"{source}, line {pair.line}: {why}. Mend or remove the line.")
    try:
        return SeedPair(*domain.pair(pair.puzzle, pair.solution), f"line {pair.line}")
    except NotAPuzzle as error:
        raise InputError(
            f"{source}, line {pair.line}: a pair must be {domain.puzzles_are} "
            f"and {domain.solutions_are} but is {error}. "
            "Mend or remove the line."
        ) from None
