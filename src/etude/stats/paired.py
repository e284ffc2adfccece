"""Two models on the same problems: paired differences and tests.

Which test is right:

    mcnemar      one yes or no of each model on each problem: pass@1 of one attempt, or whether any
                 of n attempts solved it (pass@n)
    sign_flips   any numbers: pass@k of several attempts
    holm         when several k are tested at once
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from etude.stats.intervals import Estimate, mean_interval, mean_intervals

Floats = npt.NDArray[np.float64]

FLIPS = 20_000
"""Random flips of signs: the smallest p that they can show is 1 in 20,001."""
_MOST_ENUMERATED = 14
"""Problems that differ, up to which all flips are tried: 2^14 are fewer than FLIPS."""
_MOST_SIGNS = 2_000_000


def paired_difference(
    before: Sequence[float], after: Sequence[float], *, seed: int = 0
) -> Estimate:
    """Mean of `after - before` over the same problems, with its 95% bootstrap interval.

    Pairing removes the variance between problems, which is most of it. Raises ValueError when
    the two don't hold the same number of problems.
    """
    if len(before) != len(after):
        raise ValueError(
            f"a paired comparison needs the same problems but got {len(before)} and {len(after)}"
        )
    return mean_interval(list(np.subtract(after, before)), seed=seed)


def paired_differences(before: Floats, after: Floats, *, seed: int = 0) -> list[Estimate]:
    """`paired_difference` of each column, of arrays of the shape (problems, columns)."""
    _check_pairs(before, after)
    return mean_intervals(after - before, seed=seed)


def mcnemar(gained: int, lost: int) -> float:
    """The exact two-sided p-value that two models solve equally many problems.

    `gained` problems were solved by the second alone, `lost` by the first alone; the others say
    nothing. If the models are equal, each of these is a coin's throw:
    p = min(1, 2 P[X <= min(gained, lost)]) with X ~ Binomial(gained + lost, 1/2)
    (McNemar 1947, "Note on the sampling error of the difference between correlated proportions",
    Psychometrika 12, in its exact form). Raises ValueError for a negative count.
    """
    if gained < 0 or lost < 0:
        raise ValueError(f"counts of problems can't be negative but are {gained} and {lost}")
    total = gained + lost
    tail = sum(math.comb(total, i) for i in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / (1 << total))


def sign_flips(before: Floats, after: Floats, *, seed: int = 0) -> list[float]:
    """The two-sided p-value of each column's mean difference, by flipping signs.

    If the models are equal, then on each problem they could change places: each difference is as
    likely with the other sign (Fisher 1935, "The Design of Experiments", section 21). p is the
    share of sign patterns whose mean is at least as far from 0 as the one found. All are tried
    where at most 14 problems differ; else 20,000 drawn ones and the one found, which keeps the test
    exact (Phipson and Smyth 2010, arXiv 1603.05766). The patterns are the same for all columns.

    Arrays of the shape (problems, columns). Both need equally many attempts, or their places can't
    be changed. Raises ValueError for other shapes.
    """
    _check_pairs(before, after)
    differences = after - before
    kept = differences[np.abs(differences).max(axis=1) > 0]
    count = len(kept)
    if not count:
        return [1.0] * before.shape[1]
    # Sums of the same numbers in another order differ in their last digits.
    bar = np.abs(kept.sum(axis=0)) * (1 - 1e-9) - 1e-12
    if count <= _MOST_ENUMERATED:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
        hits = (np.abs((1.0 - 2.0 * bits) @ kept) >= bar).sum(axis=0)
        return [float(hit) / 2**count for hit in hits]
    rng = np.random.default_rng(seed)
    hits = np.zeros(before.shape[1], dtype=np.int64)
    step = max(1, _MOST_SIGNS // count)
    for start in range(0, FLIPS, step):
        rows = min(step, FLIPS - start)
        signs = 1.0 - 2.0 * rng.integers(0, 2, (rows, count))
        hits += (np.abs(signs @ kept) >= bar).sum(axis=0)
    return [float(hit + 1) / (FLIPS + 1) for hit in hits]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of several tests: one below 0.05 holds at the 5% level for all together.

    The i-th smallest of m is multiplied by m - i + 1, and none may fall below a smaller one (Holm
    1979, "A simple sequentially rejective multiple test procedure"). It needs no independence.
    Raises ValueError for what is no probability.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"a p-value must be between 0 and 1 but is {wrong[0]}")
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def _check_pairs(before: Floats, after: Floats) -> None:
    if before.shape != after.shape or before.ndim != 2 or not len(before):
        raise ValueError(
            "a paired comparison needs the same problems, in two arrays (problems, columns), but "
            f"got {before.shape} and {after.shape}"
        )
