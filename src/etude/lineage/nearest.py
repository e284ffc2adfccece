"""The training examples that are nearest to a held-out problem: by form, and by shared words.

Of many examples, those with the largest share of equal tokens are chosen by SQL; only they are
compared run of tokens by run of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from etude import domains
from etude.decontaminate import grams_of, shown_text
from etude.lineage.sources import Sources
from etude.types import Problem

NEAREST = 5
"""Examples that are told."""
_LOOKED_AT = 40
_TOKEN = r"\w+|[^\w\s]"

Near = dict[str, Any]


def nearest(sources: Sources, problem: Problem | None, last: int | None) -> list[Near]:
    """The nearest examples of the loop, those of rounds up to `last`, and seeds; nearest first."""
    if problem is None:
        return []
    text = shown_text(problem, domains.named(sources.run.recipe.domain))
    form = problem.puzzle.form if problem.puzzle else None
    kind = problem.puzzle.answer_type if problem.puzzle else None
    tokens = sorted(set(re.findall(_TOKEN, text)))
    grams = set(grams_of(text))
    found = [
        {
            "example_id": row["example_id"],
            "puzzle_id": row["puzzle_id"],
            "origin": f"round {row['round']}",
            "same_form": row["form"] == form,
            "same_type": row["answer_type"] == kind,
            "tokens": row["tokens"],
            "grams": _share(grams, row["text"]),
            "text": row["text"],
        }
        for row in _examples(sources, tokens, form, last)
    ]
    found += _seeds(sources, set(tokens), grams, problem)
    found.sort(key=lambda one: (-one["same_form"], -one["grams"], -one["tokens"], one["text"]))
    return found[:NEAREST]


def _share(grams: set[tuple[str, ...]], text: str) -> float:
    """Of the problem's 8-grams, how many stand in a text."""
    return len(grams & set(grams_of(text))) / len(grams) if grams else 0.0


def _examples(
    sources: Sources, tokens: list[str], form: str | None, last: int | None
) -> Iterable[dict[str, Any]]:
    """A few examples by their form and by the Jaccard share of their tokens."""
    return sources.tables.rows(
        "with own as (select examples.*, form, answer_type, "
        f"list_distinct(regexp_extract_all(text, '{_TOKEN}')) as words from examples "
        "left join (select puzzle_id, round, arm, any_value(form) as form, "
        "any_value(answer_type) as answer_type from puzzles group by all) "
        "using (puzzle_id, round, arm) where arm = 'verified' and round <= ?), "
        "met as (select *, len(list_intersect(words, ?::varchar[])) as shared from own) "
        "select *, shared / (len(words) + ? - shared) as tokens from met "
        "order by coalesce(form = ?, false) desc, tokens desc, example_id limit ?",
        [10**6 if last is None else last, tokens, len(tokens), form, _LOOKED_AT],
    )


def _seeds(
    sources: Sources, tokens: set[str], grams: set[tuple[str, ...]], problem: Problem
) -> list[Near]:
    seeds, _ = sources.readable_seeds()
    puzzle = problem.puzzle
    found = []
    for seed in seeds:
        if not seed.text:
            continue
        words = set(re.findall(_TOKEN, seed.text))
        found.append(
            {
                "example_id": seed.example_id,
                "puzzle_id": seed.puzzle.id,
                "origin": f"seed {seed.name}".strip(),
                "same_form": puzzle is not None and seed.puzzle.form == puzzle.form,
                "same_type": puzzle is not None and seed.puzzle.answer_type == puzzle.answer_type,
                "tokens": len(words & tokens) / max(len(words | tokens), 1),
                "grams": _share(grams, seed.text),
                "text": seed.text,
            }
        )
    return found
