"""What an operand evidently is, by the text alone: where it is known, its order may not matter.

"Evidently" is for builtin types; a class of the program's own could answer otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

Outside = Callable[[str], bool]
"""Whether a name stands for a builtin where it is read."""

COMMUTE = (ast.Mult, ast.BitAnd, ast.BitXor)
"""Operators whose operands can be swapped, whatever builtin types they are of. `|` of dicts can't,
nor `+` of texts and lists."""
_NUMBERS = frozenset({"len", "abs", "ord", "int", "float", "round"})
_NUMBER_METHODS = frozenset({"count", "index", "find", "rfind", "bit_length"})
_BOOLS = frozenset({"all", "any", "isinstance", "issubclass", "callable", "bool"})
_ARITHMETIC = (ast.Sub, ast.Div, ast.FloorDiv, ast.Pow)


def is_number(node: ast.expr, outside: Outside) -> bool:
    """Whether a value is a number if `+` takes it at all."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float | complex)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand, outside)
    if isinstance(node, ast.BinOp):
        sides = is_number(node.left, outside), is_number(node.right, outside)
        if isinstance(node.op, ast.Add):
            return any(sides)
        return isinstance(node.op, _ARITHMETIC) or all(sides)
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in _NUMBER_METHODS
    alone = isinstance(node.func, ast.Name) and outside(node.func.id)
    of_one = isinstance(node.func, ast.Name) and node.func.id == "sum" and len(node.args) == 1
    known = isinstance(node.func, ast.Name) and node.func.id in _NUMBERS
    return alone and (known or (of_one and not node.keywords))


def is_bool(node: ast.expr, outside: Outside) -> bool:
    """Whether a value is True or False."""
    if isinstance(node, ast.Compare):
        return True
    if isinstance(node, ast.Constant):
        return isinstance(node.value, bool)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.BoolOp):
        return all(is_bool(value, outside) for value in node.values)
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Attribute):
        return node.func.attr in ("startswith", "endswith") or node.func.attr.startswith("is")
    return isinstance(node.func, ast.Name) and node.func.id in _BOOLS and outside(node.func.id)
