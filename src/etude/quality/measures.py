"""What can be said of a solution by its text: length, cyclomatic complexity, lint. Pure.

Nothing here executes what it reads.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from importlib.util import find_spec

from etude.puzzle import NotAPuzzle, syntax_tree

_BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert,
    ast.comprehension, ast.match_case,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One solution."""

    characters: int
    lines: int
    """Those that are not blank."""
    complexity: int
    findings: int | None
    """What pyflakes finds; None where it is not installed, or gives up."""


def measured(source: str) -> Measured | None:
    """The measures of one source; None for text that is not Python."""
    try:
        tree = syntax_tree(source)
    except NotAPuzzle:
        return None
    lines = sum(1 for line in source.splitlines() if line.strip())
    return Measured(len(source.strip()), lines, complexity(tree), findings(tree))


def complexity(tree: ast.AST) -> int:
    """Cyclomatic complexity: the number of decisions, and 1.

    McCabe, "A Complexity Measure" (IEEE Transactions on Software Engineering SE-2, 1976): for a
    program with one entry and one exit, the number of its independent paths is that of its
    conditions plus 1. Counted are `if` (also as an expression, and in a comprehension), `for` (also
    in a comprehension), `while`, `except`, `assert`, each `case`, and each `and` and `or`.
    """
    decisions = 0
    for node in ast.walk(tree):
        decisions += isinstance(node, _BRANCHES)
        if isinstance(node, ast.BoolOp):
            decisions += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            decisions += len(node.ifs)
    return decisions + 1


def lints() -> bool:
    """Whether pyflakes is installed."""
    return find_spec("pyflakes") is not None


def findings(tree: ast.Module) -> int | None:
    """How much pyflakes finds: names that are undefined, unused or bound twice, and the like."""
    if not lints():
        return None
    from pyflakes.checker import Checker

    try:
        return len(Checker(tree, filename="solution").messages)
    except RecursionError:
        return None
