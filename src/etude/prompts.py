"""Puzzles -> prompt text, and model text -> functions. Strings in, strings out; pure.

Two layouts of text:

`paper`  functions are blocks separated by an empty line, closed by `assert f(g())`, as in
         "Language Models Can Teach Themselves to Program Better" (arXiv 2207.14502)
`line`   one-line functions, one a line; for models trained on nothing else
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal

from etude.puzzle import without_docstring
from etude.types import Prompt, Puzzle

Layout = Literal["paper", "line"]

PAPER_EXAMPLES: tuple[tuple[str, str], ...] = (
    ('def f(s: str):\n    return "Hello " + s == "Hello world"', 'def g():\n    return "world"'),
    (
        'def f(s: str):\n    return "Hello " + s[::-1] == "Hello world"',
        'def g():\n    return "world"[::-1]',
    ),
    (
        "def f(x: List[int]):\n    return len(x) == 2 and sum(x) == 3",
        "def g():\n    return [1, 2]",
    ),
    (
        "def f(s: List[str]):\n    return len(set(s)) == 1000 and all("
        '(x.count("a") > x.count("b")) and (\'b\' in x) for x in s)',
        'def g():\n    return ["a"*(i+2)+"b" for i in range(1000)]',
    ),
    (
        'def f(n: int):\n    return str(n * n).startswith("123456789")',
        'def g():\n    return int(int("123456789" + "0"*9) ** 0.5) + 1',
    ),
)
"""The five tutorial pairs that the paper puts before every puzzle to solve."""


def proposal_prompt(
    training: Sequence[str],
    rng: random.Random,
    *,
    layout: Layout = "paper",
    fits: Callable[[Prompt], bool] | None = None,
) -> tuple[Prompt, list[int]]:
    """A prompt that asks for one more puzzle, and which training puzzles it shows, in order.

    The training puzzles are reshuffled, stripped of docstrings, renamed f1, f2, ..., and as many
    are shown as `fits` lets in; then comes `def f{k+1}(`. Without `fits` none is shown and the
    prompt is `def f(`.
    """
    if fits is None:
        return Prompt("def f(", "def f("), []
    order = list(range(len(training)))
    rng.shuffle(order)
    head = "from typing import List\n\n" if layout == "paper" else ""
    gap = "\n\n" if layout == "paper" else "\n"
    texts = [head]

    def showing(count: int) -> Prompt:
        for number in range(len(texts), count + 1):
            text = renamed(_bare(training[order[number - 1]]), f"f{number}")
            texts.append(text + gap)
        opening = f"def f{count + 1}("
        return Prompt("".join(texts[: count + 1]) + opening, opening)

    count = _most(len(order), lambda tried: fits(showing(tried)))
    return showing(count), order[:count]


@cache
def _bare(puzzle: str) -> str:
    return without_docstring(puzzle).strip()


def _most(limit: int, good: Callable[[int], bool]) -> int:
    """The largest number from 1 to `limit` that is good, or 0: of good ones, all smaller are good.

    Doubling and then halving, for a text of thousands of tokens is to be read each time.
    """
    low, high = 0, 1
    while high <= limit and good(high):
        low, high = high, 2 * high
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def solving_prompt(
    puzzle: Puzzle, examples: Sequence[tuple[str, str]] = (), *, layout: Layout = "paper"
) -> Prompt:
    """A prompt that asks for a solution: solved examples, the puzzle, and `def g(inputs):`."""
    opening = f"def g({puzzle.inputs}):"
    shown = renamed(without_docstring(puzzle.source).strip(), "f")
    if layout == "line":
        return Prompt(f"{shown}\n{opening}", opening)
    head = "from typing import List\n\n" + "".join(
        example_text(f, g, layout=layout) + "\n" for f, g in examples
    )
    return Prompt(f"{head}{shown}\n\n{opening}", opening)


def example_text(puzzle: str, solution: str, *, layout: Layout = "paper") -> str:
    """The training text of one solved puzzle."""
    if layout == "line":
        return f"{puzzle}\n{solution}\n"
    return f"{puzzle}\n\n{solution}\n\nassert f(g())\n"


def function_end(opening: str, completion: str) -> int | None:
    """Where the function ends that starts with `opening` and goes on with `completion`.

    Returns an index into `completion`, before the newline that ends the function, or None while
    more may follow. A function whose body stands on its first line ends with that line; any other
    ends before the first line that starts in column 0 with something else than space or a comment.

    >>> function_end("def g(a=7):", " return a\\ndef f(")
    9
    >>> function_end("def g(a=7):", "\\n    return a\\n\\ndef f(")
    13
    >>> function_end("def g(a=7):", "\\n    return a\\n") is None
    True
    """
    text = opening + completion
    header = _header_end(text)
    newline = text.find("\n", header) if header is not None else -1
    if newline < 0:
        return None
    on_first_line = text[header:newline].strip()
    if on_first_line and not on_first_line.startswith("#"):
        return max(newline - len(opening), 0)
    while newline >= 0:
        following = text[newline + 1 : newline + 2]
        if following and not following.isspace() and following != "#":
            return max(len(text[:newline].rstrip()) - len(opening), 0)
        newline = text.find("\n", newline + 1)
    return None


def _header_end(text: str) -> int | None:
    """The index just past the colon that ends the header `def name(...) -> ...:`."""
    depth = 0
    quote = ""
    skip = False
    for index, character in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == ":" and depth == 0:
            return index + 1
    return None


def completed(prompt: Prompt, text: str, name: str) -> str:
    """The function that a sample finished, cut at its end and renamed to `name`."""
    end = function_end(prompt.opening, text)
    return renamed(prompt.opening + (text if end is None else text[:end]).rstrip(), name)


def renamed(source: str, name: str) -> str:
    """The function under another name: only the header changes (puzzles hardly ever recurse)."""
    head, separator, rest = source.partition("def ")
    _, bracket, rest = rest.partition("(")
    return f"{head}{separator}{name}{bracket}{rest}"
