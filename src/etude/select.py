"""Select: which accepted pairs become training texts.

Verified: of each puzzle that the model solved sometimes but not too often, the shortest distinct
accepted solutions. Unverified, the control: as many pairs, drawn at random whatever the verdict.
What the recipe drops of the findings of `probe` and `screen` is left out, and counted.
"""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from etude import store, tables
from etude.arm import Arm
from etude.cluster import Made, Stage
from etude.duplicates.keys import keys_of
from etude.prompts import example_text
from etude.types import Puzzle, content_id

REASONS = ("near a held-out problem", "of an unstable puzzle", "of a weak puzzle")


def select(arm: Arm, number: int) -> Path:
    """The folder of the round's examples."""
    folder = arm.round(number) / "select"
    await_loop(arm, number)
    work = partial(_work, number=number)
    with arm.watched(number, "select", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.SELECT, "plain", spare=False))
        flow.finish(0, watched.tick)
        rows = store.read_stage(folder)
        puzzles = len({row["puzzle_id"] for row in rows})
        watched.summary = "  ".join(
            [f"{puzzles:,} puzzles", f"{len(rows):,} examples", *dropped_words(folder)]
        )
    return folder


def _work(arm: Arm, _: int, *, number: int) -> Made:
    dropped: Counter[str] = Counter()
    rows, count = wanted(arm, number)
    chosen = list(islice(_allowed(rows, _barred(arm, number), dropped), count))
    return Made(chosen, {tables.DROPPED: json.dumps(dropped, sort_keys=True)})


def await_loop(arm: Arm, number: int) -> None:
    """The control takes as many examples as the loop: its file is waited for, by the arm itself,
    so that no worker stands idle for it."""
    if arm.name == "unverified" and not _of_loop(arm, number).exists():
        arm.crew.release("judge")
        store.wait_for(_of_loop(arm, number))


def _of_loop(arm: Arm, number: int) -> Path:
    return store.unit_path(store.round_folder(arm.run.folder, number) / "select", 0)


def dropped_words(stage: Path) -> list[str]:
    """`12 near a held-out problem, dropped`, for each reason; none of an older run."""
    found: Counter[str] = Counter()
    for note in store.read_notes(stage, tables.DROPPED):
        found.update(json.loads(note))
    return [f"{found[reason]:,} {reason}, dropped" for reason in REASONS if found[reason]]


def wanted(arm: Arm, number: int) -> tuple[list[store.Row], int]:
    """The examples that a round gives, in order, if none is dropped, and how many are taken."""
    if arm.name == "unverified":
        return _unverified(arm, number)
    rows = _verified(arm, number)
    return rows, len(rows)


def _barred(arm: Arm, number: int) -> dict[str, str]:
    """By id of a puzzle or example, why it is not trained on."""
    section, folder = arm.recipe.probe, arm.round(number)
    barred: dict[str, str] = {}
    for row in store.read_stage(folder / "probe"):
        if row["stable"] is False and section.unstable == "drop":
            barred[row["puzzle_id"]] = "of an unstable puzzle"
        elif row["weak"] and section.weak == "drop":
            barred[row["puzzle_id"]] = "of a weak puzzle"
    for row in store.read_stage(folder / "screen"):
        if row["dropped"]:
            barred[row["example_id"] or row["puzzle_id"]] = "near a held-out problem"
    return barred


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


def _attempts(arm: Arm, number: int) -> list[tuple[Puzzle, list[store.Row]]]:
    """Each puzzle of the round with its candidates and their outcomes, in order.

    Those whose verdicts are not there, as their unit was set aside, were never tried.
    """
    folder = arm.round(number)
    outcomes = {row["candidate_id"]: _outcome(row) for row in store.read_stage(folder / "judge")}
    by_puzzle: dict[str, list[store.Row]] = defaultdict(list)
    for row in store.read_stage(folder / "solve"):
        if row["candidate_id"] not in outcomes:
            continue
        by_puzzle[row["puzzle_id"]].append(row | {"outcome": outcomes[row["candidate_id"]]})
    return [(puzzle, by_puzzle[puzzle.id]) for puzzle in arm.puzzles(number)]


def _outcome(verdict: store.Row) -> str:
    """What a candidate counts as: accepted by chance is not accepted."""
    return "unstable" if verdict["stable"] is False else str(verdict["outcome"])


def _verified(arm: Arm, number: int) -> list[store.Row]:
    section = arm.recipe.select
    rows: list[store.Row] = []
    for puzzle, tried in _attempts(arm, number):
        accepted = [row for row in tried if row["outcome"] == "accepted"]
        rate = len(accepted) / len(tried) if tried else 0.0
        if 0 < rate <= section.max_solve_rate:
            shortest = _distinct(accepted, section.dedup)[: section.per_puzzle]
            rows += [_example(arm, puzzle, row, rate) for row in shortest]
    return rows


def _unverified(arm: Arm, number: int) -> tuple[list[store.Row], int]:
    """All pairs in random order, and how many the verified arm has (see `await_loop`)."""
    pool = [
        (puzzle, row)
        for puzzle, tried in _attempts(arm, number)
        for row in _distinct([row for row in tried if row["finished"]], arm.recipe.select.dedup)
    ]
    random.Random(arm.seed(number, "select")).shuffle(pool)
    count = len(store.read_table(_of_loop(arm, number)))
    return [_example(arm, puzzle, row, None) for puzzle, row in pool], count


def _distinct(rows: list[store.Row], level: str) -> list[store.Row]:
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
    text = example_text(puzzle.source, row["source"], layout=arm.recipe.prompt.layout)
    text = store.escaped(text)  # as it will be trained on, by whose id that is recorded
    return {
        "example_id": content_id(text),
        "puzzle_id": puzzle.id,
        "candidate_id": row["candidate_id"],
        "text": text,
        "solve_rate": rate,
    }
