"""Text -> Puzzle, by the syntax tree alone: nothing here ever executes what it reads.

Covered: the shape of a puzzle, its answer type, its canonical form and id, P3's rules for
proposals. Not covered: whether it can be solved, or is worth solving (see `vet`).
"""

from __future__ import annotations

import ast
import builtins
import copy
import dataclasses
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from etude.types import Puzzle, content_id

MAX_SOURCE = 100_000
"""Characters. Longer text is refused before the parser sees it."""

SCALARS = ("int", "str", "float", "bool")
_BUILTIN_CONTAINERS = {"list": "List", "tuple": "Tuple", "dict": "Dict", "set": "Set"}
_parser_lock = threading.RLock()
_Node = TypeVar("_Node", bound=ast.AST)


class NotAPuzzle(ValueError):
    """The text is no puzzle. The message is a short reason, the same for the same defect."""


def parse(source: str) -> Puzzle:
    """Read one puzzle.

    >>> puzzle = parse("def f(x: int, a=7): return x + a == 9")
    >>> puzzle.answer_type, puzzle.inputs
    ('int', 'a=7')

    Raises `NotAPuzzle` with the reason.
    """
    tree = syntax_tree(source)
    function = _only_function(tree)
    arguments = function.args
    _check_arguments(arguments)
    answer = (arguments.posonlyargs + arguments.args)[0]
    if answer.annotation is None:
        raise NotAPuzzle("answer without a type")
    try:
        answer_type = normalise_type(answer.annotation)
        inputs = _inputs(arguments)
        canonical, form = canonical_sources(tree)
    except (RecursionError, MemoryError, ValueError) as error:
        raise NotAPuzzle(f"too deep to be read: {type(error).__name__}") from None
    return Puzzle(content_id(canonical), source, function.name, answer_type, inputs, form)


def syntax_tree(source: str) -> ast.Module:
    """Parse hostile text. Raises `NotAPuzzle` for whatever the parser can't take."""
    if len(source) > MAX_SOURCE:
        raise NotAPuzzle(f"longer than {MAX_SOURCE:,} characters")
    try:
        with _parser():
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotAPuzzle(f"not Python: {type(error).__name__}") from None


@contextmanager
def _parser() -> Iterator[None]:
    """Huge integer literals are read; warnings about the text (odd escapes) are not ours to show.

    Both are settings of the whole process, hence the lock.
    """
    with _parser_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        digits = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            yield
        finally:
            sys.set_int_max_str_digits(digits)


def _only_function(tree: ast.Module) -> ast.FunctionDef:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(functions) != 1:
        raise NotAPuzzle("not one function" if functions else "no function")
    return functions[0]


def _check_arguments(arguments: ast.arguments) -> None:
    if arguments.vararg or arguments.kwarg:
        raise NotAPuzzle("takes *args or **kwargs")
    positional = len(arguments.posonlyargs) + len(arguments.args)
    keywords_default = all(default is not None for default in arguments.kw_defaults)
    if positional - len(arguments.defaults) != 1 or not keywords_default:
        raise NotAPuzzle("not exactly one required argument")
    every = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    if len({one.arg for one in every}) < len(every):  # the compiler's rule, not the grammar's
        raise NotAPuzzle("two arguments of one name")


def _inputs(arguments: ast.arguments) -> str:
    """The arguments after the answer, with their defaults and without annotations."""
    positional = (arguments.posonlyargs + arguments.args)[1:]
    pairs = list(zip(positional, arguments.defaults, strict=True))
    pairs += [
        (name, default)
        for name, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    ]
    with _parser():
        return ", ".join(f"{name.arg}={ast.unparse(default)}" for name, default in pairs)


def normalise_type(annotation: ast.expr) -> str:
    """The annotation in one spelling: `list[int]`, `typing.List[int]` -> `List[int]`."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        inner = syntax_tree(annotation.value).body
        if len(inner) != 1 or not isinstance(inner[0], ast.Expr):
            raise NotAPuzzle("answer without a type")
        return normalise_type(inner[0].value)
    if isinstance(annotation, ast.Name):
        return _BUILTIN_CONTAINERS.get(annotation.id, annotation.id)
    if isinstance(annotation, ast.Attribute):
        return _BUILTIN_CONTAINERS.get(annotation.attr, annotation.attr)
    if isinstance(annotation, ast.Subscript):
        inside = annotation.slice
        parts = inside.elts if isinstance(inside, ast.Tuple) else [inside]
        return f"{normalise_type(annotation.value)}[{', '.join(map(normalise_type, parts))}]"
    return ast.unparse(annotation)


class _Renamed(ast.NodeTransformer):
    """Renames the arguments, and spells annotations one way."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        annotation = node.annotation
        if annotation is not None:
            annotation = ast.Name(normalise_type(annotation), ast.Load())
        return ast.arg(self.names.get(node.arg, node.arg), annotation)


class _Holes(ast.NodeTransformer):
    """Puts a constant's type in its place."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if node.value is None or isinstance(node.value, bool):
            return node
        return ast.Name(f"<{type(node.value).__name__}>", ast.Load())

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """The literal parts of an f-string can't be anything else, so they stay."""
        parts = [p if isinstance(p, ast.Constant) else _as_expr(self.visit(p)) for p in node.values]
        return ast.JoinedStr(parts)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """-3 is a constant, although Python's grammar sees an operator."""
        operand = self.visit(node.operand)
        if isinstance(node.op, ast.USub) and _is_hole(operand):
            return _as_expr(operand)
        return ast.UnaryOp(node.op, operand)

    def visit_List(self, node: ast.List) -> ast.expr:
        """[3, 1, 4] and [2, 7] have one form: the length of a list of constants is a constant."""
        elements = [_as_expr(self.visit(element)) for element in node.elts]
        if elements and all(_is_hole(element) for element in elements):
            return ast.List(elements[:1], node.ctx)
        return ast.List(elements, node.ctx)


