"""Solutions with holes in the places of what they were given, to be filled with what others give.

    opened("def g(s='dog', a=3): return [s] * a", parse("def f(x: List[str], s='dog', a=3): ..."))
    # [Opened(" return [_hole0_] * _hole1_", ("str", "int"))]

A puzzle gives a solver its inputs and the constants in its body, each of a kind: a number, a word,
a list of these. What a solution reads of them is a hole of that kind, and a value of the same kind
of another puzzle may stand in it. By the syntax tree alone. Covered: names of inputs, and literals
that stand in the puzzle's body to the letter. Not covered: inputs that a solution binds anew or
reads in an f-string, which make it no template.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize

from etude.arguments import behind_header, function_of, inputs_of
from etude.edits import is_glued
from etude.puzzle import NotAPuzzle, source_of, syntax_tree
from etude.types import Puzzle
from etude.variants import spliced

LONGEST = 400
"""Characters of a solution that is opened."""
MOST_HOLES = 4
MOST_VALUES = 3
"""Of one kind that a puzzle is taken to give: its inputs, then the first constants of its body."""
_MARK = re.compile(r"_(?:hole|slot)\d+_")
_NUMBERED = re.compile(r"_hole(\d+)_")
_SLOTS = re.compile(r"_slot(\d+)_")


Literal = tuple[str, str]
"""Kind and text."""


class Value(NamedTuple):
    """Something that a puzzle gives a solver."""

    kind: str
    """`int`, `str`, `list[float]`, ..."""
    written: str
    """What stands for it in a solution: an input's name, or the constant itself."""
    expression: str
    """What it is, as a literal."""

    @property
    def is_literal(self) -> bool:
        """Whether it stands in the body of the puzzle."""
        return self.written == self.expression


class Opened(NamedTuple):
    """A body with holes."""

    body: str
    """The text behind the colon of a `g`, with `_hole0_`, `_hole1_`, ... where values stand."""
    kinds: tuple[str, ...]
    """Of each hole."""


def given(puzzle: Puzzle) -> list[Value]:
    """What a puzzle gives, in the order of kinds: of each its inputs, then constants of its body.
    Nothing where these are too deep to be written.

    >>> from etude.puzzle import parse
    >>> [one.written for one in given(parse("def f(x: str, a=7): return x.count('o') == a + 2"))]
    ['a', '2', "'o'"]
    """
    try:
        return list(_given(puzzle.source))
    except NotAPuzzle:
        return []


@lru_cache(maxsize=256)  # the attempts at a puzzle come together; texts may be long
def _given(source: str) -> tuple[Value, ...]:
    function = function_of(syntax_tree(source))
    found = [
        Value(kind, name, source_of(default))
        for name, default in inputs_of(function).items()
        if (kind := _kind(default)) is not None
    ]
    found += [Value(kind, text, text) for kind, text in _literals(function.body)]
    kept: dict[str, dict[str, Value]] = {}
    for value in found:
        own = kept.setdefault(value.kind, {})
        if len(own) < MOST_VALUES:
            own.setdefault(value.written, value)
    return tuple(value for kind in sorted(kept) for value in kept[kind].values())


