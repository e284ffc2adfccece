"""The forecast against a real run: the counts exactly, the time loosely."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

import engines_models
from etude import config, roles, session, store
from etude.arm import Arm
from etude.errors import InputError
from etude.forecast import forecast
from etude.forecast.speed import by_size, parameters_named
from etude.forecast.words import lines
from etude.forecast.work import Work, count_work, most_kept
from etude.ladder import run_arm
from etude.loop import begin
from etude.types import Event

SETTINGS = [
    "run.rounds=2",
    "model.precision=fp32",
    "pretrain.documents=300",
    "model.hidden=64",
    "model.heads=2",
    "model.layers=2",
    "seeds.begin=base",
    "seeds.epochs=3",
    "propose.samples=100",
    "propose.per_unit=48",
    "propose.per_prompt=20",
    "vet.max_puzzles=9",
    "solve.samples=3",
    "solve.puzzles_per_unit=4",
    "train.start=base",
    "train.replay=all",
    "evaluate.samples=1",
    "evaluate.final_samples=1",
    "evaluate.ks=[1]",
]
CONTROLS = ["unverified", "pretrained", "more-epochs"]
ROUND = ("propose", "vet", "solve", "judge", "select", "evaluate")
ROWS = ("propose", "solve", "evaluate")
"""Stages of which a row is a text that a model wrote."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A whole run with its controls, one arm after the other in this process; what it told."""
    opened = store.Run.open(
        tmp_path_factory.mktemp("forecast") / "run", config.load("smoke", SETTINGS), {}
    )
    told: list[Event] = []
    with Arm(opened, "verified", told.append) as arm:
        begin(arm)
    for name in ("verified", "seeds", *CONTROLS):
        with Arm(opened, name, told.append) as arm:
            run_arm(arm)
    return opened.folder, told


def place(run: Path, work: Work) -> Path:
    if work.arm == "seeds":
        return run / "round-00" / work.stage
    arm = store.arm_folder(run, work.arm)
    return (arm / "final" if work.round is None else store.round_folder(arm, work.round)) / (
        work.stage
    )


def kept(run: Path, arm: str, number: int) -> int:
    rows = store.read_stage(store.round_folder(store.arm_folder(run, arm), number) / "vet")
    return sum(row["fate"] == "kept" for row in rows)


def test_units_and_texts_are_those_of_the_real_run(run: tuple[Path, Any]) -> None:
    recipe = store.read_recipe(run[0])
    works = count_work(
        recipe, pairs=83, problems=196, controls=CONTROLS,
        kept=lambda arm, number: kept(run[0], arm, number),
    )  # fmt: skip
    units = [work for work in works if work.stage in ROUND]
    assert len(units) == 2 * (2 * 5) + 2 + 5, "two arms with two rounds; 5 final evaluations"
    for work in units:
        stage = place(run[0], work)
        assert work.units == len(list(stage.glob("[0-9]*.parquet"))), work
        if work.stage in ROWS:
            assert work.samples == len(store.read_stage(stage)), work
        if work.stage == "judge":
            assert work.checks == len(store.read_stage(stage)), work


def test_documents_are_at_most_those_of_the_forecast(run: tuple[Path, Any]) -> None:
    recipe = store.read_recipe(run[0])
    for work in count_work(recipe, pairs=83, problems=196, controls=CONTROLS):
        if work.stage in ("train", "pretrain"):
            told = json.loads((place(run[0], work) / "training.json").read_text())
            assert told["documents"] <= work.documents, work
            if work.round == 0:
                assert told["documents"] == work.documents, work


def test_the_first_round_asks_the_base_and_each_round_trains_on_all_so_far(
    run: tuple[Path, Any],
) -> None:
    def asked(number: int) -> str:
        stage = store.round_folder(run[0], number) / "propose"
        [note] = set(store.read_notes(stage, roles.NOTE_KEY))
        return str(json.loads(note)["engine"])

    assert asked(1).endswith("round-00/pretrain")
    assert asked(2).endswith("round-01/train")
    examples = 0
    for number in (1, 2):
        folder = store.round_folder(run[0], number)
        examples += len(store.read_stage(folder / "select"))
        told = json.loads((folder / "train" / "training.json").read_text())
        assert told["documents"] == 83 + examples


