"""Some proposals and attempts are asked of the base, beside the model that learns."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import engines_models
from etude import config, query, roles, store
from etude.arm import Arm
from etude.errors import RecipeError
from etude.lineage import trace
from etude.propose import propose
from etude.solve import judge, solve
from round_tables import write_judged

SMALL = [
    *("propose.samples=24", "propose.per_unit=6", "propose.per_prompt=3", "solve.samples=6"),
    *("solve.puzzles_per_unit=2", "model.precision=fp32", "judge.cpu_seconds=0.3"),
    *("propose.max_new_tokens=20", "solve.max_new_tokens=12"),
]
PUZZLES = [f"def f(x: int, a={number}): return x > a" for number in range(3)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The model that learns, and its base."""
    folder = tmp_path_factory.mktemp("models")
    made = engines_models.build("llama", folder / "student"), folder / "base"
    return made[0], engines_models.build("qwen2", made[1])


def arm_of(folder: Path, *settings: str) -> Arm:
    run = store.Run.open(folder, config.load("smoke", [*SMALL, *settings]), {})
    return Arm(run, "verified", lambda _: None)


def engines(stage: Path) -> list[dict[str, str]]:
    return [json.loads(note) for note in store.read_notes(stage, roles.NOTE_KEY)]


def test_the_last_units_of_the_proposals_are_the_bases(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    with arm_of(tmp_path / "shared", "propose.base_share=0.25") as arm:
        shared = propose(arm, 1, *models)
    with arm_of(tmp_path / "alone") as arm:
        alone = propose(arm, 1, *models)
    assert [one["engine"].rpartition("/")[2] for one in engines(shared)] == [
        "student", "student", "student", "base"
    ]  # fmt: skip
    for unit in range(3):  # its own proposals are what they would have been
        assert store.read_table(store.unit_path(shared, unit)) == store.read_table(
            store.unit_path(alone, unit)
        )
    last = [store.read_table(store.unit_path(stage, 3)) for stage in (shared, alone)]
    assert len(last[0]) == len(last[1]) == 6
    assert last[0] != last[1]


def solved(arm: Arm, models: tuple[Path, Path]) -> list[store.Row]:
    attempts = [(source, "def g(): return 0", "wrong", None) for source in PUZZLES]
    write_judged(arm.round(1), attempts)
    for stage in ("solve", "judge"):
        shutil.rmtree(arm.round(1) / stage)
    judge(arm, 1, solve(arm, 1, *models))
    return store.read_stage(arm.round(1) / "solve")


def test_the_last_attempts_at_each_puzzle_are_the_bases(
    tmp_path: Path, models: tuple[Path, Path]
) -> None:
    with arm_of(tmp_path / "run", "solve.base_share=0.34") as arm:
        rows = solved(arm, models)
        assert [(row["draw"], row["base"]) for row in rows] == [
            *((draw, False) for draw in range(4)), (4, True), (5, True)
        ] * 3  # fmt: skip
        assert len({row["candidate_id"] for row in rows}) == 18
        told = engines(arm.round(1) / "solve")
        assert [one["base"].rpartition("/")[2] for one in told] == ["base", "base"]
        for row, name in ((rows[0], "student"), (rows[5], "base")):
            (link,) = [
                one for one in trace(arm.run.folder, row["candidate_id"]).links
                if one.kind == "candidate"
            ]  # fmt: skip
            assert link.content["engine"].endswith(f"/{name}")
        with query.Tables(arm.run.folder) as opened:
            asked = "select base, count(*) as n from candidates group by base order by base"
            assert opened.rows(asked) == [{"base": False, "n": 12}, {"base": True, "n": 6}]


def test_without_it_nothing_is_asked_of_the_base(tmp_path: Path, models: tuple[Path, Path]) -> None:
    with arm_of(tmp_path / "run") as arm:
        assert all("base" not in row for row in solved(arm, models))
        assert all("base" not in one for one in engines(arm.round(1) / "solve"))


def test_all_of_it(tmp_path: Path, models: tuple[Path, Path]) -> None:
    with arm_of(tmp_path / "run", "solve.base_share=1", "propose.base_share=1") as arm:
        assert {row["base"] for row in solved(arm, models)} == {True}
        assert {one["engine"].rpartition("/")[2] for one in engines(propose(arm, 1, *models))} == {
            "base"
        }


@pytest.mark.parametrize("stage", ["propose", "solve"])
def test_a_model_that_does_the_stage_whoever_learns_is_not_asked_beside_it(stage: str) -> None:
    with pytest.raises(RecipeError, match=rf"{stage}.base_share asks the base .* other does"):
        config.load("smoke", [f"{stage}.base_share=0.5", f"{stage}.engine.model=other"])
