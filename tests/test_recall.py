"""Puzzles that nobody solved are tried again, and readers find which round they are from."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude import readings, store, tables
from etude.arm import Arm
from etude.check.looking import look
from etude.console import Console
from etude.diff.funnels import funnels_beside
from etude.diff.sides import parts
from etude.duplicates.sources import RunTable
from etude.export.pairs import Choice, Pairs
from etude.exposure import trained_on
from etude.forecast.work import count_work, most_kept
from etude.health import measures
from etude.lineage import trace
from etude.lineage.words import show_chain
from etude.probe import probe
from etude.quality import _rounds as accepted_pairs
from etude.query import Tables
from etude.recall import recall
from etude.select import select
from etude.show import show
from etude.solve import judge, solve
from etude.value.examples import read_examples
from etude.vet import vet
from round_tables import PUZZLES, Opening, judged, kept, opening_in

AGAIN = "retry.puzzles=2"


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    with opening_in(tmp_path) as opened:
        yield opened


def recalled(arm: Arm, number: int) -> list[str]:
    """The names of the puzzles that a round tries again, in their order."""
    names = {puzzle.id: name for name, puzzle in PUZZLES.items()}
    recall(arm, number)
    return [names[row["puzzle_id"]] for row in store.read_stage(arm.round(number) / "recall")]


def test_what_nobody_solved_is_tried_again_the_likeliest_first(opening: Opening) -> None:
    arm = opening("retry.puzzles=9", "difficulty.prior=1")
    judged(arm, 1, hopeless=0, hard=0, easy=8, like_hard=3)
    kept(arm, 2, "middling")
    assert recalled(arm, 2) == ["hard", "hopeless"], "one of its form was solved"
    assert [puzzle.id for puzzle in arm.puzzles(2)] == [
        PUZZLES[name].id for name in ("middling", "hard", "hopeless")
    ]
    [first, _] = store.read_stage(arm.round(2) / "recall")
    assert (first["first_round"], first["tries"], first["attempts"]) == (1, 1, 8)
    assert 0 < first["expected"] < 0.5
    assert first["source"] == PUZZLES["hard"].source
    assert first["proposal_id"] == store.read_stage(arm.round(1) / "vet")[1]["proposal_id"]


def test_no_more_are_tried_again_than_the_recipe_asks_for(opening: Opening) -> None:
    arm = opening("retry.puzzles=1", "difficulty.prior=1")
    judged(arm, 1, hopeless=0, hard=0, like_hard=3)
    assert recalled(arm, 2) == ["hard"]


def test_off_there_is_no_such_stage(opening: Opening) -> None:
    arm = opening()
    judged(arm, 1, hopeless=0)
    recall(arm, 2)
    assert not arm.round(2).exists()


def test_the_first_round_has_nothing_to_try_again(opening: Opening) -> None:
    assert recalled(opening(AGAIN), 1) == []


def test_a_puzzle_is_tried_again_so_often_and_then_no_more(opening: Opening) -> None:
    arm = opening(AGAIN, "retry.tries=2")
    judged(arm, 1, hopeless=0)
    for number in (2, 3, 4):
        kept(arm, number)
        assert recalled(arm, number) == ["hopeless"] * (number < 4)
        judge(arm, number, solve(arm, number, "recorded", "recorded"))
        select(arm, number)
    [row] = store.read_stage(arm.round(3) / "recall")
    assert (row["first_round"], row["tries"], row["attempts"]) == (1, 2, 16)


def test_what_would_teach_nothing_is_not_tried_again(opening: Opening) -> None:
    arm = opening("retry.puzzles=9")
    judged(arm, 1, hopeless=0, hard=0, middling=0)
    near = dict.fromkeys(tables.SCREEN.names) | {"puzzle_id": PUZZLES["hard"].id, "dropped": True}
    store.write_table(store.unit_path(arm.round(1) / "screen", 0), [near], tables.SCREEN)
    row = {"review_id": "1", "puzzle_id": PUZZLES["middling"].id, "decision": "reject"}
    store.write_table(store.unit_path(arm.round(2) / "anchors", 0), [row], tables.ANCHORS)
    assert recalled(arm, 2) == ["hopeless"]


def test_a_puzzle_whose_attempts_were_set_aside_is_left_alone(opening: Opening) -> None:
    arm = opening(AGAIN)
    judged(arm, 1, hopeless=0)
    store.write_table(store.unit_path(arm.round(1) / "judge", 0), [], tables.JUDGE)
    assert recalled(arm, 2) == []


def test_the_control_tries_again_what_taught_nothing_whatever_was_found(opening: Opening) -> None:
    arm = opening("retry.puzzles=9", name="unverified")
    judged(arm, 1, hopeless=0, hard=0, easy=8, middling=4)
    store.unit_path(arm.round(1) / "select", 0).unlink()
    taught = [{"example_id": "1", "puzzle_id": PUZZLES["hard"].id, "candidate_id": "1"}]
    store.write_table(store.unit_path(arm.round(1) / "select", 0), taught, tables.SELECT)
    assert sorted(recalled(arm, 2)) == ["easy", "hopeless", "middling"]
    assert {row["expected"] for row in store.read_stage(arm.round(2) / "recall")} == {None}


def test_a_choice_that_is_lost_is_made_again_to_the_byte(opening: Opening) -> None:
    arm = opening(AGAIN)
    judged(arm, 1, hopeless=0, hard=0, middling=0, easy=8)
    recalled(arm, 2)
    path = store.unit_path(arm.round(2) / "recall", 0)
    before = path.read_bytes()
    path.unlink()
    recalled(opening(AGAIN), 2)
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second round that solves what the first did not, with 16 attempts, and one of its own."""
    with opening_in(tmp_path_factory.mktemp("written")) as opened:
        made = opened(AGAIN, "solve.samples=16", "propose.samples=128")
        judged(made, 1, hard=0, hopeless=0, easy=8)
        kept(made, 2, "middling")
        recall(made, 2)
        judge(made, 2, solve(made, 2, "recorded", "recorded"))
        probe(made, 2)
        select(made, 2)
        return made.run.folder


