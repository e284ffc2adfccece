"""Readings: what a run folder says, as plain values. Nothing here writes, or runs what it reads.

Covered: the ladder and its paired comparisons, funnels, losses, sample pairs. How they are put
into words: `words`.
A run may be unfinished: what is not there yet is left out, never guessed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etude import config, store
from etude.course import Course, course_of
from etude.readings.segments import columns as columns
from etude.readings.segments import length as length
from etude.readings.segments import rows_where, table
from etude.readings.segments import segment as segment
from etude.stats import Estimate, paired_difference, pass_at_k
from etude.streams import AGAIN
from etude.types import Score

ARMS = ("verified", "unverified", "more-epochs", "pretrained")
STAGES = ("propose", "vet", AGAIN, "solve", "judge", "select")
RUNGS = (
    ("pretrained", "pretrained", "final"),
    ("+ seeds", "verified", "round-00"),
    ("+ more epochs on the seeds", "more-epochs", "final"),
    ("+ unverified", "unverified", "final"),
    ("+ verified", "verified", "final"),
)
"""Label, arm and folder of each rung of the ladder, from the lowest to the highest."""
PARTS = {
    "constants": "held-out constants",
    "families": "held-out families",
    "humaneval": "P3, from HumanEval",
    "other": "P3, other problems",
    "all": "problems of the suite",
    "own": "puzzles of the file",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """One row of the ladder."""

    label: str
    arm: str
    folder: Path
    """The folder that holds its attempts and scores."""
    scores: tuple[Score, ...]
    examples: int
    """Self-made examples that the model was trained on."""

    @property
    def short(self) -> str:
        return self.label.partition(" on ")[0]

    @property
    def bare(self) -> str:
        return self.short.removeprefix("+ ")


@dataclass(frozen=True, slots=True)
class Comparison:
    """`+ verified` minus another rung over the same problems, in pass@k from 0 to 1."""

    against: str
    part: str
    k: int
    difference: Estimate

    @property
    def improved(self) -> bool:
        """The whole 95% interval is above zero, to the tenth of a point that is shown."""
        return round(100 * self.difference.low, 1) > 0

    @property
    def worse(self) -> bool:
        """The whole 95% interval is below zero, to the tenth of a point that is shown."""
        return round(100 * self.difference.high, 1) < 0


@dataclass(frozen=True, slots=True)
class Funnel:
    """The counts of one round of one arm, over the units that are finished."""

    arm: str
    round: int
    stages: tuple[str, ...]
    """The stages with a finished unit."""
    asked: int
    fates: Counter[str]
    again: int
    """Puzzles of earlier rounds that are tried once more."""
    candidates: int
    outcomes: Counter[str]
    solved: int
    """Puzzles with a candidate that was accepted, and not by chance."""
    taught: int
    """Puzzles that became examples."""
    examples: int
    derived: int
    """Further examples, made of pairs."""

    @property
    def kept(self) -> int:
        return self.fates["kept"]

    @property
    def well_formed(self) -> int:
        return self.fates.total() - self.fates["unparsed"]


@dataclass(frozen=True, slots=True)
class Training:
    """One finished training: where, its loss curve, and what `training.json` says."""

    label: str
    losses: tuple[tuple[int, float], ...]
    """(step, mean loss of the steps up to it)."""
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """A puzzle of a round with one candidate and its verdict."""

    puzzle_id: str
    candidate_id: str
    puzzle: str
    solution: str
    outcome: str
    answer: str
    detail: str


def scores(evaluated: Path) -> list[Score]:
    """The scores of an `evaluate` folder for the ks that were asked; none before it has ended."""
    return [score for score, asked in _curve(evaluated) if asked]


def curve(evaluated: Path) -> list[Score]:
    """pass@k of an `evaluate` folder for every k; none before it has ended."""
    return [score for score, _ in _curve(evaluated)]


def _curve(evaluated: Path) -> list[tuple[Score, bool]]:
    path = evaluated / "scores.parquet"
    if not path.exists():
        return []
    names = Score.__dataclass_fields__
    return [
        (Score(**{name: row[name] for name in names}), row.get("asked") is not False)
        for row in store.read_table(path)
    ]


def problems(evaluated: Path) -> list[store.Row]:
    """Each problem of an `evaluate` folder with its attempts; none before it has ended."""
    path = evaluated / "problems.parquet"
    return store.read_table(path) if path.exists() else []


def contamination(evaluated: Path) -> list[store.Row] | None:
    """Problems that training examples meet; None where these were not known."""
    path = evaluated / "contamination.parquet"
    return store.read_table(path) if path.exists() else None


def is_evaluation(recipe: config.Recipe) -> bool:
    """Whether the folder of this recipe was made by `etude evaluate`, and so is no run."""
    return recipe.name == "evaluate" and recipe.run.rounds == 0


def unattempted(evaluated: Path, made: Sequence[Score]) -> int:
    """Problems without an attempt, as their prompt does not fit: they count as unsolved."""
    problems = {score.part: score.problems for score in made}
    return sum(problems.values()) - sum(map(len, attempts(evaluated).values()))


def rounds(arm: Path) -> list[int]:
    """The rounds that an arm has begun, round 0 included."""
    return [number for number, _ in store.round_folders(arm)]


def ladder(run: Path) -> list[Rung]:
    """The rungs that have been scored, the lowest first."""
    found = []
    for label, arm, place in RUNGS:
        folder = store.arm_folder(run, arm)
        made = scores(folder / place / "evaluate")
        if made:
            examples = _examples(run, folder) if place == "final" else 0
            found.append(Rung(label, arm, folder / place / "evaluate", tuple(made), examples))
    return found


def _examples(run: Path, arm: Path) -> int:
    kept = course(run).kept
    numbers = [number for number in rounds(arm) if number <= kept]
    return sum(length(_stage(arm, n, stage)) for n in numbers for stage in ("select", "derive"))


def course(run: Path) -> Course:
    """How many rounds the run has, and up to which one its student learns."""
    return course_of(run, store.read_recipe(run))


def health(run: Path) -> list[store.Row]:
    """The measures of all rounds that were examined: `round`, and the columns of HEALTH."""
    return [
        {"round": number} | row
        for number in rounds(run)
        for row in store.read_stage(_stage(run, number, "health"))
    ]


def _stage(arm: Path, number: int, stage: str) -> Path:
    return store.round_folder(arm, number) / stage


Attempts = dict[str, dict[str, tuple[int, int]]]
"""By part and problem: attempts made, and how many were accepted."""


def attempts(evaluated: Path) -> Attempts:
    """What an `evaluate` folder holds, counted."""
    rows = table(evaluated, ["problem", "part", "outcome"])
    counted = rows.append_column("accepted", pc.equal(rows["outcome"], "accepted"))
    groups = counted.group_by(["part", "problem"], use_threads=False)
    found: Attempts = defaultdict(dict)
    for row in groups.aggregate([("outcome", "count"), ("accepted", "sum")]).to_pylist():
        found[row["part"]][row["problem"]] = row["outcome_count"], row["accepted_sum"]
    return found


def solved_rates(evaluated: Path, k: int) -> dict[str, float]:
    """pass@k of each problem that was attempted.

    Raises ValueError when a problem has fewer than k attempts: pass@k is undefined there.
    """
    parts = attempts(evaluated).values()
    return {name: pass_at_k(*c, k) for counts in parts for name, c in counts.items()}


def comparisons(rungs: Sequence[Rung]) -> list[Comparison]:
    """`+ verified` against every other rung, for each part and k that both have."""
    if not rungs or rungs[-1].label != RUNGS[-1][0]:
        return []
    *others, verified = rungs
    after = attempts(verified.folder)
    return [
        Comparison(other.label, score.part, score.k, _difference(before, after, score))
        for other, before in [(rung, attempts(rung.folder)) for rung in others]
        for score in verified.scores
        if score_of(other, score.part, score.k)
    ]


def _difference(before: Attempts, after: Attempts, score: Score) -> Estimate:
    """Paired over all problems of the part; one without an attempt was not solved."""
    old, new = before.get(score.part, {}), after.get(score.part, {})
    names = sorted(old.keys() | new.keys())
    unattempted = [0.0] * (score.problems - len(names))

    def rates(counts: dict[str, tuple[int, int]]) -> list[float]:
        known = {name: pass_at_k(*counts[name], score.k) for name in counts}
        return [known.get(name, 0.0) for name in names] + unattempted

    return paired_difference(rates(old), rates(new))


def score_of(rung: Rung, part: str, k: int) -> Score | None:
    """A rung's score, None where it has none."""
    return next((s for s in rung.scores if (s.part, s.k) == (part, k)), None)


