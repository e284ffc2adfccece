"""Vectors of puzzles from their syntax trees. Pure: nothing here executes what it reads.

A puzzle is a bag of features, each counted:

    node:Compare            a node of the tree
    edge:Return>Compare     a node below another
    operator:Add            arithmetic, comparison and Boolean operators
    call:len, method:join   builtins and methods of builtin types; all others are `other`
    constant:int            the type of a constant, never its value
    answer:List[int]        the answer's type; beyond lists of scalars `other`
    inputs:2                how many arguments have a default
    depth:7, size:5         depth of the tree, and the power of two that its nodes reach

The vector has log(1 + count) * (log((1 + n) / (1 + df)) + 1) for each feature, with df the
puzzles that have it of all n that are measured together (scikit-learn's smooth idf), and length 1.
The features are the 1,024 most frequent, equal ones by name. Names and constants leave no trace,
so puzzles of one form have almost equal vectors. What is no Python has the one feature `unparsed`.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from etude.puzzle import SCALARS, NotAPuzzle, normalise_type, syntax_tree

Floats = npt.NDArray[np.float64]
Features = Counter[str]

MOST_FEATURES = 1_024
_DEEPEST_LIST = 3
_BUILTINS = frozenset(dir(builtins))
_METHODS = frozenset(
    name
    for kind in (int, float, str, bytes, list, tuple, dict, set)
    for name in dir(kind)
    if not name.startswith("_")
)
_SILENT = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


def ast_vectors(sources: Sequence[str]) -> Floats:
    """One unit vector a source; shape (sources, features)."""
    return weighted([features(source) for source in sources])


def features(source: str) -> Features:
    """The counted features of one source; any text will do."""
    try:
        tree = syntax_tree(source)
        counted = Counter(_shape(tree))
    except (NotAPuzzle, RecursionError, MemoryError):
        return Counter(["unparsed"])
    return counted


def weighted(bags: Sequence[Features]) -> Floats:
    """Log-scaled tf-idf of bags of features, with rows of length 1."""
    frequency: Counter[str] = Counter()
    for bag in bags:
        frequency.update(bag.keys())
    kept = sorted(frequency, key=lambda name: (-frequency[name], name))[:MOST_FEATURES]
    column = {name: place for place, name in enumerate(sorted(kept))}
    vectors = np.zeros((len(bags), max(1, len(column))))
    for row, bag in enumerate(bags):
        for name, count in bag.items():
            if name in column:
                weight = math.log((1 + len(bags)) / (1 + frequency[name])) + 1
                vectors[row, column[name]] = math.log1p(count) * weight
    return unit(vectors)


def unit(vectors: Floats) -> Floats:
    """Rows of length 1. A row of zeros, which has no direction, gets the first axis' one."""
    lengths = np.linalg.norm(vectors, axis=1)
    scaled = vectors / np.where(lengths > 0, lengths, 1.0)[:, None]
    scaled[lengths == 0, 0] = 1.0
    return np.asarray(scaled)


def _shape(tree: ast.Module) -> Iterator[str]:
    """Walks without recursion: a tree may be deeper than Python's stack."""
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)
    if function is not None:
        yield from _header(function)
    waiting: list[tuple[ast.AST, str, int]] = [(tree, "", 0)]
    nodes = deepest = 0
    while waiting:
        node, above, depth = waiting.pop()
        name = type(node).__name__
        nodes += 1
        deepest = max(deepest, depth)
        yield f"node:{name}"
        if above:
            yield f"edge:{above}>{name}"
        yield from _words(node)
        below = ast.iter_child_nodes(node)
        waiting += [(child, name, depth + 1) for child in below if not _silent(child)]
    yield f"depth:{min(deepest, 40)}"
    yield f"size:{nodes.bit_length()}"


def _silent(node: ast.AST) -> bool:
    """Whether a name is loaded or stored says its parent; operators are counted by their own."""
    return isinstance(node, _SILENT)


def _words(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.AugAssign):
        yield f"operator:{type(node.op).__name__}"
    elif isinstance(node, ast.Compare):
        yield from (f"operator:{type(operator).__name__}" for operator in node.ops)
    elif isinstance(node, ast.Constant):
        yield f"constant:{type(node.value).__name__}"
    elif isinstance(node, ast.Call):
        yield _called(node.func)


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return f"call:{function.id if function.id in _BUILTINS else 'other'}"
    if isinstance(function, ast.Attribute):
        return f"method:{function.attr if function.attr in _METHODS else 'other'}"
    return "call:other"


def _header(function: ast.FunctionDef) -> Iterator[str]:
    arguments = function.args.posonlyargs + function.args.args
    if arguments and arguments[0].annotation is not None:
        yield f"answer:{_known_type(normalise_type(arguments[0].annotation))}"
    yield f"inputs:{min(len(arguments) + len(function.args.kwonlyargs), 20)}"


def _known_type(text: str) -> str:
    inner, nested = text[:100], 0
    while inner.startswith("List[") and inner.endswith("]"):
        inner, nested = inner[5:-1], nested + 1
    return text if inner in SCALARS and nested <= _DEEPEST_LIST else "other"
