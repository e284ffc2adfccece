"""How many rows a batch may have, and what to do when it was too many.

    rows = Rows(model, 0, shares=True)    # 0: found from the memory
    rows.most(tokens=300, room=150, n=64)   # samples continued at the same time
    rows.learn(64)                          # 64 were too many: half of it from now on

A row costs its keys and values, and a few numbers for each entry of the vocabulary. On a GPU they
may fill most of what is free. On a CPU the number depends on the model alone and not on what else
runs, so that a batch is the same on every machine: other batches round differently.
"""

from __future__ import annotations

import errno
from typing import Any

import torch

CPU_BYTES = 2 << 30
"""What the rows of a batch may take on a CPU."""
CPU_ROWS = 512
"""More of them at a time gain nothing there."""
GPU_ROWS = 4096
GPU_SHARE = 0.7
"""Of a GPU's free memory; the rest is for what a step computes."""
LACKS = ("can't allocate memory", "not enough memory", "out of memory", "STATUS_ALLOC_FAILED")
LOGITS = 16
"""Bytes a row needs for each entry of the vocabulary: logits, probabilities, their sums, a copy."""


class Rows:
    """The size of batches for one model."""

    def __init__(self, model: Any, fixed: int, *, shares: bool) -> None:
        """`fixed` rows, or with 0 as many as there is memory for.

        `shares`: the samples of a prompt share its keys and values.
        """
        self._fixed, self._shares, self._device = fixed, shares, model.device
        self._a_token, self._a_row = _bytes(model)
        self._learnt = 1 << 30

    def most(self, tokens: int, room: int, n: int) -> int:
        """Rows of a batch, at least 1: prompts of `tokens`, `n` samples of `room` tokens each."""
        if self._fixed:
            return min(self._fixed, self._learnt)
        on_gpu = self._device.type == "cuda"
        free = int(GPU_SHARE * _free_bytes(self._device)) if on_gpu else CPU_BYTES
        own = room + (tokens // max(n, 1) + 1 if self._shares else tokens)
        fits = free // (own * self._a_token + self._a_row)
        return max(1, min(fits, GPU_ROWS if on_gpu else CPU_ROWS, self._learnt))

    def learn(self, rows: int) -> None:
        """So many rows did not fit: the following batches have at most half as many."""
        self._learnt = min(self._learnt, max(rows // 2, 1))


def _bytes(model: Any) -> tuple[int, int]:
    """What a token of a row takes, keys and values of every layer, and what a row takes once."""
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    number = torch.finfo(model.dtype).bits // 8
    token = 2 * config.num_hidden_layers * heads * size * number
    return int(token), int(LOGITS * config.vocab_size)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU, or this machine, has no memory for what was asked."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # The CPU's allocator, cuBLAS and others raise nothing more specific.
    return isinstance(error, RuntimeError) and any(said in str(error) for said in LACKS)


def _free_bytes(device: torch.device) -> int:
    """What the driver has, and what torch holds without using it."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
