"""Families whose answer is an int."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from etude.tiny import draws
from etude.tiny.families.family import (
    above,
    family,
    item_of,
    letter,
    numbers,
    two_words,
    whole,
    word,
    words,
)


def _multiple(rng: random.Random, drawn: Mapping[str, Any]) -> int:
    return int(drawn["a"] * draws.integer(rng, 2, 15))


def _digit(rng: random.Random, _: Mapping[str, Any]) -> str:
    return str(draws.integer(rng, 1, 9))


INT_FAMILIES = (
    family("int", "add", "x + a == b", "b - a", a=whole(), b=whole()),
    family("int", "subtract", "x - a == b", "a + b", a=whole(), b=whole()),
    family("int", "subtract_from", "a - x == b", "a - b", a=whole(), b=whole()),
    family("int", "multiply", "x * a == b", "b // a", a=whole(2, 12), b=_multiple),
    family("int", "floor_divide", "x // a == b", "a * b", a=whole(2, 12), b=whole()),
    family(
        "int",
        "linear",
        "x * a + b == c",
        "(c - b) // a",
        a=whole(2, 9),
        b=whole(1, 50),
        c=lambda rng, drawn: drawn["a"] * draws.integer(rng, 2, 20) + drawn["b"],
    ),
    family(
        "int",
        "linear_minus",
        "x * a - b == c",
        "(c + b) // a",
        a=whole(2, 9),
        b=whole(1, 50),
        # 26 times 2 is above 50, so that c is positive.
        c=lambda rng, drawn: drawn["a"] * draws.integer(rng, 26, 40) - drawn["b"],
    ),
    family(
        "int",
        "remainder",
        "x % a == b",
        "b",
        "a + b",
        a=whole(3, 20),
        b=lambda rng, drawn: draws.integer(rng, 0, drawn["a"] - 1),
    ),
    family("int", "multiple_above", "x % a == 0 and x > b", "a * b", a=whole(2, 20), b=whole()),
    family("int", "between", "x > a and x < b", "a + 1", "b - 1", a=whole(), b=above("a", 3, 40)),
    family(
        "int",
        "square",
        "x * x == a",
        "int(a ** 0.5)",
        a=lambda rng, _: draws.integer(rng, 2, 30) ** 2,
    ),
    family(
        "int",
        "square_plus",
        "x * x + a == b",
        "int((b - a) ** 0.5)",
        a=whole(),
        b=lambda rng, drawn: draws.integer(rng, 2, 20) ** 2 + drawn["a"],
    ),
    family(
        "int", "count_of_letter", "s.count(t) == x", "s.count(t)", s=two_words(), t=item_of("s")
    ),
    family("int", "index_in_string", "s[x] == t", "s.index(t)", s=two_words(), t=item_of("s")),
    family(
        "int",
        "index_in_numbers",
        "nums[x] == a",
        "nums.index(a)",
        nums=numbers(),
        a=item_of("nums"),
    ),
    family(
        "int",
        "index_in_words",
        "words[x] == s",
        "words.index(s)",
        words=words(),
        s=item_of("words"),
    ),
    family(
        "int", "greatest", "x in nums and all(i <= x for i in nums)", "max(nums)", nums=numbers()
    ),
    family("int", "least", "x in nums and all(i >= x for i in nums)", "min(nums)", nums=numbers()),
    family("int", "above_all", "all(i < x for i in nums)", "max(nums) + 1", nums=numbers()),
    family(
        "int",
        "common_multiple",
        "x % a == 0 and x % b == 0 and x > 0",
        "a * b",
        a=whole(2, 20),
        b=whole(2, 20),
    ),
    family(
        "int",
        "read_number",
        "str(x) == s",
        "int(s)",
        s=lambda rng, _: str(draws.integer(rng, 1, 999)),
    ),
    family(
        "int",
        "number_of_digits",
        "len(str(x)) == a",
        "10 ** (a - 1)",
        "int('1' * a)",
        a=whole(2, 9),
    ),
    family("int", "repeated_digit", "str(x).count(s) == a", "int(s * a)", s=_digit, a=whole(2, 9)),
    family("int", "digit_sum", "sum(int(i) for i in str(x)) == a", "int('1' * a)", a=whole(2, 20)),
    family("int", "negative_of", "abs(x) == a and x < 0", "-a", a=whole()),
    family("int", "rest_of_sum", "x + sum(nums) == a", "a - sum(nums)", nums=numbers(), a=whole()),
    family("int", "rest_of_length", "x + len(s) == a", "a - len(s)", s=word(), a=whole()),
    family("int", "code_of_letter", "chr(x) == s", "ord(s)", s=letter()),
    family(
        "int",
        "not_among",
        "x not in nums and x > a",
        "max(nums) + a",
        "a + sum(nums) + 1",
        nums=numbers(low=1),
        a=whole(2, 30),
    ),
    family(
        "int",
        "last_of_sum",
        "sum(nums + [x]) == a",
        "a - sum(nums)",
        nums=numbers(),
        a=whole(100, 200),
    ),
    family("int", "repeated_length", "len(s * a) == x", "len(s) * a", s=word(), a=whole(2, 9)),
)
