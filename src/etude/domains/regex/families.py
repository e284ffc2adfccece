"""The families of regular-expression puzzles, split into training and held-out ones.

A family is a text with holes and an expression with the same holes that is right whatever is drawn:

    {w} {v}  words      {c} {d}  two letters      {n} {m}  numbers      {less}  n - 1
    {all}    the letters, each with `*` after it: `a*b*`               {some}  some of the letters

Not all draws make a puzzle worth asking: of some no word is right, or too few, and some are solved
by a trivial answer. These are drawn again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import NamedTuple

from etude.domains.regex.grammar import letters, word
from etude.domains.regex.notation import LONGEST_ANSWER, TRIED, read
from etude.errors import InputError

HELD_OUT_SHARES = (0.16, 0.4)
"""Of the families with one clause, and of those with two: whoever knows the clauses can tell what a
puzzle of two asks, and has to learn to say it."""
TRIVIAL = ("", ".", ".?", ".*", ".+", "[a-z]*", "[0-9]*", "\\w*")
"""Answers that solve a puzzle only if it is trivial."""
LONGEST = 2
"""Letters of a word, at most."""
CONSTANTS, PER_FAMILY = 60, 5
"""Test problems: new constants of training families in all, and puzzles of each held-out one."""


class Family(NamedTuple):
    """Puzzles that differ only in their constants."""

    name: str
    text: str
    answer: str


class Instance(NamedTuple):
    """One puzzle of a family with an answer."""

    family: str
    text: str
    answer: str


SINGLE = (
    Family("starts", "starts {w}", "{w}.*"),
    Family("ends", "ends {w}", ".*{w}"),
    Family("has", "has {w}", ".*{w}.*"),
    Family("not_starts", "not starts {w}", "(?!{w}).*"),
    Family("not_ends", "not ends {w}", "(?!.*{w}$).*"),
    Family("not_has", "not has {w}", "(?!.*{w}).*"),
    Family("starts_either", "starts {w} or {v}", "({w}|{v}).*"),
    Family("ends_either", "ends {w} or {v}", ".*({w}|{v})"),
    Family("has_either", "has {w} or {v}", ".*({w}|{v}).*"),
    Family("length", "length {n}", ".{{{n}}}"),
    Family("length_from_to", "length {n} to {more}", ".{{{n},{more}}}"),
    Family("length_up", "length {n} up", ".{{{n},}}"),
    Family("length_even", "length even", "(..)*"),
    Family("length_odd", "length odd", ".(..)*"),
    Family("count", "count {c} {n}", "([^{c}]*{c}){{{n}}}[^{c}]*"),
    Family("count_up", "count {c} {n} up", "(.*{c}){{{n}}}.*"),
    Family("count_even", "count {c} even", "([^{c}]*{c}[^{c}]*{c})*[^{c}]*"),
    Family("at", "at {n} {c}", ".{{{less}}}{c}.*"),
    Family("back", "back {n} {c}", ".*{c}.{{{less}}}"),
    Family("only", "only {some}", "[{some}]*"),
    Family("repeats", "repeats {w}", "({w})*"),
    Family("follows", "follows {c} {d}", "(?!.*{c}(?!{d})).*"),
    Family("before", "before {c} {d}", "(?!.*{d}.*{c}).*"),
    Family("sorted", "sorted", "{all}"),
    Family("alike", "alike", "(.).*\\1|.?"),
    Family("varied", "varied", "(?!.*(.)\\1).*"),
    Family("double", "double", "(.*)\\1"),
)
"""One clause."""
DOUBLE = (
    Family("starts_ends", "starts {w} & ends {v}", "(?={w}).*{v}"),
    Family("starts_has", "starts {w} & has {v}", "(?={w}).*{v}.*"),
    Family("has_ends", "has {w} & ends {v}", "(?=.*{w}).*{v}"),
    Family("has_has", "has {w} & has {v}", "(?=.*{w}).*{v}.*"),
    Family("neither", "not has {w} & not has {v}", "(?!.*{w})(?!.*{v}).*"),
    Family("starts_not_ends", "starts {w} & not ends {v}", "(?!.*{v}$){w}.*"),
    Family("not_starts_ends", "not starts {w} & ends {v}", "(?!{w}).*{v}"),
    Family("starts_not_has", "starts {w} & not has {v}", "(?!.*{v}){w}.*"),
    Family("has_not_ends", "has {w} & not ends {v}", "(?!.*{v}$).*{w}.*"),
    Family("not_has_ends", "not has {w} & ends {v}", "(?!.*{w}).*{v}"),
    Family("starts_length", "starts {c} & length {n}", "(?={c}).{{{n}}}"),
    Family("ends_length_up", "ends {w} & length {n} up", "(?=.{{{n}}}).*{w}"),
    Family("not_has_length", "not has {w} & length {n}", "(?!.*{w}).{{{n}}}"),
    Family("has_length_even", "has {w} & length even", "(?=.*{w})(..)*"),
    Family("starts_count_up", "starts {w} & count {c} {n} up", "(?={w})(.*{c}){{{n}}}.*"),
    Family("count_ends", "count {c} {n} & ends {d}", "(?=.*{d}$)([^{c}]*{c}){{{n}}}[^{c}]*"),
    Family("at_back", "at {n} {c} & back {n} {d}", "(?=.{{{less}}}{c}).*{d}.{{{less}}}"),
    Family("at_ends", "at {n} {c} & ends {w}", "(?=.{{{less}}}{c}).*{w}"),
    Family("only_length_up", "only {some} & length {n} up", "[{some}]{{{n},}}"),
    Family("sorted_length_up", "sorted & length {n} up", "(?=.{{{n}}}){all}"),
    Family("varied_starts", "varied & starts {c}", "(?!.*(.)\\1){c}.*"),
    Family("double_has", "double & has {w}", "(?=.*{w})(.*)\\1"),
)
"""Two."""
FAMILIES = (*SINGLE, *DOUBLE)


def split(seed: int) -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    """The training families and the held-out ones."""
    rng = random.Random(f"regex split {seed}")
    held: list[Family] = []
    for group, share in zip((SINGLE, DOUBLE), HELD_OUT_SHARES, strict=True):
        held += rng.sample(group, round(len(group) * share))
    names = {family.name for family in held}
    return tuple(one for one in FAMILIES if one.name not in names), tuple(held)


@cache
def held_out(split_seed: int) -> tuple[list[Instance], list[Instance]]:
    """The test problems: new constants of training families, and puzzles of held-out families.

    They depend on the split alone.
    """
    training, held = split(split_seed)
    rng = random.Random(f"regex held out {split_seed}")
    order = list(training)
    rng.shuffle(order)
    taken: set[str] = set()
    cycle = [order[i % len(order)] for i in range(CONSTANTS)]
    constants = _distinct(cycle, rng, taken)
    families = _distinct([one for one in held for _ in range(PER_FAMILY)], rng, taken)
    return constants, families


def seed_pairs(seed: int, per_family: int, split_seed: int) -> list[Instance]:
    """The pairs that a run starts from, in random order; none of them is a test problem.

    Raises `InputError` when a family has too few puzzles.
    """
    constants, families = held_out(split_seed)
    taken = {read(one.text).identity for one in [*constants, *families]}
    rng = random.Random(f"regex seed pairs {split_seed} {seed}")
    training, _ = split(split_seed)
    pairs = _distinct([one for one in training for _ in range(per_family)], rng, taken)
    rng.shuffle(pairs)
    return pairs


def _distinct(families: Iterable[Family], rng: random.Random, taken: set[str]) -> list[Instance]:
    """One new instance for each family named, adding their identities to `taken`."""
    found = []
    for family in families:
        for _ in range(1000):
            instance = drawn(family, rng)
            if (name := read(instance.text).identity) not in taken:
                break
        else:
            raise InputError(
                f"The family {family.name!r} has too few different puzzles for what was asked; "
                "ask for fewer puzzles of each family."
            )
        taken.add(name)
        found.append(instance)
    return found


def drawn(family: Family, rng: random.Random) -> Instance:
    """One puzzle of a family that is worth asking, with its answer."""
    while True:
        over = letters(rng)
        instance = _drawn(family, over, rng)
        if _worth_asking(over, instance.answer):
            return instance


def _worth_asking(letters: str, answer: str) -> bool:
    """Whether an answer of ours, which is right, is short enough, and no trivial one is right."""
    right = _matched(letters, answer)
    short_enough = len(answer) < min(LONGEST_ANSWER, len("|".join(right)))
    return short_enough and all(right != _matched(letters, trivial) for trivial in TRIVIAL)


@cache
def _matched(letters: str, answer: str) -> tuple[str, ...]:
    return tuple(filter(re.compile(answer).fullmatch, _words(letters)))


@cache
def _words(letters: str) -> tuple[str, ...]:
    """All words that an answer is tried on, but for those that repeat one."""
    lengths = range(TRIED[len(letters)] + 1)
    return tuple("".join(word) for n in lengths for word in product(letters, repeat=n))


def _drawn(family: Family, over: str, rng: random.Random) -> Instance:
    first, second = rng.sample(over, 2)
    low = rng.randint(2, 3)
    some = rng.sample(over, rng.randint(1, len(over) - 1))
    one, other = word(over, rng, LONGEST), word(over, rng, LONGEST)
    while other == one:
        other = word(over, rng, LONGEST)
    holes = {
        "w": one,
        "v": other,
        "c": first,
        "d": second,
        "n": low,
        "less": low - 1,
        "more": low + 1,
        "some": "".join(sorted(some)),
        "all": "".join(f"{letter}*" for letter in over),
    }
    text = f"over {over}: {family.text.format(**holes)}"
    return Instance(family.name, text, family.answer.format(**holes))
