"""Prompts -> keys, values and first logits, each prompt once, what they all begin with once a call.

Prompts are computed padded on the right, where a causal model needs no mask for the padding, and
handed on padded on the left, where their continuations are of one piece with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from transformers import DynamicCache

SHORTEST_PREFIX = 16
"""Fewer common tokens than this are not worth a forward pass of their own."""

KeysAndValues = tuple[Tensor, Tensor]
"""Of one layer, each (prompts, heads, tokens, head size)."""


@dataclass(frozen=True)
class Prefix:
    """The tokens that several prompts begin with (the solved examples, say), computed once."""

    length: int
    layers: Sequence[KeysAndValues]

    @classmethod
    def of(cls, model: Any, prompts: Sequence[Sequence[int]]) -> Self | None:
        """What all prompts have in common, or None where that is little.

        Each keeps a token of its own: the logits after it are wanted.
        """
        if len(prompts) < 2:
            return None
        # Whatever the first and the last in order begin with, those between begin with too.
        ordered = sorted(list(prompt) for prompt in prompts)
        alike = _alike(ordered[0], ordered[-1])
        common = ordered[0][: min(alike, *(len(prompt) - 1 for prompt in prompts))]
        if len(common) < SHORTEST_PREFIX:
            return None
        ids = torch.tensor([common], device=model.device)
        _, layers = _forward(model, ids, None, torch.zeros(1, dtype=torch.long))
        return cls(len(common), layers)


class Computed:
    """Prompts as a model has read them, padded on the left."""

    def __init__(
        self, model: Any, lengths: Tensor, logits: Tensor, layers: Sequence[KeysAndValues]
    ) -> None:
        self.lengths, self.logits, self.layers = lengths, logits, layers
        """(prompts,); (prompts, vocabulary), of the token after each prompt; one entry a layer."""
        self.width = int(lengths.max())
        self.ragged = bool((lengths < self.width).any())
        self._dtype = model.dtype

    def padding(self) -> Tensor:
        """(prompts, width): True where there is no token."""
        slots = torch.arange(self.width, device=self.lengths.device)
        return slots < (self.width - self.lengths)[:, None]

    def additive(self, hidden: Tensor) -> Tensor:
        """A mask to add to attention scores, in the model's data type."""
        return _additive(hidden, self._dtype)


@torch.inference_mode()
def compute(model: Any, prompts: Sequence[Sequence[int]], prefix: Prefix | None) -> Computed:
    """Each prompt once, or what follows `prefix`, which they must all begin with."""
    known = prefix.length if prefix else 0
    rest = [list(prompt[known:]) for prompt in prompts]
    width = max(map(len, rest))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rest], device=model.device)
    own = torch.tensor([len(row) for row in rest], device=model.device)
    logits, layers = _forward(model, ids, prefix, own - 1)
    lengths = own + known
    if bool((own < width).any()):
        layers = [_moved_right(held, lengths) for held in layers]
    return Computed(model, lengths, logits, layers)


@torch.inference_mode()
def _forward(
    model: Any, ids: Tensor, prefix: Prefix | None, last: Tensor
) -> tuple[Tensor, list[KeysAndValues]]:
    """The logits after the tokens `last` of each row, and the keys and values of all.

    `ids` is (prompts, tokens); the prefix stands before each row.
    """
    count, width = ids.shape
    # A plain cache: without the model's configuration, no layer forgets (sliding windows), as
    # texts longer than a window are refused beforehand.
    cache: Any = DynamicCache()
    known = prefix.length if prefix else 0
    if prefix is not None:
        for layer, (keys, values) in enumerate(prefix.layers):
            shape = (count, -1, -1, -1)
            cache.update(keys.expand(shape), values.expand(shape), layer)
    slots = torch.arange(known + width, device=ids.device)
    hidden = slots > slots[known:, None]
    columns, which = torch.unique(last.to(ids.device), return_inverse=True)
    output = model(
        input_ids=ids,
        attention_mask=_additive(hidden, model.dtype).expand(count, 1, -1, -1),
        position_ids=slots[known:].expand(count, -1),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=columns,
    )
    logits = output.logits[torch.arange(count, device=ids.device), which]
    return logits, [(layer.keys, layer.values) for layer in cache.layers]


def _alike(first: Sequence[int], second: Sequence[int]) -> int:
    """With how many equal tokens two texts begin."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _additive(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask to add to attention scores: the smallest number where `hidden`, else 0.

    Not minus infinity: what sees nothing must not become NaN in a softmax.
    """
    mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
    return mask.masked_fill_(hidden, torch.finfo(dtype).min)


def _moved_right(held: KeysAndValues, lengths: Tensor) -> KeysAndValues:
    """Rows with their padding on the left in place of the right."""
    width = held[0].shape[2]
    slots = torch.arange(width, device=lengths.device)
    source = (slots - (width - lengths)[:, None]).clamp_(min=0)
    rows = torch.arange(len(lengths), device=lengths.device)[:, None]
    keys, values = (each.transpose(1, 2)[rows, source].transpose(1, 2) for each in held)
    return keys, values
