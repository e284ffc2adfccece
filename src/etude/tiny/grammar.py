"""Random typed puzzle-like text to pretrain on: the syntax of the tiny world, without its meaning.

A document is a random puzzle and an unrelated random solution of the right type. Nothing is run
and nothing is verified; about one in five solutions happens to be right, mostly for trivial
puzzles. What a model learns here is what Python looks like and which names are bound.

The tables below are the grammar. A template is a text with holes:

    {int}               any expression of that type
    {(int)}             the same, in parentheses when it is an operation
    {str|strs}          of one of these types
    {int of i:str}      an expression in which the loop variable `i`, a string, occurs
"""

from __future__ import annotations

import ast
import itertools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from etude.tiny import draws

ANNOTATIONS = {
    "int": "int",
    "str": "str",
    "ints": "List[int]",
    "strs": "List[str]",
    "float": "float",
}
TYPES = tuple(ANNOTATIONS)

NAMES = {
    "int": ("a", "b", "c"),
    "str": ("s", "t", "r"),
    "ints": ("nums", "u", "v"),
    "strs": ("words", "w", "y"),
    "float": ("p", "q", "h"),
}
"""The arguments' names by type, in the order in which they are given out, as in the families."""

LONGEST_CONDITION = 90
LONGEST_SOLUTION = 60
"""In characters. A longer document is thrown away, so that all fit a short context."""

_HOLE = re.compile(r"\{(\()?([a-z|]+)\)?(?: of i:(\w+))?\}")

Scope = Mapping[str, str]
"""The type of every name that an expression may use."""


class Text(NamedTuple):
    """An expression, and whether it needs parentheses to be an operand."""

    source: str
    loose: bool


@dataclass(frozen=True)
class Table:
    """Templates with their weights."""

    templates: tuple[Text, ...]
    cumulative: tuple[int, ...]

    def draw(self, rng: random.Random) -> Text:
        return rng.choices(self.templates, cum_weights=self.cumulative)[0]


def _table(weights: Mapping[str, int]) -> Table:
    templates = tuple(Text(source, _is_operation(source)) for source in weights)
    return Table(templates, tuple(itertools.accumulate(weights.values())))


def _is_operation(template: str) -> bool:
    body = ast.parse(_HOLE.sub("x", template), mode="eval").body
    return isinstance(body, ast.BinOp | ast.UnaryOp)


def _slices(type_: str, weight: int) -> dict[str, int]:
    holes = (":{int}", "{int}:", ":-{(int)}")
    return {f"{{({type_})}}[{hole}]": weight for hole in holes}


EXPRESSIONS = {
    "int": _table(
        {
            "{(int)} + {(int)}": 12,
            "{(int)} - {(int)}": 12,
            "{(int)} * {(int)}": 6,
            "{(int)} // {(int)}": 6,
            "{(int)} % {(int)}": 6,
            "{(int)} ** 2": 3,
            "int({(int)} ** 0.5)": 3,
            "abs({int})": 3,
            "-{(int)}": 3,
            "int({str|float})": 6,
            "len({str|ints|strs})": 12,
            "sum({ints})": 6,
            "max({ints})": 6,
            "min({ints})": 6,
            "sum(int(i) for i in str({int}))": 6,
            "ord({str})": 3,
            "ord({(str)}[0])": 3,
            "{(str)}.count({str})": 4,
            "{(ints)}.count({int})": 2,
            "{(str)}.index({str})": 3,
            "{(ints)}.index({int})": 3,
            "{(ints)}[{int}]": 6,
        }
    ),
    "float": _table(
        {
            "{(float)} + {(float)}": 6,
            "{(float)} - {(float)}": 6,
            "{(float)} * {(float)}": 6,
            "{(float|int)} / {(float|int)}": 12,
            "float({int})": 2,
            "abs({float})": 2,
            "-{(float)}": 2,
        }
    ),
    "str": _table(
        {
            "{str} + {str}": 12,
            "{(str)} * {(int)}": 12,
            "{(str)}[::-1]": 6,
            **_slices("str", 4),
            "''.join({strs})": 2,
            "' '.join({strs})": 2,
            "','.join({strs})": 1,
            "{(str)}.join({strs})": 1,
            "str({int})": 6,
            "chr({int})": 6,
            "{(str)}.upper()": 6,
            "{(str)}.lower()": 6,
            "{(str)}.replace({str}, {str})": 6,
            "max({strs}, key=len)": 3,
            "min({strs}, key=len)": 3,
            "{(str|strs)}[0]": 2,
            "{(str|strs)}[-1]": 2,
            "{(str|strs)}[{int}]": 2,
        }
    ),
    "ints": _table(
        {
            "[{int}]": 7,
            "[{int}, {int}]": 5,
            "{ints} + {ints}": 6,
            "[{int}] * {(int)}": 6,
            "{(ints)}[::-1]": 6,
            "sorted({ints})": 6,
            **_slices("ints", 2),
            "list(range({int}))": 4,
            "list(range({int}, {int}))": 2,
            "[{int of i:int} for i in {ints}]": 5,
            "[{int of i:int} for i in range({int})]": 5,
            "[{int of i:str} for i in {strs}]": 4,
            "[{int of i:str} for i in {str}]": 4,
        }
    ),
    "strs": _table(
        {
            "[{str}]": 7,
            "[{str}, {str}]": 5,
            "{strs} + {strs}": 6,
            "[{str}] * {(int)}": 6,
            "{(strs)}[::-1]": 6,
            "sorted({strs})": 6,
            **_slices("strs", 2),
            "{(str)}.split(' ')": 2,
            "{(str)}.split(',')": 2,
            "{(str)}.split({str})": 2,
            "list({str})": 6,
            "[{str of i:int} for i in {ints}]": 5,
            "[{str of i:int} for i in range({int})]": 5,
            "[{str of i:str} for i in {strs}]": 4,
            "[{str of i:str} for i in {str}]": 4,
        }
    ),
}

