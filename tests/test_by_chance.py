"""A solution that a second look refused is accepted by chance alone: no reader counts its puzzle as
solved by it."""

from __future__ import annotations

import pytest

from etude import readings, reviewing, store, tables
from etude.diff.funnels import funnels_beside
from etude.diff.sides import parts
from etude.diversity.learning import learning
from etude.duplicates.sources import source_of
from etude.lineage import trace
from etude.query import Tables
from etude.report.facts import Facts
from etude.tracking.measures import measures
from reader_run import whole

PUZZLE = "aaaaaaaaaaaaaa01"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.Run:
    """Of three candidates in each of two rounds one is accepted; in round 1 by chance."""
    made = whole(tmp_path_factory.mktemp("chance") / "run")
    for arm in ("verified", "unverified"):
        round_1 = store.round_folder(store.arm_folder(made.folder, arm), 1)
        path = store.unit_path(round_1 / "judge", 0)
        verdicts = store.read_table(path)
        for row in verdicts:
            row["stable"] = row["outcome"] != "accepted"
        store.write_table(path, verdicts, tables.JUDGE)
    return made


def test_funnels_of_every_reader(run: store.Run) -> None:
    assert [one.solved for one in readings.funnels(run.folder)] == [0, 1]
    old, new = parts(run.folder, None, (1, 2))
    with old.tables(), new.tables():
        (solved,) = [one for one in funnels_beside(old, new) if one.name == "puzzles solved"]
    assert (solved.before, solved.after) == (0, 1)
    for number, expected in ((1, 0), (2, 1)):
        (told,) = measures(run, "verified", number, "judge", 1.0)
        assert told.values["verified/judge/puzzles_solved"] == expected


def test_difficulty(run: store.Run) -> None:
    facts = Facts(run.folder, "run")
    assert [one.classes[0] for one in facts.difficulty] == [1, 0]
    assert [one.bands[0] for one in learning(run.folder)] == [1, 0]
    assert {one.puzzle_id: one.accepted for one in facts.gallery}[PUZZLE] == 0
    facts.close()


def test_browse(run: store.Run) -> None:
    pytest.importorskip("starlette")
    from etude.browse import counts
    from etude.browse.library import Library

    shelf = Library(run.folder).shelf
    assert shelf.value("select accepted from kept where puzzle_id = ? and arm = 'verified'",
                       [PUZZLE]) == 0  # fmt: skip
    assert [one.solved for one in counts.funnels(shelf) if one.arm == "verified"] == [0, 1]


def test_what_waits_for_a_person_and_its_known_solutions(run: store.Run) -> None:
    with Tables(run.folder) as opened:
        waiting = [one.puzzle_id for one in reviewing.queue(opened, [], 9)]
        assert waiting == [PUZZLE.replace("01", "02")]
        assert reviewing.known_solutions(opened, PUZZLE) == []


def test_lineage_and_known_answers(run: store.Run) -> None:
    (attempts,) = trace(run.folder, PUZZLE).of_kind("attempts")
    assert attempts.content["outcomes"] == {"raised": 1, "timeout": 1, "unstable": 1}
    assert attempts.content["solve_rate"] == 0
    assert list(source_of(run.folder, "puzzles").answers()) == [PUZZLE.replace("01", "02")]
