"""Which model sampled something, what it was trained on, and in which trainings an example was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from etude import store
from etude.errors import InputError
from etude.lineage.links import Link
from etude.lineage.sources import Sources

_REPORTED = (
    *("start", "start_id", "early", "early_id", "weights", "seed"),
    *("documents", "too_long", "steps", "tokens"),
    *("precision", "method"),
)


def checkpoints(sources: Sources, engines: dict[str, str]) -> Iterator[Link]:
    """The model of each engine, and what that was trained from, back to the base.

    `engines` has for each engine's name, such as `transformers:round-01/train`, the id of a row
    that it sampled.
    """
    told: set[str] = set()
    for engine, sampled in engines.items():
        kind, _, model = engine.partition(":")
        of, place = sampled, model
        while place and place not in told:
            told.add(place)
            content = _checkpoint(sources, place)
            yield Link("checkpoint", of, content | {"engine": kind if of == sampled else None})
            of, place = place, _place_of_start(sources, place, content)


def _checkpoint(sources: Sources, place: str) -> dict[str, Any]:
    """A training of the run; of a model from elsewhere no more than its name is known."""
    folder = sources.run.folder / place
    inside = not Path(place).is_absolute() and folder.is_dir()
    if not inside or not (folder / "training.json").is_file():
        empty = dict.fromkeys(_REPORTED)
        return {"model": place, "in_run": inside, **empty, "sources": None}
    try:
        report = json.loads((folder / "training.json").read_text("utf-8"))
    except ValueError:
        raise InputError(
            f"{folder / 'training.json'} must be JSON but can't be read. Delete {folder} and run "
            "again: it will be made anew."
        ) from None
    known = {name: report.get(name) for name in _REPORTED}
    return {"model": place, "in_run": True, **known, "sources": _examples_by_source(sources, place)}


def _arm_and_round(place: str) -> tuple[str, int | None]:
    """`controls/unverified/round-02/train`: unverified, 2. Of the student: None."""
    *above, here, _ = Path(place).parts
    number = here.removeprefix("round-")
    return above[-1] if above else "verified", int(number) if number.isdecimal() else None


def _examples_by_source(sources: Sources, place: str) -> dict[str, int] | None:
    """How many distinct texts of the seeds and of each round; None where it was not recorded."""
    if not (sources.run.folder / place / "examples.parquet").is_file():
        return None
    if Path(place).name != "train":
        return {}
    arm, number = _arm_and_round(place)
    rows = sources.tables.rows(
        "select coalesce('round ' || made.round, 'seeds') as source, count(*) as n from trained "
        "left join (select example_id, min(round) as round from "
        "(select example_id, round, arm from examples union all "
        "select example_id, round, arm from derived) where arm = ? group by 1) as made "
        "using (example_id) "
        "where trained.arm = ? and trained.round is not distinct from ? and shown > 0 "
        "group by 1 order by 1 desc",
        [arm, arm, number],
    )
    return {row["source"]: row["n"] for row in rows}


def _place_of_start(sources: Sources, place: str, content: dict[str, Any]) -> str:
    """Where in the run the model stands that a training began with; empty outside of it, such as of
    another run's model, whose folder may be called the same but has other weights."""
    start, weights = content["start"], content["start_id"]
    if not start:
        return ""
    for found in (Path(place).parents[1] / start, Path(start)):
        if (sources.run.folder / found).is_dir() and str(found) != place:
            own = _checkpoint(sources, str(found))["weights"]
            if not own or not weights or own == weights:
                return str(found)
    return ""


def trainings(sources: Sources, example: str, arm: str) -> Iterator[Link]:
    """Each finished training of an arm: whether it was trained on the example, and how often."""
    rows = sources.rows("trained", "example_id", example, arm)
    known = {row["round"]: row for row in rows}
    folder = store.arm_folder(sources.run.folder, arm)
    places = [place for _, place in store.round_folders(folder)]
    for path in (place / "train" for place in [*places, folder / "final"]):
        if not (path / "training.json").is_file():
            continue
        place = str(path.relative_to(sources.run.folder))
        number = _arm_and_round(place)[1]
        recorded = (path / "examples.parquet").is_file()
        row = known.get(number, {"documents": 0, "shown": 0})
        yield Link(
            "training",
            example,
            {
                "model": place,
                "round": number,
                "recorded": recorded,
                "documents": row["documents"] if recorded else None,
                "shown": row["shown"] if recorded else None,
                "too_long": json.loads((path / "training.json").read_text("utf-8")).get("too_long"),
            },
        )
