"""The recipes of the paper have the paper's settings; every recipe says where each comes from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import etude
from etude import config
from etude.config import FitSection

FOLDER = Path(etude.__file__).parent / "recipes"
PAPER = {
    "paper-125m": "EleutherAI/gpt-neo-125m",
    "paper-1.3b": "EleutherAI/gpt-neo-1.3B",
    "paper-2.7b": "EleutherAI/gpt-neo-2.7B",
}
SOURCED = [*PAPER, "modern-0.5b", "modern-7b"]

# What the paper and its released code set, by our names for it.
SETTINGS: dict[str, Any] = {
    "run.rounds": 3,
    "seeds.source": "p3-train",
    "seeds.begin": "base",
    "prompt.layout": "paper",
    "prompt.few_shot": True,
    "prompt.shown": 0,
    "prompt.examples": 5,
    "prompt.examples_seed": 0,
    "propose.samples": 256_000,
    "propose.per_prompt": 64,
    "propose.max_new_tokens": 200,
    "propose.temperature": 0.9,
    "vet.rules": "paper",
    "vet.skip_triviality": 0.05,
    "vet.max_puzzles": 256_000,
    "solve.samples": 100,
    "solve.temperature": 0.9,
    "solve.max_new_tokens": 150,
    "judge.cpu_seconds": 1.0,
    "select.per_puzzle": 8,
    "select.max_solve_rate": 1.0,
    "train.start": "base",
    "train.replay": "all",
    "train.seed_repeat": 0,
    "train.epochs": 4,
    "final.start": "base",
    "final.seed_repeat": 0,
    "final.epochs": 10,
    "seeds.epochs": 10,
    "model.precision": "fp16",
    "engine.dtype": "float16",
    "evaluate.suite": "p3",
    "evaluate.final_samples": 100,
    "evaluate.samples": 100,
    "evaluate.temperature": 0.8,
    "evaluate.max_new_tokens": 150,
    "evaluate.ks": (1, 10, 100),
}
FIT: dict[str, Any] = {
    "method": "full",
    "loss": "text",
    "packing": True,
    "block_tokens": 1_024,
    "batch_tokens": 4 * 1_024,
    "learning_rate": 5e-6,
    "schedule": "constant",
    "warmup_steps": 10,
    "weight_decay": 0,
    "betas": (0.9, 0.999),
    "epsilon": 1e-8,
    "accumulate": 1,
    "checkpointing": True,
}


def value(recipe: config.Recipe, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(recipe, section), name)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_settings_are_the_papers(name: str) -> None:
    recipe = config.load(name)
    assert recipe.model.base == PAPER[name]
    assert {key: value(recipe, key) for key in SETTINGS} == SETTINGS
    for section in (recipe.seeds, recipe.train, recipe.final):
        assert {key: getattr(section, key) for key in FIT} == FIT


def test_the_papers_recipes_differ_in_the_model_alone() -> None:
    first, *others = (config.load(name) for name in PAPER)
    for other in others:
        changed = {line.partition(":")[0] for line in config.differences(first, other)}
        assert changed == {"name", "model.base", "propose.per_unit"}


def settings(data: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, inner in data.items():
        found |= settings(inner, f"{prefix}{key}.") if isinstance(inner, dict) else {prefix + key}
    return found


@pytest.mark.parametrize("name", SOURCED)
def test_every_training_says_how_and_nothing_is_left_to_a_default_that_matters(name: str) -> None:
    given = settings(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")))
    recipe = config.load(name)
    for section in ("seeds", "train", "final"):
        assert isinstance(getattr(recipe, section), FitSection)
        for key in ("epochs", "learning_rate", "batch_tokens", "packing", "loss", "schedule"):
            assert f"{section}.{key}" in given
    assert {key for key in SETTINGS if not key.startswith("evaluate.samples")} - given == set()


@pytest.mark.parametrize("name", SOURCED)
def test_settings_stand_beside_their_source(name: str) -> None:
    lines = (FOLDER / f"{name}.toml").read_text("utf-8").splitlines()
    bare = [line for line in lines if re.match(r"\w+ =", line) and " # " not in line]
    assert bare == [f'name = "{name}"']


def test_the_large_modern_recipe_trains_an_adapter() -> None:
    recipe = config.load("modern-7b")
    for section in (recipe.seeds, recipe.train, recipe.final):
        assert (section.method, section.lora_targets) == ("lora", "all-linear")
    assert config.load("modern-0.5b").train.method == "full"