CHECKS = {
    "int": _table(
        {
            "x % {int} == {int}": 3,
            "x > {int}": 3,
            "x < {int}": 3,
            "x in {ints}": 3,
            "all(x < i for i in {ints})": 1,
            "all(x > i for i in {ints})": 1,
            "all(x != i for i in {ints})": 1,
        }
    ),
    "float": _table({"x > {float}": 1, "x < {float}": 1, "abs(x - {(float)}) < 0.01": 1}),
    "str": _table(
        {
            "x.startswith({str})": 1,
            "x.endswith({str})": 1,
            "{str} in x": 1,
            "x in {str}": 1,
            "x in {strs}": 1,
            "len(x) == {int}": 1,
            "x.count({str}) == {int}": 1,
            "all(i in x for i in {strs})": 1,
            "x[0] == {str}": 1,
        }
    ),
    "ints": _table(
        {
            "len(x) == {int}": 4,
            "{int} in x": 4,
            "x[{int}] == {int}": 4,
            "x.count({int}) == {int}": 4,
            "all(i in x for i in {ints})": 4,
            "all(i > {int} for i in x)": 1,
            "all(i < {int} for i in x)": 1,
            "all(i % 2 == 0 for i in x)": 1,
            "all(i in {ints} for i in x)": 1,
            "[{int of i:int} for i in x] == {ints}": 2,
            "[{str of i:int} for i in x] == {strs}": 2,
        }
    ),
    "strs": _table(
        {
            "len(x) == {int}": 4,
            "{str} in x": 4,
            "x[{int}] == {str}": 4,
            "x.count({str}) == {int}": 4,
            "all(i in x for i in {strs})": 4,
            "all(len(i) == {int} for i in x)": 1,
            "all(i.startswith({str}) for i in x)": 1,
            "all({str} in i for i in x)": 1,
            "all(i in {strs} for i in x)": 1,
            "[{int of i:str} for i in x] == {ints}": 2,
            "[{str of i:str} for i in x] == {strs}": 2,
        }
    ),
}
"""Conditions on the answer `x`, by its type."""

_MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def document(rng: random.Random) -> tuple[str, str]:
    """A puzzle line and a solution line, each without its newline."""
    while True:
        answer_type = rng.choice(TYPES)
        scope = _arguments(answer_type, rng)
        inputs = ", ".join(f"{name}={_constant(type_, rng)}" for name, type_ in scope.items())
        condition = _condition(answer_type, scope, rng)
        if rng.random() < 0.3:
            condition += " and " + _condition(answer_type, scope, rng)
        solution = _expression(answer_type, scope, rng.choice((1, 1, 2, 2, 3)), rng).source
        if len(condition) <= LONGEST_CONDITION and len(solution) <= LONGEST_SOLUTION:
            puzzle = f"def f(x: {ANNOTATIONS[answer_type]}, {inputs}): return {condition}"
            return puzzle, f"def g({inputs}): return {solution}"


def _arguments(answer_type: str, rng: random.Random) -> dict[str, str]:
    """The inputs' names with their types: one to three."""
    scope: dict[str, str] = {}
    number = "float" if answer_type == "float" else "int"
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        others = ("int", "int", "str", "str", "ints", "strs", number)
        type_ = answer_type if rng.random() < 0.3 else rng.choice(others)
        scope[next(name for name in NAMES[type_] if name not in scope)] = type_
    return scope


