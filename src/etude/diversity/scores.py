"""Diversity of sets of vectors: formulas with their guards and sources.

Vectors are rows of length 1, and the similarity of two is their scalar product. Every number here
grows or shrinks with the size of the set, so sets are compared at equal numbers: `at_size` draws
subsets of one size from each.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from etude.stats import Estimate, pass_at_k

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

DRAWS = 100
"""Subsets that are drawn of each set."""
_NOTHING = 1e-12
"""An eigenvalue below is a rounding error."""
_ROWS = 1_000


def vendi(vectors: Floats) -> float:
    """The Vendi score: how many entirely different vectors would be as diverse as these.

    exp(-sum l_i log l_i), with l_i the eigenvalues of K / n, K_ij the similarity of i and j, and
    0 log 0 = 0 (Friedman and Dieng, "The Vendi Score", arXiv 2210.02410, section 3). n equal
    vectors score 1, n orthogonal ones n. It needs K_ii = 1 and no negative eigenvalue, which hold
    for scalar products of unit vectors; eigenvalues that rounding made negative count as 0. Those
    of X X' and X' X are the same but for zeros, so the smaller is taken.

    `vectors` has the shape (n, d). Raises ValueError for none, or for vectors of another length.
    """
    if not len(vectors):
        raise ValueError("a Vendi score needs at least one vector but got none")
    if not np.allclose(np.einsum("ij,ij->i", vectors, vectors), 1.0, atol=1e-6):
        raise ValueError("a Vendi score needs vectors of length 1, or K_ii would not be 1")
    rows, columns = vectors.shape
    gram = vectors @ vectors.T if rows <= columns else vectors.T @ vectors
    values = np.linalg.eigvalsh(gram / rows)
    values = values[values > _NOTHING]
    values = values / values.sum()
    return float(np.exp(-(values * np.log(values)).sum()))


def nearest(vectors: Floats, others: Floats, own: bool = False) -> Floats:
    """The distance of each vector to the nearest of `others`: 1 - the largest similarity.

    From 0 to 2, and to 1 where no entry is negative. With `own`, both are the same set, and none
    is its own neighbour. NaN where there is no other. Shape (len(vectors),).
    """
    found = np.full(len(vectors), np.nan)
    if len(others) <= own:
        return found
    for start in range(0, len(vectors), _ROWS):
        similar = vectors[start : start + _ROWS] @ others.T
        if own:
            rows = np.arange(len(similar))
            similar[rows, start + rows] = -np.inf
        found[start : start + _ROWS] = 1 - similar.max(axis=1)
    return np.asarray(np.maximum(found, 0.0))


def distinct_at(names: Sequence[str], size: int) -> float:
    """How many distinct names `size` of these hold on average, drawn without replacement.

    sum_i 1 - C(N - N_i, m) / C(N, m), where N_i of N have the i-th name (rarefaction: Hurlbert
    1971, "The nonconcept of species diversity", Ecology 52): of each name the unbiased pass@k.
    Raises ValueError for a size above N.
    """
    counts = Counter(Counter(names).values())
    return math.fsum(
        times * pass_at_k(len(names), count, size) for count, times in sorted(counts.items())
    )


@dataclass(frozen=True, slots=True)
class Subsets:
    """Equal subsets of a set of vectors: `draws` times `size` of `total`."""

    total: int
    size: int
    seed: int

    def places(self) -> list[Places]:
        """Which are drawn, without replacement."""
        rng = np.random.default_rng(self.seed)
        return [rng.permutation(self.total)[: self.size] for _ in range(DRAWS)]


def at_size(subsets: Subsets, score: Callable[[Places], float]) -> Estimate:
    """The mean score of subsets of one size, and its 95% interval over sets like this one.

    The variance of the mean is m / (N - m) times that of the subsets' scores (the delete-d
    jackknife: Shao and Wu 1989, "A general theory for jackknife variance estimation", Annals of
    Statistics 17), and 1 / DRAWS times that for the draws themselves: of small subsets of a large
    set the greater part. It sees that other puzzles of the same make could be there, not that
    another run would make others. Raises ValueError where the subsets are more than half of the
    set.
    """
    if not 0 < subsets.size <= subsets.total // 2:
        raise ValueError(
            f"subsets must hold at most half of the {subsets.total} but hold {subsets.size}"
        )
    scores = [score(places) for places in subsets.places()]
    share = subsets.size / (subsets.total - subsets.size)
    return _interval(scores, share)


def coverage(
    labels: Places, human: Places, subsets: Subsets, seed: int, *, own: bool = False
) -> Estimate:
    """The share of clusters with a human puzzle that equally many others fall in.

    As often as subsets are drawn, `size` human puzzles mark their clusters, and as many of the
    others are held against them. With `own`, the others are human too and the two halves share
    none: what a second set of human puzzles would cover. `labels` and `human` are cluster numbers.
    The interval is that of `at_size`, with the larger of the two sets' factors. Raises ValueError
    where the subsets are more than half of a set.
    """
    size = subsets.size
    if not 0 < size <= min(len(human), subsets.total) // 2:
        raise ValueError(
            f"subsets must hold at most half of {len(human)} and {subsets.total} but hold {size}"
        )
    rng = np.random.default_rng(seed)
    scores = []
    for drawn in subsets.places():
        order = rng.permutation(len(human))
        marked = np.unique(human[order[:size]])
        held = human[order[size : 2 * size]] if own else labels[drawn]
        scores.append(float(np.isin(marked, held).mean()))
    return _interval(scores, size / (min(len(human), subsets.total) - size))


def _interval(scores: Sequence[float], share: float) -> Estimate:
    mean = math.fsum(scores) / len(scores)
    error = 1.959964 * math.sqrt((share + 1 / len(scores)) * float(np.var(scores, ddof=1)))
    return Estimate(mean, mean - error, mean + error)
