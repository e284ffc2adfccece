"""A run that nobody disturbed: given again it does nothing, and its tables keep their promises."""

import hashlib
import json
from functools import partial
from pathlib import Path

import pytest

import runs
from etude import propose, store
from etude.arm import Arm
from etude.lineage import trace
from etude.query import Tables

pytestmark = pytest.mark.slow


def test_a_finished_run_does_nothing_again(undisturbed: Path, tmp_path: Path) -> None:
    run = runs.cut(undisturbed, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("[0-9]*.parquet")}
    runs.finish(runs.command(run), tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_changed_recipe_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    words = runs.command(undisturbed, "--set", "solve.samples=9")
    driver = runs.Driver(words, tmp_path)
    assert driver.ended()[0] == 2
    assert "solve.samples: 8 -> 9" in driver.text
    assert "--out" in driver.text


def test_the_longer_training_on_the_seeds_has_the_budget_of_the_loop(undisturbed: Path) -> None:
    def tokens(folder: str) -> int:
        return int(json.loads((undisturbed / folder / "training.json").read_text())["tokens"])

    loop = sum(tokens(f"{made}/train") for made in ("round-01", "round-02", "final"))
    assert tokens("controls/more-epochs/final/train") == pytest.approx(loop, rel=0.02)


def test_an_example_is_traced_to_a_sample_that_can_be_drawn_again(undisturbed: Path) -> None:
    """By what the chain says alone: the model of that sum, the seed of the unit, the draw."""
    with Tables(undisturbed) as tables:
        rows = tables.rows("select example_id from examples where arm = 'verified' order by 1")
    assert rows
    for row in rows[:2]:
        chain = trace(undisturbed, row["example_id"])
        (proposal,) = [link.content for link in chain.of_kind("proposal")]
        wrote = proposal["engine"].partition(":")[2]
        (model,) = [
            link.content for link in chain.of_kind("checkpoint") if link.content["model"] == wrote
        ]
        weights = (undisturbed / model["model"] / "model.safetensors").read_bytes()
        assert model["weights"] == f"sha256:{hashlib.sha256(weights).hexdigest()}"
        with Arm(store.Run.read(undisturbed), "verified", lambda event: None) as arm:
            assert arm.seed(proposal["round"], "propose", proposal["unit"]) == proposal["seed"]
            place, unit, number = undisturbed / model["model"], proposal["unit"], proposal["round"]
            work = partial(propose._work, number=number, model=place, base=place, own=unit + 1)
            made = list(work(arm, unit).rows)
        assert made[proposal["draw"]]["proposal_id"] == proposal["proposal_id"]
        assert made[proposal["draw"]]["text"] == proposal["text"]
        taught = {link.content["model"]: link.content for link in chain.of_kind("training")}
        assert taught[f"round-{proposal['round']:02d}/train"]["documents"] == 1
        assert taught["final/train"]["shown"] > 0
        assert all(link["recorded"] for link in taught.values())
