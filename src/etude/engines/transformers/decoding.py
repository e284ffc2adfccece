"""A batch of prompts continued token by token, each prompt computed once for all its samples.

The rows of a batch form a grid: prompts down, samples of one prompt across. Prompts are padded on
the left, so that the last one in every row is the newest token and distances between cache slots
are distances in the text (GPT-Neo's local layers count slots).

Two ways to share what was computed for a prompt:

`Shared`    the keys and values of the prompt stay as they are, one set a prompt; the samples of a
            prompt are the queries of one matrix product. Needs a model that takes transformers'
            attention interface (Llama, Qwen2, ...). About twice as fast with many samples.
`Expanded`  every sample gets its own copy of the prompt's keys and values, in a cache of fixed
            size. Works for any causal language model with a plain key-value cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.integrations.sdpa_attention import sdpa_attention_forward

SHARED_ATTENTION = "etude_shared_prefix"
"""The name under which transformers knows `_attend`."""

SHARING_MODELS = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Model types whose attention is what `_attend` computes: no soft caps, no sinks, no biases."""


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


@torch.inference_mode()
def start(model: Any, prompts: Sequence[Sequence[int]], n: int, room: int) -> Decoding:
    """Computes the prompts and makes place for `n` samples of each, of up to `room` tokens."""
    batch = _Prompts(model, prompts)
    output = model(
        input_ids=batch.ids,
        attention_mask=batch.causal_mask(),
        position_ids=batch.positions(),
        # A plain cache: without the model's configuration, no layer forgets (sliding windows), as
        # texts longer than a window are refused beforehand.
        past_key_values=DynamicCache(),
        use_cache=True,
        logits_to_keep=1,
    )
    way = Shared if model.config._attn_implementation == SHARED_ATTENTION else Expanded
    logits = output.logits[:, -1].repeat_interleave(n, dim=0)
    return way(model, batch, output.past_key_values, logits, n, room)


class _Prompts:
    """Prompts as tensors, padded on the left."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]]) -> None:
        self.dtype, self.device = model.dtype, model.device
        self.width = max(map(len, prompts))
        rows = [[0] * (self.width - len(prompt)) + list(prompt) for prompt in prompts]
        self.ids = torch.tensor(rows, device=self.device)
        self.lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        self.ragged = any(len(prompt) != self.width for prompt in prompts)

    def positions(self) -> Tensor:
        """(prompts, width): the place of each token in its text; 0 for padding."""
        slots = torch.arange(self.width, device=self.device)
        return (slots - (self.width - self.lengths)[:, None]).clamp_(min=0)

    def padding(self) -> Tensor:
        """(prompts, width): True where there is no token."""
        return torch.arange(self.width, device=self.device) < (self.width - self.lengths)[:, None]

    def additive(self, hidden: Tensor) -> Tensor:
        """A mask to add to attention scores: the smallest number where `hidden`, else 0.

        Not minus infinity: a padding token sees nothing, and softmax must not make it NaN.
        """
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
        return mask.masked_fill_(hidden, torch.finfo(self.dtype).min)

    def causal_mask(self) -> Tensor:
        """(prompts, 1, width, width)."""
        later = torch.ones(self.width, self.width, dtype=torch.bool, device=self.device).triu_(1)
        return self.additive((later | self.padding()[:, None, :])[:, None])


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
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


class _OwnRows(_Layer):  # type: ignore[no-untyped-call]
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


class Expanded:
    """Decoding with one cache row a sample."""

    def __init__(
        self,
        model: Any,
        batch: _Prompts,
        computed: Any,
        logits: Tensor,
        n: int,
        room: int,
    ) -> None:
        self.logits = logits
        self._model = model
        self._cache: Any = Cache([_OwnRows(at.keys, at.values, n, room) for at in computed.layers])
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


class _SharedPrompt(_Layer):  # type: ignore[no-untyped-call]
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
        self.values = torch.empty_like(self.keys)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Appends one token a sample. `_attend` reads the rest from the cache itself."""
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


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    shared_cache: Any = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of new tokens over their prompt, held once, and over their own past.

    `query` is (prompts, heads, samples, head size): the samples of a prompt stand where a model
    has the tokens of one text. The result is (prompts, samples, heads, head size). While the
    prompts themselves are computed there is no `shared_cache`, and this is plain attention.
    """
    if shared_cache is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    layer: _SharedPrompt = shared_cache.layers[module.layer_idx]
    prompts, heads, n, size = query.shape
    groups, width = layer.keys.shape[2], layer.prompt_keys.shape[-1]
    query = (query * scaling).reshape(prompts, groups, heads // groups, n, size)
    past = (query.flatten(2, 3) @ layer.prompt_keys).view(prompts, groups, -1, n, width)
    if attention_mask is not None:
        past = past + attention_mask[:, :, None]
    # Products of single vectors: elementwise is faster here than thousands of tiny matrix products.
    own_keys, own_values = (
        layer.keys[: layer.used, :, :, None],
        layer.values[: layer.used, :, :, None],
    )
    own = (own_keys * query).sum(-1).movedim(0, -1)
    weights = torch.cat([past, own], dim=-1).softmax(dim=-1)
    out = (weights[..., :width].flatten(2, 3) @ layer.prompt_values).view(query.shape)
    out = out + (weights[..., width:].movedim(-1, 0).unsqueeze(-1) * own_values).sum(0)
    return out.reshape(prompts, heads, n, size).transpose(1, 2), None


AttentionInterface.register(SHARED_ATTENTION, _attend)


class Shared:
    """Decoding with one cache row a prompt, and one a sample for its own tokens only."""

    def __init__(
        self,
        model: Any,
        batch: _Prompts,
        computed: Any,
        logits: Tensor,
        n: int,
        room: int,
    ) -> None:
        self.logits = logits
        self._model = model
        self._cache: Any = Cache(
            [_SharedPrompt(at.keys, at.values, n, room) for at in computed.layers]
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
