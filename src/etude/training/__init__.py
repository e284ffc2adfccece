"""Full fine-tuning of a causal language model, with transformers' Trainer.

    fit("base", ["def f(x: int): ...", ...], Path("checkpoint"), FitSettings(epochs=2), seed=1)

The result is a plain transformers folder with the loss curve (`loss.parquet`) and what was done
(`training.json`) in it. It appears all at once, so its existence means that training is over.

Covered: one process on one device; resuming after a kill; on a CPU, the same arguments give the
same bytes, however often the work was interrupted. Not covered: several GPUs, adapters.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from etude.engines.transformers.loading import (
    check_source,
    context_length,
    encode,
    load_config,
    load_model,
    load_tokenizer,
    quiet,
    torch_threads,
)
from etude.errors import InputError, RecipeError
from etude.store import writing_to
from etude.training.batches import make_batches

__all__ = ["FitSettings", "Fitted", "fit", "resolve_precision"]

Precision = Literal["auto", "bf16", "fp32"]

LOSS_EVERY = 10
"""Steps that one row of the loss table is the mean of."""
IGNORED = -100
"""The label that transformers leaves out of the loss."""
COMPLETE = "complete"
"""The file that is written last into a checkpoint."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to train. One step is one batch; the learning rate falls as a cosine after the warmup."""

    epochs: float = 1.0
    """Passes over the documents; 1.5 shows a random half of them a second time."""
    learning_rate: float = 1e-3
    batch_tokens: int = 1024
    """Tokens of a batch, padding included. A longer document is a batch of its own."""
    weight_decay: float = 0.05
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises to its full value."""
    final_lr: float = 0.05
    """The learning rate of the last step, as a share of the full one."""
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    """Largest norm of the gradient; 0 clips nothing."""
    precision: Precision = "auto"
    """`bf16` computes in bfloat16 and keeps weights in float32. See `resolve_precision`."""
    threads: int = 1
    """CPU threads. More than one may round differently from run to run."""
    save_every_seconds: float = 60.0
    """How much work a kill may cost."""
    attention: str = "eager"
    """transformers' attention. On a CPU in bf16, `sdpa` has a slow backward pass."""

    def __post_init__(self) -> None:
        for name in ("epochs", "learning_rate", "batch_tokens", "threads"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0, but got {getattr(self, name)}.")
        for name in ("warmup", "final_lr"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(
                    f"{name} must be from 0 to below 1, but got {getattr(self, name)}."
                )
        if self.precision not in ("auto", "bf16", "fp32"):
            raise RecipeError(f"precision must be auto, bf16 or fp32, but got {self.precision!r}.")


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a training did: the content of `training.json`."""

    documents: int
    """Documents trained on."""
    too_long: int
    """Documents left out because they are longer than the model's context."""
    steps: int
    tokens: int
    """Tokens of all documents over all epochs, padding left out."""
    precision: str
    """`bf16` or `fp32`."""
    seed: int


def resolve_precision(precision: Precision = "auto") -> str:
    """`bf16` or `fp32`. `auto` is bf16 where the device multiplies it natively.

    That is a GPU with bfloat16, or a CPU with AMX or AVX512-BF16 instructions: there bf16 is
    faster than fp32, elsewhere it is emulated and slower.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    cpu = torch.cpu
    native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def fit(
    model: str | Path,
    documents: Sequence[str],
    out: Path,
    settings: FitSettings,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Trains `model` on `documents`, whole texts with their begin-of-text token, into folder `out`.

    Called again after a kill it goes on from the newest checkpoint in `<out>.partial`, a folder
    beside `out` that is removed at the end; other arguments start afresh. If `out` exists, nothing
    is done. No global random state is changed.

    Args:
        model: a folder written by `save_pretrained`, or a name on the hub.
        progress: is told (steps done, steps in all) now and then.

    Raises:
        InputError: no such model, no document that fits its context, `out` is something else,
            or the disk is full; what was done is kept.
        RecipeError: the loss is no longer a number.
    """
    work = out.with_name(f"{out.name}.partial")
    if not out.exists():
        plan = _Plan.make(model, documents, settings, seed)
        with writing_to(work), quiet(), torch_threads(settings.threads), _random_state_kept():
            _train(model, plan, settings, work, progress)
            os.replace(work / "result", out)
            _sync(out.parent)
    report = out / "training.json"
    if not report.is_file():
        raise InputError(
            f"{out} must be new or hold a finished training, but has no {report.name}."
        )
    shutil.rmtree(work, ignore_errors=True)
    return Fitted(**json.loads(report.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class _Plan:
    """Everything that the arguments decide, before the first step."""

    fingerprint: str
    """Equal for equal arguments: whether a checkpoint belongs to them."""
    batches: list[list[list[int]]]
    """One batch a step: its documents as token ids."""
    report: Fitted

    @staticmethod
    def make(
        model: str | Path, documents: Sequence[str], settings: FitSettings, seed: int
    ) -> _Plan:
        limit = context_length(load_config(model)) or math.inf
        encoded = encode(load_tokenizer(model), documents)
        fitting = [ids for ids in encoded if len(ids) <= limit]
        if not fitting:
            raise InputError(
                f"There must be a document of at most {limit} tokens to train on, but "
                + (f"all {len(documents)} are longer." if documents else "there are no documents.")
            )
        batches = make_batches(fitting, settings.epochs, settings.batch_tokens, seed)
        precision = resolve_precision(settings.precision)
        report = Fitted(
            documents=len(fitting),
            too_long=len(encoded) - len(fitting),
            steps=len(batches),
            tokens=sum(len(ids) for batch in batches for ids in batch),
            precision=precision,
            seed=seed,
        )
        about = [_model_digest(model), asdict(settings), asdict(report), batches]
        return _Plan(hashlib.sha256(json.dumps(about).encode()).hexdigest(), batches, report)


def _model_digest(model: str | Path) -> str:
    """Which weights training starts from: the content of a folder, or a hub name."""
    source = check_source(model)
    folder = Path(source)
    if not folder.is_dir():
        return source
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class _Batches(Dataset[dict[str, Tensor]]):
    """One item a batch, padded on the right."""

    def __init__(self, batches: Sequence[list[list[int]]]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        # No attention mask: padding follows the text, and a causal model doesn't look ahead.
        batch = self._batches[index]
        width = max(map(len, batch))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in batch])
        lengths = torch.tensor([len(row) for row in batch])
        padding = torch.arange(width) >= lengths[:, None]
        return {"input_ids": ids, "labels": ids.masked_fill(padding, IGNORED)}


class _Watch(TrainerCallback):
    """Decides when to note the loss and when to save, and tells how far we are."""

    def __init__(self, every_seconds: float, progress: Callable[[int, int], None] | None) -> None:
        self._every_seconds = every_seconds
        self._progress = progress
        self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Saves only where a row of the loss table ends, so that a resumed table is the same."""
        last = state.global_step == state.max_steps
        control.should_log = last or state.global_step % LOSS_EVERY == 0
        due = time.monotonic() - self._saved >= self._every_seconds
        control.should_save = control.should_log and due and not last

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Stops loudly when there is nothing left to learn from."""
        logs = given["logs"]
        if not math.isfinite(logs.get("loss", 0.0)):
            raise RecipeError(
                f"The loss must be a number, but is {logs['loss']} at step {state.global_step}: "
                "lower learning_rate, or use precision fp32."
            )
        if self._progress and "loss" in logs:
            self._progress(state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Marks the checkpoint as whole, once everything in it is on the disk."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        _sync(*folder.iterdir(), folder)
        (folder / COMPLETE).touch()
        _sync(folder)
        self._saved = time.monotonic()


def _train(
    model: str | Path,
    plan: _Plan,
    settings: FitSettings,
    work: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Leaves the trained model in `work / "result"`."""
    checkpoint = _prepare(work, plan.fingerprint)
    trained = load_model(model, dtype="float32", attention=settings.attention)
    use_cache = trained.config.use_cache
    trainer = Trainer(
        model=trained,
        args=_arguments(plan, settings, work),
        train_dataset=_Batches(plan.batches),
        data_collator=lambda items: items[0],
        callbacks=[_Watch(settings.save_every_seconds, progress)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    # The Trainer turns it off for training; whoever loads the result wants what was there before.
    trained.config.use_cache = use_cache
    result = work / "result"
    trained.save_pretrained(result)
    load_tokenizer(model).save_pretrained(result)
    pq.write_table(_loss_table(plan, trainer.state.log_history), result / "loss.parquet")
    report = json.dumps(asdict(plan.report), indent=2)
    (result / "training.json").write_text(report + "\n", encoding="utf-8")
    _sync(*result.iterdir(), result)


def _arguments(plan: _Plan, settings: FitSettings, work: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(work),
        max_steps=len(plan.batches),
        per_device_train_batch_size=1,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": settings.final_lr},
        warmup_steps=math.ceil(settings.warmup * len(plan.batches)),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        max_grad_norm=settings.clip,
        bf16=plan.report.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        seed=plan.report.seed,
        # When to log and to save is `_Watch`'s doing.
        logging_strategy="no",
        save_strategy="no",
        # One more than needed: the older one goes before the newer one is marked as complete.
        save_total_limit=2,
        # A loss that is no number must be seen, not replaced by an average.
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        log_level="error",
    )


def _prepare(work: Path, fingerprint: str) -> Path | None:
    """Makes the working folder ready. Returns the newest complete checkpoint in it, if any."""
    mark = work / "fingerprint"
    if not mark.is_file() or mark.read_text(encoding="utf-8") != fingerprint:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        mark.write_text(fingerprint, encoding="utf-8")
    shutil.rmtree(work / "result", ignore_errors=True)
    complete = []
    for folder in work.glob("checkpoint-*"):
        if (folder / COMPLETE).is_file():
            complete.append(folder)
        else:
            shutil.rmtree(folder)
    return max(complete, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def _loss_table(plan: _Plan, history: Sequence[dict[str, Any]]) -> pa.Table:
    """step, epoch, loss, learning_rate, tokens: one row for each `LOSS_EVERY` steps."""
    rows = [row for row in history if "loss" in row]
    documents = np.cumsum([len(batch) for batch in plan.batches])
    tokens = np.cumsum([sum(map(len, batch)) for batch in plan.batches])
    at = [row["step"] - 1 for row in rows]
    return pa.table(
        {
            "step": pa.array([row["step"] for row in rows], pa.int64()),
            "epoch": pa.array(documents[at] / plan.report.documents, pa.float64()),
            "loss": pa.array([row["loss"] for row in rows], pa.float64()),
            "learning_rate": pa.array([row["learning_rate"] for row in rows], pa.float64()),
            "tokens": pa.array(tokens[at], pa.int64()),
        }
    )


def _sync(*paths: Path) -> None:
    """Makes files, and the names in folders, outlast a power cut."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """The Trainer seeds Python's, NumPy's and torch's global generators; puts them back."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count()))
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
