"""Families to choose settings by: no run is taught a puzzle of theirs, and none is reported on.

They are like those of `unseen`: written down for themselves, and no relatives of the taught ones.
"""

from __future__ import annotations

from etude.tiny import draws
from etude.tiny.families.family import (
    Draw,
    above,
    family,
    letter,
    numbers,
    one_of,
    quarters,
    shorter_than,
    times,
    two_words,
    whole,
    word,
    words,
)

INTS, STRS = "List[int]", "List[str]"


def _times_length(name: str) -> Draw:
    return lambda rng, drawn: len(drawn[name]) * draws.integer(rng, 2, 15)


TUNING_INT = (
    family("int", "take_both", "x - a - b == c", "a + b + c", a=whole(), b=whole(), c=whole()),
    family("int", "twice", "x + x == a", "a // 2", a=times(2, 2, 60)),
    family("int", "remainder_below_zero", "x % a == b and x < 0", "b - a",
           a=whole(12, 30), b=whole(1, 11)),
    family("int", "times_how_many", "len(words) * x == a", "a // len(words)",
           words=words(), a=_times_length("words")),
    family("int", "times_length", "x * len(s) == a", "a // len(s)",
           s=word(), a=_times_length("s")),
    family("int", "less_than_sum", "sum(nums) - x == a", "sum(nums) - a",
           nums=numbers(), a=whole()),
    family("int", "ends_of_numbers", "nums[0] + nums[-1] == x", "nums[0] + nums[-1]",
           nums=numbers()),
    family("int", "digits_for_letters", "len(str(x)) == len(s) + a", "10 ** (len(s) + a - 1)",
           s=word(), a=whole(2, 9)),
    family("int", "divisible_below", "x < a and x % b == 0 and x > 0", "b",
           b=whole(12, 40), a=above("b", 2, 20)),
    family("int", "letters_and_more", "s.count(t) + a == x", "s.count(t) + a",
           s=two_words(), t=letter(), a=whole(20, 99)),
    family("int", "without_last_digit", "str(x) + s == str(a)", "a // 10", a=whole(100, 999),
           s=lambda _, drawn: str(drawn["a"] % 10)),
    family("int", "times_and_more", "a * b + c == x", "a * b + c",
           a=whole(2, 12), b=whole(2, 12), c=whole()),
    family("int", "further_by", "abs(x - a) == b and x > a", "a + b", a=whole(), b=whole()),
    family("int", "one_that_is_above", "x in nums and x > a", "max(nums)", nums=numbers(10, 60),
           a=lambda _, drawn: max(drawn["nums"]) - 1),
    family("int", "times_sum", "sum(nums) * a == x", "sum(nums) * a",
           nums=numbers(low=1), a=whole(2, 9)),
)  # fmt: skip
TUNING_FLOAT = (
    family("float", "half_of_sum", "x - p + x == q", "(p + q) / 2", p=quarters(), q=quarters()),
    family("float", "from_twice", "x + q == p + p", "p + p - q", p=quarters(), q=quarters()),
    family("float", "part_and_more", "(x - p) * a == q", "q / a + p",
           a=one_of((2, 4, 8)), p=quarters(), q=quarters()),
    family("float", "as_far_from_zero", "p - x == x", "p / 2", p=quarters()),
)  # fmt: skip
TUNING_STR = (
    family("str", "after_first_letter", "x[1:] == s", "'a' + s", s=word()),
    family("str", "before_last_letter", "x[:-1] == s", "s + 'a'", s=word()),
    family("str", "first_goes_to_the_end", "s[1:] + s[0] == x", "s[1:] + s[0]", s=word()),
    family("str", "first_letter_and_length", "x[0] == s and len(x) == a", "s * a",
           s=letter(), a=whole(2, 20)),
    family("str", "end_and_length", "x.endswith(s) and len(x) == a", "'a' * (a - len(s)) + s",
           s=word(), a=whole(6, 30)),
    family("str", "around", "s + t + s == x", "s + t + s", s=word(), t=word()),
    family("str", "first_word_and_last", "words[0] + words[-1] == x", "words[0] + words[-1]",
           words=words()),
    family("str", "replaced", "x.replace(s, t) == t * a", "s * a",
           s=one_of("abcdefghijklm"), t=one_of("nopqrstuvwxyz"), a=whole(2, 20)),
    family("str", "holds_two", "s in x and t in x", "s + t", s=word(), t=word()),
    family("str", "as_long_as_both", "len(x) == len(s) + len(t)", "s + t", s=word(), t=word()),
    family("str", "spaces_around", "x.strip() == s and x != s", "s + ' '", s=word()),
    family("str", "beginning_of_word", "s[:a] == x", "s[:a]", s=two_words(), a=shorter_than("s")),
    family("str", "holds_number", "str(a) in x and len(x) == b", "str(a) + 'a' * (b - len(str(a)))",
           a=whole(1, 999), b=whole(5, 20)),
    family("str", "reverse_of_two", "x[::-1] == s + t", "(s + t)[::-1]", s=word(), t=word()),
    family("str", "part_of_repeated", "x * a == s", "s[:len(s) // a]", a=whole(2, 4),
           s=lambda rng, drawn: drawn["a"] * draws.word(rng)),
)  # fmt: skip
TUNING_INT_LIST = (
    family(INTS, "as_many_zeros", "len(x) == len(nums) and sum(x) == a",
           "[a] + [0] * (len(nums) - 1)", nums=numbers(), a=whole()),
    family(INTS, "subtracted_from", "[a - i for i in x] == nums", "[a - i for i in nums]",
           nums=numbers(), a=whole(30, 99)),
    family(INTS, "add_to_all", "[i + a for i in nums] == x", "[i + a for i in nums]",
           nums=numbers(), a=whole()),
    family(INTS, "squares", "[i * i for i in nums] == x", "[i * i for i in nums]",
           nums=numbers(2, 20)),
    family(INTS, "after_first_number", "nums[1:] == x", "nums[1:]", nums=numbers()),
    family(INTS, "without_last_number", "x + nums[-1:] == nums", "nums[:-1]", nums=numbers()),
    family(INTS, "first_number_and_length", "len(x) == a and x[0] == b", "[b] * a",
           a=whole(2, 20), b=whole()),
    family(INTS, "long_with_sum", "sum(x) == a and len(x) > b", "[a] + [0] * b",
           a=whole(), b=whole(2, 20)),
    family(INTS, "numbers_and_length", "all(i in x for i in nums) and len(x) == a",
           "nums + [0] * (a - len(nums))", nums=numbers(), a=whole(6, 20)),
    family(INTS, "least_and_length", "min(x) == a and len(x) == b", "[a] * b",
           a=whole(), b=whole(2, 20)),
    family(INTS, "lengths_backwards", "[len(i) for i in words] == x[::-1]",
           "[len(i) for i in words][::-1]", words=words()),
    family(INTS, "greater_numbers", "[i for i in nums if i > a] == x", "[i for i in nums if i > a]",
           nums=numbers(), a=lambda _, drawn: max(drawn["nums"]) // 2),
    family(INTS, "count_and_length", "x.count(a) == b and len(x) == c",
           "[a] * b + [0] * (c - b)", a=whole(), b=whole(2, 9), c=above("b", 1, 9)),
    family(INTS, "sum_above", "sum(x) > a and len(x) == b", "[a] * b", a=whole(), b=whole(2, 12)),
)  # fmt: skip
TUNING_STR_LIST = (
    family(STRS, "letters_to_begin_with", "[i[0] for i in x] == list(s)", "list(s)", s=word()),
    family(STRS, "one_in_front", "x[1:] == words", "words[:1] + words", words=words()),
    family(STRS, "one_at_the_end", "x[:-1] == words", "words + words[:1]", words=words()),
    family(STRS, "first_word_and_length", "len(x) == a and x[0] == s", "[s] * a",
           s=word(), a=whole(2, 12)),
    family(STRS, "joined_by_itself", "s.join(x) == s * a", "[''] * (a + 1)",
           s=letter(), a=whole(2, 12)),
    family(STRS, "twice_each", "[i + i for i in words] == x", "[i + i for i in words]",
           words=words()),
    family(STRS, "longer_words", "[i for i in words if len(i) > a] == x",
           "[i for i in words if len(i) > a]", words=words(),
           a=lambda _, drawn: max(map(len, drawn["words"])) - 1),
    family(STRS, "all_end_with", "all(i.endswith(s) for i in x) and len(x) == a", "[s] * a",
           s=word(), a=whole(2, 12)),
    family(STRS, "as_long_each", "[len(i) for i in x] == [a] * b", "['a' * a] * b",
           a=whole(2, 9), b=whole(2, 9)),
    family(STRS, "one_word_more", "words + [s] == x", "words + [s]", words=words(), s=word()),
    family(STRS, "not_lower_each", "[i.lower() for i in x] == words and x != words",
           "[i.upper() for i in words]", words=words()),
)  # fmt: skip
FAMILIES = (*TUNING_INT, *TUNING_FLOAT, *TUNING_STR, *TUNING_INT_LIST, *TUNING_STR_LIST)
