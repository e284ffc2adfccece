"""Fine-tuning of a causal language model, whole or by an adapter, with transformers' Trainer.

    fit("base", ["def f(x: int): ...", ...], Path("checkpoint"), FitSettings(epochs=2), seed=1)

The result is a plain transformers folder, with the loss curve (`loss.parquet`), what was done
(`training.json`), which texts it was trained on (`examples.parquet`), a model card (`README.md`)
and the sums of all these (`whole.json`) in it. It appears all at once, so its existence, or on an
object store that of `whole.json`, means that training is over.

Covered: one process or several on one machine (`processes`), LoRA (`adapter`), packing (`rows`),
resuming after a kill; on a CPU, the same arguments give the same bytes, however often the work was
interrupted. Not covered: several machines, weights kept in fewer than 32 bits.
"""

from __future__ import annotations

import gc
import json
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from etude import store
from etude.engines.transformers.loading import quiet, torch_threads
from etude.errors import InputError, RecipeError
from etude.store import writing_to
from etude.training import work as folders
from etude.training.plan import make_plan
from etude.training.processes import OutOfMemory, check_devices, train_together
from etude.training.settings import FitSettings, Fitted
from etude.training.trainer import Job, Progress, train
from etude.training.work import COMPLETE
from etude.types import Document

__all__ = [
    "COMPLETE",
    "Document",
    "FitSettings",
    "Fitted",
    "fit",
    "random_state_kept",
]


def fit(
    model: str | Path,
    documents: Sequence[str | Document],
    out: Path,
    settings: FitSettings,
    *,
    seed: int,
    progress: Progress | None = None,
    judged: str = "",
    early: str | Path | None = None,
) -> Fitted:
    """Trains `model` on `documents`, whole texts with their begin-of-text token, into folder `out`.

    Called again after a kill it goes on from the newest checkpoint in `<out>.partial`, a folder
    beside `out` (for an object store, on the local disk) that is removed at the end; other
    arguments start afresh. If `out` exists, nothing is done. No global random state is changed.
    Where a device's memory is too small, batches are cut into smaller parts, which is said on
    stderr, and training goes on from that checkpoint.

    Args:
        model: a folder written by `save_pretrained`, or a name on the hub.
        documents: texts, or `Document`s, which say where what is to be learned begins.
        progress: is told (steps done, steps in all) now and then.
        judged: JSON of what the verdicts rest on that chose the documents, for the model card.
        early: with `settings.early_share`, the model whose weights have that share of the result's;
            of the same shape as `model`.

    Raises:
        InputError: no such model, no document that fits its context, `out` is something else,
            or the disk is full; what was done is kept.
        RecipeError: the loss is no longer a number, the memory too small for a single row, or
            settings that the model or this machine can't follow.
        Fault: one of several processes died.
    """
    model = store.local(model)
    early = None if early is None else store.local(early)
    work = store.scratch(out).with_name(f"{out.name}.partial")
    if not store.finished(out):
        check_devices(settings.processes)
        plan = make_plan(model, documents, settings, seed, early)
        with writing_to(work), quiet(), torch_threads(settings.threads), random_state_kept():
            folders.prepare(work, plan.fingerprint)
            parts = folders.read_accumulate(work, settings.accumulate)
            _train(Job(model, plan, settings, work, parts, judged, early), progress)
            store.keep(work / "result", out)
    report = out / "training.json"
    if not report.is_file():
        raise InputError(
            f"{out} must be new or hold a finished training, but has no {report.name}."
        )
    shutil.rmtree(work, ignore_errors=True)
    return Fitted(**json.loads(report.read_text(encoding="utf-8")))


def _train(job: Job, progress: Progress | None) -> None:
    """Trains to the end, with smaller parts of a batch whenever memory runs out."""
    while not _fits(job, progress):
        rows = max(map(len, job.plan.batches))
        pieces = job.accumulate * job.settings.processes
        if pieces >= rows:
            raise RecipeError(
                "The memory must hold one row of a batch and the model, but runs out even then: "
                "use checkpointing, method lora, a shorter block_tokens, or a smaller model."
            )
        job = replace(job, accumulate=job.accumulate * 2)
        folders.write_accumulate(job.work, job.accumulate)
        folders.clean(job.work)
        print(
            f"Out of memory: each batch is now cut into {job.accumulate} parts on each device, "
            "one after the other; training goes on from the last checkpoint.",
            file=sys.stderr,
        )


def _fits(job: Job, progress: Progress | None) -> bool:
    """Trains to the end; False if a device had too little memory."""
    try:
        if job.settings.processes > 1:
            train_together(job, progress)
        else:
            train(job, progress)
    except (torch.OutOfMemoryError, OutOfMemory):
        fits = False
    else:
        fits = True
    if not fits:  # outside the handler: the error holds on to the model, by its traceback
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return fits


@contextmanager
def random_state_kept() -> Iterator[None]:
    """The Trainer seeds Python's, NumPy's and torch's global generators; puts them back."""
    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count()))
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
