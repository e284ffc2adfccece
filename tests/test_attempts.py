"""Attempts: what the tables hold of a verdict is the same whichever sandbox found it."""

from __future__ import annotations

from etude import Judge
from etude.attempts import verdict_columns
from etude.tables import MEASURED

PUZZLE = "def f(x: str, a=9): return len(x) > a"
PLACES = {
    "def g(a=9): return str(i for i in ())": "'<generator object g.<locals>.<genexpr> at 0x...>'",
    "def g(a=9): return repr(g)": "'<function g at 0x...>'",
    "def g(a=9): return 'meet me at 0xcafe, at 10'": "'meet me at 0x..., at 10'",
    "def g(a=9): return 'at noon, at the usual place'": "'at noon, at the usual place'",
}  # fmt: skip


def test_a_place_in_memory_is_no_part_of_an_answer() -> None:
    """Another sandbox has other places, as one that is started when a run is continued has."""
    found = []
    for _ in range(2):
        with Judge(1) as judge:
            verdicts = [judge.verify(PUZZLE, solution) for solution in PLACES]
            found.append([verdict_columns(verdict) for verdict in verdicts])
    kept = [[{k: row[k] for k in row if k not in MEASURED} for row in rows] for rows in found]
    assert kept[0] == kept[1]
    assert [row["answer"] for row in kept[0]] == list(PLACES.values())


def test_a_place_in_memory_is_no_part_of_what_was_raised() -> None:
    solution = "def g(a=9): return [].index(i for i in range(a))"
    with Judge(1) as judge:
        row = verdict_columns(judge.verify(PUZZLE, solution))
    assert row["outcome"] == "raised"
    assert row["detail"] == (
        "ValueError: <generator object g.<locals>.<genexpr> at 0x...> is not in list"
    )
