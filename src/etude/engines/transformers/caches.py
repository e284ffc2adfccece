"""Keys and values of a batch while it is continued: a row a sample, or prompts held once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin


class Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """What both caches answer when a model asks for sizes."""

    keys: Any
    values: Any
    used = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is lazy here."""

    def get_seq_length(self) -> int:
        """Tokens held."""
        return self.used

    def get_max_length(self) -> int:
        """No fixed maximum, as far as a model is concerned."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """(keys seen by the next query, 0)."""
        return self.used + query_length, 0


class OwnRows(Layer):  # type: ignore[no-untyped-call]
    """Keys and values of whole texts, one row a sample, (rows, heads, slots, head size)."""

    def __init__(self, keys: Tensor, values: Tensor, n: int, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        prompts, heads, self.used, size = keys.shape
        shape = (prompts * n, heads, self.used + room, size)
        self.keys, self.values = keys.new_empty(shape), values.new_empty(shape)
        self.keys[:, :, : self.used] = keys.repeat_interleave(n, dim=0)
        self.values[:, :, : self.used] = values.repeat_interleave(n, dim=0)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Appends, and returns all keys and values so far."""
        before, self.used = self.used, self.used + key_states.shape[2]
        self.keys[:, :, before : self.used] = key_states
        self.values[:, :, before : self.used] = value_states
        return self.keys[:, :, : self.used], self.values[:, :, : self.used]


class SharedPrompt(Layer):  # type: ignore[no-untyped-call]
    """Keys and values of prompts, once each, and of the samples' own tokens.

    The samples' tokens are held (slots, prompts, heads, samples, head size): one step is one
    contiguous block.
    """

    def __init__(self, keys: Tensor, values: Tensor, n: int, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        prompts, heads, _, size = keys.shape
        self.prompt_keys = keys.transpose(-1, -2).contiguous()
        self.prompt_values = values.contiguous()
        self.keys = keys.new_empty(room, prompts, heads, n, size)
        self.values = values.new_empty(self.keys.shape)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Appends one token a sample. The attention reads the rest from the cache itself."""
        self.keys[self.used] = key_states
        self.values[self.used] = value_states
        self.used += 1
        return key_states, value_states

    def select(self, prompts: Tensor, columns: Tensor) -> None:
        """Keeps some prompts, and of each some samples, (prompts kept, samples kept)."""
        self.prompt_keys = self.prompt_keys[prompts]
        self.prompt_values = self.prompt_values[prompts]
        room, count, heads, n, size = self.keys.shape
        slot = torch.arange(self.used, device=prompts.device)[:, None, None, None]
        head = torch.arange(heads, device=prompts.device)[:, None]
        # Where each vector that stays is held, in rows of `size`: whole rows copy many times
        # faster than the single numbers that `gather` moves.
        place = ((slot * count + prompts[:, None, None]) * heads + head) * n
        rows = (place + columns[:, None]).flatten()
        for name in ("keys", "values"):
            held = getattr(self, name)
            kept = held.new_empty(room, len(prompts), heads, columns.shape[1], size)
            kept[: self.used] = held.view(-1, size)[rows].view(kept[: self.used].shape)
            setattr(self, name, kept)
