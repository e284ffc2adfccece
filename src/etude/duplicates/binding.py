"""Which names a function, class or comprehension binds in its own scope; by the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def arguments_of(function: Function) -> list[ast.arg]:
    """All arguments, in the order of the header."""
    args = function.args
    stars = [[args.vararg] if args.vararg else [], [args.kwarg] if args.kwarg else []]
    return [*args.posonlyargs, *args.args, *stars[0], *args.kwonlyargs, *stars[1]]


def bound_in(nodes: Iterable[ast.AST]) -> tuple[list[str], list[str]]:
    """The names that a body binds, in the order of the text, and those it declares global.

    Names declared nonlocal are another scope's and are left out.
    """
    bound: dict[str, None] = {}
    elsewhere: set[str] = set()
    outer: dict[str, None] = {}
    for node in nodes:
        for kind, name in _names(node, inside=False):
            if kind == "bound":
                bound.setdefault(name)
            else:
                elsewhere.add(name)
                if kind == "global":
                    outer.setdefault(name)
    return [name for name in bound if name not in elsewhere], list(outer)


def targets_of(comprehension: Comprehension) -> list[str]:
    """The variables of a comprehension, in order."""
    names: dict[str, None] = {}
    for generator in comprehension.generators:
        for node in ast.walk(generator.target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.setdefault(node.id)
    return list(names)


def _names(node: ast.AST, *, inside: bool) -> Iterator[tuple[str, str]]:
    """(bound, global or nonlocal; name) of one node and what is in it, other scopes left out.

    `inside` a comprehension only `:=` binds in the scope around it.
    """
    kind = type(node)
    if kind is ast.Constant:
        return
    if isinstance(node, ast.Name):
        if not inside and type(node.ctx) is not ast.Load:
            yield "bound", node.id
        return
    if isinstance(node, ast.NamedExpr):
        yield "bound", node.target.id
        yield from _names(node.value, inside=inside)
        return
    if isinstance(node, ast.Global | ast.Nonlocal):
        how = "global" if kind is ast.Global else "nonlocal"
        yield from ((how, name) for name in node.names)
        return
    if kind in _NAMED and (name := _own_name(node)) is not None:
        yield "bound", name
    inside = inside or isinstance(node, Comprehension)
    for part in _around(node) if kind in _SCOPES else parts(node):
        yield from _names(part, inside=inside)


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_NAMED = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.alias, ast.ExceptHandler),
    *(ast.MatchAs, ast.MatchStar, ast.MatchMapping),
)
_NO_PARTS = frozenset({"ctx", "op", "ops", "id", "attr", "arg", "lineno", "type_comment", "kind"})
_parts_of: dict[type[ast.AST], tuple[str, ...]] = {}


def parts(node: ast.AST) -> list[ast.AST]:
    """The nodes right below one, without operators and contexts: `ast.iter_child_nodes`, faster."""
    kind = type(node)
    if kind not in _parts_of:
        _parts_of[kind] = tuple(name for name in kind._fields if name not in _NO_PARTS)
    found: list[ast.AST] = []
    for name in _parts_of[kind]:
        value = getattr(node, name)
        if type(value) is list:
            found += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def everything(tree: ast.AST) -> list[ast.AST]:
    """A node and all below it, in no particular order, without operators and contexts."""
    found = [tree]
    for node in found:
        if type(node) is not ast.Name and type(node) is not ast.Constant:
            found += parts(node)
    return found


def _own_name(node: ast.AST) -> str | None:
    """The name that a node itself binds, where it is no `Name`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.alias):
        return bound_by(node)
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name
    return node.rest if isinstance(node, ast.MatchMapping) else None


def bound_by(alias: ast.alias) -> str:
    """The name that one name of an import binds."""
    return alias.asname or alias.name.split(".")[0]


def _around(node: ast.AST) -> Iterable[ast.AST]:
    """The parts of a node that belong to the scope that it stands in."""
    if isinstance(node, Function):
        decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
        defaults = [default for default in node.args.kw_defaults if default is not None]
        return [*decorators, *node.args.defaults, *defaults]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    raise TypeError(f"{type(node).__name__} has no scope of its own")
