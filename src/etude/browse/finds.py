"""Finds: pages of rows by filter and order, over a million of them. SQL by parameters alone.

A page of candidates is found with the tables that its filters and order need and no others; what
else a row shows is then read for the fifty rows of the page.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from etude.browse.asked import Asked
from etude.browse.library import Shelf
from etude.query import ARMS
from etude.tables import OUTCOMES

SIZE = 50
"""Rows of a page."""
SHOWN = 4_000
"""Characters of a text that a page is given; `/text` gives all."""
MOST_ROUNDS = 100_000

CANDIDATE_ORDERS = {
    "newest": "",
    "outcome": "v.outcome",
    "cpu": "v.cpu_seconds",
    "memory": "v.peak_bytes",
    "length": "length(c.source)",
    "type": "p.answer_type",
    "rate": "p.accepted / nullif(p.attempts, 0)",
}
PUZZLE_ORDERS = {
    "newest": "",
    "informative": "p.accepted * (p.attempts - p.accepted) / nullif(p.attempts * p.attempts, 0)",
    "rate": "p.accepted / nullif(p.attempts, 0)",
    "attempts": "p.attempts",
    "form": "p.same_form",
    "length": "length(p.source)",
    "type": "p.answer_type",
}
SOLVED = {
    "never": "p.attempts > 0 and p.accepted = 0",
    "sometimes": "p.accepted > 0 and p.accepted < p.attempts",
    "always": "p.attempts > 0 and p.accepted = p.attempts",
    "not tried": "p.attempts = 0",
}
CANDIDATE_NAMES = {
    "arm", "round", "outcome", "type", "puzzle", "solution", "id", "order", "down", "page",
}  # fmt: skip
PUZZLE_NAMES = {"arm", "round", "type", "puzzle", "solved", "id", "order", "down", "page"}


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of all that were found."""

    rows: list[dict[str, Any]]
    total: int
    number: int

    @property
    def first(self) -> int:
        return (self.number - 1) * SIZE + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // SIZE))


class Search:
    """Conditions, each with its parameters, and the tables that they need."""

    def __init__(self, tables: str) -> None:
        self.needs = set(tables)
        self.conditions: list[str] = []
        self.parameters: list[object] = []

    def where(self, condition: str, *parameters: object) -> None:
        self.needs |= {name for name in "cvp" if f"{name}." in condition}
        self.conditions.append(condition)
        self.parameters += parameters

    def contains(self, column: str, text: str) -> None:
        """The text stands somewhere in the column; capitals are the same as small letters."""
        if text:
            self.where(f"contains(lower({column}), lower(?))", text)

    @property
    def clause(self) -> str:
        return f"where {' and '.join(self.conditions)}" if self.conditions else ""


def _placed(search: Search, asked: Asked, table: str) -> None:
    """The filters that every page of rows has."""
    if arm := asked.choice("arm", ARMS):
        search.where(f"{table}.arm = ?", arm)
    number = asked.whole("round", None, 0, MOST_ROUNDS)
    if number is not None:
        search.where(f"{table}.round = ?", number)
    if answer_type := asked.text("type"):
        search.where("p.answer_type = ?", answer_type)
    search.contains("p.source", asked.text("puzzle"))


def _order(asked: Asked, orders: dict[str, str], ties: str) -> str:
    column = orders[asked.choice("order", orders, "newest")]
    down = asked.choice("down", ("0", "1"), "1") == "1"
    way = "desc" if down else "asc"
    return f"order by {column} {way} nulls last, {ties}" if column else f"order by {ties}"