def _as_expr(node: ast.AST) -> ast.expr:
    assert isinstance(node, ast.expr)
    return node


def _is_hole(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id.startswith("<")


def canonical_sources(tree: ast.Module) -> tuple[str, str]:
    """One spelling of a puzzle, function `f`, arguments `v0, v1, ...`, no docstring; and its form.

    In the form every number and string is replaced by its type, and a list of them by one of them:
    what puzzles that differ only in constants share. Both are for comparing, and the form is not
    always Python. The tree is not changed.
    """
    function = _only_function(tree)
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    own = {argument.arg for argument in arguments}
    prefix = "v"
    while any(name.startswith(prefix) and name not in own for name in taken):
        prefix += "_"
    names = {argument.arg: f"{prefix}{index}" for index, argument in enumerate(arguments)}
    names[function.name] = "f"
    with _parser():
        renamed = _Renamed(names).visit(ast.parse(ast.unparse(tree)))
        only = _only_function(renamed)
        only.name = "f"
        only.returns = None
        only.body = _without_docstring(only.body)
        canonical = ast.unparse(renamed)
        return canonical, ast.unparse(_Holes().visit(renamed))


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant | ast.Name)
    return body[1:] if is_text and len(body) > 1 else body


def without_docstring(source: str) -> str:
    """The same puzzle without its docstring (normalised layout); as it stands if it has none."""
    tree = syntax_tree(source)
    function = _only_function(tree)
    if ast.get_docstring(function, clean=False) is None or len(function.body) == 1:
        return source
    function.body = function.body[1:]
    with _parser():
        return ast.unparse(tree)


def source_of(tree: ast.AST) -> str:
    """The text of a tree or a part of one, in normalised layout, however large its numbers are.

    Raises `NotAPuzzle` if it is too deep, as `dumped` and `copied` do.
    """
    with _walking():
        return ast.unparse(ast.fix_missing_locations(tree))


def dumped(nodes: Iterable[ast.AST]) -> list[str]:
    """Each in full: the same for what is the same but for its place."""
    with _walking():
        return [ast.dump(node) for node in nodes]


def copied(node: _Node) -> _Node:
    """The node and all that it holds, anew."""
    with _walking():
        return copy.deepcopy(node)


@contextmanager
def _walking() -> Iterator[None]:
    """Python's own walks through a tree go one call, or several, deeper a level."""
    with _parser():
        try:
            yield
        except NotAPuzzle:
            raise
        except (RecursionError, MemoryError, ValueError) as error:
            raise NotAPuzzle(f"too deep to be read: {type(error).__name__}") from None


def check_rules(puzzle: Puzzle, *, paper: bool = False) -> None:
    """P3's rules for what a model proposes, and ours. Raises `NotAPuzzle` with the reason.

    The answer is int, str, float or a nested List of int, str, float, bool (a plain bool is
    refused); something is returned; every argument is used; the body names nothing unknown. By
    the rules of the `paper` the answer alone must be used, and no argument is for keywords only.
    """
    if not _is_p3_type(puzzle.answer_type):
        raise NotAPuzzle("answer type not allowed")
    tree = syntax_tree(puzzle.source)
    function = _only_function(tree)
    if len(tree.body) != 1:
        raise NotAPuzzle("more than a function")
    if not any(isinstance(node, ast.Return) and node.value for node in ast.walk(function)):
        raise NotAPuzzle("returns nothing")
    loaded, stored = _names(function)
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    if paper and function.args.kwonlyargs:
        raise NotAPuzzle("argument for keywords only")
    if any(argument.arg not in loaded for argument in (arguments[:1] if paper else arguments)):
        raise NotAPuzzle("argument not used")
    known = stored | {argument.arg for argument in arguments} | set(dir(builtins))
    if not loaded <= known | {function.name}:
        raise NotAPuzzle("unknown name")


def answered_at_once(puzzle: Puzzle) -> Puzzle:
    """The same puzzle with `return True` as its first line: its header and defaults alone count."""
    tree = syntax_tree(puzzle.source)
    with _parser():
        _only_function(tree).body.insert(0, ast.Return(ast.Constant(True)))
        return dataclasses.replace(puzzle, source=ast.unparse(ast.fix_missing_locations(tree)))


def _is_p3_type(text: str) -> bool:
    nested = 0
    while text.startswith("List[") and text.endswith("]"):
        text, nested = text[5:-1], nested + 1
    return text in SCALARS and (nested > 0 or text != "bool")


def _names(function: ast.FunctionDef) -> tuple[set[str], set[str]]:
    """Names that the body reads, and names that anything in it binds."""
    loaded: set[str] = set()
    stored: set[str] = set()
    for statement in function.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                (loaded if isinstance(node.ctx, ast.Load) else stored).add(node.id)
            elif isinstance(node, ast.arg):
                stored.add(node.arg)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                stored.add(node.name)
            elif isinstance(node, ast.alias):
                stored.add((node.asname or node.name).split(".")[0])
            elif isinstance(node, ast.ExceptHandler) and node.name:
                stored.add(node.name)
    return loaded, stored
