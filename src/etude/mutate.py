"""Mutation: prompts that start from puzzles that there are, beside those that ask freely. Pure.

`change`    one puzzle, with something else about it
`exchange`  one puzzle, with another operator, comparison or call (see `exchanges`)
`combine`   two puzzles in one
`harder`    one puzzle, harder
`easier`    one puzzle, easier

In the layouts `paper` and `chat` the prompt shows its parents and asks in words, as OMNI-EPIC does
for environments: Faldor and others (2024, arXiv 2405.15568). A model of the layout `line` follows
no words: it goes on with a beginning of a puzzle, cut at a token of Python, so that what follows is
drawn anew; or with the conditions of both parents in one puzzle, of which the second is cut.
`exchange` is of this layout alone: the beginning reaches beyond what was exchanged. Not covered:
which puzzles become parents (see `breeding`).
"""

from __future__ import annotations

import ast
import io
import random
import re
import string
import tokenize
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from etude.arguments import function_of, inputs_of
from etude.exchanges import exchanged
from etude.prompts import Layout, renamed
from etude.puzzle import NotAPuzzle, source_of, syntax_tree, without_docstring
from etude.types import Prompt, Puzzle
from etude.variants import variants

Kind = Literal["change", "exchange", "combine", "harder", "easier"]

PARENTS: dict[str, int] = {
    "change": 1,
    "exchange": 1,
    "combine": 2,
    "harder": 1,
    "easier": 1,
}
"""How many puzzles a prompt of each kind starts from."""
WORDLESS = ("change", "exchange", "combine")
"""The kinds of the layout `line`, of which `exchange` is of no other."""
_COMMENTS = {
    "change": "# the same puzzle, but with one thing changed",
    "combine": "# the two puzzles above, in one",
    "harder": "# the same puzzle, but harder",
    "easier": "# the same puzzle, but easier",
}
_ASKED = {
    "change": "Change one thing about this puzzle, so that its solution must be another one",
    "combine": "Combine these two puzzles into one, whose solution needs the ideas of both",
    "harder": "Write a harder version of this puzzle, that can still be solved",
    "easier": "Write an easier version of this puzzle, that is not trivial",
}
_ASKS = re.compile(r"(?:^|\n)def f\d*\($")
_BETWEEN = {
    *(tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.COMMENT, tokenize.ENDMARKER),
}


def mutation_prompt(
    kind: str,
    parents: Sequence[Puzzle],
    rng: random.Random,
    *,
    layout: Layout,
    words: Sequence[str] | None = None,
) -> Prompt | None:
    """A prompt of a kind that starts from its parents; None where they don't lend themselves to it.

    With `words`, perhaps none, the parents' arguments get other constants as defaults where these
    are simple (see `variants`).
    """
    if words is not None:
        parents = [_redrawn(parent, words, rng) for parent in parents]
    if layout != "line":
        return (_asking if layout == "paper" else _message)(kind, [_bare(one) for one in parents])
    one, *others = parents
    if kind == "exchange":
        text = _exchanged(_bare(one), rng)
    else:
        text = _composition(one, others[0], rng) if others else _cut(_bare(one), rng)
    return None if text is None else Prompt(text, opening_of(text))


def opening_of(prompt: str) -> str:
    """The part of a prompt to propose with that belongs to the function that is asked for.

    That is the header at its end, of which hardly anything is given; a prompt without one is a
    puzzle's beginning as a whole.

    >>> opening_of("def f1(x: int): return x == 3\\ndef f2(")
    'def f2('
    >>> opening_of("def f(x: int, a=7): return x +")
    'def f(x: int, a=7): return x +'
    """
    asks = _ASKS.search(prompt)
    return asks.group().lstrip("\n") if asks else prompt


def _redrawn(puzzle: Puzzle, words: Sequence[str], rng: random.Random) -> Puzzle:
    drawn = variants(puzzle, 1, words=words, seed=rng.getrandbits(32))
    return drawn[0].puzzle if drawn else puzzle


def _bare(puzzle: Puzzle) -> str:
    return renamed(without_docstring(puzzle.source).strip(), "f")


def _asking(kind: str, sources: Sequence[str]) -> Prompt:
    shown = "".join(f"{renamed(one, f'f{at}')}\n\n" for at, one in enumerate(sources, 1))
    opening = f"def f{len(sources) + 1}("
    return Prompt(f"{shown}{_COMMENTS[kind]}\n{opening}", opening)


def _message(kind: str, sources: Sequence[str]) -> Prompt:
    shown = "".join(f"```python\n{source}\n```\n\n" for source in sources)
    return Prompt(
        "A programming puzzle is one Python function `f`. Its first argument is the answer and has "
        "a type: int, str, float, or lists of these; every other argument has a default. "
        "`f` returns True exactly if the answer is right, and uses nothing but Python's builtins."
        f"\n\n{shown}{_ASKED[kind]}. "
        "Reply with the function `f` in a fenced block of Python, without a solution.",
        "",
        chat=True,
    )


