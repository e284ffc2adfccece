"""Statistics of evaluations: formulas with their guards and sources.

    passk       unbiased pass@k, one k or the whole curve, and the noise that attempts bring
    intervals   95% intervals over problems, of one rate or of many at once
    paired      two models on the same problems: differences, exact tests, many tests at once
    exact       one problem, two models: Fisher's test, many problems, what noise alone would show
    power       the smallest difference that an evaluation can be expected to show

Covered: independent attempts at problems that stand for more like them. Not covered: the variance
between training seeds, which takes several runs to see.
"""

from etude.stats.exact import chance_of, chance_solved, false_discovery, fisher
from etude.stats.intervals import Estimate, mean_interval, mean_intervals, share_interval
from etude.stats.paired import (
    holm,
    mcnemar,
    paired_difference,
    paired_differences,
    sign_flips,
)
from etude.stats.passk import (
    Errors,
    attempt_variance,
    pass_at_all_k,
    pass_at_k,
    standard_errors,
)
from etude.stats.power import detectable_difference, detectable_gain, detectable_range

__all__ = [
    "Errors",
    "Estimate",
    "attempt_variance",
    "chance_of",
    "chance_solved",
    "detectable_difference",
    "detectable_gain",
    "detectable_range",
    "false_discovery",
    "fisher",
    "holm",
    "mcnemar",
    "mean_interval",
    "mean_intervals",
    "paired_difference",
    "paired_differences",
    "pass_at_all_k",
    "pass_at_k",
    "share_interval",
    "sign_flips",
    "standard_errors",
]
