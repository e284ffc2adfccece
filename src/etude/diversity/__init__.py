"""Diversity and instructiveness of a run's puzzles. Nothing here writes into the run.

features    vectors of syntax trees (`hidden`: of a model's states, of a sentence model)
scores      Vendi score, coverage, distances, forms at equal numbers: formulas with sources
clusters    k-means, PCA, UMAP
measuring   all of it for the puzzles of a run, round by round beside people's
"""

from etude.diversity.measuring import measure
from etude.diversity.results import Cluster, Diversity, Group, Point

__all__ = ["Cluster", "Diversity", "Group", "Point", "measure"]
