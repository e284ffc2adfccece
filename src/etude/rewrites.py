"""Which constant of a puzzle would make a wrong answer right. By the syntax tree alone.

Of `def f(x: List[int], total=10, n=4): return sum(x) == total and len(x) == n`, the answer
`[1, 2, 4, 3, 1]` fits another `total` and another `n`: the values of `sum(x)` and `len(x)`. What
they are is for the judge to find, with the program of a rewrite; nothing is computed here.
Covered: `expression == input` and `input == expression`, alone or in an `and`, in the last
statement, where that input stands in the expression nowhere; and where it is asked for, a literal
in the place of the input.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etude.arguments import function_of, inputs_of
from etude.puzzle import NotAPuzzle, copied, source_of, syntax_tree
from etude.types import Puzzle
from etude.variants import values_of


@dataclass(frozen=True, slots=True, eq=False)
class Rewrite:
    """One input or literal of a puzzle that is compared with what is made of the answer."""

    name: str
    """Empty for a literal."""
    kind: str
    """The type of its value, as an annotation: another value must have it too."""
    node: ast.expr
    """Where it is compared."""
    _function: ast.FunctionDef
    _expression: ast.expr

    def program(self, answer: str) -> str:
        """The source of a function `g` that gives the value that the input must have for the
        answer, a literal. Raises `NotAPuzzle` for what is none."""
        (statement,) = syntax_tree(answer).body
        if not isinstance(statement, ast.Expr):
            raise NotAPuzzle("no answer")
        made = copied(self._function)
        made.name, made.returns = "g", None
        made.args.defaults.insert(0, statement.value)
        for argument in (*made.args.posonlyargs, *made.args.args, *made.args.kwonlyargs):
            argument.annotation = None
        made.body[-1] = ast.Return(self._expression)
        return source_of(ast.Module([made], []))


def rewrites(puzzle: Puzzle, *, literals: bool = False) -> list[Rewrite]:
    """The rewrites of a puzzle, in the order of its text, one an input; with `literals`, of these
    too.

    >>> from etude.puzzle import parse
    >>> [one] = rewrites(parse("def f(x: str, n=3, s='a'): return len(x) == n and x > s"))
    >>> one.name, one.kind, one.program("'abcd'").splitlines()[-1].strip()
    ('n', 'int', 'return len(x)')
    """
    try:
        function = function_of(syntax_tree(puzzle.source))
        inputs = inputs_of(function)
        kinds = {name: kind_of(value) for name, value in values_of(inputs).items()}
    except (NotAPuzzle, RecursionError, MemoryError):
        return []
    last = function.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return []
    answers = {*_arguments(function)} - {*inputs}
    if len(answers) != 1:
        return []
    (answer,) = answers
    bound, made = _bound([function]), _bound(function.body[:-1])
    found: dict[object, Rewrite] = {}
    for node, expression in _equations(last.value):
        names = {one.id for one in ast.walk(expression) if isinstance(one, ast.Name)}
        name = node.id if isinstance(node, ast.Name) else ""
        kind = kinds.get(name) if name else _literal_kind(node) if literals else None
        if kind and name not in bound | names and names & {answer, *made}:
            found.setdefault(name or node, Rewrite(name, kind, node, function, expression))
    return list(found.values())


def _literal_kind(node: ast.expr) -> str | None:
    try:
        return kind_of(ast.literal_eval(node))
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def kind_of(value: object) -> str | None:
    """The annotation of a number, a text or a list of such; None for anything else.

    >>> kind_of(3), kind_of([["a"], []]), kind_of([1, "a"]), kind_of(True)
    ('int', None, None, None)
    """
    if isinstance(value, list):
        kinds = {kind_of(one) for one in value}
        inner = kinds.pop() if len(kinds) == 1 else None
        return f"List[{inner}]" if inner else None
    return type(value).__name__ if type(value) in (int, float, str) else None


def _arguments(function: ast.FunctionDef) -> list[str]:
    arguments = function.args
    return [one.arg for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]


def _bound(parts: Sequence[ast.stmt]) -> set[str]:
    """Names to which something is assigned."""
    nodes = (node for part in parts for node in ast.walk(part) if isinstance(node, ast.Name))
    return {node.id for node in nodes if not isinstance(node.ctx, ast.Load)}


def _equations(condition: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Both sides, and the other way round, of the equations that all hold where the condition
    does."""
    match condition:
        case ast.BoolOp(ast.And(), parts):
            for part in parts:
                yield from _equations(part)
        case ast.Compare(left, [ast.Eq()], [right]):
            yield from ((left, right), (right, left))
