"""The stage `reinforce`: off it is nothing, on its checkpoint is the model that goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from etude import config, health, store, train
from etude.arm import Arm
from etude.check.looking import look
from etude.config import Recipe, ReinforceSection
from etude.course import may_stop
from etude.errors import RecipeError
from etude.exposure import trained_on
from etude.query import Tables
from etude.reinforce import reinforce
from etude.select import select
from etude.types import Event
from test_reinforce import beginner
from test_stages import arm, through_judge

__all__ = ["arm", "beginner"]  # fixtures

STAGE = {"steps": 2, "prompts": 4, "num_generations": 4, "attempts": 2, "probe": 4}


def reinforcing(arm: Arm, **settings: Any) -> Recipe:
    section = ReinforceSection(**STAGE | settings)
    recipe = arm.recipe.model_copy(update={"reinforce": section})
    object.__setattr__(arm.run, "recipe", recipe)
    return recipe


@pytest.mark.parametrize(
    ("settings", "number"), [(None, 1), ({"when": "student"}, 1), ({"when": "rounds"}, None)]
)
def test_where_it_is_not_asked_for_nothing_happens(
    arm: Arm, settings: dict[str, Any] | None, number: int | None
) -> None:
    heard: list[Event] = []
    arm.tell = heard.append
    if settings:
        reinforcing(arm, **settings)
    assert reinforce(arm, number, Path("model")) == Path("model")
    assert heard == []


def test_a_round_goes_on_with_what_its_reinforcement_left(arm: Arm, beginner: Path) -> None:
    through_judge(arm)
    select(arm, 1)
    recipe = reinforcing(arm)
    heard: list[Event] = []
    arm.tell = heard.append
    out = reinforce(arm, 1, beginner)
    assert out == arm.round(1) / "reinforce" == train.model_of(arm, 1)
    assert heard[-1].stage == "reinforce"
    assert heard[-1].summary.startswith("2 steps  reward ")
    weights = (out / "model.safetensors").read_bytes()
    # what earns nothing teaches nothing; `test_reinforce` has one that learns
    earned = any(row["reward"] for row in store.read_table(out / "samples.parquet"))
    assert (weights != (beginner / "model.safetensors").read_bytes()) == earned
    asked = {
        row["puzzle_id"]
        for row in store.read_table(out / "samples.parquet")
        if row["task"] == "solve"
    }
    selected = {row["puzzle_id"] for row in store.read_stage(arm.round(1) / "select")}
    assert asked <= selected | {pair.puzzle.id for pair in arm.seeds}

    assert reinforce(arm, 1, beginner) == out  # a finished one is left alone
    assert (out / "model.safetensors").read_bytes() == weights
    assert trained_on(out) is not None
    assert not [one for one in look(arm.run.folder).broken if one.at.stage == "reinforce"]
    with Tables(arm.run.folder) as tables:
        rows = tables.rows("select arm, round, max(step) as last from reinforced group by all")
        assert rows == [{"arm": "verified", "round": 1, "last": 2}]
        assert tables.value("select count(*) from rewarded") == 2 * 4 * 4
    assert alarm_of(arm) == (0.0, "ok")
    plant_alarm(out)
    assert alarm_of(arm) == (1.0, "stop")
    assert may_stop(recipe)
    recipe = reinforcing(arm, on_alarm="keep-best")
    assert alarm_of(arm) == (1.0, "warn")
    assert not may_stop(recipe)


def alarm_of(arm: Arm) -> tuple[float, str]:
    [row] = [row for row in health.rows(arm, 1) if row["measure"] == "alarm"]
    return row["value"], row["state"]


def plant_alarm(out: Path) -> None:
    table = pq.read_table(out / "steps.parquet")
    rows = table.to_pylist()
    rows[-1]["alarm"] = "constants 0.93, above 0.8"
    pq.write_table(table.from_pylist(rows, schema=table.schema), out / "steps.parquet")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("reinforce.accumulate=3", "must divide prompts"),
        ("reinforce.max_new_tokens=192", "must be below model.context = 192"),
        ("reinforce.num_generations=1", "num_generations"),
        ("reinforce.limits.novelty=1", "novelty"),
    ],
)
def test_settings_that_do_not_fit_are_refused(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        config.load("tiny-grpo", [setting])
