"""The vllm engine as far as it can be held without a GPU: how it asks vLLM, what it refuses.

`vllm_stage/vllm.py` stands for the package in the child; the contract's tests marked gpu are with
the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import engines_models
from etude.engines import open_engine
from etude.engines.samples import derived_seed
from etude.engines.vllm import VllmEngine, check_vllm
from etude.errors import InputError
from etude.types import Prompt, Sample

STAGE = Path(__file__).parent / "vllm_stage"
PROMPT = Prompt("def f(x: int): return x == 3\ndef g():", "def g():")
SETTINGS: dict[str, Any] = {"seed": 1, "temperature": 1.0, "max_new_tokens": 9}


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STAGE))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[VllmEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(STAGE))
        opened = VllmEngine(folder)
    with closing(opened):
        yield opened


def test_samples_are_cut_at_the_functions_end_and_in_order(engine: VllmEngine) -> None:
    [drawn] = engine.sample([PROMPT], 6, **SETTINGS)
    first = derived_seed(1, 0, 0)
    text = f"<bos>{PROMPT.text}"
    assert drawn == [
        Sample(" return (", False)
        if (first + draw) % 3 == 0
        else Sample(f" return {first + draw}, {text!r}", True)
        for draw in range(6)
    ]


def test_temperature_zero_is_drawn_once_and_given_n_times(engine: VllmEngine) -> None:
    settings = SETTINGS | {"temperature": 0.0}
    [drawn] = engine.sample([PROMPT], 4, **settings)
    assert drawn == drawn[:1] * 4
    assert engine.sample([PROMPT], 0, **settings) == [[]]
    assert engine.sample([], 4, **settings) == []


def test_the_context_is_the_models(engine: VllmEngine) -> None:
    assert engine.fits(PROMPT, 9)
    assert not engine.fits(PROMPT, engines_models.CONTEXT)
    with pytest.raises(InputError, match="96 tokens, but prompt 0 has"):
        engine.sample([PROMPT], 1, seed=1, temperature=1.0, max_new_tokens=96)


def test_without_vllm_the_sentence_says_what_to_do(folder: Path) -> None:
    with pytest.raises(InputError, match=r"has no vllm\..*pip install 'etude\[vllm\]'"):
        open_engine("vllm", folder)
    with pytest.raises(InputError, match=r"engine\.python must be a Python interpreter"):
        open_engine("vllm", folder, python="/no/python")
    with pytest.raises(InputError, match=r"engine\.python must be a Python interpreter"):
        open_engine("vllm", folder, python="/bin/false")


def test_gpt_neo_is_refused_before_anything_starts(stage: None, tmp_path: Path) -> None:
    neo = engines_models.build("gpt_neo", tmp_path)
    with pytest.raises(InputError, match=r"vLLM must have .* no GPTNeoForCausalLM"):
        check_vllm(str(neo))


@pytest.mark.slow
def test_what_vllm_refuses_is_one_sentence(stage: None, tmp_path: Path) -> None:
    qwen = engines_models.build("qwen2", tmp_path)
    with pytest.raises(InputError, match=r"vLLM has no Qwen2ForCausalLM; it says: Model arch"):
        VllmEngine(qwen)
