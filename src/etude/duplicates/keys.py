"""What makes two sources the same at each level: 64-bit keys of a text. Pure.

Two different texts have equal keys once in 10^19 pairs; that is the chance of a false duplicate.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from etude.duplicates.spelling import spelling
from etude.puzzle import NotAPuzzle, syntax_tree

SHINGLE = 3
"""Tokens of a run. Programs of this kind are short: one changed token must not change most runs."""
_TOKEN = re.compile(r"\w+|[^\w\s]")
_LINE_END = re.compile(r"\r\n?")

Shingles = frozenset[tuple[str, ...]]


class Keys(NamedTuple):
    """The keys of a source, and whether it is Python at all."""

    canonical: int
    form: int
    parsed: bool


def plain(text: str) -> str:
    """A text as the level `exact` compares it: `\\n` ends its lines, nothing stands after it.

    White space at the end of a line stays: it may be part of a string. Python reads both the same.
    """
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    return text.rstrip(" \t\n\f")


def digest(*texts: str) -> int:
    """A 64-bit key of texts; each is preceded by its length."""
    return digest_of(*(text.encode("utf-8", "surrogatepass") for text in texts))


def digest_of(*parts: bytes) -> int:
    """A 64-bit key of bytes; each part is preceded by its length."""
    found = blake2b(digest_size=8)
    for data in parts:
        found.update(len(data).to_bytes(8, "big"))
        found.update(data)
    return int.from_bytes(found.digest(), "big")


def keys_of(puzzle: str, solution: str) -> Keys:
    """The keys of a pair of texts as `plain` gives them; the solution may be empty.

    Where one of them is not Python, both keys are that of the text alone.
    """
    sources = (puzzle, solution) if solution else (puzzle,)
    spelled = [_spelled(source) for source in sources]
    known = [one for one in spelled if one is not None]
    if len(known) < len(sources):
        same = digest("text", puzzle, solution)
        return Keys(same, same, False)
    canonical, form = (digest("tree", *texts) for texts in zip(*known, strict=True))
    return Keys(canonical, form, True)


@lru_cache(256)
def _spelled(source: str) -> tuple[str, str] | None:
    """Candidates for one puzzle stand beside each other, hence the cache."""
    try:
        return spelling(syntax_tree(source))
    except (NotAPuzzle, RecursionError, MemoryError):
        return None


def shingles(text: str) -> Shingles:
    """The runs of 3 tokens of a text; of a shorter one, all that there is."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < SHINGLE:
        return frozenset([tuple(tokens)])
    return frozenset(zip(*(tokens[start:] for start in range(SHINGLE)), strict=False))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Shared runs over all runs of both, 0 to 1 (Jaccard 1912)."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
