"""One problem, two models: an exact test of its attempts, and what noise alone would show.

    fisher           the p-value of one problem
    chance_of        how often noise alone brings a p-value that low
    chance_solved    how often noise alone makes a problem look newly solved
    false_discovery  when every problem of a suite is tested at once

All are conditional on how many attempts were accepted in all: if the models are equal, which of
them made the accepted ones is a draw without replacement (the hypergeometric law).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import cache


def fisher(before: int, tries: int, after: int, others: int) -> float:
    """The exact two-sided p-value that two models solve one problem equally often.

    `before` of `tries` attempts of the first were accepted, `after` of `others` of the second.
    p is the chance, with all sums kept, of a table that is no more likely than the one found
    (Fisher 1935, "The Logic of Inductive Inference", J. Royal Stat. Soc. 98; two-sided as by Irwin
    1935, Metron 12). In whole numbers, so that no rounding decides. Raises ValueError for counts
    that are no attempts.
    """
    _check(before, tries)
    _check(after, others)
    weights = _weights(tries, others, before + after)
    least = max(0, before + after - others)
    found = weights[before - least]
    return float(Fraction(sum(w for w in weights if w <= found), sum(weights)))


@cache
def chance_of(accepted: int, tries: int, others: int, level: float = 0.05) -> float:
    """How often equal models get a `fisher` of at most `level`, with `accepted` of all attempts.

    Below `level`, and for few accepted attempts 0: so few tables are possible.
    """
    _check(accepted, tries + others)
    weights = Counter(_weights(tries, others, accepted))
    total, running, rejected = sum(w * n for w, n in weights.items()), 0, 0.0
    for weight, count in sorted(weights.items()):
        running += weight * count
        p = float(Fraction(running, total))
        if p > level:
            break
        rejected = p
    return rejected


def chance_solved(accepted: int, tries: int, others: int) -> float:
    """How often equal models leave all of `accepted` to the second: none of `tries` is accepted.

    C(others, accepted) / C(tries + others, accepted); 0 where nothing was accepted.
    """
    _check(accepted, tries + others)
    if not accepted:
        return 0.0
    return float(Fraction(math.comb(others, accepted), math.comb(tries + others, accepted)))


def false_discovery(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: of all problems called changed at 0.05, at most 5% are so by noise alone.

    The i-th smallest of m is multiplied by m / i, and none may pass a larger one (Benjamini and
    Hochberg 1995, "Controlling the False Discovery Rate", J. Royal Stat. Soc. B 57). For tests that
    are independent, as those of different problems are for given models. Raises ValueError for what
    is no probability.
    """
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"a p-value must be between 0 and 1 but is {wrong[0]}")
    order = sorted(range(len(p_values)), key=lambda place: p_values[place], reverse=True)
    adjusted = [0.0] * len(p_values)
    lowest = 1.0
    for rank, place in enumerate(order):
        lowest = min(lowest, p_values[place] * len(order) / (len(order) - rank))
        adjusted[place] = lowest
    return adjusted


def _weights(tries: int, others: int, accepted: int) -> list[int]:
    """How many draws give the first model each possible number of accepted attempts."""
    possible = range(max(0, accepted - others), min(tries, accepted) + 1)
    return [math.comb(tries, here) * math.comb(others, accepted - here) for here in possible]


def _check(accepted: int, tries: int) -> None:
    if not 0 <= accepted <= tries or tries < 1:
        raise ValueError(
            f"accepted must be from 0 to the attempts, at least one, but got {accepted} of {tries}"
        )
