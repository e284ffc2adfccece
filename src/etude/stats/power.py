"""The smallest difference that an evaluation can be expected to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, stdev

LEVEL = 0.05
POWER = 0.8


def detectable_gain(
    problems: int,
    samples: int,
    rate: float,
    *,
    spread: float = 0.0,
    level: float = LEVEL,
    power: float = POWER,
) -> float:
    """The smallest true difference in pass@1 that a paired test finds with chance `power`.

    (z[1 - level/2] + z[power]) * sqrt((spread^2 + 2 rate (1 - rate) / samples) / problems)
    (Miller, "Adding Error Bars to Evals", arXiv 2411.00640, section 5), where `samples` attempts
    are made by each of the two models at each of `problems` problems and `rate` is the chance of an
    attempt. `spread` is the standard deviation of the true gain from problem to problem; with 0
    every problem gains alike, and the attempts alone bring noise. Where rates differ between
    problems the attempts bring less, so the mean rate is on the safe side.

    Raises ValueError for what is no evaluation.
    """
    if problems < 1 or samples < 1:
        raise ValueError(f"problems and samples must be positive but are {problems} and {samples}")
    if not (0 <= rate <= 1 and 0 < level < 1 and 0 < power < 1 and spread >= 0):
        raise ValueError(
            "rate, level and power must be probabilities and spread not negative, but are "
            f"{rate}, {level}, {power} and {spread}"
        )
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    variance = (spread**2 + 2 * rate * (1 - rate) / samples) / problems
    return quantiles * math.sqrt(variance)


def detectable_range(problems: int, samples: int, rate: float) -> tuple[float, float]:
    """`detectable_gain` at its best and at its worst, before anything is known of the gains.

    At best every problem gains alike. At worst each is solved by every attempt or by none, and by
    the two models independently: then one attempt a problem says as much as many.
    """
    return detectable_gain(problems, samples, rate), detectable_gain(problems, 1, rate)


def detectable_difference(
    differences: Sequence[float], *, level: float = LEVEL, power: float = POWER
) -> float:
    """`detectable_gain` with the noise that was found: paired differences over problems.

    (z[1 - level/2] + z[power]) * (their standard deviation) / sqrt(problems). It speaks of another
    comparison of the same size. Raises ValueError for fewer than two problems.
    """
    if len(differences) < 2:
        raise ValueError(f"a spread needs at least two problems but got {len(differences)}")
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    return quantiles * stdev(differences) / math.sqrt(len(differences))
