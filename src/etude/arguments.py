"""The arguments of a puzzle: those its body never reads, and the puzzle with another value of one.

By the syntax tree alone; nothing here executes what it reads. Covered: defaults that are numbers,
texts, truth values and lists of them. Not covered: whether another value changes what the puzzle
accepts (see `probe`).
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
from contextlib import suppress

from etude.puzzle import NotAPuzzle, parse, source_of, syntax_tree
from etude.types import Puzzle

_NEWLINE = re.compile("\r\n|\r|\n")

Default = bool | int | float | str | list[object]


def unused_arguments(puzzle: Puzzle) -> list[str]:
    """The names of the arguments, the answer among them, that the body never reads."""
    function = function_of(syntax_tree(puzzle.source))
    read = {
        node.id
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return [argument.arg for argument in _all(function) if argument.arg not in read]


def trimmed(puzzle: Puzzle) -> Puzzle:
    """The puzzle without the inputs that its body never reads; the same one if it reads all.

    >>> from etude.puzzle import parse
    >>> trimmed(parse("def f(x: int, a=7, b=9): return x > b")).source
    'def f(x: int, b=9): return x > b'
    """
    function = function_of(syntax_tree(puzzle.source))
    unused = set(unused_arguments(puzzle)) & inputs_of(function).keys()
    if not unused:
        return puzzle
    body = behind_header(puzzle.source, function)
    own = function.args
    without = len(own.posonlyargs) + len(own.args) - len(own.defaults)
    own.defaults = [
        default
        for one, default in zip((own.posonlyargs + own.args)[without:], own.defaults, strict=True)
        if one.arg not in unused
    ]
    own.posonlyargs = [one for one in own.posonlyargs if one.arg not in unused]
    own.args = [one for one in own.args if one.arg not in unused]
    named = zip(own.kwonlyargs, own.kw_defaults, strict=True)
    kept = [(one, default) for one, default in named if one.arg not in unused]
    own.kwonlyargs = [one for one, _ in kept]
    own.kw_defaults = [default for _, default in kept]
    returns = f" -> {source_of(function.returns)}" if function.returns else ""
    return parse(f"def {function.name}({source_of(own)}){returns}:{body}\n".rstrip())


def behind_header(source: str, function: ast.FunctionDef) -> str:
    """The text of a function from behind the colon of its header on, if it is the last of the text.

    Comments between the header and the first statement are left out.
    """
    first = function.body[0]
    lines = _NEWLINE.split(source)
    if _shares_line(lines, first):
        line = lines[first.lineno - 1].encode()[first.col_offset :].decode()
        return "\n".join([f" {line}", *lines[first.lineno :]]).rstrip()
    return "\n" + "\n".join(lines[first.lineno - 1 :]).rstrip()


def _shares_line(lines: list[str], first: ast.stmt) -> bool:
    """Whether the first statement stands behind the header's colon."""
    return bool(lines[first.lineno - 1].encode()[: first.col_offset].strip())


def changed(puzzle: Puzzle, turn: int) -> dict[str, Puzzle]:
    """By name of an argument, the same puzzle with another default of it; each `turn` another one.

    Arguments whose default is nothing simple are left out.

    >>> from etude.puzzle import parse
    >>> puzzle = parse("def f(x: int, a=7): return x + a == 9")
    >>> changed(puzzle, 0)["a"].source
    'def f(x: int, a=8):\\n    return x + a == 9'
    """
    found = {}
    for number, name in enumerate(inputs_of(function_of(syntax_tree(puzzle.source)))):
        tree = syntax_tree(puzzle.source)
        default = list(inputs_of(function_of(tree)).values())[number]
        try:
            value = ast.literal_eval(default)
            other = _other(value, turn)
            if other is None:
                continue
            text = repr(other)
        except (ValueError, TypeError, RecursionError, MemoryError, OverflowError):
            continue
        _replace(function_of(tree), default, ast.parse(text, mode="eval").body)
        with suppress(NotAPuzzle):  # too deep to be written anew
            found[name] = dataclasses.replace(puzzle, source=source_of(tree))
    return found


def _other(value: object, turn: int) -> Default | None:
    """Another value of the same type."""
    match value:
        case bool():
            return (not value) if turn == 0 else None
        case int():
            return value + 1 if turn == 0 else 2 * value + (7 if value != -7 else 9)
        case float():
            other = value + 1.0 if turn == 0 else 2.0 * value + 7.5
            return other if math.isfinite(other) and other != value else value / 2 or None
        case str():
            return value + "q" if turn == 0 else value[1:] or "zq"
        case [first, *rest]:
            item = _other(first, turn)
            return None if item is None else [item, *rest] if turn == 0 else [*rest, item]
    return None


def _replace(function: ast.FunctionDef, old: ast.expr, new: ast.expr) -> None:
    arguments = function.args
    arguments.defaults = [new if one is old else one for one in arguments.defaults]
    arguments.kw_defaults = [new if one is old else one for one in arguments.kw_defaults]


def inputs_of(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """The arguments with a default, which are all of a puzzle but the answer."""
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    first = len(positional) - len(arguments.defaults)
    pairs = [*zip(positional[first:], arguments.defaults, strict=True)]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    pairs += [(name, default) for name, default in keywords if default is not None]
    return {name.arg: default for name, default in pairs}


def _all(function: ast.FunctionDef) -> list[ast.arg]:
    return function.args.posonlyargs + function.args.args + function.args.kwonlyargs


def function_of(tree: ast.Module) -> ast.FunctionDef:
    """The only function of a text. Raises `NotAPuzzle` where there is none, or another one."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if len(found) != 1:
        raise NotAPuzzle("not one function")
    return found[0]
