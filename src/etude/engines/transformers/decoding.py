"""A batch of prompts continued token by token, each prompt computed once for all its samples.

The rows of a batch form a grid: prompts down, samples of one prompt across. Prompts are padded on
the left, so that the last one in every row is the newest token and distances between cache slots
are distances in the text (GPT-Neo's local layers count slots).

Two ways to share what was computed for a prompt:

`Shared`    the keys and values of the prompt stay as they are, one set a prompt; the samples of a
            prompt are the queries of one matrix product. Needs a model that takes transformers'
            attention interface (Llama, Qwen2, ...), or GPT-Neo. About twice as fast with many
            samples of short prompts, and many times with long ones.
`Expanded`  every sample gets its own copy of the prompt's keys and values, in a cache of fixed
            size. Works for any causal language model with a plain key-value cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from etude.engines.transformers.attention import SHARED_ATTENTION, SHARING_MODELS, key_dtype
from etude.engines.transformers.caches import OwnRows, SharedPrompt
from etude.engines.transformers.prefill import Computed, Prefix, compute

__all__ = [
    "SHARED_ATTENTION",
    "SHARING_MODELS",
    "Decoding",
    "Expanded",
    "Prefix",
    "Shared",
    "draw",
    "start",
]


class Decoding(Protocol):
    """One batch in the middle of being continued."""

    logits: Tensor
    """(rows, vocabulary): what the model expects next. Rows count the samples of the first prompt
    first, then those of the second, ..."""

    def step(self, tokens: Tensor) -> None:
        """Appends one token to each row. `tokens` is (rows,)."""

    def keep(self, live: Tensor) -> Tensor:
        """Drops rows that are not needed. `live` is (rows,), True for the rows to keep.

        Returns the indices of the rows that stay, (rows kept,): all live ones, and as many others
        as the grid needs to stay a grid.
        """


def start(
    model: Any,
    prompts: Sequence[Sequence[int]],
    n: int,
    room: int,
    prefix: Prefix | None = None,
) -> Decoding:
    """Computes the prompts and makes place for `n` samples of each, of up to `room` tokens.

    With a `prefix`, which all of them must begin with, only what follows it is computed.
    """
    way = Shared if model.config._attn_implementation == SHARED_ATTENTION else Expanded
    return way(model, compute(model, prompts, prefix), n, room)


class Expanded:
    """Decoding with one cache row a sample."""

    def __init__(self, model: Any, batch: Computed, n: int, room: int) -> None:
        self.logits = batch.logits.repeat_interleave(n, dim=0)
        self._model = model
        self._cache: Any = Cache([OwnRows(*held, n, room) for held in batch.layers])
        self._positions = batch.lengths.repeat_interleave(n)
        hidden = torch.nn.functional.pad(batch.padding(), (0, room), value=False)
        self._mask = batch.additive(hidden.repeat_interleave(n, dim=0))[:, None, None]

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> None:
        """See `Decoding.step`."""
        seen = self._cache.get_seq_length() + 1
        output = self._model(
            input_ids=tokens[:, None],
            # Prepared here: a mask with four dimensions is used as it is, which saves the model
            # from building one each step.
            attention_mask=self._mask[..., :seen],
            position_ids=self._positions[:, None],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._positions = self._positions + 1
        self.logits = output.logits[:, -1]

    @torch.inference_mode()
    def keep(self, live: Tensor) -> Tensor:
        """See `Decoding.keep`. Exactly the live rows stay."""
        kept = live.nonzero()[:, 0]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[kept], layer.values[kept]
        self._positions, self._mask = self._positions[kept], self._mask[kept]
        self.logits = self.logits[kept]
        return kept


class Shared:
    """Decoding with one cache row a prompt, and one a sample for its own tokens only."""

    def __init__(self, model: Any, batch: Computed, n: int, room: int) -> None:
        self.logits = batch.logits.repeat_interleave(n, dim=0)
        self._model = model
        dtype = key_dtype(model)
        self._cache: Any = Cache(
            [SharedPrompt(keys.to(dtype), values, n, room) for keys, values in batch.layers]
        )
        self._positions = batch.lengths[:, None].repeat(1, n)
        # Four dimensions: transformers hands such a mask on, and drops any other.
        padding = batch.padding()[:, None, None]
        self._mask = batch.additive(padding) if batch.ragged else None

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> None:
        """See `Decoding.step`."""
        output = self._model(
            input_ids=tokens.view(self._positions.shape),
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            shared_cache=self._cache,
        )
        self._positions = self._positions + 1
        self.logits = output.logits.flatten(0, 1)

    @torch.inference_mode()
    def keep(self, live: Tensor) -> Tensor:
        """See `Decoding.keep`. Prompts without live samples go; the others keep equally many."""
        grid = live.view(self._positions.shape)
        counts = grid.sum(dim=1)
        prompts = counts.nonzero()[:, 0]
        order = grid[prompts].logical_not().to(torch.int8).argsort(dim=1, stable=True)
        columns = order[:, : int(counts.max())]
        for layer in self._cache.layers:
            layer.select(prompts, columns)
        self._positions = self._positions[prompts].gather(1, columns)
        self._mask = None if self._mask is None else self._mask[prompts]
        kept = (prompts[:, None] * grid.shape[1] + columns).flatten()
        self.logits = self.logits[kept]
        return kept


def draw(logits: Tensor, uniforms: Tensor, temperature: float) -> Tensor:
    """One token a row by inverting the cumulative distribution, (rows,).

    `logits` is (rows, vocabulary), `uniforms` (rows,) in [0, 1). Temperature 0 takes the likeliest.
    One number a row instead of one a vocabulary entry (Gumbel noise) saves a quarter of a step.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    cumulative = (logits.float() / temperature).softmax(dim=-1).cumsum(dim=-1)
    # right=True: the first entry above the number, so an entry of probability 0 is never drawn.
    point = uniforms.to(cumulative)[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, point, right=True)[:, 0]
    return tokens.clamp_(max=logits.shape[-1] - 1)
