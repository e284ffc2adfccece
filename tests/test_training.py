"""Training: the same bytes from the same arguments, whatever happens on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

import engines_models
from etude import config, training
from etude.engines.transformers import TransformersEngine
from etude.engines.transformers.loading import encode, load_tokenizer, quiet, torch_threads
from etude.errors import InputError, RecipeError
from etude.precision import resolve_precision
from etude.training import FitSettings, Fitted, fit
from etude.training.batches import make_batches, padding, parts_of, width
from etude.training.plan import make_plan, model_id
from etude.types import Prompt, content_id

DOCUMENTS = engines_models.DOCUMENTS
SETTINGS = FitSettings(
    epochs=2, learning_rate=3e-3, batch_tokens=256, precision="fp32", save_every_seconds=0
)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with dropout: its training reads random numbers all the way."""
    folder = engines_models.build("gpt_neo", tmp_path_factory.mktemp("gpt_neo"))
    config = json.loads((folder / "config.json").read_text())
    config["resid_dropout"] = 0.1
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def undisturbed(dropping: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    fit(dropping, DOCUMENTS, out, SETTINGS, seed=1)
    return out


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def plain_model(folder: Path) -> Any:
    with quiet():
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def test_the_same_arguments_give_the_same_bytes(
    dropping: Path, undisturbed: Path, tmp_path: Path
) -> None:
    torch.rand(7)  # What was drawn before must not matter.
    fit(dropping, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1)
    assert content(tmp_path / "out") == content(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_seed_matters(llama: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        fit(llama, DOCUMENTS, tmp_path / str(seed), SETTINGS, seed=seed)
    first, second = (content(tmp_path / str(seed)) for seed in (1, 2))
    assert first["model.safetensors"] != second["model.safetensors"]


NAMES = ("plain", "early", "mixed")


def test_a_share_of_an_early_model_is_in_the_weights(llama: Path, tmp_path: Path) -> None:
    plain = dataclasses.replace(SETTINGS, epochs=0.5)
    fit(llama, DOCUMENTS, tmp_path / "plain", plain, seed=1)
    early = tmp_path / "early"
    fit(llama, DOCUMENTS, early, plain, seed=2)
    mixing = dataclasses.replace(plain, early_share=0.25)
    fit(llama, DOCUMENTS, tmp_path / "mixed", mixing, seed=1, early=early)
    with quiet():
        first, second, mixed = (plain_model(tmp_path / name).state_dict() for name in NAMES)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    for name in first:
        torch.testing.assert_close(mixed[name], 0.75 * first[name] + 0.25 * second[name])
    assert "| `early_share` | `0.25` |" in (tmp_path / "mixed" / "README.md").read_text()
    told = {name: json.loads((tmp_path / name / "training.json").read_text()) for name in NAMES}
    assert told["mixed"]["early"].endswith("/early")
    assert told["mixed"]["early_id"] == told["early"]["weights"]
    assert told["plain"]["early"] == told["plain"]["early_id"] == ""


def test_another_early_model_starts_afresh(llama: Path, tmp_path: Path) -> None:
    """An interrupted training is not continued with what it was not begun with."""
    settings = dataclasses.replace(SETTINGS, early_share=0.25)
    shutil.copytree(llama, tmp_path / "other")
    (tmp_path / "other" / "note").write_text("other")
    plans = [make_plan(llama, DOCUMENTS, settings, 1, one) for one in (llama, tmp_path / "other")]
    assert plans[0].fingerprint != plans[1].fingerprint


def test_what_cannot_be_mixed_is_refused(llama: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="method must be full"):
        dataclasses.replace(SETTINGS, early_share=0.25, method="lora")
    with pytest.raises(RecipeError, match=r"final\.method must be full, but is lora"):
        config.load("smoke", ["final.early_share=0.25", "final.method=lora"])
    settings = dataclasses.replace(SETTINGS, early_share=0.25)
    with pytest.raises(RecipeError, match="needs an early model"):
        fit(llama, DOCUMENTS, tmp_path / "out", settings, seed=1)


SCRIPT = """
import json, sys
from pathlib import Path
import test_training as t
t.fit(sys.argv[1], t.DOCUMENTS, Path(sys.argv[2]), t.SETTINGS, seed=1)
"""


def killed_at(step: int, model: Path, out: Path) -> None:
    """Trains in a process of its own, which is killed soon after it saved at `step`."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(model), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(command, env=environment)
    saved = out.with_name("out.partial") / f"checkpoint-{step}" / training.COMPLETE
    try:
        while not saved.exists():
            assert process.poll() is None, "the training ended before it was killed"
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_killed_anywhere_it_ends_with_the_same_bytes(
    dropping: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for step in (10, 30):
        killed_at(step, dropping, out)
        assert not out.exists()
    told: list[tuple[int, int]] = []
    fit(dropping, DOCUMENTS, out, SETTINGS, seed=1, progress=lambda *at: told.append(at))
    assert told[0][0] > 30, "it began again instead of going on"
    assert content(out) == content(undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def stopped_at(step: int, model: Path, out: Path, settings: FitSettings = SETTINGS) -> None:
    def stop(done: int, total: int) -> None:
        if done == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(model, DOCUMENTS, out, settings, seed=1, progress=stop)


def test_a_half_written_checkpoint_is_not_used(
    dropping: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, work = tmp_path / "out", tmp_path / "out.partial"
    stopped_at(40, dropping, out)
    newest = work / "checkpoint-30"
    assert (newest / training.COMPLETE).exists()
    half = work / "checkpoint-40"
    half.mkdir()
    for name in ("config.json", "trainer_state.json", "model.safetensors"):
        (half / name).write_bytes((newest / name).read_bytes()[:-40])
    (work / "result").mkdir()
    (work / "result" / "model.safetensors").write_bytes(b"half")
    told: list[int] = []
    fit(dropping, DOCUMENTS, out, SETTINGS, seed=1, progress=lambda at, _: told.append(at))
    assert told[0] == 40
    assert content(out) == content(undisturbed)


def test_other_arguments_start_afresh(dropping: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stopped_at(40, dropping, out, dataclasses.replace(SETTINGS, learning_rate=1e-4))
    fit(dropping, DOCUMENTS, out, SETTINGS, seed=1)
    assert content(out) == content(undisturbed)


def never(done: int, total: int) -> None:
    pytest.fail("it trained")


def test_what_is_there_is_not_trained_again(llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = fit(llama, DOCUMENTS, out, SETTINGS, seed=1)
    (tmp_path / "out.partial").mkdir()
    before = content(out)
    assert fit(llama, ["other"], out, SETTINGS, seed=2, progress=never) == first
    assert content(out) == before
    assert not (tmp_path / "out.partial").exists()


def test_what_was_trained_on_is_recorded_with_how_often(llama: Path, tmp_path: Path) -> None:
    """Of 1.5 epochs a random half a second time; what is too long never; copies together."""
    once = [f"def f(x: int): return x == {number}" for number in range(9)]
    long = f"def f(x: str): return x == {'many words ' * 900!r}"
    settings = dataclasses.replace(SETTINGS, epochs=1.5)
    done = fit(llama, [*once, once[0], long], tmp_path / "out", settings, seed=1)
    rows = pq.read_table(tmp_path / "out" / "examples.parquet").to_pylist()
    assert [row["example_id"] for row in rows] == [content_id(text) for text in [*once, long]]
    assert [row["documents"] for row in rows] == [2, *[1] * 8, 1]
    assert rows[-1]["shown"] == 0
    assert sum(row["shown"] for row in rows) == 15
    assert all(row["documents"] <= row["shown"] <= 2 * row["documents"] for row in rows[:-1])
    assert (done.documents, done.too_long) == (10, 1)


@pytest.mark.parametrize("count", [20, 60])
def test_as_many_tokens_as_are_asked_for_however_many_documents(
    llama: Path, tmp_path: Path, count: int
) -> None:
    """Within a document of it, and whatever the epochs say."""
    settings = dataclasses.replace(SETTINGS, epochs=7, tokens=2_000)
    plan = make_plan(llama, DOCUMENTS[:count], settings, seed=1)
    longest = max(map(len, plan.documents))
    assert abs(plan.report.tokens - 2_000) <= longest * math.sqrt(count)


def test_the_weights_are_known_by_their_sum(undisturbed: Path) -> None:
    weights = content(undisturbed)["model.safetensors"]
    report = json.loads(content(undisturbed)["training.json"])
    assert report["weights"] == f"sha256:{hashlib.sha256(weights).hexdigest()}"
    assert report["start_id"].startswith("sha256:")
    assert report["start_id"] != report["weights"]


def test_weights_in_several_files_have_the_sum_of_their_sums(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for name in ("b", "a"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode())
    lines = subprocess.run(
        "sha256sum *.safetensors | sha256sum", cwd=tmp_path, shell=True, check=True,
        capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert model_id(tmp_path) == f"sha256:{lines.split()[0]}"


def test_a_folder_that_is_something_else_is_left_alone(llama: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match=r"must be new or hold a finished training"):
        fit(llama, DOCUMENTS, tmp_path, SETTINGS, seed=1)
    assert content(tmp_path) == {"mine": b""}


def test_the_result_is_a_plain_folder(undisturbed: Path, dropping: Path) -> None:
    names = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    names |= {"tokenizer_config.json", "loss.parquet", "training.json", "README.md"}
    names |= {"examples.parquet", "whole.json"}
    assert set(content(undisturbed)) == names
    before, after = (json.loads(content(f)["config.json"]) for f in (dropping, undisturbed))
    assert after == before
    report = json.loads(content(undisturbed)["training.json"])
    lengths = list(map(len, encode(load_tokenizer(dropping), DOCUMENTS)))
    batches = make_batches(lengths, 2, 256, 1)
    want = Fitted(150, 0, len(batches), 2 * sum(lengths), "fp32", 1, loss_tokens=0, padding=0)
    learned = 2 * sum(lengths) - 2 * 150
    share = round(padding(batches, lengths), 4)
    sums = {name: report[name] for name in ("start", "start_id", "weights")}
    assert sums["start"] == "/".join(dropping.parts[-2:])
    assert Fitted(**report) == dataclasses.replace(want, loss_tokens=learned, padding=share, **sums)


def test_the_loss_table(undisturbed: Path) -> None:
    report = Fitted(**json.loads(content(undisturbed)["training.json"]))
    rows = pq.read_table(undisturbed / "loss.parquet").to_pylist()
    assert list(rows[0]) == ["step", "epoch", "loss", "learning_rate", "tokens"]
    assert [row["step"] for row in rows[:-1]] == list(range(10, report.steps, 10))
    assert (rows[-1]["step"], rows[-1]["tokens"]) == (report.steps, report.tokens)
    assert rows[-1]["epoch"] == 2.0
    assert rows[-1]["loss"] < rows[0]["loss"] / 2


def test_the_learning_rate_rises_and_falls_as_a_cosine(undisturbed: Path) -> None:
    rows = pq.read_table(undisturbed / "loss.parquet").to_pylist()
    total = rows[-1]["step"]
    warmup = math.ceil(SETTINGS.warmup * total)
    for row in rows:
        done = row["step"] - 1  # The rate of a step is set by the steps before it.
        turn = (1 + math.cos(math.pi * (done - warmup) / (total - warmup))) / 2
        factor = turn * (1 - SETTINGS.final_lr) + SETTINGS.final_lr
        want = SETTINGS.learning_rate * (done / warmup if done < warmup else factor)
        assert row["learning_rate"] == pytest.approx(want)


def test_the_loss_is_the_mean_over_the_tokens_of_whole_texts(llama: Path, tmp_path: Path) -> None:
    """Padding is left out, and so is nothing else: compared with one text at a time."""
    still = dataclasses.replace(SETTINGS, epochs=1, learning_rate=1e-30, weight_decay=0)
    texts = [text[: 20 + 7 * (index % 9)] for index, text in enumerate(DOCUMENTS)]
    fit(llama, texts, tmp_path / "out", still, seed=3)
    rows = pq.read_table(tmp_path / "out" / "loss.parquet").to_pylist()
    encoded = encode(load_tokenizer(llama), texts)
    order = make_batches(list(map(len, encoded)), 1, 256, 3)
    batches = [[encoded[index] for [index] in batch] for batch in order]
    model = plain_model(llama)
    assert any(len({len(ids) for ids in batch}) > 1 for batch in batches[:10])
    means = [mean_loss(model, batch) for batch in batches[:10]]
    assert rows[0]["loss"] == pytest.approx(sum(means) / 10, rel=1e-4)


@torch.inference_mode()
def mean_loss(model: Any, batch: Sequence[list[int]]) -> float:
    total = 0.0
    for ids in batch:
        text = torch.tensor(ids)
        logits = model(input_ids=text[None, :-1]).logits[0]
        total += float(torch.nn.functional.cross_entropy(logits, text[1:], reduction="sum"))
    return total / sum(len(ids) - 1 for ids in batch)


@pytest.mark.parametrize("kind", ["llama", "gpt_neo"])
def test_the_sampler_sees_what_training_changed(kind: str, tmp_path: Path) -> None:
    """A sampler on stale weights makes every curve flat."""
    base = engines_models.build(kind, tmp_path / "base")
    prompt = Prompt("def f(x: int, a=3):", "def f(x: int, a=3):")
    stale = TransformersEngine(base, threads=1).next_token_probabilities(prompt)
    once = dataclasses.replace(SETTINGS, epochs=1, batch_tokens=10**6, warmup=0)
    assert fit(base, DOCUMENTS[:50], tmp_path / "out", once, seed=1).steps == 1
    fresh = torch.tensor(
        TransformersEngine(tmp_path / "out", threads=1).next_token_probabilities(prompt)
    )
    ids = AutoTokenizer.from_pretrained(base)(prompt.text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        want = plain_model(tmp_path / "out")(input_ids=ids).logits[0, -1].softmax(-1)
    torch.testing.assert_close(fresh, want, rtol=1e-4, atol=1e-6)
    assert (fresh - torch.tensor(stale)).abs().max() > 1e-3


@pytest.mark.parametrize("more", [{}, {"warmup_steps": 10**9}])
def test_a_single_step_learns(llama: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    """The warm-up begins at 0."""
    settings = dataclasses.replace(SETTINGS, epochs=1, batch_tokens=10**6, warmup=0.05, **more)
    assert fit(llama, DOCUMENTS[:50], tmp_path / "out", settings, seed=1).steps == 1
    assert content(tmp_path / "out")["model.safetensors"] != content(llama)["model.safetensors"]


def test_precisions_side_by_side(llama: Path, tmp_path: Path) -> None:
    weights = {}
    for precision in ("fp32", "bf16", "auto"):
        settings = dataclasses.replace(SETTINGS, precision=precision, epochs=0.2)
        report = fit(llama, DOCUMENTS, tmp_path / precision, settings, seed=1)
        assert report.precision == resolve_precision(precision)
        weights[precision] = content(tmp_path / precision)["model.safetensors"]
    assert weights["fp32"] != weights["bf16"]
    assert weights["auto"] == weights[resolve_precision()]


def test_documents_that_are_too_long_are_counted(llama: Path, tmp_path: Path) -> None:
    long = "return " * engines_models.CONTEXT
    report = fit(llama, [*DOCUMENTS[:9], long], tmp_path / "out", SETTINGS, seed=1)
    assert (report.documents, report.too_long) == (9, 1)
    with pytest.raises(InputError, match=r"at most 96 tokens .* all 1 are longer"):
        fit(llama, [long], tmp_path / "none", SETTINGS, seed=1)
    with pytest.raises(InputError, match="there are no documents"):
        fit(llama, [], tmp_path / "none", SETTINGS, seed=1)


def test_a_loss_that_is_no_number_stops_the_training(llama: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(SETTINGS, learning_rate=1e30, clip=0)
    with pytest.raises(RecipeError, match="loss must be a number, but is nan at step"):
        fit(llama, DOCUMENTS, tmp_path / "out", wild, seed=1)
    assert not (tmp_path / "out").exists()


def test_nothing_global_changes_and_nothing_is_printed(
    llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.rand(3), random.random()  # Away from the state that a seed gives.
    before = (torch.get_rng_state().tolist(), random.getstate(), torch.get_num_threads())
    fit(llama, DOCUMENTS[:40], tmp_path / "out", SETTINGS, seed=1)
    assert (torch.get_rng_state().tolist(), random.getstate(), torch.get_num_threads()) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "epochs must be above 0, but got 0"),
        ({"tokens": -1}, "tokens must be 0 or more, but got -1"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"warmup": 1.0}, "warmup must be from 0 to below 1"),
        ({"final_lr": -0.1}, "final_lr must be from 0"),
        ({"precision": "fp8"}, "precision must be auto, bf16, fp16 or fp32, but got 'fp8'"),
        ({"method": "qlora"}, "method must be full or lora, but got 'qlora'"),
        ({"accumulate": 0}, "accumulate must be above 0, but got 0"),
        ({"lora_dropout": 1}, "lora_dropout must be from 0 to below 1, but got 1"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers from 0 to below 1"),
        ({"warmup_steps": -1}, "warmup_steps must be 0 or more, but got -1"),
        ({"clip": float("nan")}, "clip must be 0 or more, but got nan"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        FitSettings(**change)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=80),
    epochs=st.floats(0.1, 3),
    batch_tokens=st.integers(1, 200),
    seed=st.integers(0, 5),
    block=st.none() | st.integers(1, 90),
)
def test_batches_hold_every_document_once_an_epoch(
    lengths: list[int], epochs: float, batch_tokens: int, seed: int, block: int | None
) -> None:
    batches = make_batches(lengths, epochs, batch_tokens, seed, block)
    assert batches == make_batches(lengths, epochs, batch_tokens, seed, block)
    for batch in batches:
        widths = [width(row, lengths) for row in batch]
        assert len(batch) == 1 or len(batch) * max(widths) <= batch_tokens
        assert all(len(row) == 1 or (block or 0) >= width(row, lengths) for row in batch)
    shown = [index for batch in batches for row in batch for index in row]
    counts = [shown.count(index) for index in range(len(lengths))]
    assert min(counts) >= int(epochs)
    assert max(counts) <= math.ceil(epochs)
    part = epochs - math.floor(epochs)
    extra = max(1, round(part * len(lengths))) if part else 0
    assert len(shown) == math.floor(epochs) * len(lengths) + extra


def test_batches_are_mixed_and_hold_little_padding() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(20, 120) for _ in range(2000)]
    batches = make_batches(lengths, 1, 1024, 0)
    assert padding(batches, lengths) < 0.06
    widths = [max(width(row, lengths) for row in batch) for batch in batches]
    assert widths != sorted(widths)
    assert make_batches(lengths, 1, 1024, 1) != batches


def test_packed_rows_are_nearly_full() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(20, 120) for _ in range(2000)]
    batches = make_batches(lengths, 1, 1024, 0, block_tokens=512)
    assert padding(batches, lengths) < 0.03
    assert max(len(row) for batch in batches for row in batch) > 4


@given(rows=st.integers(0, 20), parts=st.integers(1, 8))
def test_a_batch_is_cut_into_even_parts(rows: int, parts: int) -> None:
    batch = [[index] for index in range(rows)]
    cut = parts_of(batch, parts)
    assert (len(cut), list(itertools.chain(*cut))) == (parts, batch)
    assert max(map(len, cut)) - min(map(len, cut)) <= 1
