"""One process's part of a training, by transformers' Trainer: all of it, where there is one."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, distributed
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from etude.engines.transformers.loading import load_model, load_tokenizer
from etude.errors import InputError, RecipeError
from etude.training import work as folders
from etude.training.adapter import ADAPTER, add_adapter, merge
from etude.training.batches import parts_of
from etude.training.card import write_card
from etude.training.plan import Plan, model_id
from etude.training.rows import check_packing, next_token_loss, tensors
from etude.training.settings import FitSettings

LOSS_EVERY = 10
"""Steps that one row of the loss table is the mean of."""
EXAMPLES = "examples.parquet"
"""The table of what was trained on, beside the weights."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """What a training needs to know; the same in each of its processes."""

    model: str | Path
    plan: Plan
    settings: FitSettings
    work: Path
    accumulate: int
    """The settings', or more where memory ran out."""
    judged: str = ""
    """What the verdicts rest on that chose the documents, for the card."""
    early: str | Path | None = None
    """The model of which the result has `settings.early_share`."""


def train(job: Job, progress: Progress | None) -> None:
    """Leaves the trained model in `work / "result"`, after going on from the newest checkpoint."""
    model = _ready_model(job)
    use_cache = model.config.use_cache
    trainer = Trainer(
        model=model,
        args=_arguments(job),
        train_dataset=_Parts(job),
        data_collator=lambda items: items[0],
        compute_loss_func=next_token_loss,
        callbacks=[_Watch(job.settings.save_every_seconds, progress)],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = folders.newest_checkpoint(job.work)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    trained = _gathered(trainer, job)
    if trained is not None:
        # The Trainer turns it off for training; whoever loads the result wants what was before.
        trained.config.use_cache = use_cache
        _write(trained, job, trainer.state.log_history)


def world() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes what only one may write."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _sharded() -> bool:
    """Whether each process holds a part of the weights alone (FSDP2), not all of them (DDP)."""
    return world() > 1 and torch.cuda.is_available()


def _ready_model(job: Job) -> Any:
    """The model in float32, checked against the documents, with its adapter where there is one."""
    model = load_model(job.model, dtype="float32", attention=job.settings.attention)
    rows = model.get_input_embeddings().num_embeddings
    largest = max(int(tokens.ids.max()) for tokens in job.plan.documents)
    if largest >= rows:
        raise InputError(
            f"The tokenizer of {job.model} must fit its model, but the documents have the token "
            f"{largest} and the model knows {rows}, from 0: resize its embedding, or take the "
            "tokenizer that it was trained with."
        )
    if job.settings.packing:
        check_packing(model, job.plan.batches, job.plan.documents)
    if job.settings.method == "lora":
        return add_adapter(model, job.settings, job.plan.report.seed)
    return model


class _Parts(Dataset[dict[str, Tensor]]):
    """One item a part of a batch: those of the first batch, then those of the second, and so on.

    accelerate deals them out in turn, so that a step of all processes is just one batch.
    """

    def __init__(self, job: Job) -> None:
        self._plan = job.plan
        self._packing = job.settings.attention if job.settings.packing else None
        self._parts = job.accumulate * world()

    def __len__(self) -> int:
        return len(self._plan.batches) * self._parts

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        step, part = divmod(index, self._parts)
        rows = parts_of(self._plan.batches[step], self._parts)[part]
        return tensors(rows, self._plan.documents, self._packing)


class _Watch(TrainerCallback):
    """Decides when to note the loss and when to save, and tells how far we are."""

    def __init__(self, every_seconds: float, progress: Progress | None) -> None:
        self._every_seconds = every_seconds
        self._progress = progress
        self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Saves only where a row of the loss table ends, so that a resumed table is the same."""
        last = state.global_step == state.max_steps
        control.should_log = last or state.global_step % LOSS_EVERY == 0
        control.should_save = control.should_log and not last and self._is_due(args.device)

    def _is_due(self, device: torch.device) -> bool:
        """Clocks differ, and saving takes all processes: the first one's decides."""
        due = time.monotonic() - self._saved >= self._every_seconds
        if world() == 1:
            return due
        said = torch.tensor([due], dtype=torch.int32, device=device)
        distributed.broadcast(said, src=0)
        return bool(said.item())

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
        """Marks the checkpoint as whole, once every process has written its part of it."""
        if world() > 1:
            distributed.barrier()
        if is_first():
            folders.mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}")
        self._saved = time.monotonic()


