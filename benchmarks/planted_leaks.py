"""Planted leaks of P3's test puzzles among training examples, and at which level they are met.

Each of the 228 test puzzles is planted once for each kind of change, as a training example with its
reference solution beside it. A cell is how many of the planted examples meet their own problem at
that level. The last line is of the training puzzles alone: how many meet a test problem, which is a
false alarm, or a likeness between the halves. The level `behaviour` is tried on a sample of the
problems that have a reference solution.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import planted_duplicates as changes
from etude.answers import reference_answers
from etude.behaviour import Known, alike, probes_of
from etude.decontaminate import LEVELS, Screen, Trained, shown_text
from etude.judge import Judge
from etude.prompts import example_text, renamed
from etude.puzzle import NotAPuzzle, parse
from etude.screen import PROBES
from etude.suites import load
from etude.types import Problem

SAMPLE = 60
"""Problems that the level `behaviour` is tried on."""
KINDS = (
    "verbatim",
    "layout",
    "comments",
    "arguments renamed",
    "locals renamed",
    "operands swapped",
    "statements reordered",
    "inputs reordered",
    "rewritten",
    "constant changed",
)
EMBEDDED = "embedded in prose"


def report(folder: Path | None) -> None:
    """Print the table."""
    problems, training = load("p3", folder=folder), load("p3-train", folder=folder)
    with Judge() as judge:
        _report(judge, problems, training)


def _report(judge: Judge, problems: Sequence[Problem], training: Sequence[Problem]) -> None:
    screen = Screen(problems)
    sample = {one.name for one in random.Random(0).sample(_solved(problems), SAMPLE)}
    held_out = [one for one in problems if one.name in sample]
    known = reference_answers(judge, held_out)
    print(f"{'planted':<24}{'examples':>9}" + "".join(f"{x:>10}" for x in LEVELS), " behaviour")
    for kind in (*KINDS, EMBEDDED):
        copies = {one.name: copy for one in problems if (copy := _copy(one, kind, training[0]))}
        met = Counter(
            level
            for place, one in enumerate(problems)
            if one.name in copies
            for level in {m.level for m in screen.held(copies[one.name][0]) if m.place == place}
        )
        cell = _behaving(judge, held_out, known, copies) if kind != EMBEDDED else "-"
        print(_line(kind, len(copies), met, cell), flush=True)
    clean = [_example(one) for one in training]
    met = Counter(level for one in clean for level in {hit.level for hit in screen.held(one)})
    others = reference_answers(judge, _solved(training))
    pairs = alike(judge, known, others, probes_of(known, most=PROBES))
    cell = f"{len({other for _, other in pairs})} of {len(others)}"
    print(_line("none: training puzzles", len(clean), met, cell))


def _line(kind: str, planted: int, met: Counter[str], cell: str) -> str:
    return f"{kind:<24}{planted:>9}" + "".join(f"{met[x]:>10}" for x in LEVELS) + f"  {cell}"


def _solved(problems: Sequence[Problem]) -> list[Problem]:
    return [one for one in problems if one.solution]


def _copy(problem: Problem, kind: str, other: Problem) -> tuple[Trained, str] | None:
    """The planted example, and its puzzle's text; None where the change does not apply."""
    text = shown_text(problem)
    if kind == EMBEDDED:
        host = _example(other)
        prose = f"# An exercise that I liked:\n{text}\n\n# And another one:\n{host.text}"
        return Trained("planted", prose, host.puzzle_id, host.puzzle), text
    changed = changes.CHANGES[kind](text, random.Random(f"{kind} {problem.name}"))
    if changed == text and kind != "verbatim":
        return None
    try:
        puzzle = parse(changed)
    except NotAPuzzle:
        return None
    solution = renamed(problem.solution, "g") if problem.solution else "def g():\n    pass"
    whole = example_text(changed, solution, layout="paper")
    return Trained("planted", whole, puzzle.id, changed), changed


def _example(problem: Problem) -> Trained:
    text = shown_text(problem)
    puzzle = parse(text)
    solution = renamed(problem.solution, "g") if problem.solution else "def g():\n    pass"
    return Trained(problem.name, example_text(text, solution, layout="paper"), puzzle.id, text)


def _behaving(
    judge: Judge,
    held_out: Sequence[Problem],
    known: Sequence[Known],
    copies: dict[str, tuple[Trained, str]],
) -> str:
    """`57 of 60`: copies that behave as their originals, each with the reference's answer."""
    own = [
        (place, Known(parse(copies[one.name][1]), known[place].answers))
        for place, one in enumerate(held_out)
        if one.name in copies
    ]
    pairs = alike(judge, known, [copy for _, copy in own], probes_of(known, most=PROBES))
    met = {other for one, other in pairs if own[other][0] == one}
    return f"{len(met)} of {len(own)}"