def parts_of(made: Sequence[Score]) -> list[str]:
    """The parts of some scores, in their order."""
    return list(dict.fromkeys(score.part for score in made))


def ks_of(made: Sequence[Score]) -> list[int]:
    return sorted({score.k for score in made})


def funnel(arm: Path, number: int) -> Funnel:
    """The counts of one round of the arm whose folder is given."""
    folder = store.round_folder(arm, number)
    judged = table(folder / "judge", ["puzzle_id", "outcome", "stable"])
    accepted = judged.filter(pc.equal(judged["outcome"], "accepted"))
    by_chance = pc.equal(accepted["stable"].cast(pa.bool_()), False)
    accepted = accepted.filter(pc.invert(pc.fill_null(by_chance, False)))
    chosen = table(folder / "select", ["puzzle_id"])
    return Funnel(
        arm=arm.name if arm.parent.name == "controls" else "verified",
        round=number,
        stages=tuple(stage for stage in STAGES if any((folder / stage).glob("[0-9]*.parquet"))),
        asked=length(folder / "propose"),
        fates=_counted(table(folder / "vet", ["fate"])["fate"]),
        again=length(folder / AGAIN),
        candidates=length(folder / "solve"),
        outcomes=_counted(judged["outcome"]),
        solved=len(pc.unique(accepted["puzzle_id"])),
        taught=len(pc.unique(chosen["puzzle_id"])),
        examples=len(chosen),
        derived=length(folder / "derive"),
    )


