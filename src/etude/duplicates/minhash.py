"""Near duplicates: MinHash and locality-sensitive hashing propose pairs, the true Jaccard decides.

Signatures are rensa's. Its index answers with every member of a bucket, so that a million copies of
one text would be compared with each other; here each row is held against a bounded number of
leaders, the rows that repeat none before them.

Source: Broder 1997, "On the resemblance and containment of documents"; bands and rows as in
Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from etude.duplicates.keys import Shingles, jaccard, shingles
from etude.spill import Column, blank, chunks, parts

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
    bands: Sequence[Words], sizes: Places, text_of: Callable[[int], str], threshold: float
) -> Leaders:
    """Each row held against the leaders before it, in order.

    `bands` has one column of keys a band; `sizes` are the rows' numbers of shingles. Every row that
    is no leader is at least `threshold` like its leader; two leaders can be alike only where no
    band proposed them, or `crowded` says so. Takes time linear in the rows, whatever they hold, and
    disk where they don't fit into memory.
    """
    rows = len(sizes)
    buckets, starts = _buckets(bands, rows)
    listed = blank(int(starts[-1]), np.int32)
    filled = blank(len(starts) - 1, np.int8)
    full = blank(len(starts) - 1, np.bool_)
    found = Leaders(blank(rows, np.int32), blank(rows, np.float64), 0)
    for chunk in chunks(rows):
        found.first[chunk] = np.arange(chunk.start, chunk.stop)
        found.jaccard[chunk] = 1
    crowded = 0
    cached = lru_cache(8192)(lambda row: shingles(text_of(row)))
    for row, own in _shared_rows(buckets, rows):
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
        crowded += len(likely) < len(shared) or bool(full[own].any())
        for bucket in own:
            if filled[bucket] < starts[bucket + 1] - starts[bucket]:
                listed[starts[bucket] + filled[bucket]] = row
                filled[bucket] += 1
            else:
                full[bucket] = True
    return Leaders(found.first, found.jaccard, crowded)


def _shared_rows(
    buckets: Sequence[npt.NDArray[np.int64]], rows: int
) -> Iterator[tuple[int, list[int]]]:
    """Each row that shares a bucket with another one, and its buckets."""
    for chunk in chunks(rows):
        own = np.stack([band[chunk] for band in buckets], axis=1)
        for row in np.flatnonzero((own >= 0).any(axis=1)).tolist():
            yield chunk.start + row, [bucket for bucket in own[row].tolist() if bucket >= 0]


def _buckets(
    bands: Sequence[Words], rows: int
) -> tuple[list[npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
    """The bucket of each row, a column a band, -1 where it is alone; where each bucket's list
    starts.

    By sorting: a dict of a million rows and twenty bands would take gigabytes.
    """
    buckets = [blank(rows, np.int64) for _ in bands]
    starts = Column(np.int64)
    starts.extend([0])
    count = end = 0
    for column, keys in zip(buckets, bands, strict=True):
        for own, places in parts(keys):
            _, group, members = np.unique(own, return_inverse=True, return_counts=True)
            many = members > 1
            column[places] = np.where(many, np.cumsum(many) - 1 + count, -1)[group]
            ends = end + np.cumsum(np.minimum(members[many], MOST_LISTED))
            starts.extend(ends)
            count += len(ends)
            end = int(ends[-1]) if len(ends) else end
    return buckets, starts.array()


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
