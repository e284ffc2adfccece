"""Documents -> rows -> batches, one a step, with little padding.

A row is what the model reads at once: one document, or with packing as many as fit `block_tokens`.
The paper's code joins all texts to one and cuts it every 1,024 tokens, so that documents are cut in
two and see the ones before them. Here a document stays whole, and sees none of its neighbours.

Of what is computed for the documents of the recipe `tiny`, 43.5% is padding in batches as they
come, 7.6% sorted by length, 1.6% packed in rows of 1,024 (`python benchmarks/padding.py`).
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Row = list[int]
"""The documents of one row, as indices."""
Batch = list[Row]

WINDOW = 512
"""Documents that are sorted by length together: enough for little padding, few enough to mix."""


def make_batches(
    lengths: Sequence[int],
    epochs: float,
    batch_tokens: int,
    seed: int,
    block_tokens: int | None = None,
) -> list[Batch]:
    """Batches for all epochs: rows of like length together, in random order.

    Each epoch is shuffled, cut into windows that are sorted by length, and filled into batches of
    at most `batch_tokens` tokens with padding; then the batches are shuffled.

    Args:
        lengths: tokens of each document.
        block_tokens: tokens of a packed row; None for a document a row.
    """
    rng = random.Random(seed)
    out = []
    for epoch in range(math.ceil(epochs)):
        share = min(1.0, epochs - epoch)
        order = rng.sample(range(len(lengths)), max(1, round(share * len(lengths))))
        batches: list[Batch] = []
        for first in range(0, len(order), WINDOW):
            window = order[first : first + WINDOW]
            rows = _single(window, lengths) if block_tokens is None else []
            if block_tokens is not None:
                rows = packed(window, lengths, block_tokens)
            batches += _filled(rows, lengths, batch_tokens)
        rng.shuffle(batches)
        out += batches
    return out


def _single(window: Sequence[int], lengths: Sequence[int]) -> list[Row]:
    """A row for each document, the shortest first."""
    return [[index] for index in sorted(window, key=lengths.__getitem__)]


def packed(window: Sequence[int], lengths: Sequence[int], block_tokens: int) -> list[Row]:
    """Rows of at most `block_tokens` tokens, each document in the fullest row that takes it.

    That is best-fit decreasing: at most 11/9 of the fewest rows possible, and one (Johnson, 1973).
    A document that is longer than the block is a row of its own.
    """
    rows: list[Row] = []
    room: list[tuple[int, int]] = []  # what is left of each row, and which row it is; sorted
    for index in sorted(window, key=lengths.__getitem__, reverse=True):
        at = bisect_left(room, (lengths[index], 0))
        if at == len(room):
            rows.append([index])
            left, row = block_tokens - lengths[index], len(rows) - 1
        else:
            left, row = room.pop(at)
            rows[row].append(index)
            left -= lengths[index]
        insort(room, (left, row))
    return sorted(rows, key=lambda row: width(row, lengths))


def width(row: Row, lengths: Sequence[int]) -> int:
    """Tokens of a row."""
    return sum(lengths[index] for index in row)


def padding(batches: Iterable[Batch], lengths: Sequence[int]) -> float:
    """The share of padding in what is computed."""
    widths = [[width(row, lengths) for row in batch] for batch in batches]
    computed = sum(len(batch) * max(batch) for batch in widths)
    return 1 - sum(map(sum, widths)) / computed


def _filled(rows: Sequence[Row], lengths: Sequence[int], batch_tokens: int) -> Iterator[Batch]:
    """Rows, shortest first, cut into batches whose padded size stays within the budget."""
    batch: Batch = []
    for row in rows:
        if batch and width(row, lengths) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def parts_of(batch: Batch, parts: int) -> list[Batch]:
    """The batch cut into so many pieces of rows, as even as can be; some may be empty."""
    cuts = [part * len(batch) // parts for part in range(parts + 1)]
    return [batch[start:end] for start, end in pairwise(cuts)]
