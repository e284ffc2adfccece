"""Reviews: what people decided about a run's puzzles, and which decisions a round goes by.

    runs/tiny/reviews/00000.parquet           one decision a file, at any time, also during a run
    runs/tiny/round-02/anchors/00000.parquet  the decisions that stood when round 2 began

The latest decision on a puzzle stands; to undo one is another decision. An accepted puzzle is shown
in the prompts of the rounds to come, an edited one in place of the puzzle it was made from. A
rejected puzzle teaches no more, nor one that was edited into another puzzle. Not covered: whether
an edit is a puzzle, and solvable (see `reviewing`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from etude import store, tables
from etude.errors import InputError
from etude.puzzle import NotAPuzzle, parse
from etude.types import Puzzle, content_id

DECISIONS = ("accept", "reject", "edit", "undo")


@dataclass(frozen=True, slots=True)
class Review:
    """One decision of a person about one puzzle."""

    review_id: str
    puzzle_id: str
    decision: str
    """One of `DECISIONS`."""
    source: str
    """The puzzle as it was shown to the person; for `edit` as it was edited."""
    solution: str
    note: str
    reviewer: str
    at: str
    """UTC, ISO 8601."""


def folder_of(run: Path) -> Path:
    return run / "reviews"


def read(run: Path) -> list[Review]:
    """Every decision, in the order of their making. Raises `InputError` for a broken one."""
    return [review for path in paths(run) for review in read_segment(path)]


def paths(run: Path) -> list[Path]:
    """The segments of the decisions, in order."""
    found = folder_of(run).glob("[0-9]*.parquet")
    return sorted((path for path in found if path.stem.isdecimal()), key=lambda p: int(p.stem))


def read_segment(path: Path) -> list[Review]:
    """The decisions of one segment. Raises `InputError` when it holds something else."""
    rows = store.read_table(path)
    names = Review.__dataclass_fields__
    for row in rows:
        if not names.keys() <= row.keys() or row["decision"] not in DECISIONS:
            raise InputError(
                f"{path} must hold reviews ({', '.join(names)}) but holds something else. "
                "Move it out of the folder."
            )
    return [Review(**{name: row[name] or "" for name in names}) for row in rows]


def standing(reviews: Iterable[Review]) -> dict[str, Review]:
    """By puzzle the decision that stands: its latest, unless that undid the one before."""
    latest = {review.puzzle_id: review for review in reviews}
    return {puzzle: one for puzzle, one in latest.items() if one.decision != "undo"}


def write(
    run: Path,
    puzzle_id: str,
    decision: str,
    source: str,
    *,
    reviewer: str,
    solution: str = "",
    note: str = "",
) -> Review:
    """Keep one decision in a segment of its own; others may write at the same time."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    known = paths(run)
    number = int(known[-1].stem) + 1 if known else 0
    while True:
        name = content_id(str(number), puzzle_id, decision, source, solution, note, reviewer, at)
        review = Review(name, puzzle_id, decision, source, solution, note, reviewer, at)
        path = store.unit_path(folder_of(run), number)
        if store.write_new_table(path, [asdict(review)], tables.REVIEWS):
            return review
        number += 1


def frozen(run: Path, arm: Path, number: int | None) -> list[store.Row]:
    """The decisions that stood when round `number` began, or for None the student's training.

    Who asks first writes them down, so that what is made later, or again, goes by the same. What
    had begun before anybody wrote them down went by none.
    """
    place = run / "final" if number is None else store.round_folder(run, number)
    path = store.unit_path(place / "anchors", 0)
    if not path.exists() and not _begun(place) and not _begun(arm / place.name):
        store.write_new_table(path, _anchors(run), tables.ANCHORS)
    return frozen_rows(run, number)


def frozen_rows(run: Path, number: int | None) -> list[store.Row]:
    """The same, as it is written down; none where nobody has asked for it yet."""
    place = run / "final" if number is None else store.round_folder(run, number)
    path = store.unit_path(place / "anchors", 0)
    return store.read_table(path) if path.exists() else []


def _begun(place: Path) -> bool:
    if place.name == "final":
        return (place / "train").exists()
    return any((place / "propose").glob("[0-9]*.parquet"))


def _anchors(run: Path) -> list[store.Row]:
    stands = standing(read(run))
    return [_anchor(stands[puzzle]) for puzzle in sorted(stands)]


def _anchor(review: Review) -> store.Row:
    """Raises `InputError` for a source that no puzzle is read from."""
    row: store.Row = {name: getattr(review, name, None) for name in tables.ANCHORS.names}
    if review.decision == "reject":
        return row | {"shown_id": None, "source": None}
    try:
        return row | {"shown_id": parse(review.source).id}
    except NotAPuzzle as reason:
        raise InputError(
            f"The review {review.review_id} of the puzzle {review.puzzle_id} must hold a puzzle "
            f"but that is {reason}. Review the puzzle again."
        ) from None


def with_anchors(shown: Sequence[Puzzle], anchors: Sequence[store.Row]) -> list[Puzzle]:
    """The puzzles that prompts show: those that a run starts from, then those of the anchors."""
    known = {puzzle.id: puzzle for puzzle in shown}
    added = {row["shown_id"]: row["source"] for row in anchors if row["shown_id"]}
    return [*shown, *(parse(added[name]) for name in sorted(added) if name not in known)]


def accepted(anchors: Sequence[store.Row]) -> frozenset[str]:
    """The puzzles that a person found good as they are."""
    return frozenset(row["puzzle_id"] for row in anchors if row["decision"] == "accept")


def edited(run: Path, anchors: Sequence[store.Row]) -> list[tuple[str, str]]:
    """The puzzles that a person edited, with the solutions that the judge accepted by then."""
    wanted = {row["review_id"] for row in anchors if row["decision"] == "edit"}
    found = [one for one in read(run) if one.review_id in wanted] if wanted else []
    return [(one.source, one.solution) for one in found]


def withdrawn_by_now(run: Path) -> frozenset[str]:
    """The puzzles that would teach no more if a round began now."""
    return withdrawn(_anchors(run))


def withdrawn(anchors: Sequence[store.Row]) -> frozenset[str]:
    """The puzzles that teach no more: rejected, or edited into another puzzle."""
    return frozenset(
        row["puzzle_id"]
        for row in anchors
        if row["decision"] != "accept" and row["shown_id"] != row["puzzle_id"]
    )
