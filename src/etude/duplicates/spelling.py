"""One spelling for programs that differ in what does not matter: by the syntax tree alone, pure.

Not kept: layout, comments, docstrings, names of arguments and of local variables, annotations but
that of a puzzle's answer, and the order of operands where nothing can depend on it. Kept:
constants, attributes, names from outside, and all names where the program can look at names itself
(`locals`, `eval`, ...). Beside it the form: the same, with numbers and strings as their types.

The spelling is for comparing, and is no Python.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from etude.duplicates import binding
from etude.duplicates.operands import COMMUTE, is_bool, is_number
from etude.puzzle import NotAPuzzle, normalise_type

LOOKS_AT_NAMES = frozenset({"locals", "globals", "vars", "dir", "eval", "exec"})
"""Builtins by which a program can read the names of its own variables."""
_LEFT_OUT = frozenset({"ctx", "type_comment", "kind", "type_ignores"})
_TURNED = {ast.Gt: ast.Lt, ast.GtE: ast.LtE}

Spelled = tuple[str, str]
"""A node with its constants, and without."""


def spelling(tree: ast.Module) -> Spelled:
    """The canonical spelling of a program, and its form.

    The name of the only function at the top is left out; of several, all names at the top stay.
    Raises `RecursionError` for a tree too deep to be read.
    """
    return _Speller(tree).module(tree)


class _Speller:
    """Scopes are the names bound so far, each with what it is spelled as, the innermost last.

    Names are numbered by scope, so that what a comprehension binds is spelled the same wherever it
    stands: operands can be ordered by their spelling.
    """

    def __init__(self, tree: ast.Module) -> None:
        nodes = binding.everything(tree)
        loaded = {node.id for node in nodes if isinstance(node, ast.Name)}
        self.keywords = {node.arg for node in nodes if isinstance(node, ast.keyword)}
        self.as_written = not loaded.isdisjoint(LOOKS_AT_NAMES)
        self.scopes: list[dict[str, str]] = []
        self.classes: set[int] = set()
        """Places of the scopes that are of classes: functions in a class don't see its names."""
        top = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self.main = top[0] if len(top) == 1 else None
        self.recursive = self.main is not None and self.main.name in loaded
        self.accepts = self.main is not None and _asks(self.main)

    def module(self, tree: ast.Module) -> Spelled:
        with self.scope({self.main.name: "f"} if self.main is not None else {}):
            return self.body(tree.body)

    # names

    def name(self, name: str) -> str:
        """What a name is spelled as where it is read or bound."""
        last = len(self.scopes) - 1
        for place in range(last, -1, -1):
            if name in self.scopes[place] and (place == last or place not in self.classes):
                return self.scopes[place][name]
        return f"={name}"

    def outside(self, name: str) -> bool:
        """Whether a name stands for a builtin, or anything else from outside."""
        return self.name(name) == f"={name}"

    def numbered(self, names: Iterable[str], fixed: Iterable[str] = ()) -> dict[str, str]:
        """Spellings for the names of a new scope; the `fixed` keep theirs."""
        depth, kept, found = len(self.scopes), set(fixed), dict[str, str]()
        for name in names:
            if name not in found:
                own = self.as_written or name in kept
                found[name] = f"{depth}:{name}" if own else f"{depth}.{len(found)}"
        return found

    @contextmanager
    def scope(self, names: dict[str, str], *, of_class: bool = False) -> Any:
        self.scopes.append(names)
        place = len(self.scopes) - 1
        if of_class:
            self.classes.add(place)
        yield
        self.classes.discard(place)
        self.scopes.pop()

    # nodes

    def node(self, node: object, accepting: bool = False) -> Spelled:
        """The spelling of a node, a list of them, or a plain value.

        `accepting`: the puzzle accepts an answer only if this is true of it.
        """
        special = _SPECIAL.get(type(node))
        if special is not None:
            return special(self, node, accepting)
        if isinstance(node, ast.AST):
            return self.plain(node)
        if isinstance(node, list):
            return _joined("[", [self.node(item) for item in node], "]")
        return _same(repr(node))

    def plain(self, node: ast.AST) -> Spelled:
        """A node as its class and fields."""
        kind = type(node)
        return _joined(
            f"{kind.__name__}(", [self.node(getattr(node, name)) for name in _fields(kind)], ")"
        )

    def body(self, statements: Sequence[ast.stmt]) -> Spelled:
        """Statements without those that do nothing: `pass`, docstrings and other lone constants."""
        return _joined("{", [self.node(one) for one in statements if not _idle(one)], "}")

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, _: bool) -> Spelled:
        before = [*map(self.node, (node.decorator_list, *self.defaults(node)))]
        name = _same(f"{type(node).__name__} {self.name(node.name)}")
        with self.scope(self.names_of(node, node.body)):
            header = self.header(node)
            return _joined("", [name, *before, header, self.body(node.body)], "")

    def lambda_(self, node: ast.Lambda, _: bool) -> Spelled:
        before = [*map(self.node, self.defaults(node))]
        with self.scope(self.names_of(node, [node.body])):
            return _joined("Lambda(", [*before, self.header(node), self.node(node.body)], ")")

    def defaults(self, node: binding.Function) -> tuple[list[ast.expr], list[ast.expr | None]]:
        return node.args.defaults, node.args.kw_defaults

    def names_of(self, node: binding.Function, body: Sequence[ast.AST]) -> dict[str, str]:
        """The names of a function's scope. Where it may be called by keywords, arguments keep
        theirs."""
        arguments = [argument.arg for argument in binding.arguments_of(node)]
        bound, outer = binding.bound_in(body)
        called = node is not self.main or self.recursive
        fixed = [name for name in arguments if called and name in self.keywords]
        return self.numbered([*arguments, *bound], fixed) | {name: f"={name}" for name in outer}

    def header(self, node: binding.Function) -> Spelled:
        """The kinds of a function's arguments, and the type that a puzzle asks for."""
        args = node.args
        parts = [
            ",".join(self.name(one.arg) for one in group)
            for group in (args.posonlyargs, args.args, args.kwonlyargs)
        ]
        parts += [self.name(star.arg) if star else "" for star in (args.vararg, args.kwarg)]
        asked = _asked_type(node) if node is self.main and self.accepts else ""
        return _same("|".join([*parts, asked]))

    def class_(self, node: ast.ClassDef, _: bool) -> Spelled:
        """A class: its names are attributes too, so they stay."""
        head = [*map(self.node, (node.decorator_list, node.bases, node.keywords))]
        bound, _outer = binding.bound_in(node.body)
        name = _same(f"ClassDef {self.name(node.name)}")
        with self.scope({name: f"class:{name}" for name in bound}, of_class=True):
            return _joined("", [name, *head, self.body(node.body)], "")

    def comprehension(self, node: Any, accepting: bool) -> Spelled:
        """The first iterable belongs to the scope around it."""
        first, *others = node.generators
        start = self.node(first.iter)
        with self.scope(self.numbered(binding.targets_of(node))):
            parts = [start, self.node(first.target), self.node(first.ifs)]
            for one in others:
                parts += [self.node(one.target), self.node(one.iter), self.node(one.ifs)]
            kinds = _same(repr([one.is_async for one in node.generators]))
            if isinstance(node, ast.DictComp):
                value = [self.node(node.key), self.node(node.value)]
            else:
                value = [self.node(node.elt, accepting)]
            return _joined(f"{type(node).__name__}(", [*parts, kinds, *value], ")")

    def variable(self, node: ast.Name, _: bool) -> Spelled:
        return _same(self.name(node.id))

    def named(self, node: Any, _: bool) -> Spelled:
        """An exception handler or a pattern, which hold the name that they bind as text."""
        fields = (
            _same(self.name(value)) if isinstance(value, str) else self.node(value)
            for value in (getattr(node, field) for field in _fields(type(node)))
        )
        return _joined(f"{type(node).__name__}(", list(fields), ")")

    def alias(self, node: ast.alias, _: bool) -> Spelled:
        whole = node.asname is None and "." in node.name
        return _same(f"alias({node.name},{whole},{self.name(binding.bound_by(node))})")

    def outer(self, node: ast.Global | ast.Nonlocal, _: bool) -> Spelled:
        return _same(f"{type(node).__name__}({','.join(map(self.name, node.names))})")

    def constant(self, node: ast.Constant, _: bool) -> Spelled:
        value, kind = node.value, type(node.value).__name__
        text = f"{value:x}" if type(value) is int else repr(value)  # no limit on digits in hex
        with_it = f"{kind}:{text}"
        hole = value is not None and not isinstance(value, bool)
        return with_it, f"<{kind}>" if hole else with_it

    def text_parts(self, node: ast.JoinedStr, _: bool) -> Spelled:
        """The literal parts of an f-string stay in its form, as in `Puzzle.form`."""
        parts = [
            _same(f"str:{part.value!r}") if isinstance(part, ast.Constant) else self.node(part)
            for part in node.values
        ]
        return _joined("JoinedStr(", parts, ")")

    def unary(self, node: ast.UnaryOp, _: bool) -> Spelled:
        """-3 is a constant, although Python's grammar sees an operator."""
        inner = self.node(node.operand)
        with_it, without = _joined(f"{type(node.op).__name__}(", [inner], ")")
        hole = isinstance(node.op, ast.USub) and inner[1].startswith("<")
        return with_it, inner[1] if hole else without

    def list_(self, node: ast.List, _: bool) -> Spelled:
        """The length of a list of constants is a constant, too."""
        parts = [self.node(part) for part in node.elts]
        with_it, without = _joined("List(", parts, ")")
        holes = bool(parts) and all(part[1].startswith("<") for part in parts)
        return with_it, f"List({parts[0][1]})" if holes else without

    def compare(self, node: ast.Compare, _: bool) -> Spelled:
        if len(node.ops) > 1:
            return self.plain(node)
        (op,), sides = node.ops, [self.node(node.left), self.node(node.comparators[0])]
        kind = _TURNED.get(type(op), type(op))
        if kind is not type(op):
            sides.reverse()
        either_way = isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot)
        return _joined(f"{kind.__name__}(", _ordered(sides) if either_way else sides, ")")

    def binary(self, node: ast.BinOp, _: bool) -> Spelled:
        sides = [self.node(node.left), self.node(node.right)]
        numbers = isinstance(node.op, ast.Add) and (
            is_number(node.left, self.outside) or is_number(node.right, self.outside)
        )
        either_way = numbers or isinstance(node.op, COMMUTE)
        shown = _ordered(sides) if either_way else sides
        return _joined(f"{type(node.op).__name__}(", shown, ")")

    def boolean(self, node: ast.BoolOp, accepting: bool) -> Spelled:
        """`a and (b and c)` is `a and b and c`. Where all must be true for the puzzle to accept,
        one that raises refuses as well, so neither order nor repetition matters; nor does it in
        the form, whatever the constants are."""
        operands = _flat(node)
        accepting = accepting and isinstance(node.op, ast.And)
        parts = [self.node(operand, accepting) for operand in operands]
        with_them, without = [part[0] for part in parts], [part[1] for part in parts]
        if accepting and all(is_bool(one, self.outside) for one in operands):
            with_them, without = sorted(set(with_them)), sorted(set(without))
        start = f"{type(node.op).__name__}("
        return (
            _joined(start, list(map(_same, with_them)), ")")[0] if with_them[1:] else with_them[0],
            _joined(start, list(map(_same, without)), ")")[1] if without[1:] else without[0],
        )

    def return_(self, node: ast.Return, _: bool) -> Spelled:
        """What the puzzle itself returns must be true; its scope is the second."""
        accepting = self.accepts and len(self.scopes) == 2
        return _joined("Return(", [self.node(node.value, accepting)], ")")

    def call(self, node: ast.Call, accepting: bool) -> Spelled:
        """Of `all(...)` that must be true, each element must be."""
        every = accepting and isinstance(node.func, ast.Name) and node.func.id == "all"
        if not (every and self.outside("all") and len(node.args) == 1):
            return self.plain(node)
        parts = [self.node(node.func), self.node(node.args[0], True), self.node(node.keywords)]
        return _joined("Call(", parts, ")")


