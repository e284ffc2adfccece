"""Counts: what the overview, the strip of a run that goes on, and the comparison show."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude import config, readings, store
from etude.browse.library import Library, Shelf
from etude.health import place
from etude.query import ACCEPTED, ARMS
from etude.stats import Estimate, paired_difference
from etude.types import Score

STAGES = {"propose": "proposals", "vet": "vetted", "solve": "candidates", "judge": "verdicts",
          "select": "examples"}  # fmt: skip
GENERIC = 200
"""Rows of a table that is shown as it stands, at most."""
CHANGED = 50


@dataclass(frozen=True, slots=True)
class Funnel:
    """The counts of one round of one arm."""

    arm: str
    round: int
    proposals: int
    kept: int
    candidates: int
    verdicts: int
    accepted: int
    solved: int
    taught: int
    examples: int
    derived: int
    """Further examples, made of pairs."""


def funnels(shelf: Shelf) -> list[Funnel]:
    """The counts of every round that has a proposal, the loop's first."""
    found: dict[tuple[str, int], dict[str, int]] = defaultdict(Counter)
    queries = {
        "proposals": "count(*) as proposals from proposals",
        "kept": "count(*) filter (where fate = 'kept') as kept from vetted",
        "candidates": "count(*) as candidates from candidates",
        "verdicts": "count(*) as verdicts, count(*) filter (where outcome = 'accepted') as "
        f"accepted, count(distinct puzzle_id) filter (where {ACCEPTED}) as solved "
        "from verdicts",
        "examples": "count(*) as examples, count(distinct puzzle_id) as taught from examples",
        "derived": "count(*) as derived from derived",
    }
    for query in queries.values():
        for row in shelf.rows(f"select arm, round, {query} group by arm, round"):
            found[row.pop("arm"), row.pop("round")] |= row
    names = [name for name in Funnel.__dataclass_fields__ if name not in ("arm", "round")]
    places = sorted(found, key=lambda place: (ARMS.index(place[0]), place[1]))
    return [Funnel(*place, *(found[place][name] for name in names)) for place in places]


def outcomes(shelf: Shelf) -> dict[tuple[str, int], dict[str, int]]:
    """By arm and round, how many candidates came to what."""
    found: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for row in shelf.rows(
        "select arm, round, outcome, count(*) as n from verdicts group by all "
        "order by arm desc, round, outcome"
    ):
        found[row["arm"], row["round"]][row["outcome"]] = row["n"]
    return dict(found)


def scores(shelf: Shelf) -> list[dict[str, Any]]:
    """The scores that were asked for, by arm, round (null is the student's), part and k."""
    return shelf.rows(
        "select arm, round, part, k, value, low, high, problems, samples from scores "
        "where asked is not false order by arm desc, round nulls last, part, k"
    )


def health(shelf: Shelf) -> list[dict[str, Any]]:
    """What the rounds said of themselves: what is not well first, then round by round."""
    rows = shelf.rows("select arm, round, measure, value, warn, stop, state from health")
    states = ("stop", "warn")

    def key(row: dict[str, Any]) -> tuple[object, ...]:
        state = states.index(row["state"]) if row["state"] in states else len(states)
        return state, ARMS.index(row["arm"]), -row["round"], place(row["measure"])

    return sorted(rows, key=key)[:GENERIC]


def extra(shelf: Shelf, view: str, puzzle_id: str | None = None) -> list[dict[str, Any]]:
    """The rows of a view, such as `health` or `probes`; none where the run has no such table."""
    clause = "" if puzzle_id is None else "where puzzle_id = ?"
    parameters = [] if puzzle_id is None else [puzzle_id]
    return shelf.rows(f"select * from {view} {clause} order by all limit {GENERIC}", parameters)


@dataclass(frozen=True, slots=True)
class Live:
    """How far a run is."""

    state: str
    """`finished`, `going on`, or `quiet` where no segment came for a minute."""
    place: str
    stages: tuple[tuple[str, int], ...]
    """The stages of the loop's latest round that have rows, and how many."""
    age: float
    """Seconds since the newest segment."""


