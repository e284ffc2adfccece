"""Long runs keep the weights of a few rounds only, and everything else of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etude import config, store, tables
from etude.arm import Arm
from etude.check.looking import look
from etude.config import differences
from etude.course import needed
from etude.engines import open_engine
from etude.errors import InputError
from etude.store.checkpoints import MARK, WEIGHTS, flaws
from etude.tiny.model import build
from etude.train import thin

TEXTS = [f"def f(x: int, a={n}): return x + a == {n * n}" for n in range(99)]


def checkpoint(out: Path, seed: int) -> None:
    """A real model, with the sum of its weights, as a training leaves it."""
    made = out.with_name(".made")
    made.mkdir(parents=True)
    build(made, TEXTS, vocab_size=272, hidden=16, layers=1, heads=2, ffn=16, context=64, seed=seed)
    from etude.engines.transformers.weights import weights_sum

    report = {"weights": weights_sum(made), "documents": 1, "too_long": 0, "tokens": 9, "steps": 1}
    (made / "training.json").write_text(json.dumps(report))
    store.keep(made, out)


def arm_of(folder: Path, *settings: str) -> Arm:
    recipe = config.load("smoke", ["run.rounds=5", *settings])
    return Arm(store.Run.open(folder, recipe, {}), "verified", lambda event: None)


def weighty(arm: Arm) -> list[int]:
    """The rounds whose weights are there."""
    found = store.round_folders(arm.folder)
    return [number for number, at in found if list((at / "train").glob("*.safetensors"))]


def test_the_newest_weights_stay_and_of_the_others_their_sums(tmp_path: Path) -> None:
    arm = arm_of(tmp_path / "run", "run.checkpoints=2")
    for number in range(4):
        checkpoint(arm.round(number) / "train", number)
        thin(arm, number)
        assert weighty(arm) == [0, *range(max(1, number - 1), number + 1)]
    old = arm.round(1) / "train"
    assert list(flaws(old)) == []
    assert json.loads((old / "training.json").read_text())["weights"].startswith("sha256:")
    assert "removed" in json.loads((old / MARK).read_text())["model.safetensors"]
    assert store.removed(old) == "run.checkpoints = 2"
    assert store.removed(arm.round(3) / "train") == ""
    assert dict(look(arm.run.folder).checkpoints) == {"whole": 3, "thinned": 1}
    (old / "config.json").unlink()
    assert list(flaws(old)) == ["config.json is missing"], "the rest is looked at as before"


def test_a_kill_in_the_middle_leaves_a_file_too_many_and_no_flaw(tmp_path: Path) -> None:
    arm = arm_of(tmp_path / "run", "run.checkpoints=1")
    for number in (1, 2):
        checkpoint(arm.round(number) / "train", number)
    old = arm.round(1) / "train"
    weights = (old / "model.safetensors").read_bytes()
    store.thin(old, WEIGHTS, "why")
    (old / "model.safetensors").write_bytes(weights)
    assert list(flaws(old)) == []
    thin(arm, 2)
    assert weighty(arm) == [2]


def test_what_needs_weights_that_went_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    checkpoint(folder, 1)
    store.thin(folder, WEIGHTS, "run.checkpoints = 1")
    with pytest.raises(InputError, match=r"removed \(run.checkpoints = 1\).*Give a later round"):
        open_engine("transformers", folder, device="cpu")


def health(arm: Arm, values: list[float]) -> None:
    for number, value in enumerate(values, start=1):
        row = {"measure": "held_out", "value": value, "warn": None, "stop": None, "state": "ok"}
        store.write_table(store.unit_path(arm.round(number) / "health", 0), [row], tables.HEALTH)


def test_the_round_that_a_stop_may_go_back_to_stays(tmp_path: Path) -> None:
    stopping = ("run.checkpoints=1", "health.stop.drop=0.5")
    arm = arm_of(tmp_path / "a", *stopping)
    health(arm, [0.2, 0.6, 0.6, 0.4])
    asked = arm.run.folder, arm.recipe
    assert [needed(*asked, number) for number in (1, 2, 3, 4)] == [{1}, {2}, {2, 3}, {2, 4}]
    last = arm_of(tmp_path / "b", *stopping, "health.keep=last")
    health(last, [0.2, 0.6, 0.6, 0.4])
    assert needed(last.run.folder, last.recipe, 4) == {4}


def test_it_may_be_changed_while_a_run_goes_on() -> None:
    ours, theirs = config.load("smoke", []), config.load("smoke", ["run.checkpoints=3"])
    assert differences(ours, theirs) == []
    assert ours.run.checkpoints == "all"


@pytest.mark.parametrize("value", ["0", "-1", '"some"', "1.5"])
def test_what_is_no_number_of_rounds_is_refused(value: str) -> None:
    with pytest.raises(Exception, match=r"run\.checkpoints"):
        config.load("smoke", [f"run.checkpoints={value}"])