def _asks(function: ast.FunctionDef) -> bool:
    """Whether a function is a puzzle: it takes an answer, the only argument without a default."""
    args = function.args
    return len(args.posonlyargs) + len(args.args) == len(args.defaults) + 1


def _asked_type(function: binding.Function) -> str:
    annotation = binding.arguments_of(function)[0].annotation
    if annotation is None:
        return ""
    try:
        return normalise_type(annotation)
    except NotAPuzzle:
        return ast.dump(annotation)


def _idle(statement: ast.stmt) -> bool:
    lone = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return lone or isinstance(statement, ast.Pass)


def _flat(node: ast.BoolOp) -> list[ast.expr]:
    found: list[ast.expr] = []
    for value in node.values:
        same = isinstance(value, ast.BoolOp) and type(value.op) is type(node.op)
        found += _flat(value) if isinstance(value, ast.BoolOp) and same else [value]
    return found


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    if kind not in _fields_of:
        _fields_of[kind] = tuple(name for name in kind._fields if name not in _LEFT_OUT)
    return _fields_of[kind]


_fields_of: dict[type[ast.AST], tuple[str, ...]] = {}


def _same(text: str) -> Spelled:
    return text, text


def _joined(start: str, parts: Sequence[Spelled], end: str) -> Spelled:
    """Parts in one text; each is closed by what can't stand open in another."""
    return (
        f"{start}{';'.join([part[0] for part in parts])}{end}",
        f"{start}{';'.join([part[1] for part in parts])}{end}",
    )


