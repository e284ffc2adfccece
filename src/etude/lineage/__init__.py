"""Lineage: where a row of a run came from and what came of it, from prompt to training.

    trace(Path("runs/tiny"), "0f4c1b6a52d0e3b7").links   # of an example, candidate, puzzle, ...
    trace(Path("runs/tiny"), "of_length/3").links        # of a held-out problem

A pure reader of the run's tables, by SQL. Covered: every row id of a run, its seed pairs, its
held-out problems. Not covered: what a base model saw before the run, and the folders that
`etude evaluate` makes, which hold no training. What each link holds: `docs/lineage.md`.
"""

from __future__ import annotations

from pathlib import Path

from etude import readings, store
from etude.errors import InputError
from etude.lineage.chains import chain_of
from etude.lineage.found import Found, find, known_ids
from etude.lineage.links import Chain, Link
from etude.lineage.problems import problem_chain
from etude.lineage.sources import Sources
from etude.query import Tables
from etude.readings.words import harmless

__all__ = ["Chain", "Link", "run_of", "trace"]


def trace(folder: Path, row_id: str) -> Chain:
    """The chain of an id, or of a held-out problem's name. The run may be unfinished.

    Raises `InputError` when the folder is no run, or the id names nothing in it.
    """
    run = store.Run.read(folder)
    if readings.is_evaluation(run.recipe):
        raise InputError(
            f"{folder} holds an evaluation, which was trained on nothing: ask the run of its model."
        )
    with Tables(folder) as tables:
        sources = Sources(run, tables)
        place = find(sources, row_id)
        if place is None:
            raise InputError(
                f"{harmless(repr(row_id), lines=1)} must be the id of an example, candidate, "
                f"puzzle, proposal or seed pair of {folder}, of a puzzle made of another, or a "
                f"held-out problem, but is none. "
                f"{known_ids(sources)}"
            )
        return _chain(sources, place)


def _chain(sources: Sources, place: Found) -> Chain:
    if place.kind == "problem":
        return problem_chain(sources, place)
    return chain_of(sources, place)


def run_of(row_id: str, runs: Path = Path("runs")) -> Path:
    """The one run below `runs` that knows the id. Raises `InputError` for none or several."""
    knowing, looked = [], 0
    for path in sorted(runs.glob("*/recipe.toml")):
        run = store.Run.read(path.parent)
        if not readings.is_evaluation(run.recipe):
            looked += 1
            with Tables(run.folder) as tables:
                if find(Sources(run, tables), row_id) is not None:
                    knowing.append(run.folder)
    if len(knowing) == 1:
        return knowing[0]
    word = harmless(row_id, lines=1)
    if knowing:
        raise InputError(
            f"{word} must be known to one run of {runs}, but {len(knowing)} know it: "
            f"{', '.join(map(str, knowing))}. Name one: `etude why {word} RUN`."
        )
    there = f"none of the {looked} there knows it" if looked else "there is no run in it"
    raise InputError(
        f"{word} must be known to a run of {runs}, but {there}. "
        f"Name the run's folder: `etude why {word} RUN`."
    )
