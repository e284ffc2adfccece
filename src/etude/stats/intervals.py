"""95% intervals over problems, by the bootstrap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
"""Bootstrap resamples: enough for the ends of a 95% interval to be stable."""
_MOST_INDICES = 2_000_000
"""Drawn at once: bounds the memory to some 30 MB."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over problems with its 95% interval."""

    value: float
    low: float
    high: float


def mean_interval(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """The mean over problems and its 95% interval, by the percentile bootstrap over problems.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. Each value carries
    the noise of its attempts, so the interval is a joint one: other problems like these, and other
    attempts at them. It does not see the variance between training seeds.

    Raises ValueError for no values.
    """
    return mean_intervals(np.asarray(values, dtype=np.float64).reshape(len(values), 1), seed=seed)[
        0
    ]


def mean_intervals(values: Floats, *, seed: int = 0) -> list[Estimate]:
    """`mean_interval` of each column; the resampled problems are the same for all columns.

    `values` has the shape (problems, columns). Raises ValueError for no problems.
    """
    if not len(values):
        raise ValueError("an interval needs at least one problem but got none")
    low, high = np.percentile(_resampled_means(values, seed), [2.5, 97.5], axis=0)
    means = values.mean(axis=0)
    return [
        Estimate(float(m), float(a), float(b)) for m, a, b in zip(means, low, high, strict=True)
    ]


def _resampled_means(values: Floats, seed: int) -> Floats:
    """Shape (RESAMPLES, columns): how often each problem was drawn, times its values."""
    rng = np.random.default_rng(seed)
    problems = len(values)
    means = np.empty((RESAMPLES, values.shape[1]))
    step = max(1, _MOST_INDICES // problems)
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = rng.integers(0, problems, (rows, problems))
        if values.shape[1] == 1:
            means[start : start + rows, 0] = values[drawn, 0].mean(axis=1)
            continue
        drawn += problems * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * problems).astype(np.float64)
        means[start : start + rows] = times.reshape(rows, problems) @ values / problems
    return means


_Z = 1.959963984540054
"""The normal distribution's 97.5% point."""


def share_interval(successes: int, trials: int) -> Estimate:
    """The share of successes with its 95% interval, by Wilson's score.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927), JASA 22.
    Raises ValueError unless 0 <= successes <= trials and there is a trial.

    >>> [round(end, 3) for end in (share_interval(0, 24).low, share_interval(0, 24).high)]
    [0.0, 0.138]
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"a share needs 0 to n of n > 0 trials but got {successes} of {trials}")
    share, weight = successes / trials, _Z * _Z / trials
    middle = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == trials else middle + half
    return Estimate(share, low, high)
