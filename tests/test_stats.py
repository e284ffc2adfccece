from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude.stats import mean_interval, paired_difference, pass_at_k


@given(
    st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))
)
def test_pass_at_k_is_the_share_of_subsets_with_a_hit(case: tuple[int, int, int]) -> None:
    n, accepted, k = case
    subsets = list(combinations(range(n), k))
    hits = sum(any(attempt < accepted for attempt in subset) for subset in subsets)
    assert pass_at_k(n, accepted, k) == pytest.approx(hits / len(subsets))


@pytest.mark.parametrize(("n", "accepted", "k"), [(1, 0, 10), (10, 3, 11), (10, 3, 0)])
def test_pass_at_k_is_undefined_beyond_n(n: int, accepted: int, k: int) -> None:
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(n, accepted, k)


@pytest.mark.parametrize("accepted", [-1, 11])
def test_impossible_counts_are_refused(accepted: int) -> None:
    with pytest.raises(ValueError, match="accepted must be"):
        pass_at_k(10, accepted, 1)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        sample = rng.binomial(1, 0.3, size=150).astype(float)
        estimate = mean_interval(list(sample), seed=trial)
        hits += estimate.low <= 0.3 <= estimate.high
    assert 0.90 <= hits / 200 <= 0.99


def test_the_interval_of_a_constant_is_a_point() -> None:
    estimate = mean_interval([0.5] * 20)
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_pairing_removes_the_variance_between_problems() -> None:
    rng = np.random.default_rng(1)
    before = rng.random(100)
    after = before + 0.05 + rng.normal(0, 0.01, 100)
    difference = paired_difference(list(before), list(after))
    assert difference.low > 0.04
    apart = mean_interval(list(before))
    assert difference.high - difference.low < 0.2 * (apart.high - apart.low)


def test_unlike_things_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same problems"):
        paired_difference([0.1], [0.1, 0.2])
    with pytest.raises(ValueError, match="at least one problem"):
        mean_interval([])
