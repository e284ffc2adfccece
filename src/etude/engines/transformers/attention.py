"""Attention in which the samples of a prompt share what was computed for it.

transformers knows it as `SHARED_ATTENTION`. Models of its attention interface (Llama, Qwen2, ...)
call `_attend`; GPT-Neo, which is older than that interface, gets an attention class of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.gpt_neo.modeling_gpt_neo import (
    GPT_NEO_ATTENTION_CLASSES,
    GPTNeoSelfAttention,
)

from etude.engines.transformers.caches import SharedPrompt

SHARED_ATTENTION = "etude_shared_prefix"
"""The name under which transformers knows this attention."""

SHARING_MODELS = frozenset({"gpt_neo", "llama", "mistral", "qwen2", "qwen3"})
"""Model types whose attention is what this file computes: no soft caps, no sinks, no biases."""


def key_dtype(model: Any) -> torch.dtype:
    """How keys are held: GPT-Neo does not scale its scores, and half precision can't hold them."""
    dtype: torch.dtype = model.dtype
    return torch.float32 if model.config.model_type == "gpt_neo" else dtype


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
    layer: SharedPrompt = shared_cache.layers[module.layer_idx]
    return _over_both(layer, query * scaling, attention_mask).transpose(1, 2), None


def _over_both(
    layer: SharedPrompt, query: Tensor, mask: Tensor | None, window: int | None = None
) -> Tensor:
    """(prompts, heads, samples, head size): what scaled queries find in prompts and own tokens.

    With a `window` the newest tokens alone are seen, so many, the one that asks included. Prompts
    are padded on the left, so these are the last slots of all rows.
    """
    prompt_keys, prompt_values, first = layer.prompt_keys, layer.prompt_values, 0
    if window is not None:
        first = max(layer.used - window, 0)
        unseen = max(prompt_keys.shape[-1] + layer.used - window, 0)
        prompt_keys, prompt_values = prompt_keys[..., unseen:], prompt_values[:, :, unseen:]
        mask = None if mask is None else mask[..., unseen:]
    own_keys: Tensor = layer.keys[first : layer.used, :, :, None]
    own_values: Tensor = layer.values[first : layer.used, :, :, None]
    prompts, heads, n, size = query.shape
    groups, width = own_keys.shape[2], prompt_keys.shape[-1]
    query = query.reshape(prompts, groups, heads // groups, n, size)
    past = query.flatten(2, 3) @ prompt_keys
    past = past.view(prompts, groups, heads // groups, n, width)
    if mask is not None:
        past = past + mask[:, :, None]
    # Products of single vectors: elementwise is faster here than thousands of tiny matrix products.
    own = (own_keys * query).sum(-1).movedim(0, -1)
    weights = torch.cat([past, own], dim=-1).softmax(dim=-1).to(own_values.dtype)
    out = (weights[..., :width].flatten(2, 3) @ prompt_values).view(query.shape)
    out = out + (weights[..., width:].movedim(-1, 0).unsqueeze(-1) * own_values).sum(0)
    return out.reshape(prompts, heads, n, size)


class _GPTNeoAttention(GPTNeoSelfAttention):
    """GPT-Neo's attention, global or local, with a place for prompts that are held once."""

    def forward(
        self,
        hidden_states: Any,
        attention_mask: Any = None,
        layer_past: Any = None,
        use_cache: Any = True,
        output_attentions: Any = False,
        **_: Any,
    ) -> tuple[Tensor, None]:
        """As the class above, for inference: no dropout, no weights to look at."""
        shape = (*hidden_states.shape[:-1], self.num_heads, self.head_dim)
        query, key, value = (
            project(hidden_states).view(shape).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        key, value = layer_past.update(key, value, self.layer_id)
        layer = layer_past.layers[self.layer_id]
        if isinstance(layer, SharedPrompt):
            window = self.config.window_size if self.attention_type == "local" else None
            out = _over_both(layer, query.to(layer.keys.dtype), attention_mask, window)
        else:
            out = self._over_prompt(query.float(), key.float(), value.float())
            out = out.to(value.dtype)
        return self.out_proj(out.transpose(1, 2).reshape(hidden_states.shape)), None

    def _over_prompt(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention within the prompts, (prompts, heads, tokens, head size).

        They are padded on the right, so that what a token may see is the same in all of them.
        """
        new, width = query.shape[2], key.shape[2]
        seen = self.bias[:, :, width - new : width, :width]
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen, scale=1.0
        )


AttentionInterface.register(SHARED_ATTENTION, _attend)
GPT_NEO_ATTENTION_CLASSES[SHARED_ATTENTION] = _GPTNeoAttention
