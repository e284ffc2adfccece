"""Low-rank adapters (LoRA; Hu et al., 2021, arXiv 2106.09685), by PEFT."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from etude.errors import InputError, RecipeError
from etude.training.settings import FitSettings

ADAPTER = "adapter"
"""The folder beside the merged weights that holds the adapter alone."""


def add_adapter(model: Any, settings: FitSettings, seed: int) -> Any:
    """The model with a fresh adapter, the only part of it that is trained.

    Raises:
        InputError: PEFT is not installed.
        RecipeError: a target that the model does not have.
    """
    peft = _peft()
    named = settings.lora_targets
    targets: str | list[str] = "all-linear"
    if named != "all-linear":
        targets = [named] if isinstance(named, str) else list(named)
        _check_targets(model, targets)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
    torch.manual_seed(seed)
    # With a name, every checkpoint asks the hub for the model's vocabulary; and a name that is a
    # path means nothing on another machine.
    model.name_or_path = ""
    with warnings.catch_warnings():
        # PEFT asks transformers by a name that goes away in its next version.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is dep", FutureWarning)
        return peft.get_peft_model(model, config)


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise InputError(
            "method lora needs peft, which is not installed: pip install 'etude[train]'."
        ) from None
    return peft


def _check_targets(model: Any, targets: list[str]) -> None:
    linear = (torch.nn.Linear, Conv1D)
    names = [name for name, module in model.named_modules() if isinstance(module, linear)]
    known = sorted({name.rpartition(".")[2] for name in names})
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise RecipeError(
                f"lora_targets must name linear layers of the model, but {target!r} is none of "
                f"them. It has {', '.join(known)}; all-linear takes all but the last."
            )


def merge(model: Any, result: Path) -> Any:
    """The plain model with the adapter added to its weights; the adapter alone goes to `result`."""
    model.save_pretrained(result / ADAPTER, save_embedding_layers=False)
    # PEFT's card names folders of this machine; the one beside it says more.
    (result / ADAPTER / "README.md").unlink(missing_ok=True)
    return model.merge_and_unload()
