"""Hindsight: a wrong answer to one puzzle is a right answer to another.

Where a candidate gave a wrong answer, one constant of its puzzle is rewritten so that the answer
fits (`rewrites`): which constant, the judge computes, and whether the solution, given it too,
solves that other puzzle, the judge decides. Marcin Andrychowicz and others, "Hindsight Experience
Replay" (arXiv 1707.01495), for goals of robots; here the goal is a constant. New puzzles are vetted
as proposals are. `derive` makes examples of those that are kept.
"""

from __future__ import annotations

import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from etude import store, streams, tables
from etude.arm import Arm, checked, counted
from etude.attempts import verdict_columns
from etude.behaviour import answer_of
from etude.cluster import Made, Stage
from etude.generality import Generality, is_accepted
from etude.puzzle import NotAPuzzle
from etude.rewrites import Rewrite, rewrites
from etude.types import Outcome, Puzzle
from etude.variants import Variant, replaced, with_defaults
from etude.vary import drawn
from etude.vet import Vetting, vetted_units

LONGEST = 200
"""Characters of a new constant."""
SPECIAL, ENOUGH = "special", "over the limit"
"""Fates beside those of the vetting: it does not generalise; its puzzle gave enough."""


def hindsight(arm: Arm, number: int) -> Path | None:
    """The folder of the round's rewritten pairs; None where the recipe asks for none."""
    if not arm.recipe.hindsight.per_puzzle:
        return None
    folder = arm.round(number) / "hindsight"
    work = partial(_work, number=number)
    with arm.watched(number, "hindsight", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.HINDSIGHT, "judge", spare=False))
        flow.finish(0, watched.tick)
        fates = Counter(row["fate"] for row in streams.rows(folder, ["fate"]) if row["fate"])
        watched.summary = f"{streams.length(folder):,} rewritten  {counted(fates, 'kept')}"
    return folder


@dataclass(frozen=True, slots=True)
class _Missed:
    """A candidate whose answer is wrong, and one rewrite of its puzzle."""

    puzzle: Puzzle
    candidate: store.Row
    rewrite: Rewrite
    program: str


