"""Packing: several documents in a row, and none of them learns of another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

import engines_models
from etude.engines.transformers.loading import load_tokenizer, quiet, torch_threads
from etude.errors import InputError, RecipeError
from etude.training import Document, FitSettings, fit
from etude.training.batches import make_batches, padding
from etude.training.documents import Tokens, tokenise
from etude.training.rows import IGNORED, check_packing, next_token_loss, tensors

KINDS = [("gpt_neo", "eager"), ("llama", "eager"), ("llama", "sdpa"), ("qwen2", "sdpa")]
SETTINGS = FitSettings(
    epochs=1, learning_rate=1e-3, batch_tokens=512, precision="fp32", packing=True, block_tokens=90
)
Row = list[list[int]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {
        kind: engines_models.build(kind, place / kind) for kind in ("gpt_neo", "llama", "qwen2")
    }


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


@pytest.fixture(params=KINDS, ids="-".join)
def model(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Any:
    kind, attention = request.param
    with quiet():
        loaded = AutoModelForCausalLM.from_pretrained(folders[kind], attn_implementation=attention)
    return loaded.eval()


@pytest.fixture(scope="module")
def documents(folders: dict[str, Path]) -> list[Tokens]:
    """Documents of many lengths, some longer than GPT-Neo's local window of 7 tokens."""
    texts = [text[: 6 + 11 * (number % 4)] for number, text in enumerate(engines_models.DOCUMENTS)]
    return tokenise(load_tokenizer(folders["llama"]), texts[:12], "text")


def read(model: Any, rows: Row, documents: list[Tokens]) -> tuple[Tensor, Tensor]:
    """Logits of a packed batch, and its loss."""
    made = tensors(rows, documents, model.config._attn_implementation)
    labels = made.pop("labels")
    outputs = model(**made, use_cache=False)
    return outputs.logits, next_token_loss(outputs, labels)


