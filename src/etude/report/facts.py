"""Facts: what the report says of one run, read from its folder. Sums are made by DuckDB, so that a
million candidates take seconds; rows are read only where they are shown.

A run may be unfinished: what is not there yet is left out, never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from etude import readings, roles, store, times
from etude.diversity import Diversity, measure
from etude.errors import InputError
from etude.query import ACCEPTED, Tables
from etude.readings import Comparison, Funnel, Rung, aside
from etude.roles import NOTE_KEY
from etude.stats import Estimate
from etude.types import Score, Usage

CLASSES = ("never", "up to 25%", "25 to 50%", "50 to 75%", "75 to 99%", "always")
"""How often a puzzle was solved, of its attempts."""
REASONS = 24
TEXT = 20_000
"""Characters that are read of a text that a model wrote."""
SOLVED, UNSOLVED = 9, 3
"""Puzzles of the gallery."""


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard the puzzles of a round were for the model that tried them."""

    round: int
    classes: tuple[int, ...]
    """Puzzles in each of `CLASSES`."""
    learnability: Estimate
    """Mean of p (1 - p): c (n - c) / (n (n - 1)) is its unbiased estimate for a puzzle that c of n
    attempts solved, which of few attempts may be above 0.25. The 95% interval is the normal one,
    over puzzles; it has no width for a single one."""

    @property
    def puzzles(self) -> int:
        return sum(self.classes)

    @property
    def between(self) -> float:
        """Share of the puzzles that were solved sometimes, and not always."""
        return sum(self.classes[1:-1]) / self.puzzles


@dataclass(frozen=True, slots=True)
class Reason:
    """Why candidates of the loop were not accepted. Its texts may be a model's."""

    outcome: str
    kind: str
    count: int
    puzzles: int
    example: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A puzzle of the gallery, all of whose texts are a model's."""

    puzzle_id: str
    round: int
    puzzle: str
    attempts: int
    accepted: int
    pairs: tuple[readings.Pair, ...]
    """The accepted pair that was taught, where there is one, and a wrong attempt."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stage took, over all rounds of an arm."""

    arm: str
    stage: str
    seconds: Mapping[int | None, float]
    """By round, None for the student's."""
    usage: Usage


Scored = dict[tuple[str, int | None], list[Score]]
"""The whole pass@k curve of each arm and round, None for the student's."""


