"""Statistics, each formula against an exact enumeration, a simulation, or scipy."""

from __future__ import annotations

import itertools
import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from etude.stats import (
    attempt_variance,
    chance_of,
    chance_solved,
    detectable_difference,
    detectable_gain,
    detectable_range,
    false_discovery,
    fisher,
    holm,
    mcnemar,
    mean_interval,
    mean_intervals,
    paired_difference,
    paired_differences,
    pass_at_all_k,
    pass_at_k,
    sign_flips,
    standard_errors,
)

# pass@k


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
    with pytest.raises(ValueError, match="pass@k needs"):
        standard_errors(n, [accepted], k)


@pytest.mark.parametrize("accepted", [-1, 11])
def test_impossible_counts_are_refused(accepted: int) -> None:
    with pytest.raises(ValueError, match="accepted must be"):
        pass_at_k(10, accepted, 1)
    with pytest.raises(ValueError, match="accepted must be"):
        pass_at_all_k(10, [3, accepted])


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_the_whole_curve_is_pass_at_k_of_every_k(case: tuple[int, int]) -> None:
    n, accepted = case
    (curve,) = pass_at_all_k(n, [accepted])
    exact = [1 - math.comb(n - accepted, k) / math.comb(n, k) for k in range(1, n + 1)]
    assert curve == pytest.approx(exact, abs=1e-12)
    assert [pass_at_k(n, accepted, k) for k in range(1, n + 1)] == pytest.approx(exact, abs=1e-12)
    assert (np.diff(curve) >= 0).all()


def test_the_curve_is_stable_for_many_attempts() -> None:
    n = 20_000
    curve = pass_at_all_k(n, [0, 1, n])
    assert (curve[0] == 0).all()
    assert curve[1] == pytest.approx(np.arange(1, n + 1) / n, abs=1e-9)
    assert (curve[2] == 1).all()


# What attempts and problems bring


def moments(n: int, p: float, k: int) -> tuple[float, float]:
    """Mean of the estimated variance, and the true variance of pass@k: all counts enumerated."""
    counts = list(range(n + 1))
    weights = np.array([math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in counts])
    values = pass_at_all_k(n, counts)[:, k - 1]
    true = float(weights @ values**2 - (weights @ values) ** 2)
    return float(weights @ attempt_variance(n, counts, k)), true


@given(st.integers(2, 12), st.floats(0, 1), st.data())
def test_the_variance_of_attempts_is_estimated_without_bias(
    n: int, p: float, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, n // 2))
    estimated, true = moments(n, p, k)
    assert estimated == pytest.approx(true, abs=1e-10)


def test_the_variance_of_one_attempt_is_the_usual_one() -> None:
    draws = [1, 1, 1, 0, 0, 0, 0, 0]
    assert attempt_variance(8, [3], 1)[0] == pytest.approx(np.var(draws, ddof=1) / 8)


def test_the_variance_is_undefined_beyond_half_of_the_attempts() -> None:
    with pytest.raises(ValueError, match="needs 2k <= n"):
        attempt_variance(9, [3], 5)
    assert standard_errors(9, [3, 4], 5).attempts is None


def test_the_joint_error_holds_both_parts() -> None:
    """Simulated: problems drawn from a Beta, attempts at each, many evaluations."""
    rng = np.random.default_rng(0)
    problems, n, k = 40, 12, 3
    means, squares = [], []
    for _ in range(4000):
        rates = rng.beta(0.6, 1.5, problems)
        accepted = rng.binomial(n, rates)
        means.append(pass_at_all_k(n, accepted)[:, k - 1].mean())
        errors = standard_errors(n, accepted, k)
        assert errors.attempts is not None
        squares.append((errors.joint**2, errors.attempts**2))
    joint, attempts = np.mean(squares, axis=0)
    assert joint == pytest.approx(np.var(means, ddof=1), rel=0.08)
    again = [
        pass_at_all_k(n, rng.binomial(n, rates))[:, k - 1].mean()
        for rates in [rng.beta(0.6, 1.5, problems)]
        for _ in range(4000)
    ]
    assert attempts == pytest.approx(np.var(again, ddof=1), rel=0.5)
    assert attempts < 0.5 * joint


# Intervals


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


def test_many_columns_are_as_each_alone() -> None:
    values = np.random.default_rng(3).random((37, 4))
    for column, together in enumerate(mean_intervals(values, seed=5)):
        alone = mean_interval(list(values[:, column]), seed=5)
        assert (together.value, together.low, together.high) == pytest.approx(
            (alone.value, alone.low, alone.high)
        )


def test_the_bootstrap_is_scipys() -> None:
    values = np.random.default_rng(4).random(60)
    ours = mean_interval(list(values))
    theirs = scipy_stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(1)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)


