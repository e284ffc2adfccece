"""Reviews: which decision stands, what a round goes by, and what of it teaches."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from etude import reviews, store, tables
from etude.arm import Arm
from etude.errors import InputError
from etude.query import Tables
from etude.reviewing import Reviewer, known_solutions, queue, waiting
from etude.reviews import standing
from etude.train import _selected, documents_of
from etude.types import Document
from reader_run import PUZZLE, stages, start

OTHER = "def f(x: int, a=8): return x * a == 64"
GIVEN = "aaaaaaaaaaaaaa01"
"""The id that `reader_run` gives the puzzle of round 1."""


def decide(run: Path, puzzle: str, decision: str, source: str = PUZZLE.source) -> reviews.Review:
    return reviews.write(run, puzzle, decision, source, reviewer="Ada")


def test_the_latest_decision_stands_and_undo_leaves_none(tmp_path: Path) -> None:
    for decision in ("accept", "reject"):
        decide(tmp_path, "one", decision)
        decide(tmp_path, "two", decision)
    decide(tmp_path, "two", "undo")
    assert [(r.puzzle_id, r.decision) for r in reviews.read(tmp_path)][-1] == ("two", "undo")
    assert {name: r.decision for name, r in standing(reviews.read(tmp_path)).items()} == {
        "one": "reject"
    }


def test_many_may_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    names = [f"{writer}-{number}" for writer in range(4) for number in range(5)]

    def write(writer: int) -> None:
        for number in range(5):
            decide(tmp_path, f"{writer}-{number}", "accept")

    threads = [threading.Thread(target=write, args=[writer]) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = reviews.read(tmp_path)
    assert sorted(review.puzzle_id for review in made) == sorted(names)
    assert len({review.review_id for review in made}) == len(names)
    assert sorted(path.name for path in (tmp_path / "reviews").iterdir()) == [
        f"{number:05d}.parquet" for number in range(len(names))
    ]


def test_a_segment_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews" / "00000.parquet"
    store.write_table(path, [dict.fromkeys(tables.SELECT.names)], tables.SELECT)
    with pytest.raises(InputError, match=r"00000\.parquet must hold reviews"):
        reviews.read(tmp_path)


def test_what_a_round_goes_by_is_frozen_by_the_first_who_asks(tmp_path: Path) -> None:
    decide(tmp_path, PUZZLE.id, "accept")
    first = reviews.frozen(tmp_path, tmp_path, 2)
    kept = (tmp_path / "round-02/anchors/00000.parquet").read_bytes()
    decide(tmp_path, PUZZLE.id, "reject")
    control = tmp_path / "controls" / "unverified"
    assert reviews.frozen(tmp_path, control, 2) == first
    assert (tmp_path / "round-02/anchors/00000.parquet").read_bytes() == kept
    assert [row["decision"] for row in reviews.frozen(tmp_path, tmp_path, 3)] == ["reject"]


def test_a_round_that_had_begun_before_goes_by_none(tmp_path: Path) -> None:
    for step in stages(tmp_path / "round-01", PUZZLE.source, "def g(a=7): return 2"):
        step()
    decide(tmp_path, GIVEN, "reject")
    assert reviews.frozen(tmp_path, tmp_path, 1) == []
    assert not (tmp_path / "round-01/anchors").exists()


def test_accepted_and_edited_puzzles_are_shown_and_others_withdrawn(tmp_path: Path) -> None:
    decide(tmp_path, PUZZLE.id, "accept")
    decide(tmp_path, "edited", "edit", OTHER)
    decide(tmp_path, "rejected", "reject")
    anchors = reviews.frozen(tmp_path, tmp_path, 1)
    shown = reviews.with_anchors([], anchors)
    assert {puzzle.source for puzzle in shown} == {PUZZLE.source, OTHER}
    assert [puzzle.id for puzzle in reviews.with_anchors([PUZZLE], anchors)].count(PUZZLE.id) == 1
    assert reviews.withdrawn(anchors) == {"edited", "rejected"}


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    run = start(tmp_path / "run")
    for place in ("", "controls/unverified/"):
        for number in (1, 2):
            folder = run.folder / f"{place}round-{number:02d}"
            for step in stages(folder, PUZZLE.source, "def g(a=7): return 2"):
                step()
    with Arm(run, "verified", lambda _: None) as arm:
        yield arm


def texts(arm: Arm, loss: str) -> list[Document]:
    """What the student of an arm would be trained on, of its own making."""
    return documents_of(arm, list(_selected(arm, [1, 2], arm.withdrawn(None))), loss)


def test_a_rejected_puzzle_teaches_no_more(arm: Arm) -> None:
    assert len(texts(arm, "text")) == 2
    (arm.run.folder / "final/anchors/00000.parquet").unlink()
    decide(arm.run.folder, GIVEN, "reject")
    assert arm.withdrawn(None) == {GIVEN}
    assert len(texts(arm, "text")) == 1
    assert len(texts(arm, "solution")) == 1


def test_the_unverified_control_has_as_many_examples_left(arm: Arm) -> None:
    folder = arm.run.folder / "controls/unverified/round-01/select/00000.parquet"
    [row] = store.read_table(folder)
    store.write_table(folder, [row | {"puzzle_id": "its own"}], tables.SELECT)
    decide(arm.run.folder, GIVEN, "reject")
    with Arm(arm.run, "unverified", lambda _: None) as control:
        assert len(texts(control, "text")) == 1


def test_the_queue_holds_what_was_solved_sometimes(arm: Arm) -> None:
    with Tables(arm.run.folder) as opened:
        assert [one.puzzle_id for one in queue(opened, [], 9)] == [GIVEN, "aaaaaaaaaaaaaa02"]
        assert waiting(opened, [GIVEN]) == 1
        assert known_solutions(opened, GIVEN) == ["def g(a=7): return 2"]


def test_an_edit_is_kept_only_when_the_judge_accepts_a_solution(arm: Arm) -> None:
    refused = [
        ("def f(x: int, a=7): return x + a == 10", "", "is wrong"),
        ("def f(x: int, a=7): return x + a == 10", "def g(a=7): return 4", "is wrong"),
        ("def f(x: int, a=7): return x == 10", "def g(a=7): return 10", "argument not used"),
        ("def h(x: int): return x == 10", "def g(): return 10", "another name than f"),
        ("no Python (", "def g(): return 10", "not Python"),
    ]
    with Tables(arm.run.folder) as opened, Reviewer(arm.run.folder, arm.recipe) as reviewer:

        def edit(source: str, solution: str) -> reviews.Review:
            return reviewer.decide(
                opened, GIVEN, "edit", reviewer="Ada", source=source, solution=solution
            )

        for source, solution, why in refused:
            with pytest.raises(InputError, match=why):
                edit(source, solution)
        held_out = arm.problems[0]
        assert held_out.puzzle is not None
        with pytest.raises(InputError, match="must not be a held-out problem"):
            edit(held_out.puzzle.source, held_out.solution)
        assert reviews.read(arm.run.folder) == []
        made = edit("def f(x: int, a=7): return x + a == 10\r\n", "def g(a=7): return 10 - a")
        assert made.source == "def f(x: int, a=7): return x + a == 10"
        assert edit("def f(x: int, a=7): return x - 2 == a - a", "").solution.endswith("return 2")


@pytest.mark.parametrize(
    ("puzzle", "decision", "name", "why"),
    [
        ("nothing", "accept", "Ada", "must be the id of a puzzle"),
        (GIVEN, "accept", " ", "must say who"),
        (GIVEN, "burn", "Ada", "must be one of accept, reject, edit, undo"),
        (GIVEN, "undo", "Ada", "no decision stands"),
    ],
)
def test_what_is_no_decision_is_refused(
    arm: Arm, puzzle: str, decision: str, name: str, why: str
) -> None:
    reviewer = Reviewer(arm.run.folder, arm.recipe)
    with Tables(arm.run.folder) as opened, pytest.raises(InputError, match=why):
        reviewer.decide(opened, puzzle, decision, reviewer=name)
    assert reviews.read(arm.run.folder) == []


def test_reviews_and_anchors_are_views(tmp_path: Path) -> None:
    decide(tmp_path, PUZZLE.id, "accept")
    reviews.frozen(tmp_path, tmp_path, 1)
    with Tables(tmp_path) as opened:
        assert opened.value("select reviewer from reviews") == "Ada"
        assert opened.rows("select round, shown_id from anchors") == [
            {"round": 1, "shown_id": PUZZLE.id}
        ]
    assert pq.read_schema(tmp_path / "reviews/00000.parquet").names == tables.REVIEWS.names
