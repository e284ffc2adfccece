"""How to train, and what a training did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from etude.errors import RecipeError
from etude.precision import Precision

Method = Literal["full", "lora"]
Loss = Literal["text", "solution"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to train: AdamW, one step a batch.

    `accumulate`, `processes` and `checkpointing` say how a batch is computed, not what is: the
    result is the same but for rounding. The paper's settings are `learning_rate=5e-6`,
    `schedule="constant"`, `warmup_steps=10`, `batch_tokens=4096` for each of its GPUs, and AdamW
    as torch has it: `betas=(0.9, 0.999)`.
    """

    epochs: float = 1.0
    """Passes over the documents; 1.5 shows a random half of them a second time."""
    tokens: int = 0
    """Tokens to train on, padding left out, in place of `epochs`; 0 leaves it to those."""
    learning_rate: float = 1e-3
    batch_tokens: int = 1024
    """Tokens of a batch, padding included. A longer row is a batch of its own."""
    method: Method = "full"
    """`lora` trains low-rank adapters (Hu et al., 2021) and merges them into the result."""
    lora_rank: int = 16
    lora_alpha: float = 32
    """Adapters count `lora_alpha / lora_rank` times."""
    lora_dropout: float = 0.0
    lora_targets: str | tuple[str, ...] = "all-linear"
    """Which modules get an adapter: names such as `q_proj`, or every linear layer but the last."""
    loss: Loss = "text"
    """`solution` leaves a document's first `prompt_characters` out of the loss."""
    packing: bool = False
    """Several documents in a row; see `batches` and `rows`."""
    block_tokens: int = 1024
    """Tokens of a packed row. A longer document is a row of its own."""
    accumulate: int = 1
    """Parts that a batch is cut into on each device, one after the other."""
    checkpointing: bool = False
    """Compute activations anew in the backward pass instead of keeping them."""
    processes: int = 1
    """Processes that share each batch: a GPU each, or all on the CPU where there is none."""
    schedule: Schedule = "cosine"
    """The learning rate after the warm-up: falling as a cosine, or constant."""
    warmup: float = 0.05
    """Share of the steps in which the learning rate rises to its full value."""
    warmup_steps: int | None = None
    """The same as a number of steps; it then counts in place of the share."""
    final_lr: float = 0.05
    """With `cosine`: the learning rate of the last step, as a share of the full one."""
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    epsilon: float = 1e-8
    clip: float = 1.0
    """Largest norm of the gradient; 0 clips nothing."""
    precision: Precision = "auto"
    """`bf16` and `fp16` compute in 16 bits and keep weights in float32. See `resolve_precision`."""
    threads: int = 1
    """CPU threads of each process. More than one may round differently from run to run."""
    save_every_seconds: float = 60.0
    """How much work a kill may cost."""
    attention: str = "eager"
    """transformers' attention. On a CPU in bf16, `sdpa` has a slow backward pass."""
    early_share: float = 0.0
    """The result's weights are these parts of those of an earlier model, and the rest of what was
    trained: WiSE-FT (Wortsman et al., 2022), by which a model keeps more of what it could do."""

    def __post_init__(self) -> None:
        for name, ok, range_ in _RANGES:
            value = getattr(self, name)
            if not ok(value):
                raise RecipeError(f"{name} must be {range_}, but got {value}.")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                words = f"{', '.join(choices[:-1])} or {choices[-1]}"
                raise RecipeError(f"{name} must be {words}, but got {value!r}.")
        if self.early_share and self.method != "full":
            raise RecipeError(
                f"early_share mixes whole weights, so method must be full, but got {self.method!r}."
            )


def _positive(value: Any) -> bool:
    return bool(value > 0)


def _not_negative(value: Any) -> bool:
    return bool(value >= 0)


def _share(value: Any) -> bool:
    return bool(0 <= value < 1)


_RANGES: list[tuple[str, Callable[[Any], bool], str]] = [
    *((name, _positive, "above 0") for name in ("epochs", "learning_rate", "batch_tokens")),
    *((name, _positive, "above 0") for name in ("threads", "accumulate", "processes")),
    *((name, _positive, "above 0") for name in ("block_tokens", "lora_rank", "lora_alpha")),
    ("epsilon", _positive, "above 0"),
    *((name, _share, "from 0 to below 1") for name in ("warmup", "final_lr", "lora_dropout")),
    ("early_share", _share, "from 0 to below 1"),
    ("betas", lambda betas: all(map(_share, betas)), "two numbers from 0 to below 1"),
    *((name, _not_negative, "0 or more") for name in ("tokens", "weight_decay", "clip")),
    ("warmup_steps", lambda steps: steps is None or steps >= 0, "0 or more"),
]
_CHOICES: dict[str, tuple[str, ...]] = {
    "precision": get_args(Precision),
    "method": get_args(Method),
    "loss": get_args(Loss),
    "schedule": get_args(Schedule),
}


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
    """`bf16`, `fp16` or `fp32`."""
    seed: int
    method: str = "full"
    loss_tokens: int = 0
    """Those of `tokens` that the model learned to predict."""
    padding: float = 0.0
    """Padding, as a share of all that was computed."""
    start: str = ""
    """The model that it started from: its folder's last two names, or its name on the hub."""
    start_id: str = ""
    """Which weights that one has; see `plan.model_id`."""
    early: str = ""
    """The model that has `early_share` of the weights, likewise; empty where none has."""
    early_id: str = ""
    """Which weights that one has."""
    weights: str = ""
    """Which weights came of it, likewise; empty before the end."""
