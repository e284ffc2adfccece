"""Rows of documents -> the tensors that a model reads, and the proof that packing leaks nothing.

A packed row is several documents one after the other. Attention is block-diagonal: a token sees
the tokens before it in its own document and no others. Positions start anew with each document, so
that learned positions are those of a document alone, and no document needs more of them than it
would alone. transformers takes such a mask, four-dimensional, as it stands; a layer that narrows
attention further, as the local ones of GPT-Neo do, still does, by distances within a row, which
are those within the document.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from etude.errors import InputError, RecipeError
from etude.training.batches import Batch
from etude.training.documents import Tokens

IGNORED = -100
"""The label that transformers leaves out of the loss."""
PACKABLE = ("eager", "sdpa")
"""transformers' attentions that take a mask of our own."""
TOLERANCE = 0.01
"""How far a packed document's logits may be from those of the document alone, as a share of the
logits' standard deviation. Rounding in float32 is below a hundredth of it."""


def tensors(
    batch: Batch, documents: Sequence[Tokens], packing: str | None = None
) -> dict[str, Tensor]:
    """What the model reads: `input_ids` and `labels` of shape (rows, width), padded on the right.

    With `packing`, the model's attention, also `position_ids` of that shape and `attention_mask`
    of shape (rows, 1, width, width). A batch without rows becomes two tokens that teach nothing,
    so that every process has something to do in every step.
    """
    if not batch:
        blank = torch.tensor([[0, 0]])
        made = {"input_ids": blank, "labels": torch.full_like(blank, IGNORED)}
        return made | (_apart(torch.tensor([[0, 0]]), packing) if packing else {})
    ids = [torch.cat([_ids(documents[index]) for index in row]) for row in batch]
    labels = [torch.cat([_labels(documents[index]) for index in row]) for row in batch]
    made = {"input_ids": _padded(ids, 0), "labels": _padded(labels, IGNORED)}
    if packing is None:
        # No attention mask: padding follows the text, and a causal model doesn't look ahead.
        return made
    numbers = [_numbers([len(documents[index]) for index in row]) for row in batch]
    # Padding is a document of its own: a token that sees nothing at all has no attention.
    return made | _apart(_padded(numbers, -1), packing)


def _ids(tokens: Tokens) -> Tensor:
    return torch.from_numpy(tokens.ids).long()


def _labels(tokens: Tokens) -> Tensor:
    labels = _ids(tokens).clone()
    labels[: tokens.first] = IGNORED
    return labels


def _numbers(lengths: Sequence[int]) -> Tensor:
    """0 for each token of the first document, 1 for those of the second, and so on."""
    return torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))


def _padded(rows: Sequence[Tensor], value: int) -> Tensor:
    width = max(map(len, rows))
    return torch.stack([functional.pad(row, (0, width - len(row)), value=value) for row in rows])


def _apart(numbers: Tensor, packing: str) -> dict[str, Tensor]:
    """Positions and mask that keep apart what `numbers` (rows, width) names differently."""
    width = numbers.shape[1]
    places = torch.arange(width)
    starts = torch.ones_like(numbers, dtype=torch.bool)
    starts[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    positions = places - torch.where(starts, places, 0).cummax(dim=1).values
    seen = (numbers[:, :, None] == numbers[:, None, :]) & (places[:, None] >= places)
    if packing == "sdpa":
        mask = seen[:, None]
    else:
        mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    return {"position_ids": positions, "attention_mask": mask}


def next_token_loss(
    outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """The cross-entropy of the labels, summed, over the learned tokens of the step's whole batch.

    Each part of a batch thus gives its share of the batch's mean, whatever is learned in the
    others. `outputs["logits"]` has shape (rows, width, vocabulary).
    """
    logits = outputs["logits"].float()
    targets = functional.pad(labels, (0, 1), value=IGNORED)[..., 1:].reshape(-1)
    total = functional.cross_entropy(
        logits.view(-1, logits.shape[-1]), targets, ignore_index=IGNORED, reduction="sum"
    )
    count = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
    return total / torch.clamp(torch.as_tensor(count, device=total.device), min=1)


def check_attention(attention: str) -> None:
    """Raises `RecipeError` for an attention that packing can't tell whom a token sees."""
    if attention not in PACKABLE:
        raise RecipeError(
            f"packing needs the attention {' or '.join(PACKABLE)}, but got {attention!r}: "
            "change it, or turn packing off."
        )


@torch.no_grad()
def check_packing(model: Any, batches: Sequence[Batch], documents: Sequence[Tokens]) -> None:
    """Reads one packed row, and each of its documents alone; both must come to the same.

    Raises:
        InputError: they do not: the model lets documents see each other, as recurrent ones do.
    """
    row = next((row for batch in batches for row in batch if len(row) > 1), None)
    if row is None:
        return
    name, attention = type(model).__name__, model.config._attn_implementation
    taken = inspect.signature(model.forward).parameters
    if not {"position_ids", "attention_mask"} <= taken.keys():
        raise InputError(f"packing needs positions and a mask, but {name} takes none: {_OFF}")
    training = model.training
    model.eval()
    packed = tensors([row], documents, attention)
    packed.pop("labels")
    logits = model(**packed, use_cache=False).logits[0].float()
    alone = torch.cat(
        [model(input_ids=_ids(documents[i])[None], use_cache=False).logits[0] for i in row]
    ).float()
    model.train(training)
    if not (logits - alone).abs().max() <= TOLERANCE * alone.std():
        raise InputError(
            f"packing needs documents of a row that don't see each other, but in {name} "
            f"with attention {attention} they do: {_OFF}"
        )


_OFF = "turn packing off, or take another model."