def _work(arm: Arm, _: int, *, number: int) -> Made:
    vetting = Vetting(arm, number, vetted_units(arm.recipe))
    vetting.room = sys.maxsize
    vetting.skips = random.Random(arm.seed(number, "hindsight"))
    rows: list[store.Row] = []
    size = arm.recipe.solve.puzzles_per_unit
    puzzles = arm.puzzles(number)
    known = set(_earlier(arm, number))
    for start in range(0, len(puzzles), size):
        missed = list(_missed(arm, number, start // size, puzzles[start : start + size]))
        tried = list(_tried(arm, _rewritten(arm, missed)))
        general = _general(arm, tried)
        taken: Counter[str] = Counter()
        for (row, _variant), special in zip(tried, general, strict=True):
            rows.append(row | _fate(arm, vetting, row, known, taken, special=special))
    return Made(rows, arm.conditions())


def _earlier(arm: Arm, number: int) -> Iterator[str]:
    """The ids of what was kept in earlier rounds."""
    for earlier in range(1, number):
        for row in streams.rows(arm.round(earlier) / "hindsight", ["derived_id", "fate"]):
            if row["fate"] == "kept":
                yield row["derived_id"]


def _missed(arm: Arm, number: int, unit: int, puzzles: Iterable[Puzzle]) -> Iterator[_Missed]:
    """The wrong answers of a unit, each different source of a puzzle once, the shortest first."""
    folder = arm.round(number)
    columns = ["candidate_id", "outcome", "answer", "stable"]
    answers = {
        row["candidate_id"]: row["answer"]
        for row in streams.rows_of(store.unit_path(folder / "judge", unit), columns)
        if row["outcome"] == Outcome.WRONG and row["answer"] and row["stable"] is not False
    }
    by_puzzle: dict[str, dict[str, store.Row]] = defaultdict(dict)
    for row in streams.rows_of(store.unit_path(folder / "solve", unit)):
        if row["candidate_id"] in answers and row["finished"]:
            by_puzzle[row["puzzle_id"]].setdefault(row["source"], row)
    for puzzle in puzzles:
        own = by_puzzle[puzzle.id].values()
        found = rewrites(puzzle) if own else []
        for row in sorted(own, key=lambda row: (len(row["source"]), row["source"])):
            for rewrite in found:
                program = _program(rewrite, answers[row["candidate_id"]])
                if program is not None:
                    yield _Missed(puzzle, row, rewrite, program)


def _program(rewrite: Rewrite, answer: str) -> str | None:
    """None for an answer that was cut, as it was too long."""
    try:
        answer_of(answer)
        return rewrite.program(answer)
    except (NotAPuzzle, ValueError):
        return None


Asked = tuple[store.Row, Variant]
"""A rewritten pair: its row as far as it is known, and its puzzle."""


def _rewritten(arm: Arm, missed: list[_Missed]) -> Iterator[Asked]:
    """The pairs with the constant that the judge computes."""
    for one, text in zip(missed, _values(arm, missed), strict=True):
        name = one.rewrite.name
        variant = replaced(one.puzzle, {name: text}) if text else None
        if variant is None or variant.puzzle.id == one.puzzle.id:
            continue
        solution = with_defaults(one.candidate["source"], one.puzzle, variant)
        if solution is None:  # it can't be written with other defaults
            continue
        row: store.Row = dict.fromkeys(tables.HINDSIGHT.names)
        row |= {"puzzle_id": one.puzzle.id, "candidate_id": one.candidate["candidate_id"]}
        row |= {"input": name, "value": text, "derived_id": variant.puzzle.id}
        yield row | {"source": variant.puzzle.source, "solution": solution}, variant


def _values(arm: Arm, missed: list[_Missed]) -> list[str]:
    """What the programs give, as literals; empty where that is of another type, too long, or
    nothing."""
    found = [""] * len(missed)
    places: dict[str, list[int]] = defaultdict(list)
    for place, one in enumerate(missed):
        places[one.rewrite.kind].append(place)
    jobs = (
        (f"def f(x: {kind}): return True", [missed[place].program for place in own])
        for kind, own in places.items()
    )
    for own, verdicts in zip(places.values(), arm.judge.verify_all(jobs), strict=True):
        for place, verdict in zip(own, checked(verdicts), strict=True):
            if verdict.outcome is Outcome.ACCEPTED and len(verdict.answer or "") <= LONGEST:
                found[place] = verdict.answer or ""
    return found


def _tried(arm: Arm, asked: Iterable[Asked]) -> Iterator[Asked]:
    """What the judge says of the rewritten pairs: the solution reads the new constant too."""
    asked = list(asked)
    jobs = [(variant.puzzle, [row["solution"]]) for row, variant in asked]
    judged = map(checked, arm.judge.verify_all(jobs))
    for (row, variant), [verdict] in zip(asked, judged, strict=True):
        yield row | verdict_columns(verdict) | {"stable": verdict.stable}, variant


def _general(arm: Arm, tried: list[Asked]) -> list[bool]:
    """Of each pair whether it is special: accepted, and where the recipe asks for it not on enough
    variants, of all that were drawn."""
    section = arm.recipe.vary
    wanted = arm.recipe.hindsight.general
    places = [place for place, (row, _) in enumerate(tried) if wanted and is_accepted(row)]
    jobs: list[tuple[Puzzle, list[str]]] = []
    owners: list[int] = []
    for place in places:
        row, own = tried[place]
        for variant in drawn(arm, own.puzzle, section.tries):
            solution = with_defaults(row["solution"], own.puzzle, variant)
            if solution is not None:
                jobs.append((variant.puzzle, [solution]))
                owners.append(place)
    solved: Counter[int] = Counter()
    for place, [verdict] in zip(owners, map(checked, arm.judge.verify_all(jobs)), strict=True):
        solved[place] += verdict.outcome is Outcome.ACCEPTED and verdict.stable is not False
    asked = Counter(owners)
    special = [False] * len(tried)
    for place in places:
        found = Generality(solved[place], asked[place], asked[place])
        special[place] = not found.reaches(section.generality)
    return special


def _fate(
    arm: Arm,
    vetting: Vetting,
    row: store.Row,
    known: set[str],
    taken: Counter[str],
    *,
    special: bool,
) -> store.Row:
    """What becomes of an accepted pair; nothing of any other."""
    if not is_accepted(row):
        return {}
    if special:
        return {"fate": SPECIAL}
    if taken[row["puzzle_id"]] >= arm.recipe.hindsight.per_puzzle:
        return {"fate": ENOUGH}
    if row["derived_id"] in known:
        return {"fate": "duplicate", "fate_detail": "kept before"}
    found = vetting.vetted(_proposal(row["source"]))
    if found["fate"] == "kept":
        known.add(row["derived_id"])
        taken[row["puzzle_id"]] += 1
    return {"fate": found["fate"], "fate_detail": found["detail"]}


def _proposal(source: str) -> store.Row:
    """A puzzle as the vetting takes it: a text that goes on with its prompt."""
    opening = "def f("
    return {
        "proposal_id": None,
        "prompt": opening,
        "text": source.removeprefix(opening),
        "finished": True,
    }
