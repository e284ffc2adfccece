"""The transformers engine against a loop without any of its shortcuts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import engines_models
import etude.engines.transformers as module
from etude.engines import open_engine
from etude.engines.transformers import (
    TransformersEngine,
    decoding,
    loading,
    memory,
    prefill,
)
from etude.engines.transformers.loading import load_config, load_tokenizer, quiet, torch_threads
from etude.errors import InputError
from etude.prompts import function_end
from etude.types import Prompt, Sample

NEW = 24
PROMPTS = [
    Prompt("def f(x: int, a=3): return x + a == 5\ndef g(a=3):", "def g(a=3):"),
    Prompt("def f(", "def f("),
    Prompt("def g(a=17, b=4):\n", "def g(a=17, b=4):\n"),
    Prompt("def g(a=1): return", "def g(a=1): return"),
    Prompt("def f(x: int, a=12, b=2): return x == a\n\ndef g(a=12, b=2):", "def g(a=12, b=2):"),
]


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt2", "gpt_neo"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


@pytest.fixture
def engine(folder: Path) -> Iterator[TransformersEngine]:
    opened = TransformersEngine(folder, threads=1)
    yield opened
    opened.close()


class Plain:
    """The same samples from whole forward passes: no cache, no batch, no padding, no masks."""

    def __init__(self, folder: Path, dtype: str = "float32") -> None:
        with quiet():
            self.model: Any = AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation="eager", dtype=dtype
            ).eval()
            self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    @torch.inference_mode()
    def logits(self, ids: list[int]) -> torch.Tensor:
        return self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]

    def probabilities(self, prompt: Prompt) -> torch.Tensor:
        return self.logits(self.tokenizer(prompt.text)["input_ids"]).float().softmax(-1)

    def sample(self, prompt: Prompt, uniforms: list[float], temperature: float) -> Sample:
        ids, new = self.tokenizer(prompt.text)["input_ids"], []
        for uniform in uniforms:
            logits = self.logits(ids + new)
            if temperature:
                cumulative = torch.softmax(logits / temperature, -1).cumsum(-1)
                token = int((cumulative <= uniform * cumulative[-1]).sum())
            else:
                token = int(logits.argmax())
            if token == self.tokenizer.eos_token_id:
                return self.finished(prompt, self.tokenizer.decode(new))
            new.append(token)
            text = self.tokenizer.decode(new)
            end = function_end(prompt.opening, text)
            if end is not None:
                return Sample(text[:end], finished=True)
        return Sample(self.tokenizer.decode(new), finished=False)

    def finished(self, prompt: Prompt, text: str) -> Sample:
        return Sample(text[: function_end(prompt.opening, text + "\n.")], finished=True)


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.3])
def test_samples_equal_those_of_a_loop_without_shortcuts(
    engine: TransformersEngine, folder: Path, temperature: float
) -> None:
    got = engine.sample(PROMPTS, 6, seed=3, temperature=temperature, max_new_tokens=NEW)
    plain = Plain(folder)
    for place, prompt in enumerate(PROMPTS):
        uniforms = module._uniforms(3, place, 6, NEW).tolist()
        assert got[place] == [plain.sample(prompt, row, temperature) for row in uniforms]


def test_the_cases_above_have_early_ends_late_ends_and_none(engine: TransformersEngine) -> None:
    drawn = engine.sample(PROMPTS, 6, seed=3, temperature=1.3, max_new_tokens=NEW)
    samples = [sample for row in drawn for sample in row]
    assert {sample.finished for sample in samples} == {True, False}
    assert len({len(sample.text) for sample in samples if sample.finished}) > 3


@pytest.mark.parametrize("max_rows", [1, 4, 9])
def test_the_size_of_a_batch_changes_nothing(
    engine: TransformersEngine, folder: Path, max_rows: int
) -> None:
    other = TransformersEngine(folder, threads=1, max_rows=max_rows)
    want = engine.sample(PROMPTS, 6, seed=1, temperature=1.0, max_new_tokens=NEW)
    assert other.sample(PROMPTS, 6, seed=1, temperature=1.0, max_new_tokens=NEW) == want


def test_dropping_finished_rows_changes_nothing(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for share in (0.0, 1.01):
        monkeypatch.setattr(module, "COMPACT_BELOW", share)
        results.append(engine.sample(PROMPTS, 9, seed=2, temperature=1.2, max_new_tokens=40))
    assert results[0] == results[1]


def test_a_prompt_is_sampled_alike_in_any_company(engine: TransformersEngine) -> None:
    alone = engine.sample(PROMPTS[:1], 4, seed=8, temperature=1.0, max_new_tokens=NEW)
    among = engine.sample(PROMPTS, 4, seed=8, temperature=1.0, max_new_tokens=NEW)
    assert among[0] == alone[0]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
    ids=["gpu", "host", "allocator"],
)
def test_a_batch_too_large_for_the_memory_is_halved(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    want = engine.sample(PROMPTS, 6, seed=4, temperature=1.0, max_new_tokens=NEW)
    start, sizes = decoding.start, []

    def small_memory(model: Any, prompts: Any, n: int, *rest: Any) -> Any:
        sizes.append(len(prompts) * n)
        if len(prompts) * n > 4:
            raise error
        return start(model, prompts, n, *rest)

    monkeypatch.setattr(decoding, "start", small_memory)
    assert engine.sample(PROMPTS, 6, seed=4, temperature=1.0, max_new_tokens=NEW) == want
    assert max(sizes) == 30
    assert sizes.count(3) == 10
    sizes.clear()
    assert engine.sample(PROMPTS, 6, seed=4, temperature=1.0, max_new_tokens=NEW) == want
    assert max(sizes) <= 4, "what was too much once is not tried again"


def test_no_memory_for_one_sample_is_one_sentence(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(decoding, "start", none)
    with pytest.raises(InputError, match=r"must have memory for one sample, .* tokens and 24 new"):
        TransformersEngine(llama).sample(PROMPTS, 6, seed=4, temperature=1.0, max_new_tokens=NEW)


def test_another_error_is_not_taken_for_a_lack_of_memory(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(decoding, "start", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        TransformersEngine(llama).sample(PROMPTS, 6, seed=4, temperature=1.0, max_new_tokens=NEW)


def test_rows_follow_from_the_memory_and_the_size_of_a_row(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a GPT-Neo, which copies the prompt's keys and values, takes exactly their bytes."""
    model = engine._model
    shares = model.config.model_type != "gpt_neo"
    config = model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    token = 2 * config.num_hidden_layers * heads * 8 * 4
    own = 24 + (60 // 6 + 1 if shares else 60)
    row = own * token + memory.LOGITS * config.vocab_size
    monkeypatch.setattr(memory, "CPU_BYTES", 7 * row)
    assert memory.Rows(model, 0, shares=shares).most(60, 24, 6) == 7
    assert memory.Rows(model, 3, shares=shares).most(60, 24, 6) == 3
    rows = memory.Rows(model, 0, shares=shares)
    rows.learn(5)
    assert rows.most(60, 24, 6) == 2
    rows.learn(1)
    assert rows.most(60, 24, 6) == 1


def test_a_small_memory_changes_nothing(
    engine: TransformersEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = engine.sample(PROMPTS, 6, seed=1, temperature=1.0, max_new_tokens=NEW)
    for rows in (1, 4, 9):
        monkeypatch.setattr(memory, "CPU_BYTES", rows * 40_000)
        assert engine.sample(PROMPTS, 6, seed=1, temperature=1.0, max_new_tokens=NEW) == want


def test_a_chat_prompt_is_rendered_and_its_reply_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = TransformersEngine(engines_models.build("llama", tmp_path, chat=True), threads=1)
    chat = Prompt("return a + b", "", chat=True)
    [ids] = opened._encode([chat], 4)
    assert opened._tokenizer.decode(ids) == "<bos>f(return a + b)g("
    reply = opened._tokenizer("def g():\n    return a\n\ndef f(")["input_ids"][1:]
    for ending, finished in (([opened._tokenizer.eos_token_id], True), ([], False)):
        steps = iter([*reply, *ending])
        monkeypatch.setattr(
            decoding,
            "draw",
            lambda logits, *_, steps=steps: torch.full(logits.shape[:1], next(steps)),
        )
        [[said]] = opened.sample(
            [chat], 1, seed=0, temperature=1.0, max_new_tokens=len(reply) + len(ending)
        )
        assert said == Sample("def g():\n    return a\n\ndef f(", finished)


def test_functions_and_messages_go_in_one_batch(tmp_path: Path) -> None:
    opened = TransformersEngine(engines_models.build("llama", tmp_path, chat=True), threads=1)
    mixed = [PROMPTS[0], Prompt("return a + b", "", chat=True), PROMPTS[1]]
    settings: dict[str, Any] = {"seed": 3, "temperature": 1.0, "max_new_tokens": NEW}
    drawn = opened.sample(mixed, 6, **settings)
    assert drawn[0] == opened.sample(mixed[:1], 6, **settings)[0]
    assert any("\n" in sample.text.strip() for sample in drawn[1])


def test_a_message_needs_a_chat_template(llama: Path, tmp_path: Path) -> None:
    chat = Prompt("return a + b", "", chat=True)
    with pytest.raises(InputError, match=r"needs a model with a chat template, but .* has none"):
        TransformersEngine(llama).fits(chat, 4)
    folder = engines_models.build("llama", tmp_path, chat=True)
    (folder / "chat_template.jinja").write_text("{{ raise_exception('no users here') }}")
    with pytest.raises(InputError, match=r"chat template of .* fails: no users here"):
        TransformersEngine(folder).fits(chat, 4)


def test_code_in_a_models_folder_is_never_run_and_not_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on the console, where `yes |` would answer it."""
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "code.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Mine: pass\n")
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda words="": asked.append(words) or "y")
    for load in (load_config, load_tokenizer):
        with pytest.raises(InputError, match="can't be loaded"):
            load(tmp_path)
    assert not asked
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = engines_models.build("llama", tmp_path)
    smaller = engines_models._model("llama", 60, engines_models.CONTEXT)
    with quiet():
        smaller.save_pretrained(folder)
    with pytest.raises(InputError, match=r"tokenizer of .* must belong to the model, but has 88"):
        TransformersEngine(folder)


def test_a_token_that_was_added_without_the_model_is_refused(tmp_path: Path) -> None:
    folder = engines_models.build("llama", tmp_path)
    words = engines_models.tokenizer()
    words.add_tokens(["<added>"])
    words.save_pretrained(folder)
    opened = TransformersEngine(folder, threads=1)
    settings: dict[str, Any] = {"seed": 0, "temperature": 1.0, "max_new_tokens": 4}
    assert len(opened.sample(PROMPTS, 1, **settings)) == len(PROMPTS)
    with pytest.raises(InputError, match="makes token 88 of prompt 0, and the model has 88"):
        opened.sample([Prompt("def <added>", "def <added>")], 1, **settings)


def test_a_model_without_a_token_for_padding_samples(tmp_path: Path) -> None:
    folder = engines_models.build("gpt_neo", tmp_path)
    want = TransformersEngine(folder, threads=1).sample(
        PROMPTS, 2, seed=0, temperature=1.0, max_new_tokens=NEW
    )
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    opened = TransformersEngine(folder, threads=1)
    assert opened._tokenizer.pad_token_id is None
    assert opened.sample(PROMPTS, 2, seed=0, temperature=1.0, max_new_tokens=NEW) == want


def test_sixteen_bits_where_they_pay() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    config = engines_models._model("llama", 100, 32).config
    config.dtype = torch.bfloat16
    assert module._best_dtype(config, cpu) == "float32"
    assert module._best_dtype(config, gpu) == "bfloat16"
    config.dtype = torch.float16
    assert module._best_dtype(config, gpu) == "float16"


def test_a_name_of_the_hub_without_a_network_is_one_sentence_and_fast(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(loading, "HF_HUB_OFFLINE", False)
    start = time.monotonic()
    for name in ("etude-tests/no-such-model", "no such name at all"):
        with pytest.raises(InputError, match=rf"{name} must be a folder.*can't be reached"):
            TransformersEngine(name)
    assert time.monotonic() - start < 5


def test_without_the_hub_what_is_in_the_cache_is_taken(
    llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(loading, "HF_HUB_OFFLINE", False)
    found = str(llama / "config.json")
    monkeypatch.setattr(loading, "try_to_load_from_cache", lambda *_: found)
    assert loading._cached_only("etude-tests/cached")
    monkeypatch.setattr(loading, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(loading, "try_to_load_from_cache", lambda *_: None)
    assert loading._cached_only("etude-tests/left-to-transformers")


def test_next_token_probabilities_equal_a_plain_forward_pass(
    engine: TransformersEngine, folder: Path
) -> None:
    plain = Plain(folder)
    for prompt in PROMPTS:
        got = torch.tensor(engine.next_token_probabilities(prompt))
        torch.testing.assert_close(got, plain.probabilities(prompt), rtol=1e-4, atol=1e-6)


LONG = "def f(x: int, a=12, b=2): return x + a == b\n" * 2
EXAMPLES = [
    Prompt(LONG + text, text)
    for text in ("def g(a=12, b=2):", "def g(a=3):", "def f(", "def g(a=17, b=4):\n", "def g():")
]
"""What they have in common is longer than GPT-Neo's window here."""


@pytest.mark.parametrize("max_rows", [5, 64])
def test_what_prompts_begin_with_is_computed_once_and_changes_nothing(
    engine: TransformersEngine, folder: Path, monkeypatch: pytest.MonkeyPatch, max_rows: int
) -> None:
    read = []

    def listening(model: Any, ids: torch.Tensor, *rest: Any) -> Any:
        read.append(ids.numel())
        return forward(model, ids, *rest)

    forward = prefill._forward
    monkeypatch.setattr(prefill, "_forward", listening)
    monkeypatch.setattr(engine, "_rows", memory.Rows(engine._model, max_rows, shares=True))
    got = engine.sample(EXAMPLES, 4, seed=3, temperature=1.0, max_new_tokens=30)
    plain = Plain(folder)
    assert sum(read) < 0.5 * sum(len(plain.tokenizer(one.text)["input_ids"]) for one in EXAMPLES)
    for place, prompt in enumerate(EXAMPLES):
        uniforms = module._uniforms(3, place, 4, 30).tolist()
        assert got[place] == [plain.sample(prompt, row, 1.0) for row in uniforms]


def test_a_prefix_leaves_every_prompt_a_token_of_its_own(engine: TransformersEngine) -> None:
    twins = [EXAMPLES[0], EXAMPLES[0], Prompt(LONG, "")]
    got = engine.sample(twins, 3, seed=5, temperature=0.0, max_new_tokens=NEW)
    alone = [
        engine.sample([one], 3, seed=5, temperature=0.0, max_new_tokens=NEW)[0] for one in twins
    ]
    assert got == alone


def test_a_short_or_lonely_prefix_is_no_prefix(engine: TransformersEngine) -> None:
    model, long = engine._model, list(range(3, 40))
    assert prefill.Prefix.of(model, [long]) is None
    assert prefill.Prefix.of(model, [long[:16], long[:16]]) is None
    assert prefill.Prefix.of(model, [long[:17], long[:17]]).length == 16


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gpt_neo_shares_prompts_in_half_precision(tmp_path: Path, dtype: str) -> None:
    """Its scores are not scaled: what half precision can't hold must not become NaN."""
    folder = engines_models.build("gpt_neo", tmp_path)
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weights[name] *= 60
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    opened = TransformersEngine(folder, dtype=dtype, threads=1)
    got = torch.tensor(opened.next_token_probabilities(EXAMPLES[0]))
    want = Plain(folder, dtype).probabilities(EXAMPLES[0])
    torch.testing.assert_close(got, want, rtol=0, atol=0.02)


def test_which_models_share_prompts(tmp_path: Path) -> None:
    for kind, way in (
        ("llama", decoding.Shared),
        ("gpt_neo", decoding.Shared),
        ("gpt2", decoding.Expanded),
    ):
        opened = TransformersEngine(engines_models.build(kind, tmp_path / kind))
        assert isinstance(decoding.start(opened._model, [[1, 5]], 2, 3), way)


def test_nothing_that_has_probability_zero_is_drawn() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, float("-inf"), 0.0, float("-inf")]] * 5)
    uniforms = torch.tensor([0.0, 0.49, 0.5, 0.51, 1 - 2**-24])
    assert decoding.draw(logits, uniforms, 1.0).tolist() == [1, 1, 3, 3, 3]


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    uniforms = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    drawn = decoding.draw(logits.expand(40_000, 4), uniforms, 0.5)
    shares = torch.bincount(drawn, minlength=4) / 40_000
    torch.testing.assert_close(shares, (logits / 0.5).softmax(-1), rtol=0, atol=0.01)


