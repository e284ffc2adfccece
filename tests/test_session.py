"""The verb `evaluate`: a model of a run is asked as its run asks it, and nothing is left unsaid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import engines_models
import reader_run
from etude import config, evaluating, session, store
from etude.console import Console
from etude.errors import InputError, RecipeError
from etude.judge import JUDGE_VERSION
from etude.report import write_report
from etude.show import show


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of odd settings with a student of a few thousand weights."""
    folder = tmp_path_factory.mktemp("runs") / "odd run"
    settings = ["evaluate.max_new_tokens=3", "evaluate.temperature=0.5", "seeds.split_seed=11"]
    store.Run.open(folder, config.load("smoke", settings), {"versions": {}})
    engines_models.build("llama", folder / "final" / "train")
    return folder


def evaluate(model: Path, out: Path, samples: int = 1, layout: str | None = None) -> None:
    evaluating.evaluate_model(
        str(model), "tiny", None, samples=samples, layout=layout, out=out, settings=[],
        json_lines=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluation(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluations") / "odd"
    evaluate(run, out)
    return out


def test_a_student_is_asked_as_its_run_asks_it(run: Path, evaluation: Path) -> None:
    recipe = store.read_recipe(evaluation)
    assert recipe.model.base == str(run / "final" / "train")
    assert (recipe.prompt.layout, recipe.seeds.split_seed) == ("line", 11)
    assert (recipe.evaluate.max_new_tokens, recipe.evaluate.temperature) == (3, 0.5)


def test_the_record_says_what_verdicts_rest_on(evaluation: Path) -> None:
    record = json.loads((evaluation / "record.json").read_text())
    limits = store.read_recipe(evaluation).judge
    assert record["judge"].startswith(f"judge-{JUDGE_VERSION} ")
    assert f" cpu={limits.cpu_seconds:g}s " in record["judge"]
    assert 0 < record["pace_seconds"] < 1


def test_problems_without_an_attempt_are_counted(
    evaluation: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = store.read_stage(evaluation / "evaluate")
    missing = 196 - len(rows)
    assert missing > 0, "the model's context must be too short for some prompts"
    show(evaluation, Console(json_lines=True))
    first, *others = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["unattempted"] == missing
    assert sum(row["attempts"] == 0 for row in others if row["kind"] == "problem") == missing
    show(evaluation, Console())
    said = capsys.readouterr().out
    assert "1 attempt each" in said
    assert f"{missing} problems count as unsolved without an attempt" in said
    assert said.count("not asked: its prompt is too long") == missing


def test_an_evaluation_is_no_run(evaluation: Path) -> None:
    with pytest.raises(InputError, match="holds an evaluation: see it with `etude show"):
        session.run(str(evaluation), None, [], controls=True, json_lines=False)
    with pytest.raises(InputError, match="holds an evaluation"):
        write_report([evaluation])
    with pytest.raises(InputError, match="has no rows to name"):
        show(evaluation, Console(), "0123456789abcdef")


def test_other_options_need_another_folder(run: Path, evaluation: Path) -> None:
    with pytest.raises(RecipeError, match=r"evaluate\.samples: 1 -> 2.*another folder.*--out"):
        evaluate(run, evaluation, samples=2)
    with pytest.raises(RecipeError, match=r"prompt\.layout"):
        evaluate(run, evaluation, layout="paper")


def test_the_number_of_attempts_may_be_a_setting_too() -> None:
    asked = evaluating.Asked("tiny", None, 100, "line", ["evaluate.samples=2"])
    recipe = asked.recipe("a-model")
    assert (recipe.evaluate.final_samples, recipe.evaluate.ks) == (2, (1,))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has fp16")
def test_a_precision_that_is_not_there_is_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    settings = ["model.precision=fp16"]
    with pytest.raises(RecipeError, match="fp16 needs a GPU"):
        session.run("smoke", tmp_path / "run", settings, controls=False, json_lines=True)
    assert not (tmp_path / "run").exists()


def test_a_size_that_is_none_is_refused_before_a_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETUDE_MEMORY", "lots")
    with pytest.raises(InputError, match="ETUDE_MEMORY must be a size"):
        session.run("smoke", tmp_path / "run", [], controls=False, json_lines=True)
    assert not (tmp_path / "run").exists()


def test_a_run_without_a_student_is_refused(tmp_path: Path) -> None:
    reader_run.start(tmp_path / "run")
    with pytest.raises(InputError, match="must be a finished run to be evaluated"):
        evaluate(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()
