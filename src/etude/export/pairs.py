"""The verified pairs of a run, a batch at a time, however many there are.

DuckDB joins the segments and spills to the disk what does not fit; Python sees a few thousand rows
at once. Covered: pairs of one arm that were accepted, and not by chance: attempts, and what the
loop made of them (see `making`). Not covered: seed pairs, and judging anything again (see
`verifying`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from etude import query, reviews, store
from etude.duplicates import LEVELS, Item, find
from etude.errors import InputError
from etude.export.making import STAGES, read_made, told
from etude.judge.judge import usable_cores
from etude.judge.record import METADATA_KEY
from etude.roles import NOTE_KEY

AT_ONCE = 4_096
COUNTED = ("exact", "canonical", "form")
"""Levels of `duplicates` at which every export is counted: those that need no extra."""
NONE = "none"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pairs of a run are wanted."""

    arm: str = "verified"
    round: int | None = None
    """None: of all rounds."""
    everything: bool = False
    """Also pairs that were accepted but not selected for training."""
    derived: bool = True
    """Also pairs that the loop made of others, where they were trained on."""
    dedup: str = "exact"
    """A level of `duplicates`, or `none`. Of a form as many pairs are kept as the recipe lets in
    puzzles (`vet.max_per_form`)."""


@dataclass
class Counts:
    """How many pairs there were, and how many each level would leave."""

    selected: int = 0
    """Chosen by `Choice`, whatever their verdict."""
    refused: int = 0
    """Of them, those of puzzles that a person rejected, or edited into another."""
    verified: int = 0
    """Of the others, those that were accepted, and not by chance."""
    duplicates: dict[str, int] = field(default_factory=dict)
    """By level, how many of them it would leave out."""
    kept: int = 0
    derived: int = 0
    """Of these, pairs that the loop made of others."""


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
        self._tables.connection.execute("set temp_directory = ?", [str(scratch)])
        self._solvers = _solvers(run.folder, choice.arm)
        self._proposers = {
            str(path): _named([path], "engine")
            for path in _segments(run.folder, choice.arm, "propose")
        }
        self._conditions = _conditions(run.folder, choice.arm)
        self._judged = [str(path) for path in _segments(run.folder, choice.arm, "judge")]
        self._choose()

    def _choose(self) -> None:
        """Keys of the pairs to export, in the table `chosen`; long texts stay where they are."""
        tables, choice = self._tables, self.choice
        among = "left join" if choice.everything else "join"
        tables.rows(
            f"""
            create table known as
            select v.round, v.candidate_id, v.puzzle_id, e.example_id, length(c.source) as size,
                {query.ACCEPTED} as verified, 'attempt' as origin, null::varchar as made_from
            from verdicts v
            {among} examples e using (arm, round, candidate_id)
            join candidates c using (arm, round, candidate_id)
            join puzzles p on p.arm = v.arm and p.round = v.round and p.puzzle_id = v.puzzle_id
            where v.arm = ? and (? is null or v.round = ?)
            """,
            [choice.arm, choice.round, choice.round],
        )
        self._add_made()
        self.counts.selected = tables.value("select count(*) from known")
        self._leave_out_rejected()
        tables.rows(
            """
            create table verified as
            select row_number() over (
                order by example_id is null, round, made_from is not null, size, puzzle_id,
                    candidate_id, example_id
            ) - 1 as place, * from known where verified
            """
        )
        self.counts.verified = tables.value("select count(*) from verified")
        kept = self._distinct()
        self._keep("kept", pa.table({"place": np.flatnonzero(kept)}))
        tables.rows("create table chosen as select * from verified join kept using (place)")
        self.counts.kept = int(kept.sum())
        self.counts.derived = tables.value("select count(made_from) from chosen")

    def _add_made(self) -> None:
        """The pairs that were made of others, where they are wanted."""
        read_made(self._tables, self.run.folder, self.choice.arm, self.choice.round)
        self._tables.rows(
            f"""
            insert into known by name
            select round, candidate_id, puzzle_id, example_id, size, origin, made_from,
                coalesce({query.ACCEPTED}, false) as verified
            from made where ?
            """,
            [self.choice.derived],
        )

    def _keep(self, name: str, table: pa.Table) -> None:
        """A table that queries can name."""
        connection = self._tables.connection
        connection.register(f"given_{name}", table)
        connection.execute(f"create table {name} as select * from given_{name}")
        connection.unregister(f"given_{name}")

    def _leave_out_rejected(self) -> None:
        """Puzzles that a person rejected, or edited into another, don't leave, whatever they taught
        before that."""
        rejected = sorted(reviews.withdrawn_by_now(self.run.folder))
        self._keep("rejected", pa.table({"puzzle_id": pa.array(rejected, pa.string())}))
        before = self._tables.value("select count(*) from known")
        self._tables.rows(
            "delete from known where puzzle_id in (select puzzle_id from rejected) "
            "or made_from in (select puzzle_id from rejected)"
        )
        self.counts.refused = before - self._tables.value("select count(*) from known")

    def _distinct(self) -> npt.NDArray[np.bool_]:
        """Which pairs are left without duplicates. Pairs that were trained on stand first."""
        choice, limit = self.choice, self.run.recipe.vet.max_per_form
        levels = COUNTED if choice.dedup in (*COUNTED, NONE) else (*COUNTED, choice.dedup)
        found = find(self._items(), levels, per_form=limit, processes=usable_cores())
        self.counts.duplicates = {level: found.duplicates(level) for level in levels}
        return found.mask(*([] if choice.dedup == NONE else [choice.dedup]))

    def _items(self) -> Iterator[Item]:
        found = self._tables.connection.cursor().execute(
            """
            select * exclude place from (
                select k.place, k.candidate_id, p.source, c.source from verified k
                join candidates c on c.arm = $arm and c.round = k.round
                    and c.candidate_id = k.candidate_id
                join puzzles p on p.arm = $arm and p.round = k.round and p.puzzle_id = k.puzzle_id
                where k.made_from is null
                union all
                select k.place, k.example_id, d.source, d.solution from verified k
                join derived d on d.arm = $arm and d.round = k.round
                    and d.example_id = k.example_id
                where k.made_from is not null
            ) order by place
            """,
            {"arm": self.choice.arm},
        )
        while batch := found.fetchmany(AT_ONCE):
            yield from (Item(*row) for row in batch)

    def rows(self) -> Iterator[list[store.Row]]:
        """The pairs in a fixed order, in batches; every key of a row is a column, see `columns`."""
        if not self.counts.kept:
            return
        found = self._tables.connection.cursor().execute(
            f"""
            with placed as (
                select candidate_id, answer, stable, cpu_seconds, filename
                from read_parquet($files, filename = true, union_by_name = true)
            ), counted as (
                select round, puzzle_id, count(*)::integer as attempts,
                    (count(*) filter ({query.ACCEPTED}))::integer as accepted
                from verdicts where arm = $arm group by all
            ), own as (
                select k.*, p.source as puzzle, c.source as solution, v.answer, p.answer_type,
                    p.inputs, p.form as whole_form, t.attempts, t.accepted, v.stable,
                    v.cpu_seconds, v.filename
                from chosen k
                join placed v using (candidate_id)
                join candidates c on c.arm = $arm and c.round = k.round
                    and c.candidate_id = k.candidate_id
                join puzzles p on p.arm = $arm and p.round = k.round and p.puzzle_id = k.puzzle_id
                join counted t on t.round = k.round and t.puzzle_id = k.puzzle_id
                where k.made_from is null
            ), others as (
                select k.*, d.source as puzzle, d.solution, m.answer, t.attempts, t.accepted,
                    m.stable, m.cpu_seconds, m.filename
                from chosen k
                join derived d on d.arm = $arm and d.round = k.round
                    and d.example_id = k.example_id
                join made m on m.round = k.round and m.example_id = k.example_id
                left join counted t on t.round = k.round and t.puzzle_id = k.puzzle_id
                where k.made_from is not null
            ), proposed as (
                select proposal_id, min(filename) as proposed
                from read_parquet($proposals, filename = true, union_by_name = true) group by all
            )
            select w.round, w.origin, w.made_from, w.puzzle_id, w.example_id, w.candidate_id,
                w.puzzle, w.solution, w.answer, w.answer_type, w.inputs, w.whole_form,
                p.proposal_id, o.parents, w.attempts, w.accepted, w.stable, w.cpu_seconds,
                w.filename, n.proposed, c.base
            from (select * from own union all by name select * from others) w
            join puzzles p on p.arm = $arm and p.round = w.round
                and p.puzzle_id = coalesce(w.made_from, w.puzzle_id)
            left join proposals o on o.arm = $arm and o.round = w.round
                and o.proposal_id = p.proposal_id
            left join proposed n on n.proposal_id = p.proposal_id
            left join candidates c on c.arm = $arm and c.round = w.round
                and c.candidate_id = w.candidate_id
            order by w.round, w.puzzle_id, w.size, w.candidate_id, w.example_id
            """,
            {"files": self._judged, "proposals": [*self._proposers], "arm": self.choice.arm},
        )
        names = [column[0] for column in found.description or ()]
        while batch := found.fetchmany(AT_ONCE):
            yield [self._row(dict(zip(names, row, strict=True))) for row in batch]

    def _row(self, row: store.Row) -> store.Row:
        judged = self._conditions[str(store.place(row.pop("filename")))]
        if row["made_from"] is not None:
            row |= told(row["puzzle"])
        proposed = row.pop("proposed")
        who = {
            "model": self._solvers[row["round"]][row.pop("base")],
            "proposer": self._proposers[str(store.place(proposed))] if proposed else None,
        }
        return row | judged | who | {"source": "model"}

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
            join puzzles p on p.arm = ? and p.round = k.round
                and p.puzzle_id = coalesce(k.made_from, k.puzzle_id)
            group by all order by pairs desc, answer_type
            """,
            [self.choice.arm],
        )

    def probes(self) -> list[store.Row]:
        """Per round, what the probes found of its puzzles; nothing where there were none."""
        return self._tables.rows(
            """
            select round, count(*) as puzzles, count(*) filter (strangers > 0) as tried,
                count(*) filter (weak) as weak, count(*) filter (not stable) as unstable,
                count(*) filter (len(idle_arguments) > 0) as idle
            from probes where arm = ? group by round order by round
            """,
            [self.choice.arm],
        )

    def view(self, name: str, order: str) -> list[store.Row]:
        """The rows of a small view of this arm."""
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
    check_level(choice.dedup)


def check_level(name: str) -> None:
    """Raises `InputError` for what is no level of duplicates."""
    if name not in (NONE, *LEVELS):
        known = ", ".join((NONE, *LEVELS))
        raise InputError(f"--dedup must be one of {known}, but is {name!r}.")


def _solvers(folder: Path, arm: str) -> dict[int, dict[bool | None, str | None]]:
    """By round and whether it was the base, which engine tried its puzzles; of what says no such
    thing, all of the round."""
    found = {}
    for name, number, place in query.places(folder):
        if name == arm and number:
            paths = list(store.segments(place / "solve"))
            own, base = _named(paths, "engine"), _named(paths, "base")
            found[number] = {False: own, True: base, None: _named(paths, "engine", "base")}
    return found


def _named(segments: Sequence[Path], *roles: str) -> str | None:
    """The engines of segments, by name; several where a run went on elsewhere."""
    notes = [(store.read_schema(path).metadata or {}).get(NOTE_KEY.encode()) for path in segments]
    told = [json.loads(note) for note in notes if note]
    names = {str(one[role]) for one in told for role in roles if role in one}
    return " and ".join(sorted(names)) or None


def _segments(folder: Path, arm: str, stage: str) -> Iterator[Path]:
    for name, number, place in query.places(folder):
        if name == arm and number:
            yield from store.segments(place / stage)


def _conditions(folder: Path, arm: str) -> dict[str, store.Row]:
    """By segment of verdicts, what these rest on: a run may have gone on under another Python."""
    found = {}
    for stage in ("judge", *(stage for stage, _ in STAGES.values())):
        for path in _segments(folder, arm, stage):
            note = (store.read_schema(path).metadata or {}).get(METADATA_KEY.encode(), b"{}")
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
