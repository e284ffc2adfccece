"""Clusters and maps of vectors, with scikit-learn; UMAP where it is asked for.

Everything is seeded and on one thread, since sums in another order round differently.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from etude.errors import InputError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

SIZES = (4, 8, 16, 32, 64, 128)
"""Numbers of clusters that are tried."""
_PER_CLUSTER = 4
"""Vectors for each cluster, on average, at least."""
MAPS = ("pca", "umap")


def check_installed() -> None:
    """Raises `InputError` with the line that installs what is missing."""
    if find_spec("sklearn") is None:
        raise InputError(
            "Diversity is measured with scikit-learn, which is not installed: "
            "pip install 'etude[data]'."
        )


def check_map(kind: str) -> None:
    """Raises `InputError` for a map that is not known, or not installed."""
    if kind not in MAPS:
        raise InputError(f"--map must be pca or umap but is {kind}.")
    if kind == "umap" and find_spec("umap") is None:
        raise InputError(
            "--map umap needs the package umap-learn, which is not installed: "
            "pip install 'etude[umap]'; or take --map pca."
        )


def clustered(fitted: Floats, every: Floats, seed: int) -> tuple[Places, float]:
    """The cluster of each of `every`, of those that k-means found in `fitted`; its silhouette.

    k is the one of SIZES with the largest mean silhouette (Rousseeuw 1987, "Silhouettes: a
    graphical aid to the interpretation and validation of cluster analysis"), the smallest of
    equals, with 4 vectors a cluster at least. Clusters are numbered by their size in `fitted`.
    Fewer than 16 vectors, or equal ones, are a single cluster, of which the silhouette is NaN.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    different = len(np.unique(fitted.round(9), axis=0))
    sizes = [k for k in SIZES if _PER_CLUSTER * k <= len(fitted) and k < different]
    best, quality = None, float("nan")
    with threadpool_limits(1):
        for k in sizes:
            model = KMeans(k, n_init=3, random_state=seed).fit(fitted)
            found = round(float(silhouette_score(fitted, model.labels_)), 6)
            if best is None or found > quality:
                best, quality = model, found
        if best is None:
            return np.zeros(len(every), dtype=np.int64), quality
        return _by_size(best.labels_)[best.predict(every)], quality


def in_clusters(vectors: Floats, most: int, seed: int) -> Places:
    """The cluster of each vector, of `most` that k-means finds, the largest first.

    Fewer where fewer vectors differ.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    k = min(most, len(np.unique(vectors.round(9), axis=0)))
    with threadpool_limits(1):
        labels = KMeans(k, n_init=3, random_state=seed).fit(vectors).labels_
    return np.asarray(_by_size(labels)[labels])


def _by_size(labels: Places) -> Places:
    """A new number of each cluster: 0 is the largest."""
    order = np.argsort(-np.bincount(labels), kind="stable")
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return np.asarray(number, dtype=np.int64)


def flat(vectors: Floats, kind: str, seed: int) -> Floats:
    """The vectors in a plane, shape (n, 2): the first two principal components, or UMAP's."""
    from threadpoolctl import threadpool_limits

    if len(vectors) < 3:
        return np.zeros((len(vectors), 2))
    with threadpool_limits(1):
        placed = _umap(vectors, seed) if kind == "umap" else _pca(vectors)
    return np.asarray(placed, dtype=np.float64).round(5) + 0.0


def _pca(vectors: Floats) -> Floats:
    from sklearn.decomposition import PCA

    room = min(2, *vectors.shape)
    placed = np.zeros((len(vectors), 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal vectors have no variance to share
        placed[:, :room] = PCA(room, svd_solver="covariance_eigh").fit_transform(vectors)
    return placed


def _umap(vectors: Floats, seed: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries it is built on
        from umap import UMAP

        mapper = UMAP(
            metric="cosine",
            n_neighbors=min(15, len(vectors) - 1),
            init="random" if len(vectors) < 10 else "spectral",
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(mapper.fit_transform(vectors), dtype=np.float64)


def spread_evenly(parts: Sequence[int], total: int) -> list[int]:
    """How many to take of each part, so that `total` are taken as evenly as the parts allow."""
    taken = [0] * len(parts)
    while (left := total - sum(taken)) > 0:
        open_ = [place for place, size in enumerate(parts) if taken[place] < size]
        if not open_:
            break
        for place in open_[:left]:
            taken[place] += max(1, min(left // len(open_), parts[place] - taken[place]))
    return taken
