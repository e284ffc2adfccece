"""What is told of a finished stage: numbers read from its tables, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from etude import readings, store
from etude.query import ACCEPTED, Tables

SEEDS = "seeds"
"""The arm that scores the loop's own round 0."""


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers at one place of an axis."""

    axis: str
    """`round`, the student's one after the last; or `step` of a training."""
    at: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage: of which arm and round, and the folder of that round."""

    run: store.Run
    arm: str
    round: int | None
    name: str

    @property
    def place(self) -> Path:
        arm = store.arm_folder(self.run.folder, "verified" if self.arm == SEEDS else self.arm)
        if readings.is_evaluation(self.run.recipe):
            return arm
        return arm / "final" if self.round is None else store.round_folder(arm, self.round)

    @property
    def at(self) -> int:
        return self.run.recipe.run.rounds + 1 if self.round is None else self.round

    def counted(self, view: str, column: str) -> Counter[str]:
        """How many rows of the stage have each value of a column."""
        with Tables(self.run.folder) as tables:
            rows = tables.rows(
                f"select {column} as name, count(*) as n from {view} where arm = ? and "
                "round is not distinct from ? group by 1 order by 1",
                ["verified" if self.arm == SEEDS else self.arm, self.round],
            )
        return Counter({str(row["name"]): row["n"] for row in rows})


def measures(
    run: store.Run, arm: str, number: int | None, stage: str, seconds: float
) -> Iterator[Measures]:
    """All that is told of a stage. Names are `ARM/STAGE/WHAT`, and `loss/ARM/ROUND/STAGE`."""
    here = Stage(run, arm, number, stage)
    read = _READ.get(stage)
    found = {"seconds": seconds} | (read(here) if read else {})
    yield Measures("round", here.at, {f"{arm}/{stage}/{key}": one for key, one in found.items()})
    if stage in ("train", "pretrain"):
        place = "final" if number is None else f"round-{number:02d}"
        for step, loss in readings.loss_curve(here.place / stage):
            yield Measures("step", step, {f"loss/{arm}/{place}/{stage}": loss})


def _shares(counts: Counter[str], first: str) -> dict[str, float]:
    """Each count, and the share of the first."""
    total = counts.total()
    named: dict[str, float] = {name.replace(" ", "_"): n for name, n in counts.items()}
    return named | ({f"{first}_share": counts[first] / total} if total else {})


def _propose(stage: Stage) -> dict[str, float]:
    counts = stage.counted("proposals", "finished")
    finished, asked = counts["True"], counts.total()
    return {"asked": asked, "finished": finished, "finished_share": finished / max(asked, 1)}


def _vet(stage: Stage) -> dict[str, float]:
    return _shares(stage.counted("vetted", "fate"), "kept")


def _recall(stage: Stage) -> dict[str, float]:
    return {"puzzles": stage.counted("recalled", "puzzle_id").total()}


def _solve(stage: Stage) -> dict[str, float]:
    return {"candidates": stage.counted("candidates", "finished").total()}


def _judge(stage: Stage) -> dict[str, float]:
    counts = _shares(stage.counted("verdicts", "outcome"), "accepted")
    solved = stage.counted(f"(select * from verdicts where {ACCEPTED})", "puzzle_id")
    return counts | {"puzzles_solved": len(solved)}


def _select(stage: Stage) -> dict[str, float]:
    puzzles = stage.counted("examples", "puzzle_id")
    return {"puzzles": len(puzzles), "examples": puzzles.total()}


def _training(stage: Stage) -> dict[str, float]:
    curve = readings.loss_curve(stage.place / stage.name)
    return {"first_loss": curve[0][1], "last_loss": curve[-1][1]} if curve else {}


def _evaluate(stage: Stage) -> dict[str, float]:
    found: dict[str, float] = {}
    for score in readings.scores(stage.place / "evaluate"):
        name = f"{score.part}/pass@{score.k}"
        found |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    return found


def _health(stage: Stage) -> dict[str, float]:
    """The measures of a round's health."""
    with Tables(stage.run.folder) as tables:
        rows = tables.rows(
            "select measure, value from health where arm = ? and round = ? and value is not null",
            [stage.arm, stage.round],
        )
    return {row["measure"]: row["value"] for row in rows}


_READ: dict[str, Callable[[Stage], dict[str, float]]] = {
    "propose": _propose,
    "vet": _vet,
    "recall": _recall,
    "solve": _solve,
    "judge": _judge,
    "select": _select,
    "train": _training,
    "pretrain": _training,
    "evaluate": _evaluate,
    "health": _health,
}
