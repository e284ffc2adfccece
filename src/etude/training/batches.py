"""Documents -> batches, one a step: like lengths together, so that little is padding."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

WINDOW = 512
"""Documents that are sorted by length together: enough for little padding, few enough to mix."""


def make_batches(
    encoded: Sequence[list[int]], epochs: float, batch_tokens: int, seed: int
) -> list[list[list[int]]]:
    """Batches for all epochs: documents of like length together, in random order.

    Each epoch is shuffled, cut into windows that are sorted by length, and filled into batches of
    at most `batch_tokens` tokens with padding; then the batches are shuffled.
    """
    rng = random.Random(seed)
    out = []
    for epoch in range(math.ceil(epochs)):
        share = min(1.0, epochs - epoch)
        order = rng.sample(range(len(encoded)), max(1, round(share * len(encoded))))
        batches: list[list[list[int]]] = []
        for first in range(0, len(order), WINDOW):
            window = [encoded[index] for index in order[first : first + WINDOW]]
            batches += _filled(sorted(window, key=len), batch_tokens)
        rng.shuffle(batches)
        out += batches
    return out


def _filled(documents: Sequence[list[int]], batch_tokens: int) -> Iterator[list[list[int]]]:
    """Documents, shortest first, cut into batches whose padded size stays within the budget."""
    batch: list[list[int]] = []
    for ids in documents:
        if batch and len(ids) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(ids)
    if batch:
        yield batch