@pytest.fixture
def arm(written: Path, tmp_path: Path) -> Iterator[Arm]:
    shutil.copytree(written, tmp_path / "run")
    with Arm(store.Run.read(tmp_path / "run"), "verified", lambda _: None) as opened:
        yield opened


def text_of(arm: Arm, row_id: str) -> str:
    out = io.StringIO()
    show_chain(Console(file=out), trace(arm.run.folder, row_id))
    return out.getvalue()


def example_of(arm: Arm, name: str) -> store.Row:
    rows = store.read_stage(arm.round(2) / "select")
    [found] = [row for row in rows if row["puzzle_id"] == PUZZLES[name].id]
    return found


def test_what_is_solved_at_last_is_an_example_of_its_round(arm: Arm) -> None:
    assert example_of(arm, "hard")["solve_rate"] == 1 / 16
    assert [row["puzzle_id"] for row in store.read_stage(arm.round(2) / "probe")] == [
        puzzle.id for puzzle in arm.puzzles(2)
    ]
    kept(arm, 3)
    assert recalled(arm, 3) == ["hopeless"]


def test_its_lineage_goes_back_to_the_round_that_proposed_it(arm: Arm) -> None:
    chain = trace(arm.run.folder, example_of(arm, "hard")["example_id"])
    content = {link.kind: link.content for link in chain.links}
    assert (content["example"]["round"], content["candidate"]["round"]) == (2, 2)
    assert (content["puzzle"]["round"], content["proposal"]["round"]) == (1, 1)
    assert (content["recalled"]["round"], content["recalled"]["first_round"]) == (2, 1)
    assert "round 2: kept by round 1, tried in 1 round with 8 attempts by then; expected" in (
        text_of(arm, example_of(arm, "hard")["candidate_id"])
    )


def test_a_puzzle_tells_of_all_attempts_at_it_and_what_they_taught(arm: Arm) -> None:
    chain = trace(arm.run.folder, PUZZLES["hard"].id)
    [attempts] = chain.of_kind("attempts")
    assert (attempts.content["attempts"], attempts.content["outcomes"]["accepted"]) == (24, 1)
    assert [link.content["round"] for link in chain.of_kind("example")] == [2]