def test_a_dry_run_writes_nothing_and_its_time_is_about_right(
    run: tuple[Path, list[Event]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    session.forecast_run("smoke", SETTINGS, controls=True, json_lines=True)
    assert list(tmp_path.iterdir()) == []
    said = json.loads(capsys.readouterr().out)
    real = sum(event.seconds for event in run[1] if event.done == event.total)
    assert sum(stage["seconds"] for stage in said["stages"]) == pytest.approx(3600 * said["hours"])
    assert 1 / 10 < 3600 * said["hours"] / real < 10, (said["hours"], real)
    texts = {s["stage"]: s["samples"] for s in said["stages"] if s["arm"] == "verified"}
    assert (texts["propose"], texts["evaluate"]) == (100, 196)


def test_the_papers_run_is_counted_as_the_paper_counts_it() -> None:
    works = count_work(config.load("paper-125m"), pairs=145, problems=228)
    by_stage = {(work.round, work.stage): work for work in works if work.arm == "verified"}
    proposing, solving = by_stage[1, "propose"], by_stage[3, "solve"]
    assert (proposing.prompts, proposing.samples, proposing.units) == (4_000, 256_000, 63)
    assert (solving.prompts, solving.samples) == (256_000, 25_600_000)  # at most
    assert by_stage[None, "evaluate"].samples == 228 * 100
    documents = [by_stage[number, "train"].documents for number in (1, 2, 3)]
    assert documents == [256_000 * 8 * number for number in (1, 2, 3)]  # all so far, each round
    assert by_stage[None, "train"].epochs == 10


def test_a_training_by_tokens_is_counted_by_tokens() -> None:
    """The control that trains on the seeds alone takes as many as the student's way had."""
    tokens = ["train.tokens=1000", "final.tokens=5000"]
    smoke = config.load("smoke", tokens)
    works = count_work(smoke, pairs=10, problems=5, controls=["more-epochs"])
    trained = {(work.arm, work.round): work for work in works if work.stage == "train"}
    assert {trained["verified", one].tokens for one in range(1, smoke.run.rounds + 1)} == {1_000}
    assert trained["verified", None].tokens == 5_000
    assert trained["verified", None].epochs == 0
    whole = 5_000 + (smoke.final.start == "latest") * 1_000 * smoke.run.rounds
    assert trained["more-epochs", None].tokens == whole


def test_a_puzzle_teaches_as_solved_or_as_repaired() -> None:
    def documents(*settings: str) -> int:
        recipe = config.load("smoke", ["select.per_puzzle=2", "train.seed_repeat=0", *settings])
        works = count_work(recipe, pairs=10, problems=5)
        return next(one.documents for one in works if (one.stage, one.round) == ("train", 1))

    assert documents() == documents("repair.borrow=9", "repair.per_puzzle=2") == 2 * 24
    assert documents("repair.borrow=9", "repair.per_puzzle=1") == 2 * 24
    assert documents("repair.borrow=9", "repair.per_puzzle=3") == 3 * 24


def test_no_round_keeps_more_puzzles_than_are_proposed() -> None:
    few = config.load("smoke", ["propose.samples=10"])
    assert most_kept(few)("verified", 1) == 10
    assert most_kept(config.load("smoke"))("verified", 1) == 24


def test_a_model_from_a_folder_is_measured(tmp_path: Path) -> None:
    model = engines_models.build("llama", tmp_path / "model")
    text = (
        f'name = "mine"\nmodel.base = {json.dumps(str(model))}\nrun.rounds = 1\n'
        "prompt.layout = 'line'\nprompt.few_shot = false\nengine.max_rows = 8\n"
        "propose = {samples = 4, max_new_tokens = 8}\nvet.max_puzzles = 2\nsolve.samples = 2\n"
    )
    made = forecast(config.parse(text, "here"), [])
    assert made.lengths_by == "by the model's tokenizer"
    assert made.speed.source.startswith("measured here")
    assert min(made.speed.read, made.speed.write, made.speed.train, made.speed.check) > 0
    assert made.training_bytes == 16 * made.parameters > 0


def test_a_model_that_is_not_at_hand_is_reckoned_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    bare = "run.rounds = 1\npropose.samples = 4\nvet.max_puzzles = 2\nsolve.samples = 2\n"
    recipe = config.parse(f'name = "a"\nmodel.base = "nobody/codeling-1.3B"\n{bare}', "here")
    made = forecast(recipe, [])
    assert made.parameters == 1_300_000_000
    said = " ".join(" ".join(lines(made)).split())
    assert "reckoned, not measured (the model is not at hand" in said
    assert "by characters" in said
    recipe = config.parse(f'name = "a"\nmodel.base = "nobody/codeling"\n{bare}', "here")
    with pytest.raises(InputError, match="needs the size of the model nobody/codeling"):
        forecast(recipe, [])


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("EleutherAI/gpt-neo-125m", 125_000_000),
        ("EleutherAI/gpt-neo-2.7B", 2_700_000_000),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", 500_000_000),
        ("Qwen/Qwen2.5-Coder-7B", 7_000_000_000),
        ("gpt2", None),
        ("microsoft/phi-2bis", None),
    ],
)
def test_the_size_is_read_from_a_name(name: str, size: int | None) -> None:
    assert parameters_named(name) == size


def test_reckoned_times_are_operations_over_speed() -> None:
    # 2 N operations a token read, at 40% of 312 teraFLOP/s; 6 N a token trained on, at 35%.
    made = by_size(10**9, 0.002, "not here")
    assert math.isclose(made.read, 2e9 / (0.4 * 312e12))
    assert math.isclose(made.train, 6e9 / (0.35 * 312e12))
    assert made.check == 0.002


def test_what_a_teacher_takes_is_reckoned_and_a_server_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    own = forecast(config.load("smoke", SETTINGS), [])
    larger = [*SETTINGS, "propose.engine.model=nobody/codeling-7B"]
    prices = "solve.engine={kind='openai', model='m', input_price=2, output_price=10, choices=2}"
    made = forecast(config.load("smoke", [*larger, prices]), [], like=own)
    assert made.speed is own.speed
    by_stage = {cost.work.stage: cost for cost in made.costs if cost.work.round == 1}
    proposing, solving = by_stage["propose"], by_stage["solve"]
    assert proposing.money == 0
    assert proposing.seconds == pytest.approx(
        (2 * 7e9 / 312e12) * (proposing.read / 0.4 + proposing.written / 0.05)
    )
    assert solving.seconds == 0
    # 9 puzzles, 3 samples each: two requests, each with the prompt; every text to its limit.
    assert solving.money == pytest.approx((2 * 9 * made.lengths.solve * 2 + 27 * 32 * 10) / 1e6)
    told = " ".join(" ".join(lines(made)).split())
    assert "money:" in told
    assert "what servers take is not known" in told
    assert "what servers take" not in " ".join(lines(own))
    assert own.money == 0