def _counted(column: pa.ChunkedArray) -> Counter[str]:
    """How often each value stands in a column."""
    pairs = pc.value_counts(column).to_pylist()
    return Counter({pair["values"]: pair["counts"] for pair in pairs})


def funnels(arm: Path) -> list[Funnel]:
    """The funnel of every round that has begun, round 0 left out."""
    return [funnel(arm, number) for number in rounds(arm) if number > 0]


def loss_curve(trained: Path) -> list[tuple[int, float]]:
    """(step, loss) of a finished training."""
    return [(row["step"], row["loss"]) for row in store.read_table(trained / "loss.parquet")]


def trainings(run: Path) -> list[Training]:
    """The finished trainings of all arms, the loop's first, in their order."""
    found = []
    for arm in ARMS:
        folder = store.arm_folder(run, arm)
        places = [store.round_folder(folder, n) for n in rounds(folder)] + [folder / "final"]
        for place in places:
            for stage in ("pretrain", "train"):
                if (place / stage / "loss.parquet").exists():
                    found.append(_training(arm, place / stage))
    return found


def _training(arm: str, trained: Path) -> Training:
    place = trained.parent.name.replace("round-0", "round ").replace("round-", "round ")
    label = " ".join(["" if arm == "verified" else arm, place, trained.name]).strip()
    report = json.loads((trained / "training.json").read_text("utf-8"))
    return Training(label, tuple(loss_curve(trained)), report)


def sample_pairs(arm: Path, number: int, count: int) -> list[list[Pair]]:
    """Up to `count` taught puzzles of a round, evenly spread: an accepted pair, a rejected one.

    A puzzle that was never missed has its accepted pair alone.
    """
    folder = store.round_folder(arm, number)
    taught: dict[str, str] = {}
    for row in columns(folder / "select", ["puzzle_id", "candidate_id"]):
        taught.setdefault(row["puzzle_id"], row["candidate_id"])
    step = max(1, len(taught) // max(count, 1))
    chosen = dict(list(taught.items())[::step][:count])
    tried: dict[str, list[store.Row]] = defaultdict(list)
    for verdict in rows_where(folder / "judge", _VERDICT, "puzzle_id", chosen):
        tried[verdict["puzzle_id"]].append(verdict)
    wanted = [row for puzzle, first in chosen.items() for row in _shown(tried[puzzle], first)]
    by_puzzle: dict[str, list[Pair]] = defaultdict(list)
    for pair in _pairs(folder, wanted):
        by_puzzle[pair.puzzle_id].append(pair)
    return list(by_puzzle.values())


_VERDICT = ["candidate_id", "puzzle_id", "outcome", "answer", "detail"]


def _shown(tried: list[store.Row], taught: str) -> list[store.Row]:
    """The verdict on the pair that was taught, and the first rejection, where there is one."""
    first = [row for row in tried if row["candidate_id"] == taught]
    return first + [row for row in tried if row["outcome"] != "accepted" and row not in first][:1]


def _pairs(folder: Path, verdicts: Sequence[store.Row]) -> list[Pair]:
    puzzles = {row["puzzle_id"] for row in verdicts}
    candidates = {row["candidate_id"] for row in verdicts}
    again = rows_where(folder / AGAIN, ["puzzle_id", "source"], "puzzle_id", puzzles)
    vetted = rows_where(folder / "vet", ["puzzle_id", "source", "fate"], "puzzle_id", puzzles)
    kept = (row for row in vetted if row["fate"] == "kept")
    source = {row["puzzle_id"]: row["source"] for row in (*again, *kept)}
    solution = {
        row["candidate_id"]: row["source"]
        for row in rows_where(
            folder / "solve", ["candidate_id", "source"], "candidate_id", candidates
        )
    }
    return [
        Pair(
            row["puzzle_id"],
            row["candidate_id"],
            source.get(row["puzzle_id"], ""),
            solution.get(row["candidate_id"], ""),
            row["outcome"],
            row["answer"] or "",
            row["detail"] or "",
        )
        for row in verdicts
    ]
