"""Health: what a round says of itself, what is warned of, and what ends the rounds."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from etude import config, health, readings, store, tables
from etude.arm import Arm
from etude.course import Course, course_of, stops_after
from etude.errors import RecipeError
from etude.readings.words import stopped
from etude.types import Event
from reader_run import evaluated, stages, start


def no_one(_: Event) -> None:
    pass


@pytest.fixture
def arm(tmp_path: Path) -> Arm:
    """Two rounds of three proposals each, one of them kept, tried three times and solved once."""
    run = start(tmp_path / "run")
    for number, puzzle in ((1, "def f(x: int, a=7): return x + a == 9"), (2, "def f(x): x")):
        place = store.round_folder(run.folder, number)
        for step in stages(place, puzzle, "def g(a=7): return 2"):
            step()
        evaluated(place, [number, 1, 2])
    return Arm(run, "verified", no_one)


def test_what_is_measured(arm: Arm) -> None:
    found = health.measures(arm, 1)
    assert found["well_formed"] == 2 / 3
    assert found["duplicates"] == 1 / 2
    assert found["kept"] == 1 / 3
    assert found["accepted"] == found["solve_rate"] == 1 / 3
    assert found["solved"] == found["learnable"] == found["taught"] == 1
    assert found["types"] == 0
    assert found["type int"] == 1
    assert found["held_out"] == pytest.approx((1 + 1 + 2) / 3 / 4)
    assert found["gap"] == pytest.approx(0)
    assert found["weak"] is None
    assert found["drop"] is None


@pytest.mark.parametrize(
    ("changed", "solved", "learnable"),
    [({"outcome": "accepted"}, 1, 0), ({"stable": False}, 0, 0), ({}, 1, 1)],
)
def test_what_is_always_or_never_solved_is_not_learnable(
    arm: Arm, changed: dict[str, object], solved: int, learnable: int
) -> None:
    path = store.unit_path(arm.round(1) / "judge", 0)
    verdicts = [row | changed for row in store.read_table(path)]
    store.write_table(path, verdicts, tables.JUDGE)
    found = health.measures(arm, 1)
    assert (found["solved"], found["learnable"]) == (solved, learnable)


def test_a_form_is_new_once(arm: Arm) -> None:
    assert health.measures(arm, 1)["novel_forms"] == 1
    assert health.measures(arm, 2)["novel_forms"] == 1
    again = store.round_folder(arm.run.folder, 2) / "vet"
    shutil.copy(store.unit_path(store.round_folder(arm.run.folder, 1) / "vet", 0), again)
    assert health.measures(arm, 2)["novel_forms"] == 0


def test_a_later_round_may_be_worse(arm: Arm) -> None:
    evaluated(arm.round(2), [0])
    assert health.measures(arm, 2)["drop"] == pytest.approx(1 / 3)


def limited(arm: Arm, **limits: float) -> Arm:
    recipe = config.parse(
        config.dump(arm.recipe),
        "test",
        [f"health.{k.replace('_', '.', 1)}={v}" for k, v in limits.items()],
    )
    return Arm(store.Run(arm.run.folder, recipe), "verified", no_one)


def test_a_limit_has_its_side(arm: Arm) -> None:
    tight = limited(arm, warn_learnable=1.0, warn_duplicates=0.5, stop_accepted=0.3, stop_kept=0.4)
    states = {row["measure"]: row["state"] for row in health.rows(tight, 1)}
    assert states["learnable"] == states["duplicates"] == "ok"  # at the limit is not beyond it
    assert states["accepted"] == states["kept"] == "stop"


def test_a_stop_goes_before_a_warning_and_says_its_limit(arm: Arm) -> None:
    tight = limited(arm, warn_kept=0.9, stop_kept=0.4)
    health.examine(tight, 1)
    assert readings.health(arm.run.folder)[2] | {"round": 1} == {
        "round": 1,
        "measure": "kept",
        "value": 1 / 3,
        "warn": 0.9,
        "stop": 0.4,
        "state": "stop",
    }
    summary = health.summary(store.read_stage(arm.round(1) / "health"))
    assert "stop: kept 0.333, below 0.4" in summary


def test_without_a_limit_nothing_is_waited_for(arm: Arm) -> None:
    assert not stops_after(arm.run.folder, arm.recipe, 1)


def course(arm: Arm, values: list[float], keep: str) -> Course:
    """The course of a run whose last round stops it."""
    for number, value in enumerate(values, start=1):
        row = {"measure": "held_out", "value": value, "warn": None, "stop": None, "state": "ok"}
        if number == len(values):
            row |= {"state": "stop"}
        path = store.unit_path(arm.round(number) / "health", 0)
        store.write_table(path, [row], tables.HEALTH)
    recipe = config.parse(config.dump(arm.recipe), "test", [f"health.keep={keep}", "run.rounds=9"])
    return course_of(arm.run.folder, recipe)


def test_the_best_round_is_kept(arm: Arm) -> None:
    assert course(arm, [0.1, 0.3, 0.2], "best") == Course(3, 2, True)


def test_of_equals_the_earlier_is_best(arm: Arm) -> None:
    assert course(arm, [0.3, 0.3, 0.2], "best") == Course(3, 1, True)


def test_or_all_is_kept(arm: Arm) -> None:
    assert course(arm, [0.1, 0.3, 0.2], "last") == Course(3, 3, True)


@pytest.mark.parametrize("setting", ["health.stop.speed=1", "health.warn.kept=2", "health.keep=no"])
def test_limits_that_are_none(setting: str) -> None:
    with pytest.raises(RecipeError, match=r"health\."):
        config.load("tiny", [setting])


SETTINGS = (
    "pretrain.documents=300", "seeds.epochs=2", "propose.samples=128", "vet.max_puzzles=6",
    'controls.arms=["unverified"]', "health.stop.held_out=1.0", "run.rounds=3",
    "model.hidden=48", "model.layers=1", "train.epochs=1", "final.epochs=1", "final.seed_repeat=1",
    "evaluate.samples=1", "evaluate.final_samples=1", "evaluate.ks=[1]",
    "evaluate.max_new_tokens=12",
)  # fmt: skip


def etude(folder: Path) -> str:
    command = [sys.executable, "-m", "etude", "run", "smoke", "--out", str(folder)]
    for setting in SETTINGS:
        command += ["--set", setting]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}


@pytest.mark.slow
@pytest.mark.long
def test_a_stop_ends_the_rounds_of_all_arms(tmp_path: Path) -> None:
    """Round 1 of 3 stops the run; its student is trained and scored, so is the control's."""
    folder = tmp_path / "run"
    said = etude(folder)
    assert "The rounds ended after round 1, by health.stop: held_out" in " ".join(said.split())
    for place in (folder, folder / "controls" / "unverified"):
        assert (place / "round-01").is_dir()
        assert not (place / "round-02").exists()
        assert (place / "final" / "evaluate" / "scores.parquet").is_file()
    assert stopped(folder).endswith("also scored here.")
    weights = (folder / "final" / "train" / "model.safetensors").read_bytes()
    before = files(folder)
    shutil.rmtree(folder / "final")
    shutil.rmtree(folder / "round-01" / "health")
    etude(folder)  # as after a kill between the evaluation and the measures
    assert files(folder) == before
    assert (folder / "final" / "train" / "model.safetensors").read_bytes() == weights
