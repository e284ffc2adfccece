"""Families whose answer is a str."""

from __future__ import annotations

from etude.tiny import draws
from etude.tiny.families.family import (
    Draw,
    family,
    letter,
    one_of,
    shorter_than,
    two_words,
    whole,
    word,
    words,
)


def _starting_with(name: str) -> Draw:
    return lambda rng, drawn: drawn[name] + draws.word(rng)


def _ending_with(name: str) -> Draw:
    return lambda rng, drawn: draws.word(rng) + drawn[name]


STR_FAMILIES = (
    family("str", "remove_prefix", "s + x == t", "t[len(s):]", s=word(), t=_starting_with("s")),
    family("str", "remove_suffix", "x + s == t", "t[:-len(s)]", s=word(), t=_ending_with("s")),
    family("str", "reverse", "x[::-1] == s", "s[::-1]", s=word()),
    family("str", "of_length", "len(x) == a", "'a' * a", a=whole(2, 30)),
    family("str", "count_letter", "x.count(s) == a", "s * a", s=letter(), a=whole(2, 30)),
    family("str", "count_word", "x.count(s) > a", "s * (a + 1)", s=word(), a=whole(2, 30)),
    family(
        "str",
        "part_of_length",
        "x in s and len(x) == a",
        "s[:a]",
        s=two_words(),
        a=shorter_than("s"),
    ),
    family(
        "str",
        "padded",
        "s in x and len(x) == a",
        "s + 'a' * (a - len(s))",
        s=word(),
        a=whole(8, 30),
    ),
    family(
        "str",
        "upper",
        "x.upper() == s",
        "s.lower()",
        "s",
        s=lambda rng, _: draws.word(rng).upper(),
    ),
    family("str", "not_lower", "x.lower() == s and x != s", "s.upper()", s=word()),
    family(
        "str",
        "palindrome_of_length",
        "x == x[::-1] and len(x) == a",
        "'a' * a",
        a=whole(2, 30),
    ),
    family("str", "palindrome_from", "x == x[::-1] and x.startswith(s)", "s + s[::-1]", s=word()),
    family(
        "str",
        "starts_and_ends",
        "x.startswith(s) and x.endswith(t)",
        "s + t",
        s=word(),
        t=word(),
    ),
    family(
        "str",
        "long_with_start",
        "x.startswith(s) and len(x) > a",
        "s * a",
        s=word(),
        a=whole(5, 30),
    ),
    family(
        "str", "long_with_end", "x.endswith(s) and len(x) > a", "s * a", s=word(), a=whole(5, 30)
    ),
    family("str", "join", "x.split(s) == words", "s.join(words)", words=words(), s=one_of(",-_ ")),
    family(
        "str",
        "longest",
        "x in words and all(len(i) <= len(x) for i in words)",
        "max(words, key=len)",
        words=words(),
    ),
    family(
        "str",
        "shortest",
        "x in words and all(len(i) >= len(x) for i in words)",
        "min(words, key=len)",
        words=words(),
    ),
    # Real words only: reversed, each of them differs from itself.
    family("str", "anagram", "sorted(x) == sorted(s) and x != s", "s[::-1]", s=one_of(draws.WORDS)),
    family("str", "write_number", "int(x) == a", "str(a)", a=whole(1, 999)),
    family("str", "write_difference", "int(x) + a == b", "str(b - a)", a=whole(), b=whole()),
    family("str", "letter_of_code", "ord(x) == a", "chr(a)", a=whole(97, 122)),
    family("str", "holds_all", "all(i in x for i in words)", "''.join(words)", words=words()),
    family("str", "first_and_last", "x[0] == s and x[-1] == t", "s + t", s=letter(), t=letter()),
    family("str", "half_of_four", "x + x == s * 4", "s * 2", s=word()),
    family(
        "str",
        "two_counts",
        "x.count('a') == a and x.count('b') == b",
        "'a' * a + 'b' * b",
        a=whole(2, 20),
        b=whole(2, 20),
    ),
    family(
        "str",
        "reversed_ending",
        "s + x[::-1] == t",
        "t[len(s):][::-1]",
        s=word(),
        t=_starting_with("s"),
    ),
)