def test_the_limit_of_the_context_is_kept_and_named(llama: Path) -> None:
    opened = TransformersEngine(llama, threads=1)
    tokens = len(AutoTokenizer.from_pretrained(llama)(PROMPTS[0].text)["input_ids"])
    room = engines_models.CONTEXT - tokens
    assert opened.fits(PROMPTS[0], room)
    assert not opened.fits(PROMPTS[0], room + 1)
    opened.sample(PROMPTS[:1], 1, seed=0, temperature=1.0, max_new_tokens=room)
    with pytest.raises(InputError, match=f"96 tokens.*has {tokens} and {room + 1} new"):
        opened.sample(PROMPTS[:1], 1, seed=0, temperature=1.0, max_new_tokens=room + 1)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\n    return a\ndef", "\n    return a"),
        ("\n    return a\n\ndef", "\n    return a"),
        (" return a\n", " return a"),
        ("\n    return b\n    return a\n\n  b\n)", "\n    return b\n    return a\n\n  b"),
    ],
)
def test_a_function_ends_with_the_first_token_that_shows_it(
    llama: Path, monkeypatch: pytest.MonkeyPatch, written: str, kept: str
) -> None:
    """Given the tokens, the end is seen with the last one and not before."""
    opened = TransformersEngine(llama, threads=1)
    tokens = opened._tokenizer(written)["input_ids"][1:]
    stop = opened._tokenizer.eos_token_id
    for room, finished in ((len(tokens), True), (len(tokens) - 1, False)):
        steps = iter(tokens)
        monkeypatch.setattr(
            decoding, "draw", lambda logits, *_, steps=steps: spoken(next(steps), logits, stop)
        )
        [[ended, *others]] = opened.sample(
            PROMPTS[:1], 4, seed=0, temperature=1.0, max_new_tokens=room
        )
        assert ended == Sample("", finished=True)
        shown = kept if finished else opened._ends.text(tokens[0], tokens[:room])
        assert others == [Sample(shown, finished)] * 3