def opened(solution: str, puzzle: Puzzle) -> list[Opened]:
    """The body of a solution of this puzzle with holes: for the inputs that it names, and another
    time also for the puzzle's constants, where it has some. Nothing where the text can't be cut."""
    if len(solution) > LONGEST or _MARK.search(normalize("NFKC", solution)):  # as names are read
        return []
    try:
        function = _only_g(syntax_tree(solution))
    except NotAPuzzle:
        return []
    if function is None:
        return []
    kinds = {
        name: kind
        for name, default in inputs_of(function).items()
        if (kind := _kind(default)) is not None
    }
    names = {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    if _is_out_of_reach(function.body, names, names - set(kinds)):
        return []
    literals = {(value.kind, value.expression) for value in given(puzzle) if value.is_literal}
    found: list[Opened | None] = []
    for which in (set(), literals):
        with suppress(NotAPuzzle):  # the text can't be cut
            found.append(_cut(solution, function, kinds, which))
    return list(dict.fromkeys(one for one in found if one is not None))


def _cut(
    solution: str, function: ast.FunctionDef, kinds: Mapping[str, str], literals: set[Literal]
) -> Opened | None:
    """The body with holes in the places of these names and literals."""
    holes: dict[tuple[str, str], int] = {}
    changes: list[tuple[ast.expr, str]] = []
    for node in _outermost(function.body, kinds, literals):
        read = (kinds[node.id], node.id) if isinstance(node, ast.Name) else _literal(node)
        number = holes.setdefault(read, len(holes))
        space = " " if is_glued(solution, node) else ""
        changes.append((node, f"{space}_hole{number}_"))
    if len(holes) > MOST_HOLES:
        return None
    made = spliced(solution, changes)
    body = behind_header(made, function_of(syntax_tree(made)))
    return Opened(body, tuple(kind for kind, _ in holes))


def assignments(holes: Sequence[str], kinds: Sequence[str]) -> list[tuple[int, ...]]:
    """Every way to put into each hole another value of its kind, as places among the values.

    >>> assignments(["int", "str"], ["int", "int", "str"])
    [(0, 2), (1, 2)]
    """
    found: list[tuple[int, ...]] = [()]
    for hole in holes:
        fitting = [place for place, kind in enumerate(kinds) if kind == hole]
        found = [(*own, place) for own in found for place in fitting if place not in own]
    return found


def slotted(body: str, places: Sequence[int]) -> str:
    """A body whose holes are slots, `_slot0_`, ..., which are numbered as values are."""
    return _NUMBERED.sub(lambda hole: slot(places[int(hole[1])]), body)


def slot(place: int) -> str:
    """The name of what takes the value of that place."""
    return f"_slot{place}_"


def filled(body: str, values: Sequence[Value]) -> str:
    """A body whose slots are a puzzle's values as a solution of it writes them."""
    return _SLOTS.sub(lambda found: values[int(found[1])].written, body)


def _only_g(tree: ast.Module) -> ast.FunctionDef | None:
    """The function `g`, if it is all that there is."""
    match tree.body:
        case [ast.FunctionDef(name="g", decorator_list=[]) as function]:
            return function
    return None


def kind_of(literal: str) -> str | None:
    """The kind of a value that is written down; None where it is of none, or not all there.

    >>> kind_of("[3, 9]"), kind_of("True"), kind_of("[3, 9, ")
    ('list[int]', None, None)
    """
    try:
        statement = syntax_tree(literal).body
    except NotAPuzzle:
        return None
    match statement:
        case [ast.Expr(value)]:
            return _kind(value)
    return None


def _kind(node: ast.expr) -> str | None:
    """The kind of a literal; None for any other expression, truth values and empty lists."""
    match node:
        case ast.Constant(bool()):
            return None
        case ast.Constant(int() | float() | str() as value):
            return type(value).__name__
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float())):
            return _kind(node.operand)
        case ast.List(elts) if elts:
            kinds = {_kind(one) for one in elts}
            inner = kinds.pop() if len(kinds) == 1 else None
            return None if inner is None else f"list[{inner}]"
    return None


def _literal(node: ast.expr) -> Literal:
    kind = _kind(node)
    assert kind is not None, "what has no kind is no hole"
    return kind, source_of(node)


def _literals(statements: Iterable[ast.stmt]) -> Iterator[Literal]:
    """The literals of a kind, as large as they come, in the order of the text."""
    return map(_literal, _outermost(statements, frozenset(), None))


def _outermost(
    statements: Iterable[ast.stmt], names: Collection[str], wanted: Collection[Literal] | None
) -> list[ast.expr]:
    """These names, and literals as large as they come: the wanted ones, or for None all.

    In the order of the text. Nothing that stands in an f-string.
    """
    found: list[ast.expr] = []
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.JoinedStr):
            continue
        if isinstance(node, ast.expr) and _is_wanted(node, names, wanted):
            found.append(node)
        else:
            waiting += ast.iter_child_nodes(node)
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _is_wanted(node: ast.expr, names: Collection[str], wanted: Collection[Literal] | None) -> bool:
    if isinstance(node, ast.Name):
        return node.id in names
    return _kind(node) is not None and (wanted is None or _literal(node) in wanted)


def _is_out_of_reach(
    statements: Iterable[ast.stmt], names: Collection[str], without: Collection[str]
) -> bool:
    """Whether an input means something else somewhere, is read where no text can be replaced, or is
    one of those `without` a kind."""
    for node in (one for statement in statements for one in ast.walk(statement)):
        match node:
            case ast.Name(name, ast.Store() | ast.Del()) if name in names:
                return True
            case ast.Name(name) if name in without:
                return True
            case ast.arg(name) if name in names:
                return True
            case ast.JoinedStr() if any(
                isinstance(one, ast.Name) and one.id in names for one in ast.walk(node)
            ):
                return True
            case ast.Global() | ast.Nonlocal():
                return True
    return False
