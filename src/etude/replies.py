"""What a model wrote -> the source of a solution or a puzzle. Text in, text out: never executed.

Covered: plain text and lists of chat messages; Markdown's fenced blocks; text that goes on where
the prompt left off. Not covered: whether it is Python, which is for the judge to say.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence

from etude.errors import InputError
from etude.prompts import function_end, renamed
from etude.puzzle import NotAPuzzle, syntax_tree

SOLUTION_NAMES = ("g", "sol")
_FEWEST_MARKS = 3


def solution_source(reply: object, prefix: str = "", names: Sequence[str] = SOLUTION_NAMES) -> str:
    """The solution in a reply: text, or chat messages, of which the last that is text counts.

    With `prefix`, the end of the prompt, the reply goes on with it and ends with its function.
    Without one, a fenced block is the solution: the last that defines one of `names`, else the
    last with a function, else the last; a reply without any is the solution as a whole. Raises
    `InputError` for what is neither text nor messages.

    >>> solution_source("It is 9 - a:\\n```python\\ndef g(a=7): return 9 - a\\n```\\nDone.")
    'def g(a=7): return 9 - a'
    >>> solution_source("a=7): return 9 - a\\nassert f(g())", "def g(")
    'def g(a=7): return 9 - a'
    """
    text = reply_text(reply)
    if prefix:
        return prefix + text[: function_end(prefix, text)]
    return _best_block(text, names)


def puzzle_source(reply: str) -> str:
    """The puzzle in a chat model's reply: the function `f` of the last fenced block that has one.

    Imports, asserts and other functions beside it are left out; a block with one function of
    another name gives that one, as `f`. Without any block, the reply is the puzzle as a whole;
    `puzzle.parse` says whether it is one.

    >>> puzzle_source("Here:\\n```python\\ndef f(x: int, a=7): return x == a\\n```")
    'def f(x: int, a=7): return x == a'
    """
    source = _best_block(reply, ("f",))
    try:
        tree = syntax_tree(source)
    except NotAPuzzle:
        return source
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    named = [node for node in functions if node.name == "f"] or functions
    if len(named) != 1:
        return source
    return renamed(ast.get_source_segment(source, named[0]) or source, "f")


def _best_block(text: str, names: Sequence[str]) -> str:
    """The last fenced block with a function so named, else with any, else the last; else all."""
    blocks = fenced(text)
    for name in ("|".join(map(re.escape, names)), r"\w+"):
        head = re.compile(rf"^[ \t]*(?:async[ \t]+)?def[ \t]+(?:{name})\b", re.MULTILINE)
        for block in reversed(blocks):
            if head.search(block):
                return block
    return blocks[-1] if blocks else text


def reply_text(reply: object) -> str:
    """The text of a reply. Of messages, that of the last one with any from the assistant."""
    if isinstance(reply, str):
        return reply
    if not isinstance(reply, Sequence) or not all(isinstance(part, Mapping) for part in reply):
        raise InputError(
            f"a completion must be text or a list of messages, but is a {type(reply).__name__}"
        )
    said = (_content(one) for one in reversed(reply) if one.get("role") in (None, "assistant"))
    return next((text for text in said if text), "")


def fenced(text: str) -> list[str]:
    """The fenced blocks of a Markdown text. One that is not closed goes on to the end.

    >>> fenced("A:\\n```py\\nx = 1\\n```\\nB:\\n~~~\\ny = 2")
    ['x = 1', 'y = 2']
    """
    blocks: list[str] = []
    fence = ""
    lines: list[str] = []
    for line in text.split("\n"):  # splitlines would also split at what may stand in a string
        bare = line.strip()
        mark = bare[:1]
        count = len(bare) - len(bare.lstrip(mark)) if mark and mark in "`~" else 0
        if not fence and count >= _FEWEST_MARKS and mark not in bare[count:]:
            fence, lines = mark * count, []
        elif fence and count >= len(fence) and bare == fence[0] * count:
            blocks.append(_block(lines))
            fence = ""
        elif fence:
            lines.append(line)
    if fence:
        blocks.append(_block(lines))
    return blocks


def _block(lines: Sequence[str]) -> str:
    """In a list, a block is indented as a whole."""
    return textwrap.dedent("\n".join(lines))


def _content(message: Mapping[str, object]) -> str:
    """A message's text: its content, or the text parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""  # nothing but the call of a tool
    texts = (part.get("text") for part in content if isinstance(part, Mapping))
    return "".join(text for text in texts if isinstance(text, str))
