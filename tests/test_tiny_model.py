"""The tiny model: its tokenizer keeps every text, a cut prompt keeps its tokens, all repeats."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude.errors import InputError
from etude.prompts import example_text, solving_prompt
from etude.puzzle import parse
from etude.tiny.families import FAMILIES
from etude.tiny.grammar import document
from etude.tiny.model import build

torch = pytest.importorskip("torch", reason="needs the train extra")
transformers = pytest.importorskip("transformers", reason="needs the train extra")


def grammar_texts(count: int = 1500, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["{}\n{}\n".format(*document(rng)) for _ in range(count)]


def family_texts(count: int = 3) -> list[str]:
    rng = random.Random(0)
    drawn = [family.instance(rng) for family in FAMILIES for _ in range(count)]
    return [f"{one.puzzle}\n{one.solution}\n" for one in drawn]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine torch's threads wait for one another, a hundred times longer than alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build(folder, grammar_texts(), seed=0)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text).input_ids
    return found


# the tokenizer


def test_every_ascii_text_survives(tokenizer: Any) -> None:
    text = "".join(map(chr, range(128)))
    assert tokenizer.decode(ids(tokenizer, text), skip_special_tokens=True) == text


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_every_text_survives(tokenizer: Any, text: str) -> None:
    plain = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(plain) == text


def test_a_text_begins_with_bos(tokenizer: Any) -> None:
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id) == (0, 1)
    assert tokenizer.eos_token_id == tokenizer.bos_token_id
    assert ids(tokenizer, "def f(")[0] == 1
    assert 1 not in ids(tokenizer, "def f(")[1:]
    assert 1 not in tokenizer.encode("def f(", add_special_tokens=False)


def test_a_newline_is_one_token_of_its_own(tokenizer: Any) -> None:
    (newline,) = tokenizer.encode("\n", add_special_tokens=False)
    for text in (*family_texts(1), "def f(x: int):\n    return x\n\n\nassert f(g())\n"):
        assert ids(tokenizer, text).count(newline) == text.count("\n")
        assert all("\n" not in tokenizer.decode([i]) for i in ids(tokenizer, text) if i != newline)


def test_digits_are_split(tokenizer: Any) -> None:
    pieces = [tokenizer.decode([i]) for i in ids(tokenizer, "a=1234567")]
    assert pieces[-7:] == list("1234567")


@pytest.mark.parametrize("texts", [family_texts(), grammar_texts(500, seed=9)])
def test_a_cut_prompt_has_the_tokens_that_the_document_begins_with(
    tokenizer: Any, texts: list[str]
) -> None:
    for text in texts:
        whole = ids(tokenizer, text)
        puzzle, solution, _ = text.split("\n")
        header = solution.split(": return ", 1)[0] + ":"
        for prompt in ("def f(", f"{puzzle}\n{header}", f"{puzzle}\n", ""):
            assert text.startswith(prompt)
            cut = ids(tokenizer, prompt)
            assert whole[: len(cut)] == cut, prompt


def test_a_solving_prompt_is_the_beginning_of_its_training_text(tokenizer: Any) -> None:
    rng = random.Random(5)
    for one in (family.instance(rng) for family in FAMILIES):
        text = example_text(one.puzzle, one.solution, layout="line")
        prompt = ids(tokenizer, solving_prompt(parse(one.puzzle), layout="line").text)
        assert ids(tokenizer, text)[: len(prompt)] == prompt


def test_documents_fit_the_context(tokenizer: Any, model: Any) -> None:
    longest = max(len(ids(tokenizer, text)) for text in family_texts() + grammar_texts())
    assert longest <= model.config.max_position_embeddings == 192


# the model


def test_it_is_a_llama_of_about_a_million_weights_with_tied_embeddings(model: Any) -> None:
    assert type(model) is transformers.LlamaForCausalLM
    assert sum(weight.numel() for weight in model.parameters()) == 918_656
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.pad_token_id == 0


def test_weights_have_the_documented_spread(model: Any) -> None:
    layer = model.model.layers[2]
    expected = {
        model.model.embed_tokens: 0.04,
        layer.self_attn.q_proj: 0.02 * math.sqrt(512 / 128),
        layer.mlp.up_proj: 0.02 * math.sqrt(512 / 128),
        layer.self_attn.o_proj: 0.02 / math.sqrt(8),
        layer.mlp.down_proj: 0.02 / math.sqrt(8),
    }
    for module, deviation in expected.items():
        assert module.weight.std().item() == pytest.approx(deviation, rel=0.03)
    assert (layer.input_layernorm.weight == 1).all()


def test_an_untrained_model_is_about_as_surprised_as_chance(tokenizer: Any, model: Any) -> None:
    batch = tokenizer(family_texts(1)[0], return_tensors="pt")
    with torch.no_grad():
        loss = model(**batch, labels=batch.input_ids).loss.item()
    assert loss == pytest.approx(math.log(512), abs=0.5)


def test_it_learns(tokenizer: Any, folder: Path) -> None:
    """Thirty steps on one batch halve the loss: the saved weights are fit for training."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    batch = tokenizer(family_texts(1)[:16], return_tensors="pt", padding=True)
    labels = batch.input_ids.masked_fill(batch.attention_mask == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


# determinism

REBUILD = """
import pathlib, sys
from etude.tiny.model import build
build(pathlib.Path(sys.argv[1]), sys.stdin.read().split("\\0"), seed=int(sys.argv[2]))
"""


def rebuilt(folder: Path, seed: int, hash_seed: str) -> dict[str, bytes]:
    """The files of a model that another process builds."""
    command = [sys.executable, "-c", REBUILD, str(folder), str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "TOKENIZERS_PARALLELISM": "false"}
    text = "\0".join(grammar_texts())
    subprocess.run(command, input=text, text=True, env=environment, check=True, capture_output=True)
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes_in_any_process(folder: Path, tmp_path: Path) -> None:
    found = files(folder)
    assert {"model.safetensors", "tokenizer.json", "config.json"} <= set(found)
    assert rebuilt(tmp_path / "again", 0, "1") == found


def test_another_seed_changes_the_weights_alone(folder: Path, tmp_path: Path) -> None:
    build(tmp_path, grammar_texts(), seed=1)
    changed = {name for name, data in files(tmp_path).items() if files(folder)[name] != data}
    assert changed == {"model.safetensors"}


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    build(tmp_path, grammar_texts(300), hidden=64, layers=1, ffn=64, vocab_size=300, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


# what is refused


def test_sizes_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hidden size must be .* 100 was given for 3 heads"):
        build(tmp_path, grammar_texts(100), hidden=100, heads=3, seed=0)


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="vocabulary of 512 tokens but gave 2"):
        build(tmp_path, ["def f(x): return x"], seed=0)
