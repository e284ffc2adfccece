"""The solutions that are one edit away from a given one: one-line expressions, changed once. Pure.

The edits are the operators of mutation testing (see `exchanges`) and of program repair by search:
Le Goues and others, "GenProg: A Generic Method for Automatic Software Repair" (2012), in which a
wrong program is thought to be close to a right one. Each edit changes one place of one expression
in the body of `g`; the rest of the text stays as it was written. Types are not looked at: what
makes no sense is refused by the judge.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from etude.exchanges import KINDS
from etude.puzzle import NotAPuzzle, source_of, syntax_tree
from etude.variants import spliced

LONGEST = 400
"""Characters of a solution that is edited."""
LARGEST = 60
"""Parts of an expression that is edited."""
MOST = 500
"""Edits of a solution. A text that names ninety arguments ninety times would have thousands."""

_OPERATORS: dict[str, type[ast.operator]] = {
    "+": ast.Add,
    "-": ast.Sub,
    "*": ast.Mult,
    "//": ast.FloorDiv,
    "%": ast.Mod,
    "/": ast.Div,
}
_CALLED: dict[str, list[str]] = {
    one: [other for other in kind if other != one]
    for kind in (*KINDS, ("str", "int"))
    if kind[0].isalpha()
    for one in kind
}
_WRAPPED = (
    *("_[::-1]", "_[0]", "_[-1]", "_[1:]", "_[:-1]", "-_", "_ + 1", "_ - 1", "_ * 2"),
    *("[_]", "str(_)", "int(_)", "list(_)", "sorted(_)", "_.upper()", "_.lower()"),
)
"""What a whole returned expression, here `_`, may be put into."""

Rebuild = Callable[[ast.AST], ast.expr]
"""Makes the whole expression of one part in it."""


def edits(solution: str) -> list[str]:
    """The different solutions one edit away, in a fixed order; none for what can't be edited.

    >>> edits("def g(a=7, b=21): return b + a")[:2]
    ['def g(a=7, b=21): return b - a', 'def g(a=7, b=21): return b * a']
    """
    function = _function(solution)
    if function is None:
        return []
    names = [one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)]
    found: dict[str, None] = {}
    changes = (
        (whole, changed)
        for whole, returned in _expressions(function)
        for changed in _changed(whole, names, returned=returned)
    )
    for whole, changed in islice(changes, MOST):
        text = _written(solution, whole, changed)
        if text is not None:
            found.setdefault(text)
    found.pop(solution, None)
    return list(found)


def _function(solution: str) -> ast.FunctionDef | None:
    if len(solution) > LONGEST:
        return None
    try:
        tree = syntax_tree(solution)
    except NotAPuzzle:
        return None
    found = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "g"]
    return found[-1] if found else None


def _expressions(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, bool]]:
    """The whole expressions of the body that compute something, and whether they are returned."""
    for node in (one for statement in function.body for one in ast.walk(statement)):
        if isinstance(node, ast.Return | ast.Assign | ast.AugAssign) and node.value is not None:
            size = sum(1 for _ in ast.walk(node.value))
            if size <= LARGEST:
                yield node.value, isinstance(node, ast.Return)


def _changed(whole: ast.expr, names: Sequence[str], *, returned: bool) -> Iterator[ast.expr]:
    for part, rebuild in _parts(whole, _whole):
        for other in _others(part, names):
            yield rebuild(other)
    if returned:
        yield from (_put(outside, whole) for outside in _WRAPPED)


def _parts(node: ast.AST, rebuild: Rebuild) -> Iterator[tuple[ast.expr, Rebuild]]:
    """The expressions in a node, itself among them; nothing that stands in an f-string."""
    if isinstance(node, ast.expr):
        yield node, rebuild
    if isinstance(node, ast.JoinedStr):
        return
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            yield from _parts(value, _into(node, field, None, rebuild))
        elif isinstance(value, list):
            for place, one in enumerate(value):
                if isinstance(one, ast.AST):
                    yield from _parts(one, _into(node, field, place, rebuild))


def _into(node: ast.AST, field: str, place: int | None, rebuild: Rebuild) -> Rebuild:
    """The whole expression with another part in a field of a node, which is itself put in place."""

    def put(part: ast.AST) -> ast.expr:
        made = copy.copy(node)
        if place is None:
            setattr(made, field, part)
        else:
            own = list(getattr(node, field))
            own[place] = part
            setattr(made, field, own)
        return rebuild(made)

    return put


def _others(part: ast.expr, names: Sequence[str]) -> Iterator[ast.expr]:
    """What may stand in the place of a part of an expression."""
    match part:
        case ast.BinOp(left, operator, right):
            for kind in _OPERATORS.values():
                if not isinstance(operator, kind):
                    yield ast.BinOp(left, kind(), right)
            yield from (ast.BinOp(right, operator, left), left, right)
        case ast.Name(name, ast.Load()) if name in names:
            yield from (ast.Name(other, ast.Load()) for other in names if other != name)
        case ast.Constant(bool()):
            pass
        case ast.Constant(int(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Call(ast.Name(name), arguments, keywords):
            for other in _CALLED.get(name, ()):
                yield ast.Call(ast.Name(other, ast.Load()), arguments, keywords)
            yield from (one for one in arguments if not isinstance(one, ast.Starred))
        case ast.Call(ast.Attribute(value, name), arguments, keywords):
            for other in _CALLED.get(name, ()):
                yield ast.Call(ast.Attribute(value, other, ast.Load()), arguments, keywords)
            yield value
        case ast.Subscript(value):
            yield value
        case ast.UnaryOp(_, operand):
            yield operand


def _whole(node: ast.AST) -> ast.expr:
    assert isinstance(node, ast.expr)
    return node


def _put(outside: str, whole: ast.expr) -> ast.expr:
    """An expression with another one in the place of its only `_`."""
    for part, rebuild in _parts(ast.parse(outside, mode="eval").body, _whole):
        if isinstance(part, ast.Name) and part.id == "_":
            return rebuild(whole)
    raise ValueError(f"no place in {outside}")


def _written(solution: str, whole: ast.expr, changed: ast.expr) -> str | None:
    """The solution with another expression in the place of one; None if that can't be written."""
    try:
        new = source_of(changed)
        text = spliced(solution, [(whole, f" {new}" if is_glued(solution, whole) else new)])
        syntax_tree(text)
    except (ValueError, RecursionError, MemoryError):  # `NotAPuzzle` too
        return None
    return text


def is_glued(solution: str, node: ast.expr) -> bool:
    """Whether a word ends where an expression begins, as in `return-a`."""
    line = re.split("\r\n|\r|\n", solution)[node.lineno - 1].encode()
    before = line[: node.col_offset].decode()[-1:]
    return before.isidentifier()