class Facts:
    """One run, read when asked. As a context manager it closes what it has opened."""

    def __init__(self, folder: Path, label: str) -> None:
        self.run = store.Run.read(folder)
        self.folder = folder
        self.label = label
        if readings.is_evaluation(self.run.recipe):
            raise InputError(
                f"{folder} must be a run but holds an evaluation: see it with "
                f"`etude show {folder}`."
            )
        self.tables = Tables(folder)

    def close(self) -> None:
        self.tables.close()

    @cached_property
    def rungs(self) -> list[Rung]:
        return readings.ladder(self.folder)

    @cached_property
    def compared(self) -> list[Comparison]:
        return readings.comparisons(self.rungs)

    @cached_property
    def funnels(self) -> dict[str, list[Funnel]]:
        arms = {arm: store.arm_folder(self.folder, arm) for arm in readings.ARMS}
        return {arm: readings.funnels(folder) for arm, folder in arms.items()}

    @cached_property
    def set_aside(self) -> list[aside.Aside]:
        return aside.set_aside(self.folder)

    @property
    def loop(self) -> list[Funnel]:
        return self.funnels["verified"]

    @cached_property
    def trainings(self) -> list[readings.Training]:
        return readings.trainings(self.folder)

    @cached_property
    def curves(self) -> Scored:
        """Of every evaluation that has ended."""
        found: Scored = {}
        for arm in readings.ARMS:
            place = store.arm_folder(self.folder, arm)
            at = {n: store.round_folder(place, n) for n in readings.rounds(place)}
            for number, folder in [*at.items(), (None, place / "final")]:
                made = readings.curve(folder / "evaluate")
                if made:
                    found[arm, number] = made
        return found

    def asked(self, arm: str, number: int | None) -> list[Score]:
        """The scores of one evaluation at the ks that the recipe asks for."""
        place = store.arm_folder(self.folder, arm)
        folder = place / "final" if number is None else store.round_folder(place, number)
        return readings.scores(folder / "evaluate")

    @property
    def finished(self) -> list[int]:
        """The rounds of the loop that have been scored."""
        return sorted(n for arm, n in self.curves if arm == "verified" and n)

    @cached_property
    def difficulty(self) -> list[Difficulty]:
        return [_difficulty(row) for row in self.tables.rows(_DIFFICULTY)]

    @cached_property
    def reasons(self) -> list[Reason]:
        return [Reason(**row) for row in self.tables.rows(_REASONS, [REASONS])]

    @cached_property
    def gallery(self) -> list[Shown]:
        seed = f"{self.run.recipe.run.seed}"
        solved = self.tables.rows(_SOLVED, [seed, SOLVED])
        unsolved = self.tables.rows(_UNSOLVED, [seed, UNSOLVED])
        return _gallery(self.tables, [*solved, *unsolved])

    @cached_property
    def contamination(self) -> dict[str, Any] | None:
        """Of the student's evaluation: problems met by level, and the hits that meet the most."""
        stage = self.folder / "final" / "evaluate"
        if not (stage / "contamination.parquet").exists():
            return None
        rows = self.tables.rows(
            "select level, part, count(*) as problems from contamination where arm = 'verified' "
            "and round is null group by all order by all"
        )
        worst = self.tables.rows(
            "select problem, level, examples, share, left(problem_text, 2000) as problem_text, "
            "left(example_text, 2000) as example_text from contamination "
            "where arm = 'verified' and round is null order by level = 'exact' desc, "
            "level = 'canonical' desc, level = 'form' desc, examples desc, problem limit 12"
        )
        return {"levels": rows, "worst": worst}

    @cached_property
    def health(self) -> list[store.Row]:
        """The measures of the loop's rounds."""
        return self.tables.rows(
            "select * from health where arm = 'verified' order by round, measure"
        )

    @cached_property
    def probes(self) -> list[store.Row]:
        """What the probes found of each round's puzzles; none where no round was probed."""
        return self.tables.rows(_PROBES)

    @cached_property
    def reinvented(self) -> list[store.Row]:
        """Puzzles of each round that are, but for constants, problems of held-out families."""
        return self.tables.rows(_REINVENTED)

    @cached_property
    def diversity(self) -> Diversity | None:
        return measure(self.folder)

    @cached_property
    def spent(self) -> list[Spent]:
        """By arm and stage, in the order of the loop; the stages that are known of."""
        found = []
        for arm in (*readings.ARMS, "seeds"):
            folder = store.arm_folder(self.folder, arm)
            measured = times.spent(folder)
            others = sorted({name for _, name in measured} - set(STAGES))
            for stage in (*STAGES, *others):
                seconds = {n: s for (n, name), s in measured.items() if name == stage}
                usage = self._usage(folder, stage)
                if seconds or usage.requests:
                    found.append(Spent(arm, stage, seconds, usage))
        return found

    def _usage(self, arm: Path, stage: str) -> Usage:
        if stage not in ("propose", "solve", "evaluate"):
            return Usage()
        folders = [store.round_folder(arm, n) for n in readings.rounds(arm)] + [arm / "final"]
        return roles.usage_of(n for f in folders for n in store.read_notes(f / stage, NOTE_KEY))

    @cached_property
    def judged(self) -> tuple[int, float]:
        """Candidates of the loop that were judged, and the CPU seconds that they took."""
        row = self.tables.rows(
            "select count(*) as n, coalesce(sum(cpu_seconds), 0) as s from verdicts "
            "where arm = 'verified'"
        )[0]
        return int(row["n"]), float(row["s"])

    @cached_property
    def record(self) -> list[tuple[str, str]]:
        """Versions and machine, as name and value."""
        path = self.folder / "record.json"
        try:
            record = dict(json.loads(path.read_text("utf-8")))
            versions = dict(record.pop("versions"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path} must hold the run's versions but can't be read ({type(error).__name__}). "
                "Bring the file back that the run began with."
            ) from None
        return [(str(name), _said(value)) for name, value in [*versions.items(), *record.items()]]


STAGES = (
    "seeds", "pretrain", "propose", "vet", "recall", "solve", "judge", "vary", "hindsight",
    "repair", "turn", "probe", "screen", "select", "describe", "derive", "train", "reinforce",
    "evaluate", "health",
)  # fmt: skip
"""In the order of the loop."""

_TRIED = f"""
with tried as (
  select round, puzzle_id, count(*) as n, count(*) filter ({ACCEPTED}) as c
  from verdicts where arm = 'verified' and round is not null group by all
)
"""
_DIFFICULTY = (
    _TRIED
    + """
select round, count(*) as puzzles,
  count(*) filter (c = 0) as k0,
  count(*) filter (c > 0 and c <= 0.25 * n and c < n) as k1,
  count(*) filter (c > 0.25 * n and c <= 0.5 * n and c < n) as k2,
  count(*) filter (c > 0.5 * n and c <= 0.75 * n and c < n) as k3,
  count(*) filter (c > 0.75 * n and c < n) as k4,
  count(*) filter (c = n) as k5,
  avg(c * (n - c) / (n * (n - 1.0))) filter (n > 1) as mean,
  stddev_samp(c * (n - c) / (n * (n - 1.0))) filter (n > 1) as spread
from tried group by round order by round
"""
)
_KIND = r"""
case when regexp_matches(detail, '^\w+(Error|Exception|Exit|Interrupt|Iteration)\b')
  then regexp_extract(detail, '^\w+') else left(coalesce(detail, ''), 60) end
"""
_REASONS = f"""
select outcome, {_KIND} as kind, count(*) as count, count(distinct puzzle_id) as puzzles,
  left(min(coalesce(detail, '')), 200) as example
from verdicts where arm = 'verified' and outcome <> 'accepted'
group by all order by count(*) desc, outcome, kind limit ?
"""
_SOLVED = """
with taught as (
  select round, puzzle_id, min(candidate_id) as taught from examples
  where arm = 'verified' and round is not null and candidate_id is not null group by all
)
select * from taught order by md5(concat(?, ' ', puzzle_id)), round limit ?
"""
_UNSOLVED = (
    _TRIED
    + f"""
select round, puzzle_id, null::varchar as taught from tried
where c = 0 and puzzle_id not in (
  select puzzle_id from repairs
  where arm = 'verified' and way <> 'posed' and {ACCEPTED} and puzzle_id is not null
)
order by md5(concat(?, ' ', puzzle_id)), round limit ?
"""
)
_ATTEMPTS = f"""
select candidate_id, puzzle_id, round, outcome, left(answer, 300) as answer,
  left(detail, 300) as detail, {ACCEPTED} as accepted
from verdicts where arm = 'verified' and puzzle_id in (select unnest(?::varchar[]))
order by candidate_id
"""
_PUZZLES = f"""
select puzzle_id, min(left(source, {TEXT})) as source from vetted
where arm = 'verified' and fate = 'kept' and puzzle_id in (select unnest(?::varchar[])) group by all
"""
_SOLUTIONS = f"""
select candidate_id, min(left(source, {TEXT})) as source from candidates
where arm = 'verified' and candidate_id in (select unnest(?::varchar[])) group by all
"""


