"""The benchmark against the paper's procedure: its model, its checking, its own settings."""

from __future__ import annotations

import argparse
import importlib
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoForCausalLM

from etude import config
from etude.engines.transformers.loading import quiet
from etude.puzzle import parse

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PUZZLE = "def f(x: int, a=7):\n    return x + a == 1234"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    names = ("paper", "paper_model", "paper_procedure")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


def test_a_grown_model_writes_what_it_wrote_before(
    modules: dict[str, ModuleType], tmp_path: Path
) -> None:
    made = modules["paper_model"]
    texts = made.Texts([PUZZLE], random.Random(0))
    written = [texts.numbered(), texts.solved()]
    with torch.random.fork_rng(), quiet():
        words = made.tokenizer(written)
        local = GPTNeoForCausalLM(made.config(len(words), ["local"], made.TRAINED)).eval()
        local.save_pretrained(tmp_path / "local")
        words.save_pretrained(tmp_path / "local")
        made.grown(tmp_path / "local", tmp_path / "grown")
        grown = AutoModelForCausalLM.from_pretrained(tmp_path / "grown").eval()
    assert grown.config.max_position_embeddings == made.CONTEXT
    assert grown.config.attention_layers == ["global", "local"] * 2
    ids = torch.tensor([words(written[0])["input_ids"][:300]])
    with torch.inference_mode():
        torch.testing.assert_close(grown(ids).logits, local(ids).logits)


def test_the_pool_finds_puzzles_and_solutions(modules: dict[str, ModuleType]) -> None:
    checker = modules["paper_procedure"].Checker()
    try:
        proposals = [
            PUZZLE,
            PUZZLE.replace("1234", "12"),
            PUZZLE.replace("x: int", "x"),
            PUZZLE.replace("x + a", "a + a"),
            PUZZLE.replace("return", "import os; return"),
            "def f(x: int, a=7):\n    while x: pass\n    return a == 3",
            "def f(x:",
        ]
        assert checker.puzzles(proposals) == [PUZZLE]
        solutions = [
            f"def g(a=7):\n    {body}"
            for body in ("return 1234 - a", "return a", "1 // 0", "while 1: pass", "return 1227")
        ]
        assert checker.verified(parse(PUZZLE), solutions) == 2
    finally:
        checker.close()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" return a\nassert f(g())", " return a"),
        ("\n    a = 1\n\n    return a\n\n\ndef f(", "\n    a = 1\n\n    return a"),
        ("x: int", "x: int"),
    ],
)
def test_texts_are_cut_at_the_first_dedent(
    modules: dict[str, ModuleType], text: str, kept: str
) -> None:
    assert modules["paper_procedure"].cut(text) == kept


def test_its_recipe_is_the_papers(modules: dict[str, ModuleType], tmp_path: Path) -> None:
    arguments = argparse.Namespace(prompts=2, puzzles=8, seed=0)
    text = modules["paper"].recipe_text(tmp_path, tmp_path / "seeds.jsonl", arguments)
    recipe = config.parse(text, "the benchmark's recipe")
    assert (recipe.propose.samples, recipe.propose.per_prompt) == (128, 64)
    assert (recipe.propose.temperature, recipe.propose.max_new_tokens) == (0.9, 200)
    assert (recipe.solve.temperature, recipe.solve.max_new_tokens) == (0.9, 150)