def _arguments(job: Job) -> TrainingArguments:
    settings, report = job.settings, job.plan.report
    made = TrainingArguments(
        output_dir=str(job.work),
        max_steps=report.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=job.accumulate,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        adam_epsilon=settings.epsilon,
        max_grad_norm=settings.clip,
        bf16=report.precision == "bf16",
        fp16=report.precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        seed=report.seed,
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
        **_schedule(settings, report.steps),
        **_memory(settings),
    )
    # One process is one device. With more, the Trainer would deal its batches out to all, in
    # which each item is a whole part already.
    made._n_gpu = min(made.n_gpu, 1)
    return made


def _schedule(settings: FitSettings, steps: int) -> dict[str, Any]:
    """The learning rate over the steps. It is 0 at the first one of a warm-up, which therefore ends
    before the last: a single step learns too."""
    share = math.ceil(settings.warmup * steps)
    warmup = min(share if settings.warmup_steps is None else settings.warmup_steps, steps - 1)
    if settings.schedule == "constant":
        return {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": warmup}
    return {
        "lr_scheduler_type": "cosine_with_min_lr",
        "lr_scheduler_kwargs": {"min_lr_rate": settings.final_lr},
        "warmup_steps": warmup,
    }


def _memory(settings: FitSettings) -> dict[str, Any]:
    """Sharding, and what is computed twice."""
    if not _sharded():
        return {
            "activation_checkpointing": settings.checkpointing,
            "ddp_backend": "gloo" if world() > 1 else None,
            "ddp_find_unused_parameters": False,
        }
    plan = {"version": 2, "reshard_after_forward": True, "state_dict_type": "FULL_STATE_DICT"}
    return {
        "fsdp": True,
        "fsdp_config": plan | {"activation_checkpointing": settings.checkpointing},
    }


def _gathered(trainer: Trainer, job: Job) -> Any:
    """The whole plain model in the first process, with its adapter merged; None in the others."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if _sharded():
        weights = trainer.accelerator.get_state_dict(trainer.model)
        if is_first():
            model = load_model(job.model, dtype="float32", attention=job.settings.attention)
            if job.settings.method == "lora":
                model = add_adapter(model, job.settings, job.plan.report.seed)
            model.load_state_dict(weights)
    if not is_first():
        return None
    return merge(model, job.work / "result") if job.settings.method == "lora" else model


@torch.no_grad()
def _mix(trained: Any, job: Job) -> None:
    """Moves the trained weights towards the early model's, by its share."""
    if not job.settings.early_share:
        return
    assert job.early is not None, "the plan refuses a share of nothing"
    early = load_model(job.early, dtype="float32", attention=job.settings.attention)
    theirs = dict(early.named_parameters())
    for name, weights in trained.named_parameters():  # tied ones once
        weights.lerp_(theirs[name].to(weights), job.settings.early_share)


def _write(trained: Any, job: Job, history: Sequence[dict[str, Any]]) -> None:
    result = job.work / "result"
    _mix(trained, job)
    trained.save_pretrained(result)
    load_tokenizer(job.model).save_pretrained(result)
    pq.write_table(_loss_table(job.plan, history), result / "loss.parquet")
    pq.write_table(_example_table(job.plan), result / EXAMPLES)
    done = replace(job.plan.report, weights=model_id(result))
    report = json.dumps(asdict(done), indent=2)
    (result / "training.json").write_text(report + "\n", encoding="utf-8")
    adapter = ADAPTER if job.settings.method == "lora" else ""
    write_card(result, job.model, job.settings, job.plan.report, adapter, job.judged)
    folders.sync_tree(result)


def _example_table(plan: Plan) -> pa.Table:
    """example_id, documents, shown: which texts, how often given, and how often trained on."""
    documents, shown = zip(*plan.shown.values(), strict=True)
    return pa.table(
        {
            "example_id": pa.array(plan.shown, pa.string()),
            "documents": pa.array(documents, pa.int32()),
            "shown": pa.array(shown, pa.int32()),
        }
    )


def _loss_table(plan: Plan, history: Sequence[dict[str, Any]]) -> pa.Table:
    """step, epoch, loss, learning_rate, tokens: one row for each `LOSS_EVERY` steps."""
    rows = [row for row in history if "loss" in row]
    shown = [[index for row in batch for index in row] for batch in plan.batches]
    documents = np.cumsum([len(batch) for batch in shown])
    tokens = np.cumsum([sum(len(plan.documents[index]) for index in batch) for batch in shown])
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
