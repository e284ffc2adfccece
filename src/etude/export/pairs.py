"""The verified pairs of a run, a batch at a time, however many there are.

DuckDB joins the segments and spills to the disk what does not fit; Python sees a few thousand rows
at once. Covered: pairs of one arm that were accepted, and not by chance. Not covered: seed pairs,
and judging anything again (see `seeding` and `verifying`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from etude import query, store
from etude.errors import InputError
from etude.judge.record import METADATA_KEY
from etude.roles import NOTE_KEY

MEMORY = "2GB"
"""What DuckDB may take before it spills."""
AT_ONCE = 4_096
LEVELS = ("none", "exact", "canonical", "form")
"""What counts as a duplicate: nothing; the same two texts; the same puzzle, names and layout aside,
with the same solution; the same puzzle without its constants, of which one pair is kept."""

_KEYS = {
    "none": "arm, round, candidate_id",
    "exact": "puzzle_text, solution_text",
    "canonical": "puzzle_id, solution_text",
    "form": "form",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pairs of a run are wanted."""

    arm: str = "verified"
    round: int | None = None
    """None: of all rounds."""
    everything: bool = False
    """Also pairs that were accepted but not selected for training."""
    dedup: str = "exact"


@dataclass
class Counts:
    """How many pairs there were, and how many each level would leave."""

    selected: int = 0
    """Chosen by `Choice`, whatever their verdict."""
    verified: int = 0
    """Of them, those that were accepted, and not by chance."""
    distinct: dict[str, int] = field(default_factory=dict)
    """By level, how many differ from one another."""
    kept: int = 0


class Pairs:
    """The pairs of a run that a choice names. A context manager, for it holds a connection.

    Raises `InputError` for an arm, round or level that there is not.
    """

    def __init__(self, run: store.Run, choice: Choice, scratch: Path) -> None:
        """`scratch` is a folder that takes what does not fit into memory."""
        self.run = run
        self.choice = choice
        self.counts = Counts()
        _check(run.folder, choice)
        self._tables = query.Tables(run.folder)
        connection = self._tables.connection
        connection.execute(f"set memory_limit = '{MEMORY}'")
        connection.execute("set temp_directory = ?", [str(scratch)])
        self._engines = _engines(run.folder, choice.arm)
        self._conditions = _conditions(run.folder, choice.arm)
        self._choose()

    def _choose(self) -> None:
        """Keys of the pairs to export, in the table `chosen`; the long texts stay where they are."""
        tables, choice = self._tables, self.choice
        among = "left join" if choice.everything else "join"
        tables.rows(
            f"""
            create temp table known as
            select v.arm, v.round, v.candidate_id, v.puzzle_id, e.example_id,
                md5(p.source) as puzzle_text, md5(c.source) as solution_text, md5(p.form) as form,
                length(c.source) as size,
                v.outcome = 'accepted' and v.stable is distinct from false as verified
            from verdicts v
            {among} examples e using (arm, round, candidate_id)
            join candidates c using (arm, round, candidate_id)
            join vetted p on p.arm = v.arm and p.round = v.round and p.puzzle_id = v.puzzle_id
                and p.fate = 'kept'
            where v.arm = ? and (? is null or v.round = ?)
            """,
            [choice.arm, choice.round, choice.round],
        )
        self.counts.selected = tables.value("select count(*) from known")
        self.counts.verified = tables.value("select count(*) from known where verified")
        for level, keys in _KEYS.items():
            self.counts.distinct[level] = tables.value(
                f"select count(*) from (select distinct {keys} from known where verified)"
            )
        tables.rows(
            f"""
            create temp table chosen as select * from known where verified
            qualify row_number() over (
                partition by {_KEYS[choice.dedup]}
                order by example_id is null, round, size, solution_text, candidate_id
            ) = 1
            """
        )
        self.counts.kept = tables.value("select count(*) from chosen")

    def rows(self) -> Iterator[list[store.Row]]:
        """The pairs in a fixed order, in batches; every key of a row is a column, see `columns`."""
        if not self.counts.kept:
            return
        found = self._tables.connection.execute(
            """
            with placed as (
                select candidate_id, answer, stable, cpu_seconds, filename
                from read_parquet(?, filename = true, union_by_name = true)
            ), tried as (
                select arm, round, puzzle_id, count(*)::integer as attempts,
                    (count(*) filter (outcome = 'accepted' and stable is distinct from false))
                        ::integer as accepted
                from verdicts where arm = ? group by all
            )
            select k.round, k.puzzle_id, k.example_id, k.candidate_id, p.source as puzzle,
                c.source as solution, v.answer, p.answer_type, p.inputs, p.form as whole_form,
                p.proposal_id, o.parents, t.attempts, t.accepted, v.stable, v.cpu_seconds, v.filename
            from chosen k
            join placed v using (candidate_id)
            join candidates c using (arm, round, candidate_id)
            join vetted p on p.arm = k.arm and p.round = k.round and p.puzzle_id = k.puzzle_id
                and p.fate = 'kept'
            join tried t on t.arm = k.arm and t.round = k.round and t.puzzle_id = k.puzzle_id
            left join proposals o on o.arm = k.arm and o.round = k.round
                and o.proposal_id = p.proposal_id
            order by k.round, k.puzzle_id, k.size, k.solution_text, k.candidate_id
            """,
            [sorted(self._conditions), self.choice.arm],
        )
        names = [column[0] for column in found.description or ()]
        while batch := found.fetchmany(AT_ONCE):
            yield [self._row(dict(zip(names, row, strict=True))) for row in batch]

    def _row(self, row: store.Row) -> store.Row:
        judged = self._conditions[row.pop("filename")]
        return row | judged | self._engines[row["round"]] | {"source": "model"}

    def by_round(self) -> list[store.Row]:
        """Per round: pairs kept and the puzzles they are of."""
        return self._tables.rows(
            "select round, count(*) as pairs, count(distinct puzzle_id) as puzzles from chosen "
            "group by round order by round"
        )

    def answer_types(self) -> list[store.Row]:
        """How many of the pairs kept have each answer type, the most frequent first."""
        return self._tables.rows(
            """
            select p.answer_type, count(*) as pairs from chosen k
            join vetted p on p.arm = k.arm and p.round = k.round and p.puzzle_id = k.puzzle_id
                and p.fate = 'kept'
            group by all order by pairs desc, answer_type
            """
        )

    def view(self, name: str, order: str) -> list[store.Row]:
        """The rows of a small view of this arm; none where there is no such view."""
        if name not in query.VIEWS:
            return []
        return self._tables.rows(
            f"select * from {name} where arm = ? order by {order}", [self.choice.arm]
        )

    def __enter__(self) -> Pairs:
        return self

    def __exit__(self, *_: object) -> None:
        self._tables.close()


