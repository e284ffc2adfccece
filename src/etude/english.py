"""From puzzles to English and back: prompts, what is taken from the replies, and texts. Pure.

A docstring says in a sentence what a puzzle's answer must be; a solver sees it and the header of
`g`, as in the tasks of HumanEval, and nothing of the puzzle's code. Covered: the layouts `paper`
and `chat`, docstrings that tell code in place of English. Not covered: whether a docstring is true,
which is for solvers and the judge to say (see `describe`).
"""

from __future__ import annotations

import ast
import re

from etude.arguments import function_of, inputs_of
from etude.prompts import Layout, renamed
from etude.puzzle import dumped, source_of, syntax_tree, without_docstring
from etude.types import Prompt, Puzzle

EXAMPLES: tuple[tuple[str, str], ...] = (
    (
        'def f(s: str):\n    return "Hello " + s == "Hello world"',
        'Return the string that gives "Hello world" when it follows "Hello ".',
    ),
    (
        "def f(x: List[int], n=2, total=3):\n    return len(x) == n and sum(x) == total",
        "Return a list of n integers whose sum is total.",
    ),
    (
        'def f(n: int, start="123456789"):\n    return str(n * n).startswith(start)',
        "Return an integer whose square, written in decimal, begins with the digits of start.",
    ),
)
"""Puzzles described by people, which a prompt of the layout `paper` begins with."""

LONGEST = 400
"""Characters of a docstring."""
FEWEST_WORDS = 4
SHARED, SIGNS = 8, 2
"""So many characters without spaces, with so many signs among them, a docstring must not share with
the code of puzzle or solution: names and texts it may."""

_IMPORT = "from typing import List\n\n"
_FENCE = re.compile(r"\s*`{3,}\s*\w*\s*")
_ASKED = "# In one sentence of English: what must the function that solves this puzzle return?\n"


def describing_prompt(puzzle: Puzzle, *, layout: Layout) -> Prompt:
    """A prompt that asks for one sentence about a puzzle's answer."""
    shown = renamed(without_docstring(puzzle.source).strip(), "f")
    if layout == "chat":
        return Prompt(
            "A programming puzzle is a Python function `f`. A function `g` solves it if `f(g())` "
            f"is True.\n\n```python\n{shown}\n```\n\nSay in one sentence of plain English what "
            f"`g({puzzle.inputs})` must return, in terms of its arguments, so that somebody who "
            "does not see `f` can write it. Begin with `Return`. Reply with the sentence alone.",
            "",
            chat=True,
        )
    head = "".join(f"{f}\n{_ASKED}# {said}\n\n" for f, said in EXAMPLES)
    return Prompt(f"{head}{shown}\n{_ASKED}# Return", "# Return", line=True)


def docstring_of(prompt: Prompt, text: str) -> str:
    """The sentence in a reply, on one line; empty where there is none."""
    if prompt.chat:
        lines = [_unquoted(line) for line in text.splitlines() if not _FENCE.fullmatch(line)]
        said = next((line for line in lines if line.strip("`\"'")), "")
    else:
        said = "Return" + text.split("\n", 1)[0]
    return " ".join(said.split())


def _unquoted(line: str) -> str:
    """A line without what it stands in as a whole; a text that it ends with keeps its quotes."""
    line = line.strip()
    for quote in ("```", '"""', "'''"):
        line = line.removeprefix(quote).removesuffix(quote).strip()
    for quote in "`\"'":
        if len(line) > 1 and line[0] == line[-1] == quote and line.count(quote) == 2:
            line = line[1:-1]
    return line


def fault_of(docstring: str, puzzle: Puzzle, solution: str) -> str:
    """Why a docstring is none, such as `code`; empty for one that may be tried."""
    if len(re.findall(r"[A-Za-z]{2,}", docstring)) < FEWEST_WORDS:
        return "too few words"
    if len(docstring) > LONGEST:
        return "too long"
    if '"""' in docstring or "\\" in docstring or not docstring.isprintable():
        return "not plain text"
    if docstring.endswith('"'):
        return "not plain text"  # it would end the docstring early
    said = "".join(docstring.split())
    for code in (puzzle.source, solution):
        body = "".join(_body(code).split())
        runs = (body[at : at + SHARED] for at in range(len(body) - SHARED + 1))
        if any(run in said and sum(not one.isalnum() for one in run) >= SIGNS for run in runs):
            return "code"
    return ""


def _body(source: str) -> str:
    """The text behind the header of the last function."""
    try:
        function = [one for one in syntax_tree(source).body if isinstance(one, ast.FunctionDef)][-1]
        return source_of(ast.Module(function.body, []))
    except (ValueError, IndexError, RecursionError, MemoryError):  # `NotAPuzzle` too
        return source


def task_opening(puzzle: Puzzle, docstring: str) -> str:
    """The header of `g` with a docstring: all that a solver sees, as in HumanEval."""
    return f'def g({puzzle.inputs}) -> {puzzle.answer_type}:\n    """{docstring}"""\n'


def task_prompt(puzzle: Puzzle, docstring: str, *, layout: Layout) -> Prompt:
    """A prompt that asks for a solution by the docstring alone."""
    opening = task_opening(puzzle, docstring)
    if layout == "chat":
        return Prompt(
            f"Complete this Python function:\n\n```python\n{opening}```\n\n"
            "Reply with the whole function in a fenced block of Python.",
            "",
            chat=True,
        )
    return Prompt(f"{_IMPORT}{opening}", opening)


def task_text(puzzle: Puzzle, docstring: str, solution: str) -> tuple[str, str] | None:
    """What teaches to go from English to code: the solution with this docstring, whole, and the
    part of it that a solver would write. None for a solution that can't be written so: one with
    another header than the puzzle asks for, or more than a function, was accepted as it stood."""
    try:
        tree = syntax_tree(solution)
        body = _own_body(function_of(tree))
        code = "".join(f"    {line}\n" for one in body for line in source_of(one).split("\n"))
        text = _IMPORT + task_opening(puzzle, docstring) + code
        written = syntax_tree(text)
        function = function_of(written)
        same = dumped(_own_body(function)) == dumped(body)
        if not same or not _is_served(function_of(tree), function):
            return None
        beside = [one for one in tree.body if not isinstance(one, ast.FunctionDef)]
        if not set(dumped(beside)) <= set(dumped(written.body)):
            return None
    except (ValueError, RecursionError, MemoryError):  # `NotAPuzzle` too
        return None
    return text, code


def _own_body(function: ast.FunctionDef) -> list[ast.stmt]:
    """What a function does: its body without a docstring."""
    told = ast.get_docstring(function, clean=False) is not None and len(function.body) > 1
    return function.body[1:] if told else function.body


def _is_served(function: ast.FunctionDef, header: ast.FunctionDef) -> bool:
    """Whether the body of a function has all its arguments under another header, as they were."""
    arguments, given = function.args, inputs_of(header)
    own = inputs_of(function)
    plain = not (arguments.vararg or arguments.kwarg or function.decorator_list)
    needed = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    return plain and all(
        one.arg in own and one.arg in given and dumped([own[one.arg]]) == dumped([given[one.arg]])
        for one in needed
    )