_CONSTANTS: dict[str, tuple[Callable[[random.Random], draws.Value], ...]] = {
    "int": (
        lambda rng: draws.integer(rng, 0, 9),
        lambda rng: draws.integer(rng, 0, 9),
        draws.integer,
        draws.integer,
        lambda rng: draws.integer(rng, 100, 999),
    ),
    "float": (draws.quarters,),
    "str": (
        *((draws.word,) * 12),
        *((draws.letter,) * 4),
        lambda rng: draws.word(rng).upper(),
        lambda rng: draws.word(rng) + draws.word(rng),
        lambda rng: draws.word(rng) + " " + draws.word(rng),
        lambda rng: rng.choice((str(draws.integer(rng)), ",".join(draws.words(rng)))),
    ),
    "ints": (draws.integers,),
    "strs": (draws.words,),
}
"""What the inputs' defaults are drawn by: one of these, with equal chances."""


def _constant(type_: str, rng: random.Random) -> str:
    return repr(rng.choice(_CONSTANTS[type_])(rng))


def _condition(answer_type: str, scope: Scope, rng: random.Random) -> str:
    """One condition on the answer: a comparison of expressions, or one from the table."""
    if rng.random() < 0.62:
        return _comparison(answer_type, scope, rng)
    return fill(CHECKS[answer_type].draw(rng).source, scope, rng.choice((1, 1, 1, 2)), rng)


def _comparison(answer_type: str, scope: Scope, rng: random.Random) -> str:
    usual = rng.choice(("int", "int", "str", answer_type))
    type_ = answer_type if rng.random() < 0.4 else usual
    seen = {**scope, "x": answer_type}
    left = _mentioning("x", type_, seen, rng.choice((0, 1, 1, 2)), rng)
    if left is None:
        left, type_ = "x", answer_type
    right = _expression(type_, scope, rng.choice((0, 0, 0, 1, 1, 2)), rng).source
    ordered = ("<", ">", "<=", ">=") if type_ in ("int", "float") else ()
    operator = rng.choice(("==", "==", "==", "!=", *ordered))
    if rng.random() < 0.2:
        return f"{right} {_MIRRORED[operator]} {left}"
    return f"{left} {operator} {right}"


def _mentioning(
    name: str, type_: str, scope: Scope, depth: int, rng: random.Random, attempts: int = 20
) -> str | None:
    """An expression in which `name` occurs; None when it never came up."""
    occurs = re.compile(rf"(?<!')\b{name}\b")  # the letter 'x' is not the name x
    for _ in range(attempts):
        source = _expression(type_, scope, depth, rng).source
        if occurs.search(source):
            return source
    return None


def _expression(type_: str, scope: Scope, depth: int, rng: random.Random) -> Text:
    """An expression of a type, nested at most `depth` deep (loop bodies aside)."""
    if depth <= 0 or rng.random() < 0.3:
        return _leaf(type_, scope, depth, rng)
    template = EXPRESSIONS[type_].draw(rng)
    return Text(fill(template.source, scope, depth, rng), template.loose)


def _leaf(type_: str, scope: Scope, depth: int, rng: random.Random) -> Text:
    names = [name for name, known in scope.items() if known == type_]
    if names and rng.random() < 0.8:
        return Text(rng.choice(names), False)
    match type_:
        case "int":
            usual = rng.choice((0, 1, 2, 2, 3, 5, 10))
            source = repr(usual if rng.random() < 0.8 else draws.integer(rng))
        case "float":
            source = rng.choice(("0.5", "2.0", "0.01"))
        case "str":
            source = repr(draws.letter(rng) if rng.random() < 0.7 else draws.word(rng))
        case _:
            item = _expression("int" if type_ == "ints" else "str", scope, depth - 1, rng)
            source = f"[{item.source}]"
    return Text(source, False)


def fill(template: str, scope: Scope, depth: int, rng: random.Random) -> str:
    """`template` with every hole filled, from left to right."""

    def filled(hole: re.Match[str]) -> str:
        tight, types, loop_type = hole.groups()
        type_ = _one(types.split("|"), rng)
        if loop_type:
            return _loop_body(type_, {**scope, "i": loop_type}, rng)
        source, loose = _expression(type_, scope, depth - 1, rng)
        return f"({source})" if tight and loose else source

    return _HOLE.sub(filled, template)


def _loop_body(type_: str, scope: Scope, rng: random.Random) -> str:
    """At least one expression in twelve mentions `i`, so this soon ends."""
    while not (body := _mentioning("i", type_, scope, 1, rng)):
        pass
    return body


def _one(choices: Sequence[str], rng: random.Random) -> str:
    return choices[0] if len(choices) == 1 else rng.choice(choices)