def _check(folder: Path, choice: Choice) -> None:
    arms = {arm for arm, number, _ in query.places(folder) if number}
    if choice.arm not in arms:
        there = ", ".join(sorted(arms)) or "none with a round yet"
        raise InputError(f"--arm must be an arm of {folder} ({there}), but is {choice.arm!r}.")
    rounds = [n for arm, n, _ in query.places(folder) if arm == choice.arm and n]
    if choice.round is not None and choice.round not in rounds:
        there = ", ".join(map(str, rounds))
        raise InputError(f"--round must be a round of {folder} ({there}), but is {choice.round}.")
    if choice.dedup not in LEVELS:
        raise InputError(f"--dedup must be one of {', '.join(LEVELS)}, but is {choice.dedup!r}.")


def _engines(folder: Path, arm: str) -> dict[int, store.Row]:
    """By round, which engines wrote its solutions and puzzles."""
    return {
        number: {"model": _engine(place / "solve"), "proposer": _engine(place / "propose")}
        for name, number, place in query.places(folder)
        if name == arm and number
    }


def _engine(stage: Path) -> str | None:
    """The engines of a stage, by name; several where a run went on elsewhere."""
    names = {json.loads(note).get("engine") for note in store.read_notes(stage, NOTE_KEY)}
    return " and ".join(sorted(map(str, names))) or None


def _conditions(folder: Path, arm: str) -> dict[str, store.Row]:
    """By segment of verdicts, what these rest on: a run may have gone on under another Python."""
    found = {}
    for name, number, place in query.places(folder):
        if name == arm and number:
            for path in sorted((place / "judge").glob("[0-9]*.parquet")):
                note = (pq.read_schema(path).metadata or {}).get(METADATA_KEY.encode(), b"{}")
                found[str(path)] = judged_columns(json.loads(note))
    return found


def judged_columns(conditions: Mapping[str, Any]) -> store.Row:
    """What verdicts rest on, as columns; null where nothing was noted."""
    limits = conditions.get("limits")
    return {
        "judge_version": conditions.get("version"),
        "isolation": conditions.get("isolation"),
        "limits": None if limits is None else json.dumps(limits, sort_keys=True),
    }