def spoken(token: int, logits: torch.Tensor, stop: int) -> torch.Tensor:
    """The same token in all rows; in the first of four the end of the text."""
    said = torch.full(logits.shape[:1], token)
    said[: len(said) // 4] = stop
    return said


def test_text_is_kept_letter_for_letter(tmp_path: Path) -> None:
    """Tokenizers that tidy spaces before punctuation must not do so in programs."""
    folder = engines_models.build("llama", tmp_path)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["clean_up_tokenization_spaces"] = True
    settings["clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"] = True
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    opened = TransformersEngine(folder, threads=1)
    text = " x , a == b , 3\n    a"
    ids = opened._tokenizer(text)["input_ids"][1:]
    assert opened._tokenizer.decode(ids) != text
    assert opened._ends.text(5, ids) == text


def test_threads_are_put_back(llama: Path) -> None:
    before = torch.get_num_threads()
    TransformersEngine(llama, threads=before + 1).sample(
        PROMPTS, 1, seed=0, temperature=1.0, max_new_tokens=2
    )
    assert torch.get_num_threads() == before


def test_bfloat16_samples_too(llama: Path) -> None:
    opened = TransformersEngine(llama, dtype="bfloat16", threads=1)
    [row] = opened.sample(PROMPTS[:1], 3, seed=0, temperature=1.0, max_new_tokens=8)
    assert len(row) == 3
    assert opened._model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": -1}, "n, .* must be 0 or more, but got -1"),
        ({"temperature": -0.1}, "temperature must be 0 or more"),
        ({"temperature": float("nan")}, "temperature must be 0 or more"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
    ],
)
def test_arguments_out_of_range(llama: Path, options: dict[str, Any], words: str) -> None:
    arguments = {"n": 1, "seed": 0, "temperature": 1.0, "max_new_tokens": 4, **options}
    with pytest.raises(InputError, match=words):
        TransformersEngine(llama, threads=1).sample(PROMPTS, arguments.pop("n"), **arguments)


