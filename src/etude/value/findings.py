"""What leaving parts out shows: differences, intervals, and what could have been seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from etude.stats import holm

Floats = npt.NDArray[np.float64]
LEVEL = 0.05
POWER = 0.8
_NORMAL = NormalDist()
_SIDES = _NORMAL.inv_cdf(1 - LEVEL / 2)


@dataclass(frozen=True, slots=True)
class Value:
    """What the examples of a part are worth, in pass@1 from 0 to 1."""

    difference: float
    """Trained on a random selection of all examples, minus trained on as many without the part:
    above 0, its examples are worth more than the others."""
    low: float
    high: float
    detectable: float
    """The smallest true difference that such a comparison shows with a chance of 80%."""
    p: float
    """Two-sided, after Holm for all parts; of the control's second draw alone."""
    seeds: tuple[float, ...]
    """The difference of each training seed."""


def values_of(differences: Mapping[str, Sequence[Floats]], placebo: str) -> dict[str, Value]:
    """The value of each part. `differences` holds, by part, one array (problems,) for each seed.

    The variance of a mean difference has two terms:

        var_i(d_i) / n        d_i, of n problems, averaged over the seeds: other problems, and
                              other attempts at them
        s^2 / S               s^2, pooled over the parts, of the S seeds' means: other trainings

    The second holds some of the attempts' noise once more, which is on the safe side; it needs two
    seeds, and is left out for one. Intervals are normal ones, and the detectable difference is
    (z[0.975] + z[0.8]) standard errors (as in `stats.power`). `placebo`, a second draw of the
    control, is no part: it is not corrected for, nor counted. Raises ValueError for a single
    problem.
    """
    means = {name: np.mean(found, axis=0) for name, found in differences.items()}
    chance = _between_seeds(differences)
    errors = {name: _error(mean, chance) for name, mean in means.items()}
    raw = {name: _p_value(float(mean.mean()), errors[name]) for name, mean in means.items()}
    parts = [name for name in means if name != placebo]
    adjusted = dict(zip(parts, holm([raw[name] for name in parts]), strict=True))
    return {
        name: _value(differences[name], errors[name], adjusted.get(name, raw[name]))
        for name in means
    }


def _between_seeds(differences: Mapping[str, Sequence[Floats]]) -> float:
    """s^2 / S, pooled over the parts; 0 for a single seed."""
    totals = [[float(one.mean()) for one in found] for found in differences.values()]
    count = len(totals[0])
    if count < 2:
        return 0.0
    return float(np.mean([np.var(means, ddof=1) for means in totals])) / count


def _error(mean: Floats, chance: float) -> float:
    if len(mean) < 2:
        raise ValueError(f"an interval over problems needs two of them but got {len(mean)}")
    return math.sqrt(float(np.var(mean, ddof=1)) / len(mean) + chance)


def _p_value(difference: float, error: float) -> float:
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return 2 * _NORMAL.cdf(-abs(difference) / error)


def _value(found: Sequence[Floats], error: float, p: float) -> Value:
    seeds = tuple(float(one.mean()) for one in found)
    mean = math.fsum(seeds) / len(seeds)
    reach = (_SIDES + _NORMAL.inv_cdf(POWER)) * error
    return Value(mean, mean - _SIDES * error, mean + _SIDES * error, reach, p, seeds)
