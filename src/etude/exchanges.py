"""A puzzle with one operator, comparison or call exchanged for another of its kind. Pure.

These are the operators of mutation testing: Offutt and others, "An Experimental Determination of
Sufficient Mutant Operators" (1996), there made to be told from the original by a test, here to be
another puzzle. Types are not looked at: what an exchange makes of a puzzle may raise for every
answer, and is then solved by none.
"""

from __future__ import annotations

import ast
import io
import keyword
import random
import tokenize

KINDS = (
    ("+", "-", "*", "//", "%", "/"),
    ("==", "<", "<=", ">", ">="),
    ("and", "or"),
    ("all", "any"),
    ("min", "max", "sum", "len"),
    ("startswith", "endswith"),
    ("upper", "lower"),
    ("index", "count"),
    ("ord", "int"),
    ("sorted", "list"),
)
"""What may be exchanged for one another."""
_KIND = {one: kind for kind in KINDS for one in kind}
_TOKENS = (tokenize.OP, tokenize.NAME, tokenize.NUMBER, tokenize.STRING)
_CALLED = {one for kind in KINDS for one in kind if one.isalpha()} - {"and", "or"}


def exchanged(source: str, rng: random.Random) -> tuple[str, int] | None:
    """The puzzle with an exchange, and where in it the exchanged ends.

    None for a source of more than one line, or one in which nothing can be exchanged.

    >>> exchanged("def f(x: int, a=7): return x * a == 21", random.Random(1))
    ('def f(x: int, a=7): return x * a < 21', 34)
    """
    places = _places(source)
    rng.shuffle(places)
    for start, end in places:
        old = source[start:end]
        new = rng.choice([one for one in _KIND[old] if one != old])
        whole = source[:start] + new + source[end:]
        if _is_python(whole):
            return whole, start + len(new)
    return None


def _places(source: str) -> list[tuple[int, int]]:
    """Where something exchangeable stands, in the body of a puzzle of one line: the first part of
    the body, a `return`, is not."""
    if len(source.splitlines()) != 1 or not _is_python(source):
        return []
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.string and token.type in _TOKENS
    ]
    first = next((at for at, token in enumerate(tokens) if token.string == "return"), len(tokens))
    found = []
    for before, token, after in zip(
        tokens[first:-2], tokens[first + 1 : -1], tokens[first + 2 :], strict=True
    ):
        called = token.string in _CALLED and after.string == "("
        between = token.type == tokenize.OP and _ends_operand(before)
        if token.string in _KIND and (called or between or token.string in ("and", "or")):
            found.append((token.start[1], token.end[1]))
    return found


def _ends_operand(token: tokenize.TokenInfo) -> bool:
    """Whether an operator behind it has two sides: the minus of `-a`, the star of `*a` have one."""
    if token.type == tokenize.OP:
        return token.string in (")", "]", "}")
    return not keyword.iskeyword(token.string)


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
