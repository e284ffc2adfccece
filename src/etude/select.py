"""Select: which accepted pairs become training texts.

Verified: of each puzzle that the model solved sometimes but not too often, the shortest distinct
accepted solutions. Unverified, the control: as many pairs, drawn at random whatever the verdict.
What the recipe drops of the findings of `probe` and `screen` is left out, and counted.
"""

from __future__ import annotations

import json
import random
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from etude import store, streams, tables
from etude.arm import Arm
from etude.cluster import Made, Stage
from etude.difficulty import learnability, rates
from etude.duplicates.keys import keys_of
from etude.generality import VERDICTS, Generality, generalities, preferred
from etude.types import Puzzle, content_id

NEAR = "near a held-out problem"
REASONS = (
    NEAR,
    "of an unstable puzzle",
    "of a weak puzzle",
    "over the limit",  # of `select.most`
)


def select(arm: Arm, number: int) -> Path:
    """The folder of the round's examples."""
    folder = arm.round(number) / "select"
    await_loop(arm, number)
    work = partial(_work, number=number)
    with arm.watched(number, "select", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.SELECT, "plain", spare=False))
        flow.finish(0, watched.tick)
        puzzles, examples = streams.distinct(folder, "puzzle_id"), streams.length(folder)
        watched.summary = "  ".join(
            [f"{puzzles:,} puzzles", f"{examples:,} examples", *dropped_words(folder)]
        )
    return folder


def _work(arm: Arm, _: int, *, number: int) -> Made:
    dropped: Counter[str] = Counter()
    rows, count = wanted(arm, number)
    chosen = list(islice(_allowed(rows, barred_in(arm, number), dropped), count))
    if arm.name != "unverified" and (most := arm.recipe.select.most):
        if len(chosen) > most:
            dropped["over the limit"] = len(chosen) - most
        chosen = worthiest(chosen, most, _worth(arm, number))
    return Made(chosen, {tables.DROPPED: json.dumps(dropped, sort_keys=True)})


def await_loop(arm: Arm, number: int) -> None:
    """The control takes as many examples as the loop: its file is waited for, by the arm itself,
    so that no worker stands idle for it."""
    if arm.name == "unverified" and not _of_loop(arm, number).exists():
        arm.crew.release("judge")
        store.wait_for(_of_loop(arm, number))


def _of_loop(arm: Arm, number: int) -> Path:
    return store.unit_path(store.round_folder(arm.run.folder, number) / "select", 0)


def dropped_words(stage: Path, reasons: Sequence[str] = REASONS) -> list[str]:
    """`12 near a held-out problem, dropped`, for each reason; none of an older run."""
    found: Counter[str] = Counter()
    for note in store.read_notes(stage, tables.DROPPED):
        found.update(json.loads(note))
    return [f"{found[reason]:,} {reason}, dropped" for reason in reasons if found[reason]]


def wanted(arm: Arm, number: int) -> tuple[Iterator[store.Row], int]:
    """The examples that a round gives, in order, if none is dropped, and how many are taken at
    most."""
    if arm.name == "unverified":
        return _unverified(arm, number), streams.length(_of_loop(arm, number).parent)
    return _verified(arm, number), sys.maxsize


def worthiest(
    rows: Sequence[store.Row], most: int, worth: Callable[[str], float]
) -> list[store.Row]:
    """At most so many examples, in their order: the first of each puzzle goes before a second of
    any, and of equal turns what is of a puzzle of more worth; of equal worth what stands first."""
    turns: Counter[str] = Counter()
    ranked = []
    for place, row in enumerate(rows):
        ranked.append((turns[row["puzzle_id"]], -worth(row["puzzle_id"]), place))
        turns[row["puzzle_id"]] += 1
    return [rows[place] for place in sorted(place for *_, place in sorted(ranked)[:most])]


def _worth(arm: Arm, number: int) -> Callable[[str], float]:
    """What an example of a puzzle is worth by the recipe: its learnability, by all verdicts up to
    this round's, or something of chance."""
    if arm.recipe.select.prefer == "learnable":
        known = rates(arm, number + 1)
        return lambda puzzle: learnability(known.of_tried(puzzle).mean)
    seed = arm.seed(number, "select")
    return lambda puzzle: random.Random(f"{seed} {puzzle}").random()


def barred_in(arm: Arm, number: int) -> dict[str, str]:
    """By id of a puzzle or example, why it is not trained on."""
    section, folder = arm.recipe.probe, arm.round(number)
    found: dict[str, str] = {}
    for row in streams.rows(folder / "probe", ["puzzle_id", "stable", "weak"]):
        if row["stable"] is False and section.unstable == "drop":
            found[row["puzzle_id"]] = "of an unstable puzzle"
        elif row["weak"] and section.weak == "drop":
            found[row["puzzle_id"]] = "of a weak puzzle"
    for row in streams.rows(folder / "screen", ["puzzle_id", "example_id", "dropped"]):
        if row["dropped"]:
            found[row["example_id"] or row["puzzle_id"]] = NEAR
    return found


