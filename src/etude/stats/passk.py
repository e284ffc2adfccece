"""pass@k: the unbiased estimate, for one k or for all of them, and how uncertain it is.

Throughout, n attempts were made at each problem and c of them were accepted. `miss` is the chance
that k different attempts, drawn from the n, all fail: C(n - c, k) / C(n, k).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = Sequence[int] | npt.NDArray[np.int64]


def pass_at_k(n: int, accepted: int, k: int) -> float:
    """The unbiased estimate of the chance that at least one of k attempts is accepted.

    1 - C(n - c, k) / C(n, k), for c accepted of n attempts (Chen et al., "Evaluating Large
    Language Models Trained on Code", arXiv 2107.03374, equation 1).

    Raises ValueError for k > n: with fewer than k attempts the estimate is undefined, not 1.
    """
    _check_counts(n, [accepted])
    _check_k(n, k)
    if n - accepted < k:
        return 1.0
    miss = np.arange(n - accepted + 1, n + 1)
    return float(1.0 - np.prod(1.0 - k / miss))


def pass_at_all_k(n: int, accepted: Counts) -> Floats:
    """The whole curve of each problem: entry [i, k - 1] is `pass_at_k(n, accepted[i], k)`.

    miss(k) = miss(k - 1) * (n - c - k + 1) / (n - k + 1): a product of numbers between 0 and 1,
    so that nothing overflows, whatever n is. Shape (problems, n). Raises ValueError for impossible
    counts.
    """
    return 1.0 - _misses(n, accepted)


def attempt_variance(n: int, accepted: Counts, k: int) -> Floats:
    """The variance that the attempts bring into each problem's pass@k, estimated without bias.

    miss(k)^2 - miss(2k), for 2k <= n. With p the chance of one attempt, pass@k has the variance
    E[miss(k)^2] - (1 - p)^(2k), and miss(2k) is the unbiased estimate of the last term. It is never
    negative; for k = 1 it is c (n - c) / (n^2 (n - 1)), the usual one. Shape (problems,).

    Raises ValueError for 2k > n, where no unbiased estimate exists: what is expected of any number
    made from n attempts is a polynomial in p of degree n at most, and (1 - p)^(2k) is none.
    """
    if not 1 <= k <= n // 2:
        raise ValueError(
            f"the variance of pass@k needs 2k <= n attempts but k = {k} and n = {n}: "
            "two draws of k attempts must not share one"
        )
    miss = _misses(n, accepted)
    return np.asarray(np.maximum(miss[:, k - 1] ** 2 - miss[:, 2 * k - 1], 0.0))


@dataclass(frozen=True, slots=True)
class Errors:
    """Standard errors of a mean pass@k over problems, from 0 to 1."""

    joint: float
    """Other problems of the kind, and other attempts at them. NaN for a single problem."""
    attempts: float | None
    """The same problems, other attempts. None where it can't be estimated (2k > n)."""
    problems: float | None
    """Other problems, with so many attempts at each that these bring no noise."""


def standard_errors(n: int, accepted: Counts, k: int) -> Errors:
    """What the uncertainty of a mean pass@k over P problems is made of.

    By the law of total variance the variance of the estimates between problems holds both parts,
    joint^2 = problems^2 + attempts^2 (Miller, "Adding Error Bars to Evals", arXiv 2411.00640,
    section 2 and 3.1), so joint^2 = var(pass@k) / P and attempts^2 = mean(attempt_variance) / P.
    Intervals over problems are therefore joint ones: to draw attempts again on top of them would
    count the attempts' noise twice.
    """
    _check_k(n, k)
    values = pass_at_all_k(n, accepted)[:, k - 1]
    count = len(values)
    joint = float(values.var(ddof=1)) / count if count > 1 else float("nan")
    if 2 * k > n:
        return Errors(float(np.sqrt(joint)), None, None)
    attempts = float(attempt_variance(n, accepted, k).mean()) / count
    problems = float(np.sqrt(max(joint - attempts, 0.0))) if count > 1 else None
    return Errors(float(np.sqrt(joint)), float(np.sqrt(attempts)), problems)


def _misses(n: int, accepted: Counts) -> Floats:
    counts = _check_counts(n, accepted)
    left = np.arange(n, 0, -1, dtype=np.float64)
    return np.asarray(np.cumprod(np.maximum(left - counts[:, None], 0.0) / left, axis=1))


def _check_counts(n: int, accepted: Counts) -> npt.NDArray[np.int64]:
    counts = np.asarray(accepted, dtype=np.int64)
    if n < 1 or not counts.size:
        raise ValueError(f"pass@k needs at least one attempt at one problem but n = {n}")
    if counts.min() < 0 or counts.max() > n:
        wrong = counts.min() if counts.min() < 0 else counts.max()
        raise ValueError(f"accepted must be between 0 and n = {n} but is {wrong}")
    return counts


def _check_k(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"pass@k needs 1 <= k <= n attempts but k = {k} and n = {n}")
