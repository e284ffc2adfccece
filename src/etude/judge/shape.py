"""Answer types: what an annotation asks for, and whether a plain value is exactly that."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

_SCALARS: Final[dict[str, type]] = {"int": int, "float": float, "str": str, "bool": bool}
_CONTAINERS: Final[dict[str, type]] = {
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "set": set,
    "List": list,
    "Tuple": tuple,
    "Dict": dict,
    "Set": set,
}
_MAX_LENGTH: Final = 1000


class UnknownType(Exception):
    """The annotation does not describe plain data."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One answer type.

    `kind` is the exact type of the value; None means any plain value. `parts` are the shapes of
    what it holds: one for list and set, two for dict, one a place for tuple. `choices`, when
    given, are alternatives and replace the rest.
    """

    kind: type | None = None
    parts: tuple[Shape, ...] = ()
    choices: tuple[Shape, ...] = ()
    same: bool = False
    """A tuple of any length whose items all have the shape `parts[0]`: `Tuple[int, ...]`."""


ANYTHING: Final = Shape()
NOTHING: Final = Shape(type(None))


def _common() -> dict[str, Shape]:
    """The types of nearly all puzzles, ready made."""
    shapes = {name: Shape(kind) for name, kind in _SCALARS.items()}
    for _ in range(3):
        shapes |= {f"List[{name}]": Shape(list, (shape,)) for name, shape in shapes.items()}
    return shapes


COMMON: Final = _common()


def shape_from_text(text: str) -> Shape:
    """The shape of a normalised annotation such as `List[int]`. Raises `UnknownType`."""
    if text in COMMON:
        return COMMON[text]
    if len(text) > _MAX_LENGTH:
        raise UnknownType("a very long annotation")
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnknownType(text[:100]) from error
    return shape_from_node(node)


def shape_from_node(node: ast.expr | None) -> Shape:
    """The shape of an annotation in a syntax tree; None is no annotation: any plain value.

    Raises `UnknownType`.
    """
    if node is None:
        return ANYTHING
    if isinstance(node, ast.Constant):
        return _from_constant(node.value)
    if isinstance(node, ast.Name | ast.Attribute):
        return _from_name(_last_name(node))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return Shape(choices=(shape_from_node(node.left), shape_from_node(node.right)))
    if isinstance(node, ast.Subscript):
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _from_subscript(_last_name(node.value), arguments)
    raise UnknownType(ast.unparse(node)[:100])


def _from_constant(value: object) -> Shape:
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return shape_from_text(value)
    raise UnknownType(repr(value)[:100])


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id in ("typing", "builtins") else ast.unparse(node)
    return ast.unparse(node)[:100]


def _from_name(name: str) -> Shape:
    if name in _SCALARS:
        return Shape(_SCALARS[name])
    if name in ("Any", "object"):
        return ANYTHING
    kind = _CONTAINERS.get(name)
    if kind is None:
        raise UnknownType(name)
    return Shape(kind, (ANYTHING, ANYTHING) if kind is dict else (ANYTHING,), same=kind is tuple)


def _from_subscript(name: str, arguments: list[ast.expr]) -> Shape:
    if name == "Optional" and len(arguments) == 1:
        return Shape(choices=(shape_from_node(arguments[0]), NOTHING))
    if name == "Union" and arguments:
        return Shape(choices=tuple(map(shape_from_node, arguments)))
    kind = _CONTAINERS.get(name)
    if kind is tuple:
        return _from_tuple(arguments)
    if kind is None or len(arguments) != (2 if kind is dict else 1):
        raise UnknownType(f"{name}[...]")
    return Shape(kind, tuple(map(shape_from_node, arguments)))


def _from_tuple(arguments: list[ast.expr]) -> Shape:
    last = arguments[-1] if arguments else None
    if len(arguments) == 2 and isinstance(last, ast.Constant) and last.value is ...:
        return Shape(tuple, (shape_from_node(arguments[0]),), same=True)
    return Shape(tuple, tuple(map(shape_from_node, arguments)))


def fits(value: object, shape: Shape) -> bool:
    """Whether a plain value has exactly this type, all the way down. `True` is no int."""
    if shape.choices:
        return any(fits(value, choice) for choice in shape.choices)
    if shape.kind is None:
        return True
    if type(value) is not shape.kind:
        return False
    if not shape.parts:  # a scalar, or the empty tuple: `Tuple[()]`
        return shape.kind is not tuple or not value
    return _items_fit(value, shape)


def _items_fit(value: object, shape: Shape) -> bool:
    if isinstance(value, dict):
        keys, values = shape.parts
        return all(fits(key, keys) and fits(item, values) for key, item in value.items())
    if isinstance(value, tuple) and not shape.same:
        return len(value) == len(shape.parts) and all(map(fits, value, shape.parts))
    assert isinstance(value, list | set | tuple)
    part = shape.parts[0]
    if part.kind not in (None, tuple) and not part.parts:
        return set(map(type, value)) <= {part.kind}
    return all(fits(item, part) for item in value)