def test_a_folder_that_is_no_model(tmp_path: Path, llama: Path) -> None:
    with pytest.raises(InputError, match=r"must hold config\.json"):
        TransformersEngine(tmp_path)
    with pytest.raises(InputError, match="is missing"):
        TransformersEngine(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        TransformersEngine(tmp_path / "file")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((llama / name).read_bytes())
    with pytest.raises(InputError, match=r"The model of .* can't be loaded"):
        TransformersEngine(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(InputError, match=r"The model of .* can't be loaded"):
        TransformersEngine(tmp_path)
    weights = load_file(llama / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"1 are missing, such as model\.norm\.weight"):
        TransformersEngine(tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "cuda:77"}, "device must be .*cuda:77"),
        ({"device": "toaster"}, "device must be .*toaster"),
        ({"dtype": "int4"}, "dtype must be one of .*int4"),
        ({"max_rows": -1}, "max_rows must be 0 or more"),
    ],
)
def test_options_out_of_range(llama: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_engine("transformers", llama, **options)


def test_a_closed_engine_says_so(llama: Path) -> None:
    opened = TransformersEngine(llama, threads=1)
    opened.close()
    opened.close()
    with pytest.raises(InputError, match="is closed"):
        opened.sample(PROMPTS, 1, seed=0, temperature=1.0, max_new_tokens=4)


def test_an_unknown_kind_of_engine() -> None:
    with pytest.raises(
        InputError, match="must be one of transformers, vllm, openai, replay, but got 'gpt'"
    ):
        open_engine("gpt", "x")


def test_torch_waits_until_an_engine_needs_it() -> None:
    code = "import sys, etude.engines, etude.engines.replay; print('torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert answer.stdout == "False\n"