def gradients(model: Any, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def test_a_packed_row_reads_as_its_documents_alone(model: Any, documents: list[Tokens]) -> None:
    row = [3, 0, 2, 1]
    logits, _ = read(model, [row, [5]], documents)
    at = 0
    for index in row:
        ids = torch.tensor(documents[index].ids, dtype=torch.long)
        alone = model(input_ids=ids[None], use_cache=False).logits[0]
        torch.testing.assert_close(logits[0, at : at + len(ids)], alone, rtol=1e-4, atol=1e-5)
        at += len(ids)


def test_loss_and_gradients_are_those_of_the_documents_one_by_one(
    model: Any, documents: list[Tokens]
) -> None:
    rows = [[3, 0, 2], [1, 4], [5]]
    _, packed = read(model, rows, documents)
    got = gradients(model, packed)
    count = sum(documents[index].learned for row in rows for index in row)
    losses = []
    for index in [index for row in rows for index in row]:
        made = tensors([[index]], documents)
        labels = made.pop("labels")
        losses.append(next_token_loss(model(**made, use_cache=False), labels, count))
    total = torch.stack(losses).sum()
    torch.testing.assert_close(packed, total, rtol=1e-5, atol=1e-6)
    want = gradients(model, total)
    for name, gradient in got.items():
        torch.testing.assert_close(gradient, want[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_document_changes_nothing_of_its_neighbours(
    model: Any, documents: list[Tokens], changed: int
) -> None:
    """Not one bit of their logits, and not one of what they contribute to the gradient."""
    row = [3, 2, 1]
    other = dataclasses.replace(
        documents[row[changed]], ids=documents[row[changed]].ids[::-1].copy()
    )
    later = [other if index == row[changed] else one for index, one in enumerate(documents)]
    lengths = [len(documents[index]) for index in row]
    own = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths)) == changed
    seen = []
    for these in (documents, later):
        made = tensors([row], these, model.config._attn_implementation)
        made["labels"][0, own] = IGNORED  # what the neighbours alone contribute
        labels = made.pop("labels")
        outputs = model(**made, use_cache=False)
        seen.append((outputs.logits[0, ~own], gradients(model, next_token_loss(outputs, labels))))
    assert torch.equal(seen[0][0], seen[1][0])
    for name, gradient in seen[0][1].items():
        assert torch.equal(gradient, seen[1][1][name]), name


def test_the_comparison_above_would_see_a_leak(model: Any, documents: list[Tokens]) -> None:
    made = tensors([[3, 2]], documents, model.config._attn_implementation)
    del made["attention_mask"], made["position_ids"], made["labels"]
    leaking = model(**made, use_cache=False).logits
    apart, _ = read(model, [[3, 2]], documents)
    assert not torch.allclose(leaking, apart, rtol=1e-2, atol=1e-2)


def test_padding_and_empty_parts_teach_nothing(model: Any, documents: list[Tokens]) -> None:
    logits, loss = read(model, [], documents)
    assert torch.isfinite(logits).all()
    assert loss == 0
    assert all((gradient == 0).all() for gradient in gradients(model, loss).values())
    wide, _ = read(model, [[3, 0], [1]], documents)
    assert torch.isfinite(wide).all()


def test_no_document_is_learned_from_the_one_before(documents: list[Tokens]) -> None:
    made = tensors([[3, 0]], documents, "sdpa")
    start = len(documents[3])
    assert made["labels"][0, 0] == made["labels"][0, start] == IGNORED
    assert (made["labels"] != IGNORED).sum() == documents[3].learned + documents[0].learned
    assert made["position_ids"][0, start] == 0


def test_a_model_that_can_not_keep_documents_apart_is_refused(documents: list[Tokens]) -> None:
    """Mamba's state runs through the row, whatever the mask says."""
    config = MambaConfig(vocab_size=200, hidden_size=16, num_hidden_layers=1, state_size=4)
    with quiet():
        recurrent = MambaForCausalLM(config)
    with pytest.raises(InputError, match=r"packing needs .* MambaForCausalLM"):
        check_packing(recurrent, [[[3, 0]]], documents)


def test_a_mask_that_is_not_heeded_is_found(
    model: Any, documents: list[Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_packing(model, [[[0]], [[3, 2]]], documents)
    forward = type(model).forward

    def heedless(
        self: Any,
        input_ids: Tensor,
        attention_mask: Any = None,
        position_ids: Any = None,
        **rest: Any,
    ) -> Any:
        return forward(
            self, input_ids, position_ids=position_ids, attention_mask=None, use_cache=True
        )

    monkeypatch.setattr(type(model), "forward", heedless)
    with pytest.raises(InputError, match=r"they do: turn packing off"):
        check_packing(model, [[[3, 2]]], documents)


def test_attention_without_a_mask_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    flash = dataclasses.replace(SETTINGS, attention="flash_attention_2")
    with pytest.raises(RecipeError, match="attention eager or sdpa, but got 'flash_attention_2'"):
        fit(folders["llama"], engines_models.DOCUMENTS, tmp_path / "out", flash, seed=1)


@pytest.mark.parametrize("kind", ["gpt_neo", "llama", "qwen2"])
def test_a_training_on_packed_rows_learns_the_same_per_token(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Without any learning, the mean loss over the same documents is the same packed or not."""
    still = dataclasses.replace(SETTINGS, learning_rate=1e-30, weight_decay=0, batch_tokens=10**6)
    texts = [text[: 20 + 7 * (i % 9)] for i, text in enumerate(engines_models.DOCUMENTS[:60])]
    losses = []
    for packing in (True, False):
        out = tmp_path / str(packing)
        report = fit(folders[kind], texts, out, dataclasses.replace(still, packing=packing), seed=1)
        assert report.steps == 1
        losses.append(pq.read_table(out / "loss.parquet").to_pylist()[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_row_stays_within_the_context(folders: dict[str, Path], tmp_path: Path) -> None:
    """GPT-Neo's own masks have 96 rows, and no more."""
    wide = dataclasses.replace(SETTINGS, block_tokens=4096, batch_tokens=4096)
    report = fit(folders["gpt_neo"], engines_models.DOCUMENTS[:40], tmp_path / "out", wide, seed=1)
    assert report.documents == 40


def boundary(text: str, prompt: int, tokenizer: Any) -> tuple[list[str], list[str]]:
    [tokens] = tokenise(tokenizer, [Document(text, prompt)], "solution")
    words = [tokenizer.decode([int(index)]) for index in tokens.ids]
    return words[: tokens.first], words[tokens.first :]


def test_only_the_solution_is_learned(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["llama"])
    text = engines_models.DOCUMENTS[0]
    at = text.index("def g")
    read_, learned = boundary(text, at, tokenizer)
    assert "".join(learned) == text[at:]
    assert "".join(read_) == f"<bos>{text[:at]}"


def test_a_token_that_straddles_the_boundary_is_learned(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["llama"])
    text = engines_models.DOCUMENTS[0]
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    start, end = next(pair for pair in offsets if pair[1] - pair[0] > 2)
    for prompt, first in ((start, start), (start + 1, start), (end - 1, start), (end, end)):
        _, learned = boundary(text, prompt, tokenizer)
        assert "".join(learned) == text[first:], prompt


def test_without_a_prompt_the_whole_text_is_learned(folders: dict[str, Path]) -> None:
    tokenizer = load_tokenizer(folders["llama"])
    texts = engines_models.DOCUMENTS[:5]
    solution, text = (tokenise(tokenizer, texts, loss) for loss in ("solution", "text"))
    assert [(one.first, list(one.ids)) for one in solution] == [
        (one.first, list(one.ids)) for one in text
    ]


@pytest.mark.parametrize("prompt", [-1, 4, 9])
def test_a_prompt_must_leave_something(prompt: int, folders: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=rf"document 1 has {prompt} of 4"):
        tokenise(load_tokenizer(folders["llama"]), ["x", Document("text", prompt)], "solution")


def test_the_loss_of_a_training_is_that_of_the_solutions(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    still = FitSettings(
        epochs=1, learning_rate=1e-30, weight_decay=0, batch_tokens=10**6, precision="fp32",
        loss="solution",
    )  # fmt: skip
    texts = engines_models.DOCUMENTS[:20]
    whole = [Document(text, text.index("def g")) for text in texts]
    report = fit(folders["llama"], whole, tmp_path / "out", still, seed=1)
    [row] = pq.read_table(tmp_path / "out" / "loss.parquet").to_pylist()
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folders["llama"], attn_implementation="eager")
    tokens = tokenise(load_tokenizer(folders["llama"]), whole, "solution")
    total = torch.zeros(())
    for one in tokens:
        ids = torch.tensor(one.ids, dtype=torch.long)
        with torch.inference_mode():
            logits = model.eval()(input_ids=ids[None]).logits[0]
        total += torch.nn.functional.cross_entropy(
            logits[one.first - 1 : -1], ids[one.first :], reduction="sum"
        )
    assert report.loss_tokens == sum(one.learned for one in tokens) < report.tokens
    assert row["loss"] == pytest.approx(float(total) / report.loss_tokens, rel=1e-5)


def test_packing_saves_padding() -> None:
    lengths = [20 + 37 * number % 150 for number in range(600)]
    loose, tight = (
        padding(make_batches(lengths, 1, 4096, 0, block), lengths) for block in (None, 1024)
    )
    assert tight < 0.03
    assert tight < loose


@pytest.mark.parametrize(("kind", "attention"), KINDS)
def test_packed_rows_in_bfloat16_learn_nearly_the_same(
    kind: str, attention: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Masks are in another precision than what they are added to."""
    losses = []
    for precision in ("bf16", "fp32"):
        chosen = dataclasses.replace(SETTINGS, attention=attention, checkpointing=True)
        chosen = dataclasses.replace(chosen, precision=precision, method="lora", batch_tokens=2048)
        fit(folders[kind], engines_models.DOCUMENTS[:60], tmp_path / precision, chosen, seed=1)
        rows = pq.read_table(tmp_path / precision / "loss.parquet").to_pylist()
        losses.append(rows[-1]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