def _said(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _difficulty(row: store.Row) -> Difficulty:
    classes = tuple(int(row[f"k{n}"]) for n in range(len(CLASSES)))
    mean, spread = row["mean"] or 0.0, row["spread"] or 0.0
    reach = 1.96 * spread / max(1, sum(classes)) ** 0.5
    return Difficulty(row["round"], classes, Estimate(mean, max(0.0, mean - reach), mean + reach))


_PROBES = """
select round, count(*) as puzzles, count(*) filter (weak) as weak,
  count(*) filter (not stable) as unstable,
  count(*) filter (len(idle_arguments) > 0) as idle,
  count(*) filter (strangers > 0) as asked,
  avg(satisfied / strangers) filter (strangers > 0) as satisfied
from probes where arm = 'verified' group by round order by round
"""
_REINVENTED = """
with hits as (
  select round, puzzle_id, split_part(problem, '/', 1) as family, level from leaks
  where arm = 'verified' and part <> 'constants' and level in ('canonical', 'form', 'behaviour')
), taught as (
  select distinct round, puzzle_id from examples where arm = 'verified'
)
select round, family, count(distinct puzzle_id) as puzzles,
  count(distinct puzzle_id) filter (level = 'behaviour') as by_behaviour,
  count(distinct puzzle_id) filter (taught.puzzle_id is not null) as taught
from hits left join taught using (round, puzzle_id)
group by all order by round, puzzles desc, family
"""
"""The part `constants` is left out: its problems have the seeds' own forms."""


WORTH = ("wrong", "mistyped", "raised", "timeout", "memory", "crashed", "refused", "unparsed")
"""Which wrong attempt tells the most, the best first."""


def _gallery(tables: Tables, chosen: Sequence[store.Row]) -> list[Shown]:
    """Each puzzle with the pair that was taught, and its wrong attempt that tells the most."""
    ids = [row["puzzle_id"] for row in chosen]
    tried: dict[tuple[str, int], list[store.Row]] = {}
    for row in tables.rows(_ATTEMPTS, [ids]):
        tried.setdefault((row["puzzle_id"], row["round"]), []).append(row)
    picked = [_picked(tried.get((r["puzzle_id"], r["round"]), []), r["taught"]) for r in chosen]
    wanted = sorted({row["candidate_id"] for rows in picked for row in rows})
    sources = {r["puzzle_id"]: r["source"] for r in tables.rows(_PUZZLES, [ids])}
    solutions = {r["candidate_id"]: r["source"] for r in tables.rows(_SOLUTIONS, [wanted])}
    found = []
    for row, verdicts in zip(chosen, picked, strict=True):
        attempts = tried.get((row["puzzle_id"], row["round"]), [])
        source = sources.get(row["puzzle_id"]) or ""
        pairs = tuple(_pair(v, source, solutions.get(v["candidate_id"]) or "") for v in verdicts)
        accepted = sum(one["accepted"] for one in attempts)
        found.append(Shown(row["puzzle_id"], row["round"], source, len(attempts), accepted, pairs))
    return found


def _picked(attempts: Sequence[store.Row], taught: str | None) -> list[store.Row]:
    first = [row for row in attempts if row["candidate_id"] == taught]
    wrong = [row for row in attempts if row["outcome"] != "accepted"]
    rank = {name: number for number, name in enumerate(WORTH)}
    wrong.sort(key=lambda row: rank.get(row["outcome"], len(rank)))
    return first + wrong[:1]


def _pair(verdict: store.Row, puzzle: str, solution: str) -> readings.Pair:
    return readings.Pair(
        verdict["puzzle_id"],
        verdict["candidate_id"],
        puzzle,
        solution,
        verdict["outcome"],
        verdict["answer"] or "",
        verdict["detail"] or "",
    )
