"""What a run holds, by id: which puzzles, forms and examples entered, and which left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from etude.diff.sides import Part

_QUERIES = {
    "puzzles": "select puzzle_id as id, min(left(source, 1000)) as text from vetted "
    "where {here} and fate = 'kept' group by 1 order by 1",
    "forms": "select form as id, min(left(source, 1000)) as text from vetted "
    "where {here} and fate = 'kept' group by 1 order by 1",
    "examples": "select example_id as id, min(left(text, 1000)) as text from ("
    "select example_id, text from examples where {here} "
    "union all select example_id, text from derived where {here}) group by 1 order by 1",
}
"""Of what is compared: its key, and the beginning of a text to show of it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What two parts have of one kind; each by its id with its text, ordered by id."""

    what: str
    """`puzzles`, `forms` or `examples`."""
    both: int
    entered: dict[str, str]
    """Only after. Of forms the id is the form itself, and the text a puzzle of that form."""
    left: dict[str, str]
    """Only before."""


def contents(part: Part, what: str) -> dict[str, str]:
    """All of one kind that a part has."""
    return {row["id"]: row["text"] for row in part.rows(_QUERIES[what])}


def in_and_out(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Contents:
    """What is in one of them alone."""
    return Contents(
        what,
        len(before.keys() & after.keys()),
        {key: text for key, text in after.items() if key not in before},
        {key: text for key, text in before.items() if key not in after},
    )