def test_a_later_proposal_repeats_the_puzzle_of_the_first_round(arm: Arm) -> None:
    text = PUZZLES["hard"].source.removeprefix("def f(")
    row = {"proposal_id": "f" * 16, "prompt": "def f(", "text": text, "finished": True}
    store.write_table(store.unit_path(arm.round(3) / "propose", 0), [row], tables.PROPOSE)
    [found] = store.read_stage(vet(arm, 3))
    assert found["detail"] == f"exact: puzzle {PUZZLES['hard'].id} of round 1"


def test_readers_find_the_text_of_a_puzzle_that_was_tried_again(arm: Arm, tmp_path: Path) -> None:
    hard, folder = PUZZLES["hard"], arm.run.folder
    examples = {row["puzzle_id"] for row in store.read_stage(arm.round(2) / "select")}
    assert hard.id in examples
    with Pairs(arm.run, Choice(dedup="none"), tmp_path) as pairs:
        rows = [row for batch in pairs.rows() for row in batch]
    [row] = [row for row in rows if row["puzzle_id"] == hard.id]
    assert (row["round"], row["puzzle"], row["attempts"]) == (2, hard.source, 16)
    assert row["proposal_id"] == store.read_stage(arm.round(1) / "vet")[0]["proposal_id"]
    trained = trained_on(arm.round(2) / "train")
    assert trained is not None
    assert {one.puzzle for one in trained if one.puzzle_id == hard.id} == {hard.source}
    items = [item for item in RunTable(folder, "examples").items() if item.puzzle == hard.source]
    assert [item.id for item in items] == [example_of(arm, "hard")["example_id"]]
    assert len(list(RunTable(folder, "candidates").items())) == 3 * 8 + 3 * 16
    assert [item.puzzle for item in RunTable(folder, "puzzles").items()].count(hard.source) == 1
    [group] = [one for one in accepted_pairs(folder, 99, 0) if one.name == "round 2"]
    assert hard.source in [puzzle for puzzle, _ in group.drawn]
    assert hard.source in [one.source for one in read_examples(arm)]
    shown = [pair for pairs in readings.sample_pairs(folder, 2, 9) for pair in pairs]
    assert {pair.puzzle for pair in shown if pair.puzzle_id == hard.id} == {hard.source}


def test_counts_tell_new_puzzles_from_those_tried_again(arm: Arm) -> None:
    found = readings.funnel(arm.run.folder, 2)
    assert (found.kept, found.again, found.solved, found.candidates) == (1, 2, 2, 48)
    measured = measures(arm, 2)
    assert (measured["solved"], measured["taught"], measured["accepted"]) == (1, 1, 1 / 16)
    with Tables(arm.run.folder) as opened:
        rows = opened.rows("select round, count(*) as n from puzzles group by 1 order by 1")
    assert [(row["round"], row["n"]) for row in rows] == [(1, 3), (2, 3)]
    old, new = parts(arm.run.folder, None, (1, 2))
    with old.tables(), new.tables():
        [solved] = [one for one in funnels_beside(old, new) if one.name == "puzzles solved"]
    assert solved.shares == (1 / 3, 2 / 3)
    out = io.StringIO()
    show(arm.run.folder, Console(file=out))
    assert "recall    2 unsolved puzzles tried again" in out.getvalue()


def test_a_run_with_them_is_whole_and_owes_what_is_missing(arm: Arm) -> None:
    found = look(arm.run.folder)
    assert found.whole
    assert {at.stage for at, _ in found.owed} <= {"train"}
    store.unit_path(arm.round(2) / "solve", 0).unlink()
    assert [(at.stage, units) for at, units in look(arm.run.folder).owed if at.round == 2][:1] == [
        ("solve", [0])
    ]


def test_a_forecast_counts_them(opening: Opening) -> None:
    recipe = opening("retry.puzzles=30", "run.rounds=3").recipe
    works = count_work(recipe, pairs=83, problems=196, kept=most_kept(recipe))
    tried = [work.prompts for work in works if (work.arm, work.stage) == ("verified", "solve")]
    assert tried == [24, 48, 54], "of 24 kept in each round before"
