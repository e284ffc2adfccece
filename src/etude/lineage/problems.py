"""A held-out problem: passed when and how often, by more than noise or not, and what is near it.

The reference is the model before the first round (round 0; without its scores the one before the
seeds). Each later evaluation is tested against it by Fisher's exact test of the attempts at this
problem, with the false discovery rate over all problems of the suite, since a person asks for the
problems that stand out. It speaks of these models; another training seed would make others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from etude import domains, store
from etude.arm import load_problems
from etude.decontaminate import LEVELS, shown_text
from etude.errors import InputError
from etude.lineage.found import Found
from etude.lineage.links import Chain, Link
from etude.lineage.nearest import nearest
from etude.lineage.sources import Sources, notes
from etude.readings import ARMS
from etude.stats import chance_solved, false_discovery, fisher, share_interval
from etude.types import Problem

LEVEL = 0.05
MOST_LEAKS = 5
"""Findings of the screen that are told of a problem; the view `leaks` has all."""
Key = tuple[str, int | None]
"""Arm and round of an evaluation; round None is the student's."""


def problem_chain(sources: Sources, found: Found) -> Chain:
    """The chain of a held-out problem, in the order of the evaluations."""
    return Chain(
        sources.run.folder,
        found.kind,
        found.id,
        found.arm,
        found.round,
        found.copies,
        tuple(_links(sources, found.id)),
    )


def _links(sources: Sources, name: str) -> Iterator[Link]:
    tables = _by_place(sources)
    mine = [(key, rows[name]) for key, rows in tables.items() if name in rows]
    problem, note = _problem(sources, name)
    yield Link("problem", name, _described(sources, name, mine[0][1], problem, note))
    reference = _reference([key for key, _ in mine])
    compared = {
        key: _against(tables[reference], tables[key], name) for key, _ in mine if key != reference
    }
    for key, row in mine:
        yield Link("passes", name, _passes(sources, key, row, reference, compared.get(key)))
    first = _first_solved(mine, reference)
    yield Link("solvable", name, _verdict(first, mine, reference, compared))
    yield from _contamination(sources, name)
    last = first[1] if first is not None else None
    for content in nearest(sources, problem, last):
        yield Link("nearest", name, content)


def _by_place(sources: Sources) -> dict[Key, dict[str, store.Row]]:
    """The problems of every evaluation: of the loop by round, then of the controls."""
    rows = sources.tables.rows("select * from problems")
    keys = sorted(
        {(row["arm"], row["round"]) for row in rows},
        key=lambda key: (ARMS.index(key[0]), key[1] is None, key[1] or 0),
    )
    found: dict[Key, dict[str, store.Row]] = {key: {} for key in keys}
    for row in rows:
        found[row["arm"], row["round"]][row["problem"]] = row
    return found


def _reference(keys: list[Key]) -> Key:
    for wanted in (("verified", 0), ("pretrained", None)):
        if wanted in keys:
            return wanted
    return keys[0]


def _problem(sources: Sources, name: str) -> tuple[Problem | None, str]:
    """The problem itself, or why the suite can't be read here."""
    try:
        problems = load_problems(sources.run.recipe)
    except InputError as error:
        return None, f"the suite is not there: {error}"
    found = next((problem for problem in problems if problem.name == name), None)
    return found, "" if found else "the suite no longer has a problem of this name"


def _described(
    sources: Sources, name: str, row: store.Row, problem: Problem | None, note: str
) -> dict[str, Any]:
    domain = domains.named(sources.run.recipe.domain)
    return {
        "problem": name,
        "problem_id": row["problem_id"],
        "part": row["part"],
        "suite": sources.run.recipe.evaluate.suite,
        "text": None if problem is None else shown_text(problem, domain),
        "note": note,
    }


def _against(
    before: dict[str, store.Row], after: dict[str, store.Row], name: str
) -> dict[str, float] | None:
    """The test of one problem, and its p among those of all; None where one was not attempted."""
    shared = [
        one for one in before if one in after and before[one]["attempts"] and after[one]["attempts"]
    ]
    if name not in shared:
        return None
    p_values = [
        fisher(*(table[one][key] for table in (before, after) for key in ("accepted", "attempts")))
        for one in shared
    ]
    place = shared.index(name)
    old, new = before[name], after[name]
    noise = chance_solved(old["accepted"] + new["accepted"], old["attempts"], new["attempts"])
    return {
        "p": p_values[place],
        "q": false_discovery(p_values)[place],
        "by_noise": noise if not old["accepted"] and new["accepted"] else 1.0,
    }


def _passes(
    sources: Sources,
    key: Key,
    row: store.Row,
    reference: Key,
    compared: dict[str, float] | None,
) -> dict[str, Any]:
    arm, number = key
    folder = store.arm_folder(sources.run.folder, arm)
    place = folder / "final" if number is None else store.round_folder(folder, number)
    segments = store.segments(place / "evaluate")
    said = notes(segments[0]) if segments else {"engine": None, "judge": None}
    counts = row["accepted"], row["attempts"]
    rate = share_interval(*counts) if row["attempts"] else None
    return {
        "arm": arm,
        "round": number,
        "engine": said["engine"],
        "accepted": row["accepted"],
        "attempts": row["attempts"],
        "low": rate and rate.low,
        "high": rate and rate.high,
        "reference": key == reference,
        "p": compared and compared["p"],
        "q": compared and compared["q"],
        "judge": said["judge"],
    }


def _first_solved(mine: list[tuple[Key, store.Row]], reference: Key) -> Key | None:
    """The loop's first evaluation after the reference with an accepted attempt."""
    return next(
        (key for key, row in mine if key[0] == "verified" and key != reference and row["accepted"]),
        None,
    )


def _verdict(
    first: Key | None,
    mine: list[tuple[Key, store.Row]],
    reference: Key,
    compared: dict[Key, dict[str, float] | None],
) -> dict[str, Any]:
    """When it became solvable, and whether the last evaluation shows more than noise."""
    rows = dict(mine)
    solved_before = bool(rows[reference]["accepted"])
    last = [key for key, _ in mine if key[0] == "verified"][-1:]
    test = compared.get(last[0]) if last else None
    became = first is not None and not solved_before
    return {
        "solved_before": solved_before,
        "became_solvable": became,
        "first": _place(first) if became and first is not None else None,
        "last": _place(last[0]) if last else None,
        "p": test and test["p"],
        "q": test and test["q"],
        "by_noise": test["by_noise"] if test and became else None,
        "more_than_noise": None if test is None else test["q"] <= LEVEL,
    }


def _place(key: Key) -> str:
    return "final" if key[1] is None else f"round {key[1]}"


def _contamination(sources: Sources, name: str) -> Iterator[Link]:
    """What the training examples of the last checkpoint of the loop share with it, and what was
    screened for it."""
    leaks = sources.tables.rows(
        "select * exclude (problem_text) from leaks where problem = ? and arm = 'verified' "
        f"order by share desc nulls last, puzzle_id, round, level, example_id limit {MOST_LEAKS}",
        [name],
    )
    yield from (Link("leaks", name, row) for row in leaks)
    rows = sources.tables.rows(
        "select * from contamination where problem = ? and arm = 'verified' "
        "order by round is null desc, round desc",
        [name],
    )
    last = [row for row in rows if row["round"] == rows[0]["round"]]
    for row in sorted(last, key=lambda row: LEVELS.index(row["level"])):
        kept = ("arm", "round", "level", "examples", "share", "example_id", "example_text")
        yield Link("contamination", name, {key: row[key] for key in kept})
