"""Answers that solve a puzzle only if it is trivial, by the type of its answer; pure.

Two lists: ours, short, since a puzzle that they miss shows as too easy when it is solved; and the
paper's, as its released code has them (`good_puzzles` in `ICLR2023/src/gen.py`).
"""

from __future__ import annotations

from itertools import product

OURS: dict[str, list[object]] = {
    "int": [*range(-10, 101)],
    "str": ["", "a", "b", "abc", "A", "0", "1", " "],
    "float": [0.0, 1.0, -1.0, 0.5, 2.0, 10.0, 100.0, -0.5, 0.1, 3.0, 1e9, -1e9, 1e-9],
    "List[int]": [[], [0], [1], [-1], [2], [0, 0], [0, 1], [1, 0], [1, 1], [1, 2]],
    "List[str]": [[], [""], ["a"], ["", ""], ["a", "a"], ["a", "b"]],
    "List[float]": [[], [0.0], [1.0], [0.0, 0.0], [0.0, 1.0]],
    "List[bool]": [[], [True], [False], [True, True], [True, False], [False, True]],
}
PAPER: dict[str, list[object]] = {
    "int": [*range(-10, 101)],
    "str": ["cat", "dog", "aa", "ab", "foo", "bar", "baz", ""],
    "float": [-100.0, -10.0, -2.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0],
}
PAPER_ITEMS: dict[str, list[object]] = {
    "int": [*range(-3, 4)],
    "str": ["a", "b", "foo", "bar", "baz"],
    "bool": [True, False],
    "float": [-1.0, -0.1, 0.0, 0.1, 0.5, 1.0, 2.0],
}
"""What the paper's trivial lists are made of: all lists of at most two of these."""


def trivial_answers(answer_type: str, *, paper: bool = False) -> list[object]:
    """The answers to try on a puzzle whose answer has this type: a scalar or a nested `List`.

    >>> trivial_answers("List[List[bool]]")[:3]
    [[], [[]], [[True]]]
    """
    return _papers(answer_type) if paper else _ours(answer_type)


def _ours(answer_type: str) -> list[object]:
    """A list of lists: empty, and the simpler ones wrapped."""
    known = OURS.get(answer_type)
    if known is not None:
        return known
    return [[], *([answer] for answer in _ours(_inner(answer_type)))]


def _papers(answer_type: str) -> list[object]:
    """Lists of length 0 to 2; in a list of lists each of those alone; and the empty one."""
    if answer_type in PAPER:
        return PAPER[answer_type]
    depth = answer_type.count("List[")
    items = PAPER_ITEMS[answer_type.replace("List[", "").replace("]", "")]
    made: list[object] = [list(p) for length in range(3) for p in product(items, repeat=length)]
    for _ in range(depth - 1):
        made = [[answer] for answer in made]
    return made if depth == 1 else [*made, []]


def _inner(answer_type: str) -> str:
    return answer_type.removeprefix("List[").removesuffix("]")
