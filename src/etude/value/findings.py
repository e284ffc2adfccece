"""What leaving parts out shows: differences, intervals, and what could have been seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from etude.stats import holm

Floats = npt.NDArray[np.float64]
CONTROL = "control"
AGAIN = "again"
LEVEL = 0.05
POWER = 0.8
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Value:
    """What the examples of a part are worth, in pass@1 from 0 to 1."""

    difference: float
    """Trained on a random selection of all examples (the mean of two), minus trained on as many
    without the part: above 0, its examples are worth more than the others. Of `again`, the one
    selection minus the other."""
    low: float
    high: float
    detectable: float
    """The smallest true difference that such a comparison shows with a chance of 80%."""
    p: float
    """Two-sided, after Holm for all parts; of `again` alone."""
    seeds: tuple[float, ...]
    """The difference of each training seed."""


def values_of(rates: Mapping[str, Sequence[Floats]]) -> dict[str, Value]:
    """The value of each part, and of `again`, the second control, against the first.

    `rates` holds, by training, pass@1 of each problem, one array (problems,) for each of S seeds.
    The variance of a part's mean difference has two terms:

        var_i(d_i) / n        d_i, of n problems, averaged over the seeds: other problems, and
                              other attempts at them
        s^2 / S               s^2, pooled over the P parts, of the seeds' means: other trainings

    The second holds some of the attempts' noise once more, which is on the safe side; it needs two
    seeds, and is left out for one. A part's difference is of 1 + 1/2 trainings, that of `again` of
    2, hence its s^2 is 4/3 of the parts'. All parts share their controls, whose third of s^2 is
    known from S - 1 numbers only: by Satterthwaite (1946, "An approximate distribution of estimates
    of variance components") s^2 has (S - 1) / (1/9 + 4/(9 P)) degrees of freedom. Intervals and
    tests are those of Student's t with so many. Raises ValueError for a single problem.
    """
    parts = [name for name in rates if name not in (CONTROL, AGAIN)]
    both = list(zip(rates[CONTROL], rates[AGAIN], strict=True))
    middle = [(one + other) / 2 for one, other in both]
    found = {
        name: [control - rate for control, rate in zip(middle, rates[name], strict=True)]
        for name in parts
    }
    seeds = len(both)
    chance = _between_seeds(found)
    freedom = (seeds - 1) / (1 / 9 + 4 / (9 * len(parts))) if seeds > 1 else math.inf
    errors = {name: _error(of, chance) for name, of in found.items()}
    found[AGAIN] = [one - other for one, other in both]
    errors[AGAIN] = _error(found[AGAIN], chance * 4 / 3)
    raw = {name: _p_value(_mean(of), errors[name], freedom) for name, of in found.items()}
    adjusted = dict(zip(parts, holm([raw[name] for name in parts]), strict=True))
    return {
        name: _value(of, errors[name], freedom, adjusted.get(name, raw[name]))
        for name, of in found.items()
    }


def _mean(found: Sequence[Floats]) -> float:
    return math.fsum(float(one.mean()) for one in found) / len(found)


def _between_seeds(found: Mapping[str, Sequence[Floats]]) -> float:
    """s^2 / S, pooled over the parts; 0 for a single seed."""
    totals = [[float(one.mean()) for one in of] for of in found.values()]
    count = len(totals[0])
    if count < 2:
        return 0.0
    return float(np.mean([np.var(means, ddof=1) for means in totals])) / count


def _error(found: Sequence[Floats], chance: float) -> float:
    mean = np.mean(found, axis=0)
    if len(mean) < 2:
        raise ValueError(f"an interval over problems needs two of them but got {len(mean)}")
    return math.sqrt(float(np.var(mean, ddof=1)) / len(mean) + chance)


def _p_value(difference: float, error: float, freedom: float) -> float:
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return _tails(abs(difference) / error, freedom)


def _value(found: Sequence[Floats], error: float, freedom: float, p: float) -> Value:
    mean = _mean(found)
    sides = _quantile(1 - LEVEL / 2, freedom) * error
    reach = sides + _quantile(POWER, freedom) * error
    return Value(mean, mean - sides, mean + sides, reach, p, tuple(float(d.mean()) for d in found))


@cache
def _quantile(share: float, freedom: float) -> float:
    """Of Student's t, by bisection; of the normal distribution for infinite freedom."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _tails(middle, freedom) > 2 * (1 - share) else (low, middle)
    return middle


def _tails(t: float, freedom: float) -> float:
    """The chance that Student's t is further from 0 than t, on either side.

    With t = sqrt(v) tan(a), the density is proportional to cos(a)^(v - 1) between a = 0 and pi / 2;
    v is at least 1.
    """
    if math.isinf(freedom):
        return 2 * _NORMAL.cdf(-t)
    angles = np.linspace(math.atan(t / math.sqrt(freedom)), math.pi / 2, 2_001)
    whole = math.lgamma(freedom / 2) - math.lgamma((freedom + 1) / 2) + math.log(math.pi) / 2
    heights = np.cos(angles) ** (freedom - 1)
    area = float(((heights[1:] + heights[:-1]) * np.diff(angles)).sum()) / 2  # by trapezoids
    return 2 * area / math.exp(whole)
