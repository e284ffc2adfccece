"""The training examples of a run, and how they fall into parts that can be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from etude import reviews, store, streams
from etude.arm import Arm
from etude.course import course_of
from etude.diversity.clusters import check_installed, in_clusters
from etude.diversity.features import ast_vectors
from etude.errors import InputError
from etude.puzzle import parse
from etude.train import documents_of
from etude.types import Document

WAYS = ("cluster", "family", "form", "round", "type")


@dataclass(frozen=True, slots=True)
class Example:
    """One training example, with what it may be grouped by."""

    id: str
    document: Document
    source: str
    """The puzzle's."""
    round: int
    answer_type: str
    form: str


@dataclass(frozen=True, slots=True)
class Part:
    """Examples that are left out together."""

    name: str
    """`round 2`, `List[int]`, ...; of a cluster its number."""
    shown: str
    """One puzzle of it, or the form. Hostile text."""
    members: tuple[int, ...]
    """Places in the list of examples."""


def read_examples(arm: Arm) -> list[Example]:
    """The examples that the student learned, or would learn, in their order: those of all rounds,
    but for puzzles that people withdrew. Raises `InputError` where is none."""
    withdrawn = reviews.withdrawn(store.read_stage(arm.run.folder / "final" / "anchors"))
    found = []
    for number in range(1, course_of(arm.run.folder, arm.recipe).kept + 1):
        found += _of_round(arm, number, withdrawn)
    if not found:
        raise InputError(
            f"{arm.run.folder} must hold selected examples to say what they are worth, but has "
            f"none yet. Finish it with `etude run {arm.run.folder}`."
        )
    return found


def _of_round(arm: Arm, number: int, withdrawn: frozenset[str]) -> list[Example]:
    folder = arm.round(number)
    rows = [r for r in store.read_stage(folder / "select") if r["puzzle_id"] not in withdrawn]
    made = [r for r in store.read_stage(folder / "derive") if r["puzzle_id"] not in withdrawn]
    puzzles = {puzzle.id: puzzle for puzzle in streams.Kept(folder)}
    documents = documents_of(arm, [(number, row) for row in (*rows, *made)], arm.recipe.final.loss)
    asked = [puzzles[row["puzzle_id"]] for row in rows] + [parse(row["source"]) for row in made]
    return [
        Example(row["example_id"], document, puzzle.source, number, puzzle.answer_type, puzzle.form)
        for row, document, puzzle in zip((*rows, *made), documents, asked, strict=True)
    ]


def parts_of(arm: Arm, examples: Sequence[Example], by: str, most: int) -> list[Part]:
    """The `most` largest parts, the largest first; what is in none of them is never left out.

    By `cluster`: k-means of the puzzles' syntax trees, k = `most`. By `family`: that of the nearest
    human puzzle. Raises `InputError` for another way, or where all examples are one part.
    """
    ways: dict[str, Callable[[], list[str]]] = {
        "cluster": lambda: _clusters(examples, most),
        "family": lambda: _families(arm, examples),
        "form": lambda: [example.form for example in examples],
        "round": lambda: [f"round {example.round}" for example in examples],
        "type": lambda: [example.answer_type for example in examples],
    }
    if by not in ways:
        raise InputError(f"--by must be one of {', '.join(WAYS)} but is {by}.")
    names = ways[by]()
    counts = Counter(names)
    chosen = sorted(counts, key=lambda name: (-counts[name], name))[:most]
    if len(counts) < 2:
        raise InputError(
            f"--by {by} must cut the {len(examples):,} examples into parts, but all are one. "
            "Choose another way."
        )
    return [_part(name, by, names, examples) for name in chosen]


def _part(name: str, by: str, names: Sequence[str], examples: Sequence[Example]) -> Part:
    members = tuple(place for place, other in enumerate(names) if other == name)
    return Part(name, name if by == "form" else examples[members[0]].source, members)


def _clusters(examples: Sequence[Example], most: int) -> list[str]:
    check_installed()
    vectors = ast_vectors([example.source for example in examples])
    return [f"cluster {number + 1}" for number in in_clusters(vectors, most, seed=0)]


def _families(arm: Arm, examples: Sequence[Example]) -> list[str]:
    """The family of the nearest seed: by its name, of P3's `Name:0` and `Name:1` alike."""
    names = [pair.name.partition(":")[0] for pair in arm.seeds]
    sources = [pair.puzzle.source for pair in arm.seeds] + [one.source for one in examples]
    vectors = ast_vectors(sources)
    human, made = vectors[: len(names)], vectors[len(names) :]
    return [names[place] for place in np.argmax((made @ human.T).round(9), axis=1)]