# Two models


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
    for function in (paired_differences, sign_flips):
        with pytest.raises(ValueError, match="same problems"):
            function(np.zeros((3, 1)), np.zeros((2, 1)))


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(gained: int, lost: int) -> None:
    total = gained + lost
    expected = scipy_stats.binomtest(gained, total).pvalue if total else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected)
    assert mcnemar(gained, lost) == mcnemar(lost, gained)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="can't be negative"):
        mcnemar(-1, 3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_few_sign_flips_are_all_tried(differences: list[int]) -> None:
    array = np.array(differences, dtype=float)[:, None] / 4
    (found,) = sign_flips(np.zeros_like(array), array)
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    assert found == pytest.approx(np.mean([s >= abs(sum(differences)) for s in sums]))


def test_many_sign_flips_agree_with_scipy() -> None:
    rng = np.random.default_rng(2)
    before = rng.random((50, 2))
    after = before + rng.normal([0.03, 0.0], 0.1, (50, 2))
    ours = sign_flips(before, after)
    for column in range(2):
        theirs = scipy_stats.permutation_test(
            (after[:, column], before[:, column]),
            lambda x, y: np.mean(x - y),
            permutation_type="samples",
            n_resamples=10_000,
            rng=np.random.default_rng(7),
        ).pvalue
        assert ours[column] == pytest.approx(theirs, abs=0.02)


def test_sign_flips_of_single_attempts_are_mcnemar() -> None:
    before = np.array([[0.0]] * 9 + [[1.0]] * 3 + [[1.0]] * 20)
    after = np.array([[1.0]] * 9 + [[0.0]] * 3 + [[1.0]] * 20)
    assert sign_flips(before, after) == [pytest.approx(mcnemar(9, 3))]


def test_sign_flips_reject_equal_models_no_more_often_than_they_say() -> None:
    rng = np.random.default_rng(5)
    rates = rng.beta(0.7, 1.0, 30)
    found = []
    for _ in range(250):
        pair = pass_at_all_k(8, rng.binomial(8, rates)), pass_at_all_k(8, rng.binomial(8, rates))
        found.append(sign_flips(pair[0][:, :1], pair[1][:, :1])[0] <= 0.05)
    assert np.mean(found) <= 0.09


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    """Adjusted p: the largest Bonferroni p of every set of hypotheses that holds this one."""
    places = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in combinations(places, size)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets}
    expected = [max(p for s, p in bonferroni.items() if i in s) for i in places]
    assert holm(p_values) == pytest.approx(expected)


def test_holm_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.2, 1.2])


# One problem

COUNTS = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda n: st.tuples(st.integers(0, n[0]), st.just(n[0]), st.integers(0, n[1]), st.just(n[1]))
)


@given(COUNTS)
def test_fisher_is_scipys(counts: tuple[int, int, int, int]) -> None:
    before, tries, after, others = counts
    table = [[before, tries - before], [after, others - after]]
    assert fisher(*counts) == pytest.approx(scipy_stats.fisher_exact(table).pvalue)
    assert fisher(after, others, before, tries) == fisher(*counts)


@given(COUNTS, st.sampled_from([0.01, 0.05, 0.3]))
def test_noise_alone_is_called_a_change_as_often_as_said(
    counts: tuple[int, int, int, int], level: float
) -> None:
    """The draws of the hypergeometric law whose own test is at most the level."""
    before, tries, after, others = counts
    total = before + after
    law = scipy_stats.hypergeom(tries + others, total, tries)
    possible = range(max(0, total - others), min(tries, total) + 1)
    called = [law.pmf(a) for a in possible if fisher(a, tries, total - a, others) <= level]
    assert chance_of(total, tries, others, level) == pytest.approx(sum(called), abs=1e-12)
    assert chance_of(total, tries, others, level) <= level
    solved = law.pmf(0) if total and total <= others else 0.0
    assert chance_solved(total, tries, others) == pytest.approx(solved)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_false_discovery_is_scipys(p_values: list[float]) -> None:
    expected = scipy_stats.false_discovery_control(p_values)
    assert false_discovery(p_values) == pytest.approx(list(expected))


def test_the_exact_tests_refuse_what_is_no_count() -> None:
    for counts in ((5, 4, 0, 4), (-1, 4, 0, 4), (0, 0, 0, 4)):
        with pytest.raises(ValueError, match="accepted must be"):
            fisher(*counts)
    with pytest.raises(ValueError, match="accepted must be"):
        chance_of(9, 4, 4)
    with pytest.raises(ValueError, match="between 0 and 1"):
        false_discovery([1.2])


# Power


@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_the_detectable_gain_is_found_with_the_power_that_is_said(spread: float) -> None:
    problems, samples, rate = 120, 10, 0.3
    gain = detectable_gain(problems, samples, rate, spread=spread)
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(1500):
        after = rate + gain + spread * rng.choice([-1.0, 1.0], problems)
        difference = (
            rng.binomial(samples, after) - rng.binomial(samples, rate, problems)
        ) / samples
        z = difference.mean() / (difference.std(ddof=1) / math.sqrt(problems))
        found += z > 1.96
    assert found / 1500 == pytest.approx(0.8, abs=0.04)


def test_more_attempts_help_only_at_best() -> None:
    few, many = detectable_range(228, 1, 0.2), detectable_range(228, 100, 0.2)
    assert few[0] == few[1] == many[1]
    assert many[0] == pytest.approx(few[0] / 10)


def test_no_evaluation_has_no_detectable_gain() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        detectable_gain(0, 10, 0.5)
    with pytest.raises(ValueError, match="must be probabilities"):
        detectable_gain(10, 10, 1.5)


def test_the_detectable_difference_is_found_with_its_power() -> None:
    """Shift the same noise by what is said to be detectable: 4 in 5 comparisons find it."""
    rng = np.random.default_rng(8)
    noise = rng.standard_t(5, 4000) * 0.2
    shift = detectable_difference((noise[:150]).tolist())
    found = 0
    for _ in range(1500):
        drawn = rng.choice(noise[:150] - noise[:150].mean(), 150) + shift
        found += drawn.mean() / (drawn.std(ddof=1) / math.sqrt(150)) > 1.96
    assert found / 1500 == pytest.approx(0.8, abs=0.04)
    with pytest.raises(ValueError, match="at least two problems"):
        detectable_difference([0.1])
