"""What a model is before its weights are loaded: how many there are, and how long a text may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from etude.engines.transformers.loading import context_length, load_config, quiet


@dataclass(frozen=True, slots=True)
class Sizes:
    """By the configuration alone."""

    parameters: int
    context: int | None
    """Tokens that a text may have; None: no limit known."""
    cache_bytes: int
    """Keys and values of one token of one text, in 16-bit numbers."""


def sizes(model: str | Path) -> Sizes:
    """The sizes of a model in a folder or on the hub. Raises `InputError` where there is none."""
    config = load_config(model)
    with quiet(), torch.device("meta"):  # shapes without numbers: no memory, whatever the size
        made = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    kept = getattr(text, "num_key_value_heads", None) or heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    cache = 2 * 2 * text.num_hidden_layers * kept * width
    return Sizes(sum(p.numel() for p in made.parameters()), context_length(config), cache)


def accelerator() -> tuple[str, int] | None:
    """The name of this machine's GPU and its free memory in bytes; None where there is none."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(), torch.cuda.mem_get_info()[0]
