"""The 108 puzzle families, split into training and held-out ones, and 114 others to hold out.

A run starts from a few pairs of the training families (its seeds) and is scored on two sets: new
constants of the training families, and the held-out families, of which no seed shows a puzzle.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from etude.errors import InputError
from etude.tiny.families import tuning, unseen
from etude.tiny.families.family import Family, Instance
from etude.tiny.families.floats import FLOAT_FAMILIES
from etude.tiny.families.int_lists import INT_LIST_FAMILIES
from etude.tiny.families.ints import INT_FAMILIES
from etude.tiny.families.str_lists import STR_LIST_FAMILIES
from etude.tiny.families.strs import STR_FAMILIES

__all__ = ["FAMILIES", "Family", "Instance", "held_out", "seed_pairs", "split"]

BY_ANSWER_TYPE = (
    INT_FAMILIES,
    FLOAT_FAMILIES,
    STR_FAMILIES,
    INT_LIST_FAMILIES,
    STR_LIST_FAMILIES,
)

FAMILIES: tuple[Family, ...] = tuple(family for group in BY_ANSWER_TYPE for family in group)

HELD_OUT_SHARE = 2 / 9
"""Of the families of each answer type: 7 of 31, 2 of 8, 6 of 27, 6 of 25, 4 of 17."""

SPLIT_SEED = 7
"""The split of the default recipe."""

TUNING = range(1_000, 2_000)
"""Splits that hold out the families of `tuning`: to choose settings on."""
REPORTING = range(3_000, 4_000)
"""Splits that hold out the families of `unseen`: to report on, as no choice has looked at them."""


def split(seed: int = SPLIT_SEED) -> tuple[tuple[Family, ...], tuple[Family, ...]]:
    """The 83 training families and the held-out ones.

    These are the other 25, drawn answer type by answer type. The splits of `TUNING` and `REPORTING`
    leave those out, and hold out all families that were written for it.
    """
    rng = random.Random(seed)
    left: list[Family] = []
    for group in BY_ANSWER_TYPE:
        shuffled = list(group)
        rng.shuffle(shuffled)
        left += shuffled[: round(len(group) * HELD_OUT_SHARE)]
    names = {one.name for one in left}
    training = tuple(one for one in FAMILIES if one.name not in names)
    if seed in TUNING:
        return training, tuning.FAMILIES
    if seed in REPORTING:
        return training, unseen.FAMILIES
    return training, tuple(left)


def held_out(
    n_constants: int = 96, n_families: int = 100, *, split_seed: int = SPLIT_SEED
) -> tuple[list[Instance], list[Instance]]:
    """The test problems: new constants of training families, and puzzles of held-out families.

    Each held-out family has as many puzzles, which are `n_families` as nearly as that goes: four of
    each of 25, two of each of 55.

    They depend on the split alone, so that every run of it is scored on the same problems.
    Raises `InputError` when a family has too few puzzles.
    """
    training, held = split(split_seed)
    rng = random.Random(f"held out {split_seed}")
    order = list(training)
    rng.shuffle(order)
    taken: set[str] = set()
    cycle = (order[i % len(order)] for i in range(n_constants))
    constants = _distinct(cycle, rng, taken)
    each = max(1, round(n_families / len(held)))
    families = _distinct((family for family in held for _ in range(each)), rng, taken)
    return constants, families


def seed_pairs(seed: int, per_family: int = 2, *, split_seed: int = SPLIT_SEED) -> list[Instance]:
    """The pairs that a run starts from: `per_family` of every training family.

    In random order. None of them has the constants of one of the split's test problems,
    however it is written. Raises `InputError` when a family has too few puzzles.
    """
    training, _ = split(split_seed)
    constants, families = held_out(split_seed=split_seed)
    taken = {instance.identity for instance in constants + families}
    rng = random.Random(f"seed pairs {split_seed} {seed}")
    pairs = _distinct((family for family in training for _ in range(per_family)), rng, taken)
    rng.shuffle(pairs)
    return pairs


def _distinct(families: Iterable[Family], rng: random.Random, taken: set[str]) -> list[Instance]:
    """One new instance for each family named, adding their identities to `taken`."""
    instances = []
    for family in families:
        instance = _untaken(family, rng, taken)
        taken.add(instance.identity)
        instances.append(instance)
    return instances


def _untaken(family: Family, rng: random.Random, taken: set[str]) -> Instance:
    for _ in range(1000):
        instance = family.instance(rng)
        if instance.identity not in taken:
            return instance
    raise InputError(
        f"The family {family.name!r} has too few different puzzles for what was asked; "
        "ask for fewer puzzles of each family."
    )