def candidates(shelf: Shelf, asked: Asked) -> Page:
    """A page of candidates with verdict and puzzle."""
    outcome = asked.choice("outcome", OUTCOMES)
    column = CANDIDATE_ORDERS[asked.choice("order", CANDIDATE_ORDERS, "newest")]
    search = Search("")
    if outcome:
        search.where("v.outcome = ?", outcome)
    search.contains("c.source", asked.text("solution"))
    search.needs |= {name for name in "cvp" if f"{name}." in column}
    main = "v" if "v" in search.needs and "c" not in search.needs else "c"
    search.needs.add(main)
    _placed(search, asked, main)
    if name := asked.text("id"):
        search.where(f"({main}.candidate_id = ? or {main}.puzzle_id = ?)", name, name)
    source = {"c": "candidates as c", "v": "verdicts as v"}[main]
    if {"c", "v"} <= search.needs:
        source += " left join verdicts as v on v.candidate_id = c.candidate_id"
    if "p" in search.needs:
        source += f" left join kept as p on p.arm = {main}.arm and p.puzzle_id = {main}.puzzle_id"
    ties = f"{main}.arm desc, {main}.round desc, {main}.puzzle_id, {main}.candidate_id"
    order = _order(asked, CANDIDATE_ORDERS, ties)
    found = shelf.rows(
        f"select {main}.candidate_id as name, {main}.arm as arm, {main}.round as round "
        f"from {source} {search.clause} {order} limit ? offset ?",
        [*search.parameters, SIZE, (asked.page - 1) * SIZE],
    )
    total = _total(shelf, source, search)
    places = {(row["arm"], row["round"]) for row in found}
    return Page(candidate_rows(shelf, [row["name"] for row in found], places), total, asked.page)


def _total(shelf: Shelf, source: str, search: Search) -> int:
    query = f"select count(*) from {source} {search.clause}"
    parameters = tuple(search.parameters)
    return int(shelf.answer((query, parameters), lambda: shelf.value(query, parameters)))


def candidate_rows(
    shelf: Shelf, ids: Sequence[str], places: Collection[tuple[str, int]] = ()
) -> list[dict[str, Any]]:
    """These candidates in this order, each with its verdict and its puzzle.

    Where their places (arm, round) are known, the segments of other rounds stay unread.
    """
    if not ids:
        return []
    marks = ", ".join("?" * len(ids))
    known = " or ".join(["(arm = ? and round = ?)"] * len(places)) or "true"
    chosen = f"candidate_id in ({marks}) and ({known})"
    values = [*ids, *(value for place in sorted(places) for value in place)]
    found = shelf.rows(
        f"select c.arm, c.round, c.candidate_id, c.puzzle_id, c.draw, c.finished, "
        f"left(c.source, {SHOWN}) as source, length(c.source) as length, v.outcome, "
        f"left(v.answer, {SHOWN}) as answer, length(v.answer) as answer_length, "
        f"left(v.detail, {SHOWN}) as detail, length(v.detail) as detail_length, "
        "v.cpu_seconds, v.peak_bytes, v.stable, "
        f"left(p.source, {SHOWN}) as puzzle, length(p.source) as puzzle_length, p.answer_type, "
        "p.attempts, p.accepted "
        f"from (select * from candidates where {chosen}) as c "
        f"left join (select * from verdicts where {chosen}) as v "
        "on v.candidate_id = c.candidate_id "
        "left join kept as p on p.arm = c.arm and p.puzzle_id = c.puzzle_id",
        [*values, *values],
    )
    by_id = {row["candidate_id"]: row for row in found}
    return [by_id[name] for name in ids if name in by_id]


def puzzles(shelf: Shelf, asked: Asked) -> Page:
    """A page of the kept puzzles with what became of them."""
    search = Search("p")
    _placed(search, asked, "p")
    if solved := asked.choice("solved", SOLVED):
        search.where(SOLVED[solved])
    if name := asked.text("id"):
        search.where("p.puzzle_id = ?", name)
    ties = "p.arm desc, p.round desc, p.puzzle_id"
    order = _order(asked, PUZZLE_ORDERS, ties)
    columns = (
        f"p.* exclude (source, form), left(p.source, {SHOWN}) as source, length(p.source) as length"
    )
    rows = shelf.rows(
        f"select {columns} from kept as p {search.clause} {order} limit ? offset ?",
        [*search.parameters, SIZE, (asked.page - 1) * SIZE],
    )
    return Page(rows, _total(shelf, "kept as p", search), asked.page)


