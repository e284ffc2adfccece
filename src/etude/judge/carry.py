"""Whether a puzzle could carry something over from one answer to the next in the same process.

Every answer meets the puzzle's text executed anew, so what the text itself makes is gone. What
would stay is a change to something that was there before: a module, a class, the interpreter. A
puzzle that names nothing but pure functions, and of objects nothing but the methods of plain data,
reaches none of that. Covered: that much, by the syntax tree. Not covered: everything else; it is
asked about each answer in a process of its own. Nor where things lie in memory, which a puzzle can
learn from `hash(object())`: a verdict that rests on that is chance.
"""

from __future__ import annotations

import ast
import builtins
import collections
import itertools
import math
import re
import typing


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PURE = _words(
    """
    abs all any ascii bin bool bytearray bytes chr complex dict divmod enumerate filter float
    format frozenset hash hex int isinstance issubclass iter len list map max min next object oct
    ord pow print range repr reversed round set slice sorted str sum tuple type zip
    ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError
    OverflowError RecursionError StopIteration TypeError ValueError ZeroDivisionError
    Any Callable Dict FrozenSet Generator Iterable Iterator List Optional Sequence Set Tuple Union
    """
)
_IMPURE = frozenset((*dir(builtins), *typing.__all__)) - _PURE
"""A name of these that is bound in one scope may still be meant in another."""
_MODULES: dict[str, frozenset[str]] = {
    "bisect": _words("bisect bisect_left bisect_right insort"),
    "collections": _words("Counter OrderedDict defaultdict deque"),
    "heapq": _words("heapify heappop heappush nlargest nsmallest"),
    "itertools": frozenset(name for name in dir(itertools) if name[0] != "_"),
    "math": frozenset(name for name in dir(math) if name[0] != "_"),
    "re": _words(
        """
        compile escape findall finditer fullmatch match search split sub
        I IGNORECASE M MULTILINE S DOTALL X VERBOSE
        """
    ),
    "typing": frozenset(name for name in _PURE if hasattr(typing, name)),
}
_PLAIN: tuple[type, ...] = (
    *(str, bytes, bytearray, int, float, complex, list, tuple, dict, set, frozenset, range),
    *(collections.Counter, collections.deque, collections.defaultdict, collections.OrderedDict),
    *(re.Pattern, re.Match, itertools.chain),
)
_METHODS = frozenset(name for kind in _PLAIN for name in dir(kind) if name[0] != "_")
# Classes are left out: a class can be given methods that the interpreter calls by itself.
_FORBIDDEN = (
    *(ast.ClassDef, ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.MatchClass),
)
# Memory of earlier answers may not have been given back, so nobody may go on where memory ends:
# then the outcome is `memory`, which is asked again in a process of its own.
_CAUGHT = frozenset(name for name in _PURE if name.endswith("Error")) | {"StopIteration"}
# `typing` keeps what was subscripted, and takes what is equal for the same: `List[1]` comes back
# for `List[True]`. In an annotation, which nobody can read, that is no harm.
_TYPING = _MODULES["typing"]
_IN_ANNOTATIONS = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp),
    *(ast.BitOr, ast.Load),
)
_REACHING_FIELD = re.compile(r"\{[^}:!]*[.\[]")
"""`"{0.gi_frame.f_back}".format(x)` reads any attribute of anything."""


def leaves_nothing(source: str) -> bool:
    """Whether it certainly can't. Raises what `ast.parse` raises."""
    nodes = list(ast.walk(ast.parse(source)))
    bound = frozenset(_bound(nodes))
    modules = _imported(nodes)
    if modules is None or bound & (_IMPURE | _CAUGHT | modules.keys()):
        return False
    if any(name.startswith("__") and name.endswith("__") for name in bound):
        return False  # the interpreter's own, `__builtins__` for example
    annotations = [note for node in nodes for note in _annotations(node)]
    if not all(_only_a_type(note, bound) for note in annotations):
        return False
    noted = {id(node) for note in annotations for node in ast.walk(note)}
    compared = {id(node) for node in _compared(nodes)}
    bases = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    return all(
        _harmless(node, bound | _PURE, modules, bases)
        and (id(node) in noted or not _of_typing(node, modules))
        and (id(node) in compared or not (isinstance(node, ast.Name) and node.id == "type"))
        for node in nodes
    )


def _annotations(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.FunctionDef):
        return [node.returns] if node.returns else []
    note = node.annotation if isinstance(node, ast.arg | ast.AnnAssign) else None
    return [note] if note else []


def _only_a_type(note: ast.expr, bound: frozenset[str]) -> bool:
    """Whether an annotation gives the same, or raises the same, whatever `typing` has kept."""
    for node in ast.walk(note):
        if not isinstance(node, _IN_ANNOTATIONS):
            return False
        if isinstance(node, ast.Name) and node.id in bound:
            return False
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | None | type(...)):
            return False
        if isinstance(node, ast.Subscript) and not isinstance(node.value, ast.Name | ast.Attribute):
            return False
    return True


def _of_typing(node: ast.AST, modules: dict[str, str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in _TYPING or modules.get(node.id) == "typing"
    return False


def _compared(nodes: list[ast.AST]) -> typing.Iterator[ast.expr]:
    """Each `type` of a `type(x) == ...`. Otherwise it may be called to make a class."""
    for node in nodes:
        for side in (node.left, *node.comparators) if isinstance(node, ast.Compare) else ():
            if not isinstance(side, ast.Call) or len(side.args) != 1 or side.keywords:
                continue
            if not isinstance(side.args[0], ast.Starred):
                yield side.func


def _bound(nodes: list[ast.AST]) -> typing.Iterator[str]:
    """The names that the text itself gives something to, its imports aside."""
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name
        ):
            yield node.name or ""
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


def _imported(nodes: list[ast.AST]) -> dict[str, str] | None:
    """Names that stand for a module; None when something else than what is pure is imported."""
    modules: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name not in _MODULES:
                    return None
                modules[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom):
            pure = _MODULES.get(node.module or "", frozenset())
            if node.level or any(alias.name not in pure or alias.asname for alias in node.names):
                return None
            modules.update(dict.fromkeys((alias.name for alias in node.names), ""))
    return modules


def _harmless(
    node: ast.AST, names: frozenset[str], modules: dict[str, str], bases: set[int]
) -> bool:
    if isinstance(node, _FORBIDDEN):
        return False
    if isinstance(node, ast.Try | ast.TryStar):
        # What ends in `finally` may be left by a `return`, and forgets its error.
        return not node.finalbody and all(_catches_little(h) for h in node.handlers)
    if isinstance(node, ast.Name):
        if modules.get(node.id):  # a module, good for its functions and nothing else
            return id(node) in bases
        return node.id in names or node.id in modules
    if isinstance(node, ast.Attribute):
        if not isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node.value, ast.Name) and modules.get(node.value.id):
            return node.attr in _MODULES[modules[node.value.id]]
        if node.attr in ("format", "format_map"):
            text = node.value.value if isinstance(node.value, ast.Constant) else None
            return isinstance(text, str) and not _REACHING_FIELD.search(text)
        return node.attr in _METHODS
    return True


def _catches_little(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return all(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in caught)
