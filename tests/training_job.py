"""A training in a process of its own, for tests that kill it: `training_job.py MODEL OUT [WAY]`.

A file, not a text for `-c`, so that the processes that it starts read it too. With `shards`, each
of them holds a part of the weights, as with GPUs. accelerate offers FSDP2 for GPUs alone; here it
is told that a CPU will do. With `small`, the memory holds one row of a batch, and no two.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import state as accelerate_state
from transformers import LlamaForCausalLM

import engines_models
from etude.training import FitSettings, fit, trainer

SETTINGS = FitSettings(
    epochs=1,
    learning_rate=3e-3,
    batch_tokens=256,
    precision="fp32",
    save_every_seconds=0,
    processes=2,
    accumulate=2,
    packing=True,
    block_tokens=64,
)


def shard_on_the_cpu() -> None:
    """FSDP2 for processes without a GPU."""
    start = accelerate_state.AcceleratorState.__init__

    def sharded(self: Any, *args: Any, fsdp_plugin: Any = None, **rest: Any) -> None:
        start(self, *args, fsdp_plugin=fsdp_plugin, **rest)
        if fsdp_plugin is not None:
            self.distributed_type = accelerate_state.DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin
            shared = accelerate_state.PartialState._shared_state
            shared["distributed_type"] = self.distributed_type

    accelerate_state.AcceleratorState.__init__ = sharded
    trainer._sharded = lambda: trainer.world() > 1
    gathered = trainer._gathered

    def checked(made: Any, job: Any) -> Any:
        kinds = {type(weight).__name__ for weight in made.model.parameters()}
        assert kinds == {"DTensor"}, kinds
        return gathered(made, job)

    trainer._gathered = checked


def limit_the_memory() -> None:
    forward = LlamaForCausalLM.forward

    def limited(self: Any, input_ids: torch.Tensor, **rest: Any) -> Any:
        if input_ids.numel() > 100 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, input_ids, **rest)

    LlamaForCausalLM.forward = limited


if "shards" in sys.argv[3:]:
    shard_on_the_cpu()
if "small" in sys.argv[3:]:
    limit_the_memory()
    SETTINGS = dataclasses.replace(SETTINGS, accumulate=1)


def tell(done: int, total: int) -> None:
    pids = [process.pid for process in multiprocessing.active_children()]
    print(os.getpid(), done, *pids, flush=True)


if __name__ == "__main__":
    fit(sys.argv[1], engines_models.DOCUMENTS, Path(sys.argv[2]), SETTINGS, seed=1, progress=tell)
