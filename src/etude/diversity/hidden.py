"""Vectors of puzzles from models: the hidden states of a language model, or a sentence model.

Covered: the mean over the tokens of a source of the states after one layer, centred over all
sources, since hidden states share a large common direction that says nothing of a text (Mu and
Viswanath, "All-but-the-Top", arXiv 1702.01417). Texts longer than the model's context are cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etude.diversity.features import Floats, unit
from etude.engines.transformers.loading import (
    context_length,
    encode,
    load_model,
    load_tokenizer,
    quiet,
    torch_threads,
)
from etude.errors import InputError
from etude.store import escaped

BATCH_TOKENS = 16_384
LONGEST = 4_096
"""Tokens of a source that are read, at most."""
Tokens = list[int]


def hidden_vectors(
    model: str | Path, sources: Sequence[str], layer: str = "last"
) -> tuple[Floats, str]:
    """A unit vector of each source, and what they are called.

    `layer` is `last`, `middle` or a number: 0 is the embedding, as transformers counts. Runs in
    float32 on one thread of the CPU, so that the same sources give the same vectors. Raises
    `InputError` where there is no such model or layer.
    """
    tokenizer = load_tokenizer(model)
    loaded = load_model(model, dtype="float32", attention=None).eval()
    number = _layer(layer, loaded.config.num_hidden_layers)
    longest = min(LONGEST, context_length(loaded.config) or LONGEST)
    rows = [ids[:longest] for ids in encode(tokenizer, [escaped(text) for text in sources])]
    means = np.zeros((len(rows), loaded.config.hidden_size))
    with quiet(), torch_threads(1), torch.inference_mode():
        for batch in _batches(rows):
            means[batch] = _means(loaded, [rows[place] for place in batch], number)
    name = "/".join(Path(model).parts[-3:])
    return unit(means - means.mean(axis=0)), f"hidden states after layer {number} of {name}"


def _layer(asked: str, layers: int) -> int:
    known = {"last": layers, "middle": layers // 2} | {str(n): n for n in range(layers + 1)}
    if asked not in known:
        raise InputError(
            f"--vectors hidden:LAYER must be last, middle or a number from 0 to {layers}, "
            f"but is {asked!r}."
        )
    return known[asked]


def _batches(rows: Sequence[Tokens]) -> Iterator[list[int]]:
    """Places of rows, those of about one length together, up to BATCH_TOKENS with their padding."""
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: (len(rows[place]), place)):
        if batch and len(rows[place]) * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _means(model: Any, rows: Sequence[Tokens], layer: int) -> Floats:
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    weights = mask.unsqueeze(-1)
    summed = (states.hidden_states[layer] * weights).sum(dim=1) / weights.sum(dim=1)
    return np.asarray(summed.double().numpy())


def sentence_vectors(model: str, sources: Sequence[str]) -> Floats:
    """Unit vectors of a sentence-transformers model. Raises `InputError` where it can't be loaded.

    On one thread of the CPU, as for `hidden_vectors`.
    """
    from sentence_transformers import SentenceTransformer

    with quiet(), torch_threads(1):
        try:
            loaded = SentenceTransformer(model, device="cpu", trust_remote_code=False)
        except (OSError, ValueError, RuntimeError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise InputError(
                f"--vectors {model} must be ast, hidden, or a sentence-transformers model, but "
                f"can't be loaded: {reason}"
            ) from None
        texts = [escaped(source) for source in sources]
        made = loaded.encode(texts, show_progress_bar=False, normalize_embeddings=True)
    return unit(np.asarray(made, dtype=np.float64))
