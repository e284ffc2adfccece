"""The ways to train: adapters, less memory, another schedule; and what a folder says of itself."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

import engines_models
from etude import __version__, config
from etude.arm import fit_options
from etude.engines.transformers import TransformersEngine
from etude.engines.transformers.loading import quiet, torch_threads
from etude.errors import InputError, RecipeError
from etude.training import FitSettings, Fitted, fit
from etude.training.card import _code, _front_matter_of, write_card
from etude.types import Prompt

DOCUMENTS = engines_models.DOCUMENTS
SETTINGS = FitSettings(epochs=1, learning_rate=3e-3, batch_tokens=256, precision="fp32")
WAYS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora", "lora_dropout": 0.1},
    "packing": {"packing": True, "block_tokens": 90},
    "accumulate": {"accumulate": 3},
    "checkpointing": {"checkpointing": True},
    "all": {"method": "lora", "packing": True, "accumulate": 2, "checkpointing": True},
}
KINDS = ("gpt_neo", "llama", "qwen2")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    made = {kind: engines_models.build(kind, place / kind) for kind in KINDS}
    config = json.loads((made["gpt_neo"] / "config.json").read_text())
    config["resid_dropout"] = 0.1  # its training reads random numbers all the way
    (made["gpt_neo"] / "config.json").write_text(json.dumps(config))
    return made


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with torch_threads(1):
        yield


def settings(way: str = "", **changes: Any) -> FitSettings:
    return dataclasses.replace(SETTINGS, **(WAYS[way] if way else {}), **changes)


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return loaded


def assert_close(folder: Path, other: Path) -> None:
    theirs = weights(other)
    for name, weight in weights(folder).items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_interrupted_each_way_ends_with_the_same_bytes(
    way: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    model, chosen, texts = folders["gpt_neo"], settings(way, epochs=2), DOCUMENTS[:75]
    often = dataclasses.replace(chosen, save_every_seconds=0)
    fit(model, texts, tmp_path / "undisturbed", chosen, seed=1)
    with pytest.raises(KeyboardInterrupt):
        fit(model, texts, tmp_path / "out", often, seed=1, progress=stop)
    told: list[int] = []
    fit(model, texts, tmp_path / "out", often, seed=1, progress=lambda at, _: told.append(at))
    assert told[0] == 20, "it began again instead of going on"
    assert content(tmp_path / "out") == content(tmp_path / "undisturbed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["accumulate", "checkpointing"])
def test_what_saves_memory_changes_nothing(
    kind: str, way: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """A batch in three parts is the batch; what is computed twice is the same twice."""
    texts = [text[: 20 + 7 * (index % 9)] for index, text in enumerate(DOCUMENTS)]
    still = {"epochs": 0.5, "packing": True, "block_tokens": 60}
    config = json.loads((folders[kind] / "config.json").read_text())
    if config.get("resid_dropout"):
        config["resid_dropout"] = 0.0  # which tokens are dropped is drawn part by part
    base = tmp_path / "base"
    base.mkdir()
    for name, data in content(folders[kind]).items():
        (base / name).write_bytes(data)
    (base / "config.json").write_text(json.dumps(config))
    fit(base, texts, tmp_path / "plain", settings(**still), seed=1)
    fit(base, texts, tmp_path / "saving", settings(way, **still), seed=1)
    assert_close(tmp_path / "saving", tmp_path / "plain")
    losses = [
        pq.read_table(tmp_path / name / "loss.parquet")["loss"].to_pylist()
        for name in ("plain", "saving")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_into_what_every_engine_loads(
    kind: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    base, out = folders[kind], tmp_path / "out"
    assert fit(base, DOCUMENTS, out, settings("lora"), seed=1).method == "lora"
    rows = pq.read_table(out / "loss.parquet").to_pylist()
    assert rows[-1]["loss"] < rows[0]["loss"]
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is dep", FutureWarning)
            adapted = PeftModel.from_pretrained(plain, out / "adapter").eval()
        merged = AutoModelForCausalLM.from_pretrained(out, attn_implementation="eager").eval()
    ids = torch.tensor([[1, 30, 40, 50, 60]])
    with torch.inference_mode():
        want, got = adapted(input_ids=ids).logits, merged(input_ids=ids).logits
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)
    moved = {
        name
        for name, weight in weights(out).items()
        if not torch.equal(weight, weights(base)[name])
    }
    assert moved
    assert not any("embed" in name or "wte" in name or "norm" in name for name in moved)
    prompt = Prompt("def f(x: int, a=3):", "def f(x: int, a=3):")
    assert TransformersEngine(out, threads=1).next_token_probabilities(prompt)


def test_an_adapter_is_small_and_names_no_folder(folders: dict[str, Path], tmp_path: Path) -> None:
    fit(folders["llama"], DOCUMENTS, tmp_path / "out", settings("lora", lora_rank=2), seed=1)
    adapter = tmp_path / "out" / "adapter"
    assert {path.name for path in adapter.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert str(tmp_path.parent) not in (adapter / "adapter_config.json").read_text()
    shapes = {
        tuple(weight.shape) for weight in load_file(adapter / "adapter_model.safetensors").values()
    }
    assert {min(shape) for shape in shapes} == {2}


def test_adapters_where_they_are_asked_for(folders: dict[str, Path], tmp_path: Path) -> None:
    chosen = settings("lora", lora_targets=("q_proj", "v_proj"))
    fit(folders["qwen2"], DOCUMENTS, tmp_path / "out", chosen, seed=1)
    before, after = weights(folders["qwen2"]), weights(tmp_path / "out")
    moved = {name.split(".")[-2] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"q_proj", "v_proj"}


def test_a_target_that_is_not_there_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    chosen = settings("lora", lora_targets=("q_proj", "query"))
    with pytest.raises(RecipeError, match=r"'query' is none of them. It has .*q_proj.*v_proj"):
        fit(folders["llama"], DOCUMENTS, tmp_path / "out", chosen, seed=1)


def test_a_constant_schedule_warms_up_by_steps(folders: dict[str, Path], tmp_path: Path) -> None:
    chosen = settings(schedule="constant", warmup_steps=15, batch_tokens=128)
    report = fit(folders["llama"], DOCUMENTS, tmp_path / "out", chosen, seed=1)
    assert report.steps > 40
    for row in pq.read_table(tmp_path / "out" / "loss.parquet").to_pylist():
        want = chosen.learning_rate * min(1.0, (row["step"] - 1) / 15)
        assert row["learning_rate"] == pytest.approx(want)


def test_the_optimiser_is_the_recipes(folders: dict[str, Path], tmp_path: Path) -> None:
    """One step of AdamW from the start is sign-like; without betas it would not be, nor decay."""
    one = {"batch_tokens": 10**6, "warmup_steps": 0, "schedule": "constant", "clip": 0}
    base = weights(folders["qwen2"])
    for number, changes in enumerate(
        [{"weight_decay": 0.0}, {"weight_decay": 10.0}, {"epsilon": 10.0}]
    ):
        fit(
            folders["qwen2"],
            DOCUMENTS[:20],
            tmp_path / str(number),
            settings(**one, **changes),
            seed=1,
        )
    name = "model.layers.0.mlp.up_proj.weight"
    plain, decayed, damped = (weights(tmp_path / str(number))[name] for number in range(3))
    step = (plain - base[name]).abs()
    assert step.median() == pytest.approx(SETTINGS.learning_rate, rel=1e-2)
    torch.testing.assert_close(
        plain - decayed, base[name] * SETTINGS.learning_rate * 10, rtol=1e-2, atol=1e-5
    )
    assert (damped - base[name]).abs().max() < step.median() / 10


def too_small(most: int) -> Callable[..., Any]:
    """A forward pass for which the memory holds no more than `most` tokens."""
    forward = LlamaForCausalLM.forward

    def limited(self: Any, input_ids: torch.Tensor, **rest: Any) -> Any:
        if input_ids.numel() > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, input_ids, **rest)

    return limited


@pytest.mark.parametrize("late", [False, True])
def test_out_of_memory_cuts_the_batch_and_goes_on(
    late: bool,
    folders: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At once, or after a checkpoint: then no step that was saved is done again."""
    chosen, texts, told = settings(save_every_seconds=0), DOCUMENTS, list[int]()
    fit(folders["llama"], texts, tmp_path / "enough", SETTINGS, seed=1)

    def shrink(done: int, total: int) -> None:
        told.append(done)
        if late and told == [10, 20]:
            monkeypatch.setattr(LlamaForCausalLM, "forward", too_small(100))

    if not late:
        monkeypatch.setattr(LlamaForCausalLM, "forward", too_small(100))
    capsys.readouterr()
    report = fit(folders["llama"], texts, tmp_path / "out", chosen, seed=1, progress=shrink)
    said = capsys.readouterr().err
    assert "cut into 2 parts" in said
    assert "cut into 4 parts" in said
    assert told == [*range(10, report.steps, 10), report.steps]
    assert_close(tmp_path / "out", tmp_path / "enough")


