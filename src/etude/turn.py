"""Turn: solutions are turned round into puzzles, which have an answer.

What a model writes to solve a puzzle computes something: that is a question too (`turned`). Forward
it is asked what comes of it, which it gives itself. Backward that is given, and one of what it read
is asked for: the value that it needs so that there is an answer, the judge computes from answers
that were given (`posed`); then it is tried with attempts at other puzzles (`lend`). What is right
for the puzzle and for others like it teaches. The attempts that are turned may be right or wrong.
No model is asked.

Undoing what one can already do is how Sukhbaatar and others, "Intrinsic Motivation and Automatic
Curricula via Asymmetric Self-Play" (2018), have an agent set itself tasks that can be solved.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from etude import store, streams, tables
from etude.arm import Arm, set_aside_words
from etude.behaviour import Known, answers_of
from etude.borrow import library, written
from etude.cluster import Made, Stage
from etude.generality import FORWARD, TURNS, is_accepted, of_turned, right_for_all, turns
from etude.holes import Opened, given, kind_of
from etude.lend import Tries, answers_in, judged, posed_rows, teaching_posed
from etude.posed import is_small, without_trivial
from etude.probe import is_stable, looked_at
from etude.puzzle import NotAPuzzle, parse
from etude.screen import BEHAVIOUR, behaving_alike
from etude.select import NEAR, dropped_words
from etude.turned import Turned, turned
from etude.types import Outcome, Puzzle, content_id
from etude.vary import drawn, held_out

PUZZLES = 200
"""Of a unit."""


class _Made(NamedTuple):
    """A puzzle, and the attempt that it was made of."""

    turned: Turned
    attempt_id: str
    of: str
    """The id of the puzzle that the attempt was at."""


def turn(arm: Arm, number: int) -> Path | None:
    """The folder of the round's turned puzzles; None where the recipe asks for none."""
    if not arm.recipe.repair.turn:
        return None
    folder = arm.round(number) / "turn"
    attempts = len(arm.puzzles(number)) * arm.recipe.solve.samples
    units = math.ceil(min(arm.recipe.repair.turn, attempts) / PUZZLES)
    work = partial(_work, number=number)
    with arm.watched(number, "turn", units) as watched:
        flow = arm.flow(Stage(folder, units, work, tables.TURN, "judge"))
        flow.finish(0, watched.tick)
        watched.summary = words_of(turns(streams.rows(folder, list(TURNS))))
        watched.summary += "".join(f"  {one}" for one in dropped_words(folder, [NEAR]))
        watched.summary += set_aside_words(folder)
    return folder


def words_of(found: Counter[str]) -> str:
    """`300 turned round  75 solved`"""
    return "  ".join(f"{count:,} {name}" for name, count in found.items())


def taught(arm: Arm, number: int) -> Iterator[store.Row]:
    """The rows that teach: of each turned puzzle the shortest solutions that are right for all."""
    most, dedup = arm.recipe.repair.per_turned, arm.recipe.select.dedup
    for path in streams.segments(arm.round(number) / "turn"):
        by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
        for row in streams.rows_of(path):
            by_puzzle[row["turned_id"]].append(of_turned(row))
        for rows in by_puzzle.values():
            if right := right_for_all(rows):
                yield from teaching_posed(rows, right, most, dedup)


def _work(arm: Arm, unit: int, *, number: int) -> Made:
    chosen = arm.remembered("turned", number, lambda: _chosen(arm, number))
    own: Sequence[_Made] = chosen[unit * PUZZLES : (unit + 1) * PUZZLES]
    of = {one.turned.puzzle.id: one for one in own}
    tries = {name: Tries(one.turned.puzzle, []) for name, one in of.items()}
    rows = list(judged(arm, _forward(arm, own)))
    known = {one.id: one for one in arm.puzzles(number)}
    units = range(math.ceil(len(known) / arm.recipe.solve.puzzles_per_unit))
    answers = answers_in(arm, number, units, known)
    back = [tries[name] for name, one in of.items() if not one.turned.body]
    seed = arm.seed(number, "turn", unit)
    rows += posed_rows(arm, back, answers, library(arm, number), seed)
    rows, dropped = _apart(arm, rows)
    rows = _steady(arm, rows)
    found = {row["puzzle_id"] for row in rows}
    rows += [one.nothing() for name, one in tries.items() if name not in found]
    return Made(
        [row | tries[row["puzzle_id"]].search() | _told(of[row["puzzle_id"]]) for row in rows],
        arm.conditions() | {tables.DROPPED: json.dumps({NEAR: dropped} if dropped else {})},
    )


def _apart(arm: Arm, rows: list[store.Row]) -> tuple[list[store.Row], int]:
    """Without the puzzles that behave as a held-out problem does, and how many these are, where the
    recipe drops such: what they were made of says nothing of that."""
    section = arm.recipe.decontaminate
    if section.action != "drop" or BEHAVIOUR not in section.levels:
        return rows, 0
    known = list(_answered(rows).values())
    near = {known[place].puzzle.id for _, place in behaving_alike(arm, known)}
    return [row for row in rows if row["derived_id"] not in near], len(near)