def answer_types(shelf: Shelf) -> list[str]:
    """The answer types of the kept puzzles, the most frequent first, at most 60."""
    query = "select answer_type from kept group by 1 order by count(*) desc, 1 limit 60"
    return list(shelf.answer(query, lambda: [row["answer_type"] for row in shelf.rows(query)]))


PROBLEM_ORDERS = {
    "name": "problem",
    "last": "last",
    "gain": "last - first",
}
PROBLEM_NAMES = {"arm", "part", "problem", "order", "down", "page"}
_LAST = 1 << 30
"""The student comes after every round."""


def problems(shelf: Shelf, asked: Asked) -> Page:
    """A page of the held-out problems, each with its share of accepted attempts by round."""
    arm = asked.choice("arm", ARMS, "verified")
    search = Search("")
    search.where("arm = ?", arm)
    if part := asked.text("part"):
        search.where("part = ?", part)
    search.contains("problem", asked.text("problem"))
    when = f"coalesce(round, {_LAST})"
    grouped = (
        f"select problem, part, arg_min(accepted / nullif(attempts, 0), {when}) as first, "
        f"arg_max(accepted / nullif(attempts, 0), {when}) as last "
        f"from problems {search.clause} group by problem, part"
    )
    order = PROBLEM_ORDERS[asked.choice("order", PROBLEM_ORDERS, "name")]
    way = "desc" if asked.choice("down", ("0", "1"), "0") == "1" else "asc"
    rows = shelf.rows(
        f"select * from ({grouped}) order by {order} {way} nulls last, part, problem "
        "limit ? offset ?",
        [*search.parameters, SIZE, (asked.page - 1) * SIZE],
    )
    names = [row["problem"] for row in rows]
    tried = shelf.rows(
        "select problem, part, round, attempts, accepted from problems "
        "where arm = ? and list_contains(?, problem)",
        [arm, names],
    )
    by_place = {(row["problem"], row["part"], row["round"]): row for row in tried}
    for row in rows:
        row["tried"] = [by_place.get((row["problem"], row["part"], n)) for n in rounds(shelf, arm)]
    total = int(shelf.value(f"select count(*) from ({grouped})", search.parameters))
    return Page(rows, total, asked.page)


def rounds(shelf: Shelf, arm: str) -> list[int | None]:
    """The rounds of an arm whose problems are counted; None, the student's, comes last."""
    query = "select distinct round from problems where arm = ? order by round nulls last"
    return [row["round"] for row in shelf.rows(query, [arm])]


ATTEMPT_NAMES = {"name", "arm", "round", "outcome", "page"}


def attempts(shelf: Shelf, asked: Asked) -> Page:
    """A page of the attempts at one held-out problem; round `final` is the student's."""
    search = Search("")
    search.where("problem = ?", asked.text("name"))
    if arm := asked.choice("arm", ARMS):
        search.where("arm = ?", arm)
    if asked.text("round") == "final":
        search.where("round is null")
    elif (number := asked.whole("round", None, 0, MOST_ROUNDS)) is not None:
        search.where("round = ?", number)
    if outcome := asked.choice("outcome", OUTCOMES):
        search.where("outcome = ?", outcome)
    rows = shelf.rows(
        f"select arm, round, part, draw, outcome, left(source, {SHOWN}) as source, "
        f"left(answer, {SHOWN}) as answer, left(detail, {SHOWN}) as detail, cpu_seconds "
        f"from attempts {search.clause} "
        "order by arm desc, round desc nulls first, part, draw limit ? offset ?",
        [*search.parameters, SIZE, (asked.page - 1) * SIZE],
    )
    return Page(rows, _total(shelf, "attempts", search), asked.page)