def _cut(source: str, rng: random.Random) -> str | None:
    places = cuts(source)
    return source[: rng.choice(places)] if places else None


def _exchanged(source: str, rng: random.Random) -> str | None:
    """The puzzle with an exchange, cut somewhere behind it, or not at all."""
    made = exchanged(source, rng)
    if made is None:
        return None
    whole, end = made
    return whole[: rng.choice([*(place for place in cuts(whole) if place >= end), len(whole)])]


def cuts(source: str) -> list[int]:
    """Where a puzzle's source may be cut for a model to go on: after each token that follows the
    bracket of its arguments, but the last. None where it doesn't begin with its header.

    >>> source = "def f(x: int): return x == 3"
    >>> [source[:place] for place in cuts(source)][:3]
    ['def f(x', 'def f(x:', 'def f(x: int']
    """
    if not source.startswith("def f(") or "\r" in source or "\f" in source:
        return []
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type not in _BETWEEN:
                found.append(starts[token.end[0] - 1] + token.end[1])
    except (tokenize.TokenError, SyntaxError):
        return []
    # The first three are `def`, `f` and the bracket.
    return [place for place in found[3:-1] if not _ASKS.search(source[:place])]


def _composition(one: Puzzle, other: Puzzle, rng: random.Random) -> str | None:
    """Both conditions in one puzzle, the second cut short, or left out as a whole."""
    whole = merged(one, other)
    if whole is None:
        return None
    source, start = whole
    return source[: rng.choice([start, *(place for place in cuts(source) if place > start)])]


def merged(one: Puzzle, other: Puzzle) -> tuple[str, int] | None:
    """A puzzle that asks what `one` asks, and what `other` asks, of the same answer; and where what
    `other` asks begins.

    None where they ask for different types, one is more than a `return`, or `other` has no inputs.

    >>> from etude.puzzle import parse
    >>> merged(parse("def f(x: int, a=7): return x > a"), parse("def f(y: int, a=3): return y < a"))
    ('def f(x: int, a=7, b=3): return x > a and x < b', 41)
    """
    if one.answer_type != other.answer_type or not other.inputs:
        return None
    try:
        function, second = (function_of(syntax_tree(puzzle.source)) for puzzle in (one, other))
        names, inputs = _apart(function, second)
        foreign = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
        conditions = _condition(function), _condition(second, names, foreign)
    except NotAPuzzle:
        return None
    answer = ast.get_source_segment(one.source, _answer(function)) or ""
    if not all(conditions) or "\n" in answer:
        return None
    header = ", ".join([answer, *filter(None, [one.inputs]), *inputs])
    start = f"def f({header}): return {conditions[0]} and"
    return f"{start} {conditions[1]}", len(start)


def _apart(function: ast.FunctionDef, second: ast.FunctionDef) -> tuple[dict[str, str], list[str]]:
    """What the names of the second puzzle become, and its inputs under them."""
    taken = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    taken |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    own = {node.id for node in ast.walk(second) if isinstance(node, ast.Name)}
    names, inputs = {_answer(second).arg: _answer(function).arg}, []
    for name, default in inputs_of(second).items():
        names[name] = _free(name, taken | (own - {name}))
        taken.add(names[name])
        inputs.append(f"{names[name]}={source_of(default)}")
    return names, inputs


def _answer(function: ast.FunctionDef) -> ast.arg:
    return (function.args.posonlyargs + function.args.args)[0]


def _condition(
    function: ast.FunctionDef,
    names: Mapping[str, str] = MappingProxyType({}),
    foreign: Collection[str] = (),
) -> str:
    """What a puzzle of one `return` returns, as an operand of `and`, with other names; otherwise
    nothing, as where a name would mean what the first puzzle calls by it."""
    body = [
        one for one in function.body if not isinstance(getattr(one, "value", None), ast.Constant)
    ]
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return ""
    value = body[0].value
    for node in ast.walk(value):
        name = node.id if isinstance(node, ast.Name) else getattr(node, "arg", None)
        if name in foreign and name not in names:
            return ""
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load) and node.id in names.values():
                return ""
            node.id = names.get(node.id, node.id)
        elif isinstance(node, ast.Lambda) and names:  # whose arguments are not renamed
            return ""
    loose = isinstance(value, ast.IfExp | ast.Lambda | ast.NamedExpr) or (
        isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or)
    )
    text = source_of(value)
    return f"({text})" if loose else text


def _free(name: str, taken: set[str]) -> str:
    """The name, or the letter after it that is not taken, for small models know short names best;
    or else the name with a number."""
    if name not in taken:
        return name
    first = max(0, string.ascii_lowercase.find(name[0]))
    letters = string.ascii_lowercase[first:] + string.ascii_lowercase[:first]
    for letter in letters:
        if letter not in taken:
            return letter
    return next(f"{name}{n}" for n in range(2, len(taken) + 3) if f"{name}{n}" not in taken)
