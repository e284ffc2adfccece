"""How many solutions a second do batches try, and how many the judge alone?

    python benchmarks/batches.py [--puzzles 40] [--solutions 100]

The same pairs in one run, three times: each in a process of its own, as a verdict needs it; a
puzzle's solutions as functions of one program (`etude.batches.seem_right`); and the bodies that are
each tried on all puzzles (`seem_to_fit`). Puzzles and solutions are of the grammar of `etude.tiny`,
of one answer type and one set of inputs, as the third way asks for. Whatever a batch names is held
against the verdicts: a hint that a verdict contradicts, and an accepted one that no hint has, are
counted. `seem_to_fit` names five of a puzzle at most, so of it only the first are.
"""

from __future__ import annotations

import argparse
import ast
import random
import time
from collections import defaultdict

from etude.arguments import function_of, inputs_of
from etude.batches import Asking, seem_right, seem_to_fit
from etude.judge import Judge
from etude.puzzle import parse, syntax_tree
from etude.tiny.grammar import document
from etude.types import Outcome, Puzzle


def pairs(puzzles: int, solutions: int) -> tuple[list[Puzzle], list[str]]:
    """Puzzles of one answer type with inputs of the same names, and bodies with these inputs."""
    rng = random.Random(0)
    groups: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    while True:
        text, solution = document(rng)
        puzzle = parse(text)
        names = inputs_of(function_of(syntax_tree(puzzle.source)))
        found = groups[puzzle.answer_type, *names]
        found.setdefault(puzzle.source, solution.split(":", 1)[1].rstrip())
        if names and len(found) == max(puzzles, solutions):
            first = list(found)[:puzzles]
            return [parse(one) for one in first], list(found.values())[:solutions]


def inputs(puzzle: Puzzle) -> dict[str, str]:
    """The puzzle's inputs, by name the default."""
    found = inputs_of(function_of(syntax_tree(puzzle.source))).items()
    return {name: ast.unparse(value) for name, value in found}


def headed(puzzle: Puzzle, body: str) -> str:
    """The body as a solution of this puzzle."""
    words = ", ".join(f"{name}={value}" for name, value in inputs(puzzle).items())
    return f"def g({words}):{body}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--puzzles", type=int, default=40)
    parser.add_argument("--solutions", type=int, default=100)
    given = parser.parse_args()
    puzzles, bodies = pairs(given.puzzles, given.solutions)
    jobs = [(puzzle, [headed(puzzle, body) for body in bodies]) for puzzle in puzzles]
    asked = [Asking(puzzle, inputs(puzzle)) for puzzle in puzzles]
    many = len(puzzles) * len(bodies)
    with Judge(workers=1) as judge:
        judge.verify(puzzles[0], jobs[0][1][0])  # starts its worker

        began = time.perf_counter()
        verdicts = list(judge.verify_all(jobs))
        alone = time.perf_counter() - began
        right = [
            {at for at, one in enumerate(own) if one.outcome is Outcome.ACCEPTED}
            for own in verdicts
        ]
        print(f"{many:,} pairs of {len(puzzles)} puzzles, {sum(map(len, right)):,} right")
        print(f"alone        {many / alone:10,.0f} a second")

        for name, hints, whole in (
            ("seem_right", lambda: list(seem_right(judge, jobs)), True),
            ("seem_to_fit", lambda: next(iter(seem_to_fit(judge, [(asked, bodies)]))), False),
        ):
            began = time.perf_counter()
            found = [set(one.places) for one in hints()]
            seconds = time.perf_counter() - began
            wrong = sum(len(one - own) for one, own in zip(found, right, strict=True))
            missed = sum(
                len(own - one) if whole else bool(own) > bool(one)
                for one, own in zip(found, right, strict=True)
            )
            print(
                f"{name:12} {many / seconds:10,.0f} a second, {alone / seconds:.0f} times as many; "
                f"{wrong} named wrongly, {missed} missed"
            )


if __name__ == "__main__":
    main()
