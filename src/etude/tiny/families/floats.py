"""Families whose answer is a float. All constants are quarters, so that equality is exact."""

from __future__ import annotations

from etude.tiny import draws
from etude.tiny.families.family import family, numbers, one_of, quarters

FLOAT_FAMILIES = (
    family(
        "float",
        "float_between",
        "x > p and x < q",
        "(p + q) / 2",
        p=quarters(),
        q=lambda rng, drawn: drawn["p"] + draws.quarters(rng, 1, 9),
    ),
    family("float", "half", "x * 2 == p", "p / 2", p=quarters()),
    family("float", "float_add", "x + p == q", "q - p", p=quarters(), q=quarters()),
    family("float", "float_subtract", "x - p == q", "q + p", p=quarters(), q=quarters()),
    family("float", "float_negative", "abs(x) == p and x < 0", "-p", p=quarters()),
    family(
        "float",
        "mean",
        "x * len(nums) - sum(nums) < 0.01 and x >= min(nums)",
        "sum(nums) / len(nums)",
        nums=numbers(),
    ),
    family("float", "scale_down", "x * a == p", "p / a", p=quarters(), a=one_of((2, 4, 8))),
    family("float", "scale_up", "x / a == p", "p * a", p=quarters(), a=one_of((2, 4, 8))),
)