def _ordered(parts: Sequence[Spelled]) -> list[Spelled]:
    """Parts in an order of their own: with and without constants each in its own."""
    pairs = zip(sorted(p[0] for p in parts), sorted(p[1] for p in parts), strict=True)
    return list(pairs)


_SPECIAL: dict[type, Callable[[_Speller, Any, bool], Spelled]] = {
    ast.FunctionDef: _Speller.function,
    ast.AsyncFunctionDef: _Speller.function,
    ast.Lambda: _Speller.lambda_,
    ast.ClassDef: _Speller.class_,
    ast.ListComp: _Speller.comprehension,
    ast.SetComp: _Speller.comprehension,
    ast.DictComp: _Speller.comprehension,
    ast.GeneratorExp: _Speller.comprehension,
    ast.Name: _Speller.variable,
    ast.ExceptHandler: _Speller.named,
    ast.MatchAs: _Speller.named,
    ast.MatchStar: _Speller.named,
    ast.MatchMapping: _Speller.named,
    ast.alias: _Speller.alias,
    ast.Global: _Speller.outer,
    ast.Nonlocal: _Speller.outer,
    ast.Constant: _Speller.constant,
    ast.JoinedStr: _Speller.text_parts,
    ast.UnaryOp: _Speller.unary,
    ast.List: _Speller.list_,
    ast.Compare: _Speller.compare,
    ast.BinOp: _Speller.binary,
    ast.BoolOp: _Speller.boolean,
    ast.Return: _Speller.return_,
    ast.Call: _Speller.call,
}
"""What is spelled in a way of its own; every other node is its class and fields."""