def live(library: Library) -> Live:
    """How far the run is by now."""
    shelf = library.shelf
    numbers = [p.round for p in shelf.listing if p.arm == "verified" and p.round is not None]
    number = max(numbers, default=0)
    stages = tuple(shelf.answer(("live", number), lambda: _stages(shelf, number)))
    age = time.time() - _newest(library.folder, shelf)
    finished = (
        any(
            p.arm == "verified" and p.round is None and p.stage == "evaluate" for p in shelf.listing
        )
        and (library.folder / "final" / "evaluate" / "scores.parquet").exists()
    )
    state = "finished" if finished else "going on" if age < 60 else "quiet"
    return Live(state, f"round {number}", stages, age)


def _stages(shelf: Shelf, number: int) -> list[tuple[str, int]]:
    counted = [
        (stage, int(shelf.value(f"select count(*) from {view} where arm = 'verified' "
                                "and round = ?", [number])))
        for stage, view in STAGES.items()
    ]  # fmt: skip
    return [(stage, count) for stage, count in counted if count]


def _newest(run: Path, shelf: Shelf) -> float:
    """When the newest segment appeared: the folder of a stage changes with each."""
    folders = [
        store.arm_folder(run, p.arm)
        / ("final" if p.round is None else f"round-{p.round:02d}")
        / p.stage
        for p in shelf.listing
    ]
    times = [folder.stat().st_mtime for folder in folders if folder.exists()]
    return max(times, default=(run / "recipe.toml").stat().st_mtime)


@dataclass(frozen=True, slots=True)
class Beside:
    """One score of two runs, and the second's gain over the same problems."""

    label: str
    part: str
    k: int
    first: Score | None
    second: Score | None
    difference: Estimate | None
    """None where the problems, or the attempts, are not the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side."""

    settings: list[str]
    scores: list[Beside]
    both: int
    """Puzzles that both loops kept."""
    only: tuple[int, int]
    changed: list[dict[str, Any]]
    """Problems with the largest change in accepted attempts of the students."""


def compare(first: Library, second: Library) -> Comparison:
    """The second run against the first."""
    one, two = first.shelf, second.shelf
    ids = [
        {row["puzzle_id"] for row in shelf.rows("select distinct puzzle_id from kept "
                                                "where arm = 'verified'")}
        for shelf in (one, two)
    ]  # fmt: skip
    return Comparison(
        settings=config.differences(first.recipe, second.recipe),
        scores=_beside(first.folder, second.folder),
        both=len(ids[0] & ids[1]),
        only=(len(ids[0] - ids[1]), len(ids[1] - ids[0])),
        changed=_changed(one, two),
    )


def _beside(first: Path, second: Path) -> list[Beside]:
    rungs = [{rung.label: rung for rung in readings.ladder(run)} for run in (first, second)]
    found = []
    for label, _, _ in readings.RUNGS:
        one, two = (ladder.get(label) for ladder in rungs)
        made = [score for rung in (one, two) if rung is not None for score in rung.scores]
        for part, k in dict.fromkeys((score.part, score.k) for score in made):
            old, new = (readings.score_of(r, part, k) if r else None for r in (one, two))
            difference = _difference(one, two, part, k) if old and new else None
            found.append(Beside(label, part, k, old, new, difference))
    return found


def _difference(
    one: readings.Rung | None, two: readings.Rung | None, part: str, k: int
) -> Estimate | None:
    """The gain in pass@k, paired; None where the two were not asked the same problems."""
    assert one is not None
    assert two is not None
    rates = []
    for rung in (one, two):
        rows = readings.problems(rung.folder)
        rates.append({r["problem"]: r["problem_id"] for r in rows if r["part"] == part})
    if not rates[0] or rates[0] != rates[1]:
        return None
    solved = [readings.solved_rates(rung.folder, k) for rung in (one, two)]
    names: Sequence[str] = sorted(rates[0])
    return paired_difference(*([by.get(name, 0.0) for name in names] for by in solved))


def _changed(one: Shelf, two: Shelf) -> list[dict[str, Any]]:
    query = (
        "select problem, problem_id, part, accepted, attempts from problems "
        "where arm = 'verified' and round is null"
    )
    before = {(row["problem"], row["problem_id"]): row for row in one.rows(query)}
    found = []
    for row in two.rows(query):
        old = before.get((row["problem"], row["problem_id"]))
        if old is not None and old["attempts"] and row["attempts"]:
            gain = row["accepted"] / row["attempts"] - old["accepted"] / old["attempts"]
            if gain:
                found.append({"before": old, "after": row, "gain": gain})
    found.sort(key=lambda r: (-abs(r["gain"]), r["after"]["part"], r["after"]["problem"]))
    return found[:CHANGED]
