"""Families whose answer is a list of strings."""

from __future__ import annotations

from etude.tiny import draws
from etude.tiny.families.family import family, letter, numbers, whole, word, words

STRS = "List[str]"

STR_LIST_FAMILIES = (
    family(
        STRS,
        "grid",
        "len(x) == a and all(len(i) == b for i in x)",
        "['a' * b] * a",
        a=whole(2, 9),
        b=whole(2, 9),
    ),
    family(STRS, "pieces", "''.join(x) == s", "[s]", "list(s)", s=word()),
    family(
        STRS,
        "split_sentence",
        "' '.join(x) == s",
        "s.split(' ')",
        "[s]",
        s=lambda rng, _: " ".join(draws.words(rng)),
    ),
    family(
        STRS,
        "reverse_each",
        "[i[::-1] for i in x] == words",
        "[i[::-1] for i in words]",
        words=words(),
    ),
    family(
        STRS,
        "words_of_lengths",
        "[len(i) for i in x] == nums",
        "['a' * i for i in nums]",
        nums=numbers(high=9),
    ),
    family(
        STRS,
        "without_last_word",
        "x + [s] == words",
        "words[:-1]",
        words=words(),
        s=lambda _, drawn: drawn["words"][-1],
    ),
    family(STRS, "repeated_word", "x.count(s) == a", "[s] * a", s=word(), a=whole(2, 20)),
    family(
        STRS,
        "all_start_with",
        "all(i.startswith(s) for i in x) and len(x) == a",
        "[s] * a",
        s=word(),
        a=whole(2, 20),
    ),
    family(
        STRS,
        "undo_upper",
        "[i.upper() for i in x] == words",
        "[i.lower() for i in words]",
        "words",
        words=lambda rng, _: [i.upper() for i in draws.words(rng)],
    ),
    family(
        STRS,
        "write_numbers",
        "[int(i) for i in x] == nums",
        "[str(i) for i in nums]",
        nums=numbers(),
    ),
    family(STRS, "sort_words", "sorted(words) == x", "sorted(words)", words=words()),
    family(STRS, "reverse_words", "x[::-1] == words", "words[::-1]", words=words()),
    family(STRS, "holds_both", "s in x and t in x", "[s, t]", s=word(), t=word()),
    family(
        STRS,
        "remove_endings",
        "[i + s for i in x] == words",
        "[i[:-1] for i in words]",
        s=letter(),
        words=lambda rng, drawn: [i + drawn["s"] for i in draws.words(rng)],
    ),
    family(
        STRS,
        "first_and_last_word",
        "x[0] == s and x[-1] == t",
        "[s, t]",
        s=word(),
        t=word(),
    ),
    family(STRS, "repeated_initial", "x == [s[0]] * a", "[s[0]] * a", s=word(), a=whole(2, 9)),
    family(
        STRS,
        "many_with",
        "all(s in i for i in x) and len(x) > a",
        "[s] * (a + 1)",
        s=word(),
        a=whole(2, 9),
    ),
)
