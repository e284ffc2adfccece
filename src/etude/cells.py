"""Cells: what kind of puzzle one is, by its syntax tree alone: the grid of an archive. Pure.

A cell is an answer type, a set of constructs, and a size; or a form (`archive.by` says which).
None of these depends on what a puzzle calls its arguments, or on its constants. Covered: reading
them. Not covered: which cells are filled (see `archive`), and what a puzzle means: two that ask the
same in different words stand in different cells.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from etude.duplicates.keys import digest
from etude.puzzle import NotAPuzzle, syntax_tree
from etude.types import Puzzle

Trait = Literal["type", "constructs", "size", "form"]
Cell = tuple[int, ...]
"""The traits that the recipe asks for, as numbers."""

CONSTRUCTS = (
    "branch", "loop", "logic", "order", "member", "arithmetic", "remainder", "bits", "index",
    "slice", "method", "reduce", "sort", "convert", "pair", "set", "function",
)  # fmt: skip
"""What a puzzle's body may be made of, each a bit of `Traits.constructs`. Equality is in nearly
all of them, and so tells nothing."""
_NODES: dict[type[ast.AST], str] = {
    **dict.fromkeys((ast.If, ast.IfExp, ast.Match), "branch"),
    **dict.fromkeys((ast.For, ast.While, ast.ListComp, ast.GeneratorExp), "loop"),
    **dict.fromkeys((ast.SetComp, ast.DictComp), "loop"),
    **dict.fromkeys((ast.BoolOp, ast.Not), "logic"),
    **dict.fromkeys((ast.Lt, ast.LtE, ast.Gt, ast.GtE), "order"),
    **dict.fromkeys((ast.In, ast.NotIn), "member"),
    **dict.fromkeys((ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow), "arithmetic"),
    **dict.fromkeys((ast.Mod, ast.FloorDiv), "remainder"),
    **dict.fromkeys((ast.BitAnd, ast.BitOr, ast.BitXor, ast.LShift, ast.RShift), "bits"),
    ast.Invert: "bits",
    ast.Slice: "slice",
    ast.Attribute: "method",
    **dict.fromkeys((ast.Set, ast.Dict), "set"),
    **dict.fromkeys((ast.Lambda, ast.FunctionDef), "function"),
}
_NAMES: dict[str, str] = {
    **dict.fromkeys(("sum", "len", "min", "max", "any", "all"), "reduce"),
    **dict.fromkeys(("sorted", "reversed"), "sort"),
    **dict.fromkeys(("int", "str", "float", "bool", "ord", "chr", "abs", "round"), "convert"),
    **dict.fromkeys(("list", "tuple", "bin", "hex"), "convert"),
    **dict.fromkeys(("zip", "enumerate", "map", "filter", "range"), "pair"),
    **dict.fromkeys(("set", "dict", "frozenset"), "set"),
}
"""Of builtins, unless the puzzle gives the name to something else."""
_BITS = {name: 1 << place for place, name in enumerate(CONSTRUCTS)}
_UNCOUNTED = (ast.expr_context, ast.Constant, ast.USub)


class Traits(NamedTuple):
    """What a puzzle is like: four numbers, of which a cell takes some."""

    type: int
    """A key of the answer type; so of the form."""
    constructs: int
    """A bit of each of `CONSTRUCTS` that its body uses."""
    size: int
    """n for a body of 2^n nodes up to twice as many, constants left out."""
    form: int


def traits(puzzle: Puzzle) -> Traits:
    """What a puzzle is like. Raises `NotAPuzzle` for a source that can't be read.

    >>> from etude.puzzle import parse
    >>> words_of(parse("def f(x: int, a=7): return x + a == 9"))
    'int, arithmetic, 4 to 7 nodes'
    """
    function = _function(puzzle)
    own = _bound(function)
    constructs, size = 0, 0
    for node in _nodes(function.body):
        name = _NODES.get(type(node), "")
        if isinstance(node, ast.Name) and node.id not in own:
            name = _NAMES.get(node.id, "")
        elif isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            name = "index"
        constructs |= _BITS.get(name, 0)
        size += not isinstance(node, _UNCOUNTED)
    length = max(size, 1).bit_length() - 1
    return Traits(digest(puzzle.answer_type), constructs, length, digest(puzzle.form))


def cell_of(found: Traits, by: Sequence[Trait]) -> Cell:
    """The cell by these traits."""
    return tuple(getattr(found, name) for name in by)


def words_of(puzzle: Puzzle, by: Sequence[Trait] = ("type", "constructs", "size")) -> str:
    """A puzzle's cell in words: `List[int], loop reduce, 16 to 31 nodes`."""
    found = traits(puzzle)
    used = [name for name, bit in _BITS.items() if found.constructs & bit]
    low = 1 << found.size
    said = {
        "type": puzzle.answer_type,
        "constructs": " ".join(used) or "no constructs",
        "size": f"{low} to {2 * low - 1} nodes",
        "form": f"form {found.form:016x}",
    }
    return ", ".join(said[name] for name in by)


def _function(puzzle: Puzzle) -> ast.FunctionDef:
    for node in syntax_tree(puzzle.source).body:
        if isinstance(node, ast.FunctionDef):
            return node
    raise NotAPuzzle("no function")


def _bound(function: ast.FunctionDef) -> set[str]:
    """Names that mean something of the puzzle's own."""
    found = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def _nodes(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of a body but for what depends on constants alone: its docstring, and of a list of
    constants all but the list."""
    owed: list[ast.AST] = [one for one in body if not _is_text(one)]
    while owed:
        node = owed.pop()
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _is_constant(node):
            continue
        yield node
        if not (isinstance(node, ast.List) and all(map(_is_constant, node.elts))):
            owed.extend(ast.iter_child_nodes(node))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_constant(node: ast.AST) -> bool:
    """As `Puzzle.form` sees it: -3 is one, although Python's grammar sees an operator; a truth
    value is none."""
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and not (
        node.value is None or isinstance(node.value, bool)
    )
