"""pass@k, intervals and paired comparisons: formulas with their guards and sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
"""Bootstrap resamples: enough for the ends of a 95% interval to be stable."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems with its 95% interval."""

    value: float
    low: float
    high: float


def pass_at_k(n: int, accepted: int, k: int) -> float:
    """The unbiased estimate of the chance that at least one of k attempts is accepted.

    1 - C(n - c, k) / C(n, k), for c accepted of n attempts (Chen et al., "Evaluating Large
    Language Models Trained on Code", arXiv 2107.03374, equation 1).

    Raises ValueError for k > n: with fewer than k attempts the estimate is undefined, not 1.
    """
    if not 0 <= accepted <= n:
        raise ValueError(f"accepted must be between 0 and n = {n} but is {accepted}")
    if not 1 <= k <= n:
        raise ValueError(f"pass@k needs 1 <= k <= n attempts but k = {k} and n = {n}")
    if n - accepted < k:
        return 1.0
    miss = np.arange(n - accepted + 1, n + 1)
    return float(1.0 - np.prod(1.0 - k / miss))


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """The mean over problems and its 95% interval, by the percentile bootstrap over problems.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. The interval
    speaks of problems like these; it does not see the variance between training seeds.

    Raises ValueError for no values.
    """
    if not len(values):
        raise ValueError("an interval needs at least one problem but got none")
    data = np.asarray(values, dtype=np.float64)
    low, high = np.percentile(_resampled_means(data, seed), [2.5, 97.5])
    return Estimate(float(data.mean()), float(low), float(high))


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


def _resampled_means(data: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, 2_000_000 // len(data))  # bounds the index matrix to some 16 MB
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        means[start : start + rows] = data[rng.integers(0, len(data), (rows, len(data)))].mean(1)
    return means
