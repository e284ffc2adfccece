"""Near duplicates: MinHash and locality-sensitive hashing propose pairs, the true Jaccard decides.

Signatures are rensa's. Its index answers with every member of a bucket, so that a million copies of
one text would be compared with each other; here each row is held against a bounded number of
leaders, the rows that repeat none before them.

Source: Broder 1997, "On the resemblance and containment of documents"; bands and rows as in
Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from etude.duplicates.keys import Shingles, jaccard, shingles

PERMUTATIONS = 128
SEED = 1
RECALL = 0.99
"""Of pairs exactly at the threshold, the share that at least one band proposes."""
MOST_LISTED = 32
"""Leaders of one bucket that later rows are held against."""
MOST_COMPARED = 64
"""Leaders that one row is held against: those that it shares most buckets with."""

Words = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Leaders:
    """For each row the first one that it is like, itself if there is none; the true Jaccard."""

    first: Places
    jaccard: npt.NDArray[np.float64]
    crowded: int
    """Rows that were not held against every leader that the bands proposed."""


def band_rows(threshold: float) -> int:
    """Rows of a band: as many as still propose `RECALL` of the pairs at the threshold.

    The chance that at least one of b bands of r rows agrees is 1 - (1 - t^r)^b.
    """
    enough = [
        rows
        for rows in range(1, PERMUTATIONS + 1)
        if 1 - (1 - threshold**rows) ** (PERMUTATIONS // rows) >= RECALL
    ]
    return max(enough, default=1)


def bands_of(texts: Sequence[Shingles], threshold: float) -> Words:
    """A 64-bit key for each text and band: equal where the signatures agree in the whole band."""
    rows = band_rows(threshold)
    bands = PERMUTATIONS // rows
    tokens = [["\0".join(run).encode("utf-8", "surrogatepass") for run in text] for text in texts]
    matrix = RMinHash.digest_matrix_from_token_byte_sets(tokens, PERMUTATIONS, SEED)
    signatures = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(texts), PERMUTATIONS)
    parts = signatures[:, : bands * rows].reshape(len(texts), bands, rows)
    keys = np.full((len(texts), bands), 0x9E3779B97F4A7C15, np.uint64)
    for row in range(rows):  # splitmix64's steps
        keys = (keys ^ parts[:, :, row]) * np.uint64(0xBF58476D1CE4E5B9)
        keys ^= keys >> np.uint64(29)
    return keys


def leaders(
    bands: Words, sizes: Places, text_of: Callable[[int], str], threshold: float
) -> Leaders:
    """Each row held against the leaders before it, in order.

    `sizes` are the rows' numbers of shingles. Every row that is no leader is at least `threshold`
    like its leader; two leaders can be alike only where no band proposed them, or `crowded` says
    so. Takes time and memory linear in the rows, whatever they hold.
    """
    buckets, starts = _buckets(bands)
    listed = np.zeros(int(starts[-1]), np.int32)
    filled = np.zeros(len(starts) - 1, np.int32)
    found = Leaders(np.arange(len(bands), dtype=np.int32), np.ones(len(bands)), 0)
    crowded = 0
    full: set[int] = set()
    cached = lru_cache(8192)(lambda row: shingles(text_of(row)))
    for row in np.flatnonzero((buckets >= 0).any(axis=1)).tolist():
        own = [bucket for bucket in buckets[row].tolist() if bucket >= 0]
        shared = Counter(
            leader
            for bucket in own
            for leader in listed[starts[bucket] : starts[bucket] + filled[bucket]].tolist()
        )
        likely = _most_shared(shared)
        leader, value = _like(row, likely, sizes, cached, threshold)
        if leader is not None:
            found.first[row], found.jaccard[row] = leader, value
            continue
        crowded += len(likely) < len(shared) or not full.isdisjoint(own)
        for bucket in own:
            if filled[bucket] < starts[bucket + 1] - starts[bucket]:
                listed[starts[bucket] + filled[bucket]] = row
                filled[bucket] += 1
            else:
                full.add(bucket)
    return Leaders(found.first, found.jaccard, crowded)


def _buckets(bands: Words) -> tuple[Places, npt.NDArray[np.int64]]:
    """The bucket of each row in each band, -1 where it is alone; where each bucket's list starts.

    By sorting: a dict of a million rows and twenty bands would take gigabytes.
    """
    buckets = np.full(bands.shape, -1, np.int32)
    sizes: list[npt.NDArray[np.int64]] = []
    count = 0
    for band in range(bands.shape[1]):
        order = np.argsort(bands[:, band], kind="stable")
        column = bands[order, band]
        new = np.ones(len(column), bool)
        new[1:] = column[1:] != column[:-1]
        group = np.cumsum(new) - 1
        members = np.bincount(group) if len(group) else np.zeros(0, np.int64)
        many = members > 1
        numbers = np.where(many, np.cumsum(many) - 1 + count, -1).astype(np.int32)
        buckets[order, band] = numbers[group]
        sizes.append(np.minimum(members[many], MOST_LISTED))
        count += int(many.sum())
    return buckets, np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)


def _most_shared(shared: Counter[int]) -> list[int]:
    """The leaders to be held against, those of most buckets first, then the earliest."""
    return sorted(shared, key=lambda leader: (-shared[leader], leader))[:MOST_COMPARED]


def _like(
    row: int,
    likely: Iterable[int],
    sizes: Places,
    of_row: Callable[[int], Shingles],
    threshold: float,
) -> tuple[int | None, float]:
    """The first leader that is like the row, and how much. Unequal sizes rule one out at once."""
    own = int(sizes[row])
    for leader in likely:
        other = int(sizes[leader])
        if min(own, other) >= threshold * max(own, other):
            value = jaccard(of_row(row), of_row(leader))
            if value >= threshold:
                return leader, value
    return None, 0.0