def _allowed(
    rows: Iterable[store.Row], barred: dict[str, str], dropped: Counter[str]
) -> Iterator[store.Row]:
    """The rows without those that are barred, which are counted by the reason."""
    for row in rows:
        reason = barred.get(row["puzzle_id"]) or barred.get(row["example_id"])
        if reason:
            dropped[reason] += 1
        else:
            yield row


Attempts = tuple[Puzzle, list[store.Row]]


def _attempts(arm: Arm, number: int) -> Iterator[list[Attempts]]:
    """A unit at a time, each puzzle of the round with its candidates and their outcomes, in order.

    Those whose verdicts are not there, as their unit was set aside, were never tried.
    """
    folder, puzzles = arm.round(number), arm.puzzles(number)
    size = arm.recipe.solve.puzzles_per_unit
    for start in range(0, len(puzzles), size):
        unit = start // size
        judged = streams.rows_of(store.unit_path(folder / "judge", unit), _VERDICT)
        outcomes = {row["candidate_id"]: _outcome(row) for row in judged}
        by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
        for row in streams.rows_of(store.unit_path(folder / "solve", unit)):
            if row["candidate_id"] in outcomes:
                tried = row | {"outcome": outcomes[row["candidate_id"]]}
                by_puzzle[row["puzzle_id"]].append(tried)
        yield [(puzzle, by_puzzle[puzzle.id]) for puzzle in puzzles[start : start + size]]


_VERDICT = ["candidate_id", "outcome", "stable"]


def _outcome(verdict: store.Row) -> str:
    """What a candidate counts as: accepted by chance is not accepted."""
    return "unstable" if verdict["stable"] is False else str(verdict["outcome"])


def _verified(arm: Arm, number: int) -> Iterator[store.Row]:
    section, rule = arm.recipe.select, arm.recipe.vary
    for unit, attempts in enumerate(_attempts(arm, number)):
        general = _general(arm, number, unit)
        for puzzle, tried in attempts:
            accepted = [row for row in tried if row["outcome"] == "accepted"]
            rate = len(accepted) / len(tried) if tried else 0.0
            if 0 < rate <= section.max_solve_rate:
                found = distinct(accepted, section.dedup)
                found = preferred(found, general.get(puzzle.id), rule.rule, rule.generality)
                shortest = found[: section.per_puzzle]
                yield from (_example(arm, puzzle, row, rate) for row in shortest)


def _general(arm: Arm, number: int, unit: int) -> dict[str, dict[str, Generality]]:
    """What `vary` found of the puzzles of a unit; nothing where the recipe asks for none."""
    if not arm.recipe.vary.tries:
        return {}
    varied = store.unit_path(arm.round(number) / "vary", unit)
    return generalities(streams.rows_of(varied, VERDICTS))


DRAWN = 1 << 16
"""Pairs of the control that are read at once, in an order of chance: so many passes over all."""


def _unverified(arm: Arm, number: int) -> Iterator[store.Row]:
    """All pairs in random order, of which as many are taken as the loop has (see `await_loop`)."""
    counts = [len(_pairs(arm, unit)) for unit in _attempts(arm, number)]
    order = array("q", range(sum(counts)))
    random.Random(arm.seed(number, "select")).shuffle(order)
    for start in range(0, len(order), DRAWN):
        places = order[start : start + DRAWN]
        found: dict[int, store.Row] = {}
        wanted = iter(sorted(places))
        place, first = next(wanted, None), 0
        for count, unit in zip(counts, _attempts(arm, number), strict=True):
            pairs = _pairs(arm, unit) if place is not None and place < first + count else []
            while place is not None and place < first + count:
                puzzle, row = pairs[place - first]
                found[place] = _example(arm, puzzle, row, None)
                place = next(wanted, None)
            first += count
        yield from (found[place] for place in places)


def _pairs(arm: Arm, unit: Sequence[Attempts]) -> list[tuple[Puzzle, store.Row]]:
    """The finished attempts of a unit, each text of a puzzle once."""
    return [
        (puzzle, row)
        for puzzle, tried in unit
        for row in distinct([row for row in tried if row["finished"]], arm.recipe.select.dedup)
    ]


def distinct(rows: list[store.Row], level: str) -> list[store.Row]:
    """One candidate of each source, the shortest first; at the level `canonical` the shortest of
    those that are the same but for names, layout and order of operands."""
    by_source: dict[str, store.Row] = {}
    for row in rows:
        by_source.setdefault(row["source"], row)
    ordered = sorted(by_source.values(), key=lambda row: (len(row["source"]), row["source"]))
    if level == "exact":
        return ordered
    first: dict[int, store.Row] = {}
    for row in ordered:
        first.setdefault(keys_of(row["source"], "").canonical, row)
    return list(first.values())


def _example(arm: Arm, puzzle: Puzzle, row: store.Row, rate: float | None) -> store.Row:
    text = arm.domain.example_text(puzzle.source, row["source"], layout=arm.recipe.prompt.layout)
    text = store.escaped(text)  # as it will be trained on, by whose id that is recorded
    return {
        "example_id": content_id(text),
        "puzzle_id": puzzle.id,
        "candidate_id": row["candidate_id"],
        "text": text,
        "solve_rate": rate,
    }
