"""Families to report on: no run is taught a puzzle of theirs, and no setting is chosen by them.

They were written down before any model was scored on them. Whoever looks at how a model fares on
them, family by family, and changes a recipe for it, has to write new ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from etude.tiny import draws
from etude.tiny.families.family import (
    above,
    even_above,
    family,
    letter,
    numbers,
    quarters,
    shorter_than,
    times,
    two_words,
    whole,
    word,
    words,
)

INTS, STRS = "List[int]", "List[str]"


def _another_letter(rng: random.Random, drawn: Mapping[str, Any]) -> str:
    return rng.choice([one for one in draws.LETTERS if one != drawn["s"]])


UNSEEN_INT = (
    family("int", "double_minus", "x + x - a == b", "(a + b) // 2", a=whole(), b=even_above("a")),
    family("int", "cube", "x * x * x == a", "round(a ** (1 / 3))",
           a=lambda rng, _: draws.integer(rng, 2, 12) ** 3),
    family("int", "add_both", "x + a + b == c", "c - a - b", a=whole(), b=whole(), c=whole()),
    family("int", "quotient_and_remainder", "x // a == b and x % a == c", "a * b + c",
           a=whole(3, 12), b=whole(2, 30),
           c=lambda rng, drawn: draws.integer(rng, 0, drawn["a"] - 1)),
    family("int", "thrice", "x * 2 + x == a", "a // 3", a=times(3, 2, 60)),
    family("int", "quotient_plus", "x // a + b == c", "a * (c - b)",
           a=whole(2, 9), b=whole(2, 40), c=above("b", 2, 40)),
    family("int", "add_last", "nums[-1] + x == a", "a - nums[-1]", nums=numbers(), a=whole()),
    family("int", "spread", "max(nums) - x == min(nums)", "max(nums) - min(nums)", nums=numbers()),
    family("int", "length_and_lengths", "x - len(s) == len(t) * a", "len(s) + len(t) * a",
           s=word(), t=word(), a=whole(2, 20)),
    family("int", "more_than_letters", "x - a == sum(len(i) for i in words)",
           "sum(len(i) for i in words) + a", words=words(), a=whole(20, 99)),
    family("int", "digits_reversed", "str(x)[::-1] == s", "int(s[::-1])",
           s=lambda rng, _: f"{draws.integer(rng, 1, 99)}{draws.integer(rng, 1, 9)}"),
    family("int", "just_below_all", "x < min(nums) and x + a > min(nums)", "min(nums) - 1",
           nums=numbers(10, 60), a=whole(2, 5)),
    family("int", "just_above", "x > a and x - a < b", "a + 1", a=whole(), b=whole(2, 20)),
    family("int", "rest_of_how_many", "len([i for i in nums if i > a]) + x == b",
           "b - len([i for i in nums if i > a])", nums=numbers(), a=whole(2, 20), b=whole(20, 99)),
    family("int", "mean_of_two", "x * 2 == a + b", "(a + b) // 2", a=whole(), b=even_above("a")),
)  # fmt: skip
UNSEEN_FLOAT = (
    family("float", "quarter_of_sum", "x * 4 - p == q", "(p + q) / 4", p=quarters(), q=quarters()),
    family("float", "add_twice", "x + p + p == q", "q - p - p", p=quarters(), q=quarters()),
    family("float", "float_subtract_from", "p - x == q", "p - q", p=quarters(), q=quarters()),
    family("float", "mean_of_floats", "x + x == p + q", "(p + q) / 2", p=quarters(), q=quarters()),
)
UNSEEN_STR = (
    family("str", "inside", "s + x + s == t", "t[len(s):-len(s)]", s=word(),
           t=lambda rng, drawn: drawn["s"] + draws.word(rng) + drawn["s"]),
    family("str", "half_of_word", "x + x == s", "s[:len(s) // 2]",
           s=lambda rng, _: 2 * draws.word(rng)),
    family("str", "first_goes_last", "x[1:] + x[0] == s", "s[-1] + s[:-1]", s=word()),
    family("str", "with_spaces", "x.strip() == s and len(x) == a", "s + ' ' * (a - len(s))",
           s=word(), a=whole(12, 30)),
    family("str", "longer_by", "len(x) == len(s) + a", "s + 'a' * a", s=word(), a=whole(2, 20)),
    family("str", "repeated_first_letter", "s[0] * a == x", "s[0] * a", s=word(), a=whole(2, 20)),
    family("str", "join_by_spaces", "x.split() == words", "' '.join(words)", words=words()),
    family("str", "two_letters_as_often", "x.count(s) == a and x.count(t) == a", "(s + t) * a",
           s=letter(), t=_another_letter, a=whole(2, 20)),
    family("str", "starts_upper", "x.startswith(s.upper())", "s.upper()", s=word()),
    family("str", "all_but_first_letter", "s[0] + x == s", "s[1:]", s=word()),
    family("str", "sorted_letters", "''.join(sorted(s)) == x", "''.join(sorted(s))", s=two_words()),
    family("str", "ends_with_number", "x.endswith(str(a)) and len(x) == b",
           "'a' * (b - len(str(a))) + str(a)", a=whole(1, 999), b=whole(5, 20)),
)  # fmt: skip
UNSEEN_INT_LIST = (
    family(INTS, "half_of_numbers", "x + x == nums", "nums[:len(nums) // 2]",
           nums=lambda rng, _: 2 * draws.integers(rng)),
    family(INTS, "halves", "[i + i for i in x] == nums", "[i // 2 for i in nums]",
           nums=lambda rng, _: [2 * i for i in draws.integers(rng)]),
    family(INTS, "negatives", "[-i for i in x] == nums", "[-i for i in nums]",
           nums=numbers(low=1)),
    family(INTS, "multiply_all", "[i * a for i in nums] == x", "[i * a for i in nums]",
           nums=numbers(), a=whole(2, 9)),
    family(INTS, "sum_and_greatest", "sum(x) == a and max(x) == b", "[b, a - b]",
           b=whole(20, 60), a=lambda rng, drawn: drawn["b"] + draws.integer(rng, 1, drawn["b"])),
    family(INTS, "sorted_with_sum", "x == sorted(x) and sum(x) == a", "[a]", "[0, a]", a=whole()),
    family(INTS, "codes_of_letters", "[chr(i) for i in x] == list(s)", "[ord(i) for i in s]",
           s=word()),
    family(INTS, "every_second", "nums[::2] == x", "nums[::2]", nums=numbers()),
    family(INTS, "places_of_words", "[words[i] for i in x] == words", "list(range(len(words)))",
           words=words()),
    family(INTS, "counts_of_letters", "[s.count(i) for i in s] == x", "[s.count(i) for i in s]",
           s=two_words()),
    family(INTS, "multiples_with_sum", "all(i % a == 0 for i in x) and sum(x) == b", "[b]",
           a=whole(2, 12), b=lambda rng, drawn: drawn["a"] * draws.integer(rng, 2, 15)),
    family(INTS, "none_of_numbers", "all(i not in nums for i in x) and len(x) == a",
           "[max(nums) + 1] * a", nums=numbers(), a=whole(2, 20)),
    family(INTS, "first_two", "x[0] + x[1] == a and x[0] == b", "[b, a - b]",
           a=whole(), b=whole()),
    family(INTS, "with_their_sum", "nums + [sum(nums)] == x", "nums + [sum(nums)]",
           nums=numbers()),
)  # fmt: skip
UNSEEN_STR_LIST = (
    family(STRS, "letters", "list(s) == x", "list(s)", s=word()),
    family(STRS, "halves_of_words", "[i + i for i in x] == words",
           "[i[:len(i) // 2] for i in words]",
           words=lambda rng, _: [2 * i for i in draws.words(rng)]),
    family(STRS, "remove_beginnings", "[s + i for i in x] == words", "[i[len(s):] for i in words]",
           s=word(), words=lambda rng, drawn: [drawn["s"] + i for i in draws.words(rng)]),
    family(STRS, "upper_words", "[i.upper() for i in words] == x", "[i.upper() for i in words]",
           words=words()),
    family(STRS, "different_words", "len(set(x)) == a and all(i.startswith(s) for i in x)",
           "[s * (i + 1) for i in range(a)]", s=word(), a=whole(2, 9)),
    family(STRS, "add_beginnings", "[s + i for i in words] == x", "[s + i for i in words]",
           s=letter(), words=words()),
    family(STRS, "first_words", "words[:a] == x", "words[:a]", words=words(),
           a=shorter_than("words")),
    family(STRS, "letters_in_all", "sum(len(i) for i in x) == a", "['a' * a]", a=whole(2, 30)),
    family(STRS, "without_first_word", "[s] + x == words", "words[1:]", words=words(),
           s=lambda _, drawn: drawn["words"][0]),
    family(STRS, "initials", "[i[0] for i in words] == x", "[i[0] for i in words]", words=words()),
)  # fmt: skip
FAMILIES = (*UNSEEN_INT, *UNSEEN_FLOAT, *UNSEEN_STR, *UNSEEN_INT_LIST, *UNSEEN_STR_LIST)
