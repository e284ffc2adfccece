"""Puzzles -> prompt text, and model text -> functions. Strings in, strings out; pure.

Three layouts of text:

`paper`  functions are blocks separated by an empty line, closed by `assert f(g())`, as in
         "Language Models Can Teach Themselves to Program Better" (arXiv 2207.14502)
`line`   one-line functions, one a line; for models trained on nothing else
`chat`   one message that asks in words; the answer stands in a fenced block of the reply
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from math import inf
from typing import Literal

from etude.puzzle import without_docstring
from etude.types import Exercise, Prompt, Puzzle

Layout = Literal["paper", "line", "chat"]

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
    most: int = 0,
    weights: Sequence[float] | None = None,
    arrange: Callable[[list[int]], list[int]] = list,
) -> tuple[Prompt, list[int]]:
    """A prompt that asks for one more puzzle, and which training puzzles it shows, in order.

    The training puzzles are reshuffled (see `shuffled` for weights), stripped of docstrings,
    renamed f1, f2, ..., and as many are shown as `fits` lets in, at most `most` of them where that
    is not 0; then comes `def f{k+1}(`. Without `fits` none is shown and the prompt is `def f(`. In
    the layout `chat` it is a message that shows them in a fenced block.
    """
    if layout == "chat":
        order = arrange(shuffled(len(training), rng, weights))
        return _proposal_message(training, order, fits, most)
    if fits is None:
        return Prompt("def f(", "def f("), []
    order = arrange(shuffled(len(training), rng, weights))
    gap = "\n\n" if layout == "paper" else "\n"
    texts = [""]

    def showing(count: int) -> Prompt:
        for number in range(len(texts), count + 1):
            text = renamed(_bare(training[order[number - 1]]), f"f{number}")
            texts.append(text + gap)
        opening = f"def f{count + 1}("
        return Prompt("".join(texts[: count + 1]) + opening, opening)

    count = _most(min(most or len(order), len(order)), lambda tried: fits(showing(tried)))
    return showing(count), order[:count]


def shuffled(count: int, rng: random.Random, weights: Sequence[float] | None = None) -> list[int]:
    """The numbers below `count` in an order of chance.

    With weights, as if each next one were drawn from those left in proportion to its weight; what
    weighs 0 comes last. Every one waits for a time of its rate: Efraimidis and Spirakis, "Weighted
    random sampling with a reservoir" (Information Processing Letters 97, 2006).
    """
    order = list(range(count))
    rng.shuffle(order)
    if weights is None:
        return order
    waits = {place: rng.expovariate(weights[place]) if weights[place] else inf for place in order}
    return sorted(order, key=waits.__getitem__)


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


def _proposal_message(
    training: Sequence[str],
    order: Sequence[int],
    fits: Callable[[Prompt], bool] | None,
    most: int,
) -> tuple[Prompt, list[int]]:
    if fits is None:
        return Prompt(_proposal_text([]), "", chat=True), []

    def showing(count: int) -> Prompt:
        sources = [renamed(_bare(training[index]), "f") for index in order[:count]]
        return Prompt(_proposal_text(sources), "", chat=True)

    count = _most(min(most or len(order), len(order)), lambda tried: fits(showing(tried)))
    return showing(count), list(order[:count])


def _proposal_text(sources: Sequence[str]) -> str:
    examples = "".join(f"```python\n{source}\n```\n\n" for source in sources)
    shown = f"Examples of such puzzles:\n\n{examples}" if sources else ""
    return (
        "A programming puzzle is one Python function `f`. Its first argument is the answer and has "
        "a type: int, str, float, or lists of these; every other argument has a default. "
        "`f` returns True exactly if the answer is right, and uses nothing but Python's builtins."
        f"\n\n{shown}"
        "Write one new puzzle, unlike the examples, that is neither trivial nor impossible. "
        "Reply with the function `f` in a fenced block of Python, without a solution."
    )


def solving_prompt(
    puzzle: Puzzle, examples: Sequence[tuple[str, str]] = (), *, layout: Layout = "paper"
) -> Prompt:
    """A prompt that asks for a solution: solved examples, the puzzle, and `def g(inputs):`."""
    opening = f"def g({puzzle.inputs}):"
    shown = renamed(without_docstring(puzzle.source).strip(), "f")
    if layout == "chat":
        return Prompt(_solving_text(shown, opening, examples), "", chat=True)
    if layout == "line":
        return Prompt(f"{shown}\n{opening}", opening)
    head = "from typing import List\n\n" + "".join(
        example_text(f, g, layout=layout) + "\n" for f, g in examples
    )
    return Prompt(f"{head}{shown}\n\n{opening}", opening)


def _solving_text(puzzle: str, opening: str, examples: Sequence[tuple[str, str]]) -> str:
    pairs = "".join(f"```python\n{f}\n\n{g}\n\nassert f(g())\n```\n\n" for f, g in examples)
    shown = f"Examples of puzzles with their solutions:\n\n{pairs}" if examples else ""
    return (
        "A programming puzzle is a Python function `f`. A function `g` solves it if `f(g())` is "
        f"True.\n\n{shown}Solve this puzzle:\n\n```python\n{puzzle}\n```\n\n"
        f"Reply with the whole function, which begins `{opening}`, in a fenced block of Python."
    )


def chat_messages(
    puzzle: Puzzle, solution: str, examples: Sequence[tuple[str, str]] = ()
) -> list[dict[str, str]]:
    """One solved puzzle as a dialogue to train a chat model on: the question of `solving_prompt`
    in the layout `chat`, and the solution in a fenced block."""
    question = solving_prompt(puzzle, examples, layout="chat").text
    answer = f"```python\n{solution.strip()}\n```"
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def chosen_examples(count: int, seed: int) -> tuple[tuple[str, str], ...]:
    """`count` of the paper's five solved examples: the first ones, in its order, for seed 0.

    Any other seed draws which ones, and their order.
    """
    if seed == 0:
        return PAPER_EXAMPLES[:count]
    return tuple(random.Random(seed).sample(PAPER_EXAMPLES, count))


def exercise_prompt(exercise: Exercise) -> Prompt:
    """A prompt that asks for a function with tests: it goes on where the suite's prompt ends."""
    return Prompt(exercise.prompt, exercise.opening)


def task_message(task: Puzzle | Exercise) -> str:
    """What a chat model is asked: the whole puzzle or exercise, and for Python in a block."""
    if isinstance(task, Exercise):
        return (
            f"Write the Python function `{task.entry_point}`, whole, with the imports that it "
            f"needs.\n\n```python\n{task.prompt}\n```\n\nAnswer with one block of Python."
        )
    shown = renamed(without_docstring(task.source).strip(), "f")
    return (
        f"Write a Python function `g({task.inputs})` whose result makes `f` return True.\n\n"
        f"```python\n{shown}\n```\n\nAnswer with one block of Python."
    )


def example_text(puzzle: str, solution: str, *, layout: Layout = "paper") -> str:
    """The training text of one solved puzzle. In the layout `chat` it is that of `paper`."""
    gap = "\n" if layout == "line" else "\n\n"
    return f"{puzzle}{gap}{solution}{example_end(layout)}"


def example_end(layout: Layout) -> str:
    """What follows the solution in `example_text`."""
    return "\n" if layout == "line" else "\n\nassert f(g())\n"


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
    given = opening.rfind("\n")  # of a body that has begun, the lines are not looked at again
    on_first_line = text[header:newline].strip()
    if given < newline and on_first_line and not on_first_line.startswith("#"):
        return max(newline - len(opening), 0)
    newline = max(newline, given)
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