def _steady(arm: Arm, rows: list[store.Row]) -> list[store.Row]:
    """With `stable` false where the puzzle changes its mind on the answer that it accepted, as
    `probe` finds of the round's own; so that it doesn't teach, if the recipe drops such."""
    if arm.recipe.probe.unstable != "drop":
        return rows
    right = right_for_all(rows)
    known = _answered(row for row in rows if (row["puzzle_id"], row["repair_id"]) in right)
    puzzles = [one.puzzle for one in known.values()]
    asked = [list(one.answers) for one in known.values()]
    looks = looked_at(arm.judge, puzzles, asked, free=arm.domain.free)
    shaky = {
        name
        for name, answers, said in zip(known, asked, looks, strict=True)
        if is_stable(len(answers), said) is False
    }
    return [row | {"stable": False} if row["derived_id"] in shaky else row for row in rows]


def _answered(rows: Iterable[store.Row]) -> dict[str, Known]:
    """By their id the puzzles that were solved, with an answer that each accepted."""
    found: dict[str, Known] = {}
    for row in rows:
        if is_accepted(row) and row["derived_id"] not in found:
            puzzle = parse(row["source"])
            found[puzzle.id] = Known(puzzle, answers_of([row["answer"]]))
    return found


def _forward(arm: Arm, own: Sequence[_Made]) -> list[tuple[Puzzle, list[store.Row]]]:
    """The puzzles that ask what comes of an attempt, and others with other inputs, each with that
    attempt; none that a trivial answer satisfies."""
    forward = {one.turned.puzzle.id: one for one in own if one.turned.body}
    asked = {
        name: [
            puzzle
            for puzzle in (
                one.turned.puzzle,
                *(
                    variant.puzzle
                    for variant in drawn(arm, one.turned.puzzle, arm.recipe.repair.pose - 1)
                ),
            )
            if puzzle.id not in held_out(arm)
        ]
        for name, one in forward.items()
    }
    return [
        (puzzle, [_row(forward[name], puzzle)])
        for name, puzzles in without_trivial(arm, asked).items()
        for puzzle in puzzles
    ]


def _row(one: _Made, puzzle: Puzzle) -> store.Row:
    name = one.turned.puzzle.id
    return dict.fromkeys(tables.REPAIR.names) | {
        "puzzle_id": name,
        "way": FORWARD,
        "candidate_id": one.attempt_id,
        "repair_id": content_id(name, one.turned.body),
        "near": 1,
        "derived_id": puzzle.id,
        "source": puzzle.source,
        "solution": one.turned.solution(puzzle),
    }


def _told(one: _Made) -> store.Row:
    return {
        "turned_id": one.turned.puzzle.id,
        "turned": one.turned.puzzle.source,
        "attempt_id": one.attempt_id,
        "puzzle_id": one.of,
    }


def _chosen(arm: Arm, number: int) -> list[_Made]:
    """Puzzles of different forms, none of which is of a puzzle of the round, or was made before."""
    kept = arm.puzzles(number)
    rng = random.Random(arm.seed(number, "turn"))
    values = _values(kept)
    forms = {one.form for one in kept} | set(_earlier(arm, number))
    of = {row["candidate_id"]: row["puzzle_id"] for row in _solutions(arm, number)}
    gave = dict(_gave(arm.round(number)))
    bodies = [
        (gave[attempt] or answer_type, Opened(body, kinds), attempt)
        for (answer_type, kinds), own in arm.read_once(arm.round(number), written).items()
        for body, (attempt, _) in own.items()
        if attempt in gave
    ]
    rng.shuffle(bodies)
    found: list[_Made] = []
    for answer_type, body, attempt in bodies:
        if len(found) == arm.recipe.repair.turn:
            break
        made = turned(body, answer_type, values, rng)
        if made is None or made.puzzle.form in forms or not _is_allowed(arm, made.puzzle):
            continue
        forms.add(made.puzzle.form)
        found.append(_Made(made, attempt, of[attempt]))
    return found


def _gave(folder: Path) -> Iterator[tuple[str, str]]:
    """The attempts of a round that gave something, each with the kind of that where its puzzle
    asks for another; what raises here does so with other inputs too, most often."""
    for row in streams.rows(folder / "judge", ["candidate_id", "outcome", "answer"]):
        if row["outcome"] in (Outcome.ACCEPTED, Outcome.WRONG):
            yield row["candidate_id"], ""
        elif row["outcome"] == Outcome.MISTYPED and (kind := kind_of(row["answer"] or "")):
            yield row["candidate_id"], kind


def _is_allowed(arm: Arm, puzzle: Puzzle) -> bool:
    try:
        arm.domain.check_rules(puzzle, paper=arm.recipe.vet.rules == "paper")
    except NotAPuzzle:
        return False
    return True


def _values(puzzles: Sequence[Puzzle]) -> dict[str, list[str]]:
    """What these puzzles give, by kind, as literals."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for puzzle in puzzles:
        for value in given(puzzle):
            if is_small(value.expression):
                found[value.kind].setdefault(value.expression)
    return {kind: list(own) for kind, own in found.items()}


def _earlier(arm: Arm, number: int) -> Iterator[str]:
    """The forms of what was made in earlier rounds."""
    for earlier in range(1, number):
        sources = {row["turned"] for row in streams.rows(arm.round(earlier) / "turn", ["turned"])}
        yield from (parse(source).form for source in sources)


def _solutions(arm: Arm, number: int) -> Iterator[store.Row]:
    return streams.rows(arm.round(number) / "solve", ["candidate_id", "puzzle_id"])
