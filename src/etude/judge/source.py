"""Which function of a text is meant, and which type it asks for: syntax trees only.

Runs in a child, because hostile text can exhaust the parser.
"""

from __future__ import annotations

import ast
import re

from etude.judge.shape import COMMON, Shape, shape_from_node

PUZZLE_NAMES = ("f", "sat")
SOLUTION_NAMES = ("g", "sol")

# A text that begins with its only puzzle function and a plain annotation: most do, and to build
# a syntax tree in every child would be a tenth of its time.
_PLAIN = re.compile(r"def (f|sat)\(\w+: ?([A-Za-z\[\]]+)[,)]")
# A second function may have the same name in another spelling, as `ｆ`, or a name that comes first.
_DEF = re.compile(r"\bdef\b")


class NotAFunction(Exception):
    """The text has no function that could be the puzzle."""


def read_puzzle(source: str) -> tuple[str, Shape]:
    """The name of the puzzle's function and the shape of its answer.

    Raises what `ast.parse` raises, `NotAFunction` and `shape.UnknownType`.
    """
    plain = _PLAIN.match(source)
    if plain and plain[2] in COMMON and len(_DEF.findall(source)) == 1:
        return plain[1], COMMON[plain[2]]
    functions = {
        node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)
    }
    for name in PUZZLE_NAMES:
        if name in functions:
            return name, _answer_shape(functions[name])
    if len(functions) != 1:
        raise NotAFunction("no function named f")
    ((name, node),) = functions.items()
    return name, _answer_shape(node)


def _answer_shape(node: ast.FunctionDef) -> Shape:
    arguments = node.args.posonlyargs + node.args.args
    if not arguments:
        raise NotAFunction(f"{node.name} takes no answer")
    return shape_from_node(arguments[0].annotation)