def test_a_memory_too_small_for_one_row_is_said(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlamaForCausalLM, "forward", too_small(10))
    with pytest.raises(RecipeError, match="must hold one row of a batch and the model, but"):
        fit(folders["llama"], DOCUMENTS[:20], tmp_path / "out", SETTINGS, seed=1)


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for name, data in content(folder).items():
        (to / name).write_bytes(data)
    return to


def test_a_model_without_a_padding_token_is_trained(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    base = copied(folders["llama"], tmp_path / "base")
    made = PreTrainedTokenizerFast(tokenizer_file=str(base / "tokenizer.json"), bos_token="<bos>")
    made.save_pretrained(base)
    config = json.loads((base / "config.json").read_text())
    config["pad_token_id"] = None
    (base / "config.json").write_text(json.dumps(config))
    fit(base, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1)
    fit(folders["llama"], DOCUMENTS, tmp_path / "padded", SETTINGS, seed=1)
    for name, weight in weights(tmp_path / "out").items():
        assert torch.equal(weight, weights(tmp_path / "padded")[name])


def test_a_tokenizer_larger_than_the_model_is_named(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    base = copied(folders["llama"], tmp_path / "base")
    made = PreTrainedTokenizerFast(tokenizer_file=str(base / "tokenizer.json"), bos_token="<bos>")
    made.add_tokens(["return b - a"])
    made.save_pretrained(base)
    rows = weights(base)["model.embed_tokens.weight"].shape[0]
    with pytest.raises(InputError, match=rf"token {rows} and the model knows {rows}, from 0"):
        fit(base, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1)


def test_sixteen_bits_without_a_gpu_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(RecipeError, match="precision fp16 needs a GPU, but there is none"):
        fit(folders["llama"], DOCUMENTS, tmp_path / "out", settings(precision="fp16"), seed=1)


def test_documents_of_one_token_teach_nothing(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a token to learn"):
        fit(folders["llama"], ["", ""], tmp_path / "out", SETTINGS, seed=1)
    report = fit(
        folders["llama"], ["", DOCUMENTS[0]], tmp_path / "out", settings(batch_tokens=1), seed=1
    )
    assert report.steps == 2
    assert all(torch.isfinite(weight).all() for weight in weights(tmp_path / "out").values())


def test_the_card_says_what_it_is(folders: dict[str, Path], tmp_path: Path) -> None:
    base = copied(folders["llama"], tmp_path / "base")
    (base / "README.md").write_text(
        "---\nlicense: apache-2.0\nbase_model: someone/their-model\n---\n# Theirs\n"
    )
    judged = json.dumps({"isolation": "full", "limits": {"cpu_seconds": 1.0}})
    fit(base, DOCUMENTS, tmp_path / "one", settings("lora"), seed=1, judged=judged)
    card = (tmp_path / "one" / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "apache-2.0"
    assert head["base_model"] == "someone/their-model"
    for words in (__version__, "| `documents` | `150` |", "from_pretrained(folder)", "`adapter/`"):
        assert words in card
    assert "| `isolation` | `full` |" in card
    assert "| `lora_rank` | `16` |" in card
    assert str(tmp_path.parent) not in card
    fit(tmp_path / "one", DOCUMENTS, tmp_path / "two", SETTINGS, seed=1)
    assert 'license: "apache-2.0"' in (tmp_path / "two" / "README.md").read_text()
    assert not (tmp_path / "two" / "adapter").exists()


@pytest.mark.parametrize(
    "theirs",
    [
        "no front matter",
        "---\nlicense: [a, b]\n---\n",
        "---\nlicense: '`x`\\n# Heading <script>'\nbase_model: '<b>'\n---\n",
        "---\n: {\n---\n",
        "---\nlicense: !!python/object/apply:os.system ['true']\n---\n",
        "---\n- 1\n---\n",
    ],
)
def test_a_base_with_a_strange_card_states_no_licence(
    theirs: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    base = copied(folders["llama"], tmp_path / "<b>`x`|y")
    (base / "README.md").write_text(theirs)
    write_card(tmp_path, base, SETTINGS, Fitted(1, 0, 1, 9, "fp32", 1), judged="[1]")
    card = (tmp_path / "README.md").read_text()
    assert "license:" not in card
    assert "base_model:" not in card
    assert "states no licence" in card
    assert "# Heading" not in card


@given(st.text(max_size=60))
def test_a_quoted_text_is_one_code_span_in_one_cell(text: str) -> None:
    quoted = _code(text)
    fence = quoted[: len(quoted) - len(quoted.lstrip("`"))]
    inside = quoted[len(fence) : -len(fence)]
    assert quoted.endswith(fence)
    assert fence not in inside
    assert "|" not in quoted
    assert quoted.isprintable()


@given(st.text(max_size=200))
def test_any_card_is_read_or_said_to_say_nothing(text: str) -> None:
    assert isinstance(_front_matter_of(f"---\n{text}\n---\n"), dict)


def test_every_setting_of_a_recipe_reaches_the_training() -> None:
    asked = ["train.method=lora", 'train.lora_targets=["q_proj"]', "train.warmup_steps=10"]
    recipe = config.load("smoke", [*asked, "train.betas=[0.9, 0.999]", "train.loss=solution"])
    assert config.parse(config.dump(recipe), "itself") == recipe
    made = FitSettings(**fit_options(recipe, recipe.train))  # type: ignore[arg-type]
    assert (made.method, made.lora_targets, made.warmup_steps) == ("lora", ("q_proj",), 10)
    assert (made.betas, made.loss, made.epochs) == ((0.9, 0.999), "solution", recipe.train.epochs)


def test_recipe_and_library_have_the_same_defaults() -> None:
    defaults = {one.name: one.default for one in dataclasses.fields(FitSettings)}
    for name, field in config.FitSection.model_fields.items():
        assert name in defaults
        if not field.is_required():
            assert field.default == defaults[name], name


def test_a_pretraining_has_no_solutions() -> None:
    with pytest.raises(RecipeError, match=r"pretrain.loss is 'solution'"):
        config.load("smoke", ["pretrain.loss=solution"])
