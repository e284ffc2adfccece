"""What every engine promises, held against each of them.

The openai engine asks a server in another process, which samples a model through an engine of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import engines_models
import llm_server
from etude.engines import KINDS, Engine, open_engine
from etude.engines.replay import record
from etude.errors import InputError
from etude.prompts import function_end
from etude.types import Prompt, Sample

PROMPTS = [
    Prompt("def f(x: int, a=3): return x + a == 5\ndef g(a=3):", "def g(a=3):"),
    Prompt("def f(", "def f("),
    Prompt("def f(", "def f("),
    Prompt("def g(a=1): return", "def g(a=1): return"),
]
TOO_LONG = Prompt("def f(x):" + " return" * 100, "def f(x):")
SETTINGS: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 20}
Opener = Callable[[], Engine]
MODELS = ("llama", "qwen2", "gpt_neo")
SERVED = pytest.param(
    "openai", marks=pytest.mark.skipif(find_spec("openai") is None, reason="needs the openai extra")
)
ON_GPU = [pytest.param(name, marks=pytest.mark.gpu) for name in ("cuda", "vllm")]
ENGINES = [*MODELS, "replay", SERVED, *ON_GPU]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: engines_models.build(name, tmp_path_factory.mktemp(name)) for name in MODELS}


@contextmanager
def opener(kind: str, models: dict[str, Path], folder: Path) -> Iterator[Opener]:
    """How to open the engine, while what it needs is there."""
    if kind in MODELS:
        yield partial(open_engine, "transformers", models[kind], threads=1)
    elif kind == "replay":
        path = folder / "samples.jsonl"
        with closing(record(open_engine("transformers", models["llama"], threads=1), path)) as made:
            for seed in (1, 2):
                made.sample(PROMPTS, 5, seed=seed, **SETTINGS)
            assert not made.fits(TOO_LONG, 20)
        yield partial(open_engine, "replay", path)
    elif kind == "openai":
        with llm_server.running(str(models["llama"])) as server:
            options = {"url": server.url, "retries": 0, "context": engines_models.CONTEXT}
            yield partial(open_engine, "openai", llm_server.MODEL, choices=2, **options)
    elif kind == "cuda":
        # In 16 bits, a prompt alone and among others would round differently.
        yield partial(open_engine, "transformers", models["llama"], device=kind, dtype="float32")
    else:
        yield partial(open_engine, "vllm", models["llama"], memory_share=0.3)


@pytest.fixture(scope="module", params=ENGINES)
def opened(
    request: pytest.FixtureRequest,
    models: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Opener]:
    with opener(request.param, models, tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture(scope="module")
def engine(opened: Opener) -> Iterator[Engine]:
    with closing(opened()) as made:
        yield made


def test_it_is_an_engine_with_a_name(engine: Engine) -> None:
    assert isinstance(engine, Engine)
    assert engine.name.split(":")[0] in KINDS


def test_n_samples_for_each_prompt(engine: Engine) -> None:
    drawn = engine.sample(PROMPTS, 5, seed=1, **SETTINGS)
    assert [len(samples) for samples in drawn] == [5] * len(PROMPTS)
    assert all(isinstance(sample, Sample) for samples in drawn for sample in samples)


def test_samples_come_in_the_order_of_their_prompts(engine: Engine) -> None:
    """The first prompt alone gives what it gives among others."""
    drawn = engine.sample(PROMPTS, 5, seed=1, **SETTINGS)
    assert engine.sample(PROMPTS[:1], 5, seed=1, **SETTINGS) == drawn[:1]
    assert drawn[0] != drawn[3]


def test_nothing_asked_nothing_given(engine: Engine) -> None:
    assert engine.sample([], 5, seed=1, **SETTINGS) == []
    assert engine.sample(PROMPTS, 0, seed=1, **SETTINGS) == [[]] * len(PROMPTS)


def test_the_seed_decides(engine: Engine) -> None:
    first = engine.sample(PROMPTS, 5, seed=1, **SETTINGS)
    second = engine.sample(PROMPTS, 5, seed=2, **SETTINGS)
    assert first != second
    assert engine.sample(PROMPTS, 5, seed=1, **SETTINGS) == first


def test_a_prompt_that_comes_twice_gets_other_samples(engine: Engine) -> None:
    drawn = engine.sample(PROMPTS, 5, seed=1, **SETTINGS)
    assert drawn[1] != drawn[2]


def test_at_temperature_zero_all_samples_of_a_prompt_are_one(engine: Engine) -> None:
    if engine.name.startswith("replay"):
        return  # it serves what was recorded, whatever the temperature
    drawn = engine.sample(PROMPTS, 3, seed=1, temperature=0.0, max_new_tokens=20)
    assert all(samples == samples[:1] * 3 for samples in drawn)
    assert engine.sample(PROMPTS, 3, seed=2, temperature=0.0, max_new_tokens=20) == drawn


def test_finished_samples_end_with_the_function(engine: Engine) -> None:
    drawn = engine.sample(PROMPTS, 5, seed=1, **SETTINGS)
    assert {sample.finished for samples in drawn for sample in samples} == {True, False}
    for prompt, samples in zip(PROMPTS, drawn, strict=True):
        for sample in samples:
            assert function_end(prompt.opening, sample.text) is None
            # None where the model ended the text in the middle of a header.
            end = function_end(prompt.opening, sample.text + "\n.")
            assert not sample.finished or end in (len(sample.text), None)


def test_global_random_state_is_left_alone(engine: Engine) -> None:
    before = torch.get_rng_state()
    engine.sample(PROMPTS, 5, seed=1, **SETTINGS)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_prompt_too_long_is_known_beforehand(engine: Engine) -> None:
    assert engine.fits(PROMPTS[0], 20)
    assert not engine.fits(TOO_LONG, 20)
    with pytest.raises(InputError):
        engine.sample([TOO_LONG], 1, seed=1, **SETTINGS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": -1}, "n, .* must be 0 or more, but got -1"),
        ({"temperature": -0.1}, "temperature must be 0 or more"),
        ({"temperature": float("nan")}, "temperature must be 0 or more"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
    ],
)
def test_arguments_out_of_range(engine: Engine, options: dict[str, Any], words: str) -> None:
    arguments = {"n": 1, "seed": 1, **SETTINGS, **options}
    with pytest.raises(InputError, match=words):
        engine.sample(PROMPTS, arguments.pop("n"), **arguments)


def test_closed_twice_and_then_it_says_so(opened: Opener) -> None:
    engine = opened()
    engine.close()
    engine.close()
    if not engine.name.startswith("replay"):
        with pytest.raises(InputError, match="is closed"):
            engine.sample(PROMPTS, 1, seed=1, **SETTINGS)
