"""Planted copies of P3's puzzles, one kind of change each, and at which level they are found.

A copy counts as found at a level when it stands in one group with its original there. Whether it
should be found is another question: a puzzle with other constants is another puzzle, and only
`form` and `near` are meant to say that it is like the first.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from etude.duplicates import LEVELS, Found, Item, find
from etude.duplicates.behaving import behavioural
from etude.judge import Judge
from etude.puzzle import syntax_tree, without_docstring
from etude.suites.p3 import p3_records

SAMPLE = 100
"""Puzzles that the level `behavioural` is tried on."""


@dataclass(frozen=True)
class Original:
    name: str
    puzzle: str
    solution: str


Change = Callable[[str, random.Random], str]
"""A puzzle's text -> its copy; the same text where the change does not apply."""


def originals(folder: Path | None) -> list[Original]:
    """P3's puzzles of both halves, the first instance of each, without docstrings."""
    records = [row for half in ("train", "test") for row in p3_records(half, folder)]
    found = []
    for row in records:
        bodies = row["sol_bodies"]
        solution = f"{row['sol_header']}\n{bodies[0]}" if bodies else ""
        found.append(Original(row["name"], without_docstring(row["sat"]).strip(), solution))
    return found


def verbatim(source: str, _: random.Random) -> str:
    return source


def layout(source: str, _: random.Random) -> str:
    """Spaces, empty lines and indentation as another person would have them."""
    lines = ast.unparse(syntax_tree(source)).split("\n")
    spread = [re.sub(r"^( {4})+", lambda found: found[0][::2], line) + "  " for line in lines]
    return "\n\n".join(spread)


def comments(source: str, _: random.Random) -> str:
    head, _newline, body = source.partition("\n")
    return f"# a puzzle\n{head}  # what must hold\n{body}\n# the end"


def arguments_renamed(source: str, _: random.Random) -> str:
    function = _function(syntax_tree(source))
    args = function.args
    names = [one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    return _renamed(source, {name: f"value_{place}" for place, name in enumerate(names)})


def locals_renamed(source: str, _: random.Random) -> str:
    tree = syntax_tree(source)
    own = {one.arg for one in ast.walk(_function(tree).args) if isinstance(one, ast.arg)}
    stored = [
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in own
    ]
    return _renamed(source, {name: f"item_{place}" for place, name in enumerate(stored)})


def statements_reordered(source: str, _: random.Random) -> str:
    """The first two neighbouring assignments of which neither reads or writes the other's name."""
    tree = syntax_tree(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for place in range(len(body) - 1) if isinstance(body, list) else ():
            if _independent(body[place], body[place + 1]):
                body[place], body[place + 1] = body[place + 1], body[place]
                return ast.unparse(tree)
    return source


def inputs_reordered(source: str, _: random.Random) -> str:
    """The arguments after the answer from the last to the first."""
    tree = syntax_tree(source)
    args = _function(tree).args
    if args.kwonlyargs or len(args.defaults) < 2:
        return source
    args.args[1:] = args.args[:0:-1]
    args.defaults.reverse()
    return ast.unparse(tree)


def operands_swapped(source: str, _: random.Random) -> str:
    """Both sides of every `==`."""
    tree = syntax_tree(source)
    changed = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and [type(op) for op in node.ops] == [ast.Eq]:
            node.left, node.comparators = node.comparators[0], [node.left]
            changed = True
    return ast.unparse(tree) if changed else source


def constant_changed(source: str, rng: random.Random) -> str:
    """One whole number, one more than it was."""
    tree = syntax_tree(source)
    numbers = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value > 1
    ]
    if not numbers:
        return source
    chosen: Any = rng.choice(numbers)
    chosen.value += 1
    return ast.unparse(tree)


def token_changed(source: str, rng: random.Random) -> str:
    """One operator in place of another."""
    turned = {"==": "!=", " < ": " <= ", " > ": " >= ", " + ": " - ", " and ": " or "}
    places = [
        (found.start(), text) for text in turned for found in re.finditer(re.escape(text), source)
    ]
    if not places:
        return source
    at, text = rng.choice(places)
    return source[:at] + turned[text] + source[at + len(text) :]


class _Rewritten(ast.NodeTransformer):
    """`all(a for ...)` as `not any(not a for ...)`, `a != b` as `not a == b`."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Name("all"), [ast.GeneratorExp() as every], []):
                every.elt = ast.UnaryOp(ast.Not(), every.elt)
                return ast.UnaryOp(ast.Not(), ast.Call(ast.Name("any"), [every], []))
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if [type(op) for op in node.ops] != [ast.NotEq]:
            return node
        return ast.UnaryOp(ast.Not(), ast.Compare(node.left, [ast.Eq()], node.comparators))


def rewritten(source: str, _: random.Random) -> str:
    tree = syntax_tree(source)
    before = ast.unparse(tree)
    after = ast.unparse(ast.fix_missing_locations(_Rewritten().visit(tree)))
    return after if after != before else source


CHANGES: dict[str, Change] = {
    "verbatim": verbatim,
    "layout": layout,
    "comments": comments,
    "arguments renamed": arguments_renamed,
    "locals renamed": locals_renamed,
    "operands swapped": operands_swapped,
    "statements reordered": statements_reordered,
    "inputs reordered": inputs_reordered,
    "rewritten": rewritten,
    "constant changed": constant_changed,
    "token changed": token_changed,
}


def report(folder: Path | None, seed: int, *, behavioural: bool) -> None:
    """Print the table: of the copies of each kind, how many each level joins to their originals."""
    known = originals(folder)
    sample = random.Random(seed).sample(known, SAMPLE)
    levels = [*LEVELS, "behavioural"] if behavioural else list(LEVELS)
    print(f"{len(known)} puzzles of P3" + (f", {SAMPLE} for behavioural" if behavioural else ""))
    print(_line("change", "planted", levels))
    for name, change in CHANGES.items():
        copies = _copies(known, name, change, seed)
        found = find([*map(_item, known), *map(_item, copies.values())])
        cells = [f"{_met(found, level, known, copies):,}" for level in LEVELS]
        if behavioural:
            part = {place: copies[one.name] for one in sample if (place := one.name) in copies}
            cells.append(_behaving(sample, part))
        print(_line(name, f"{len(copies):,}", cells), flush=True)
    joined = _joined(known, find(map(_item, known)))
    cells = [f"{joined[level]:,}" for level in LEVELS]
    if behavioural:
        cells.append(f"{_behaving_alone(sample):,}")
    print(_line("pairs of originals that are joined", "", cells))


def _copies(known: Sequence[Original], name: str, change: Change, seed: int) -> dict[str, Original]:
    """The copies by the names of their originals, where the change applies."""
    found = {}
    for one in known:
        text = change(one.puzzle, random.Random(f"{seed} {name} {one.name}"))
        if text != one.puzzle or change is verbatim:
            found[one.name] = Original(f"{one.name} {name}", text, one.solution)
    return found


def _item(one: Original) -> Item:
    return Item(one.name, one.puzzle)


def _met(found: Found, level: str, known: Sequence[Original], copies: dict[str, Original]) -> int:
    places = {name: place for place, name in enumerate(found.ids)}
    firsts = found.firsts[level]
    return sum(
        int(firsts[places[one.name]] == firsts[places[copies[one.name].name]])
        for one in known
        if one.name in copies
    )


def _joined(known: Sequence[Original], found: Found) -> dict[str, int]:
    """Pairs of different originals in one group, at each level."""
    return {
        level: sum(len(list(combinations(group, 2))) for group in found.groups(level))
        for level in LEVELS
    }


def _behaving(sample: Sequence[Original], copies: dict[str, Original]) -> str:
    """Of the sample's copies how many behave as their originals: `found of planted`."""
    rows = [*sample, *copies.values()]
    with Judge() as judge:
        firsts = behavioural([_pair(one) for one in rows], judge).firsts
    places = {one.name: place for place, one in enumerate(rows)}
    met = sum(
        int(firsts[places[name]] == firsts[places[copy.name]]) for name, copy in copies.items()
    )
    return f"{met} of {len(copies)}"


def _behaving_alone(sample: Sequence[Original]) -> int:
    with Judge() as judge:
        firsts = behavioural([_pair(one) for one in sample], judge).firsts.tolist()
    return sum(one == other for one, other in combinations(firsts, 2))


def _pair(one: Original) -> Item:
    return Item(one.name, one.puzzle, one.solution)


def _line(first: str, second: str, cells: Sequence[str]) -> str:
    return f"{first:<34} {second:>7}" + "".join(f"  {cell:>11}" for cell in cells)


def _function(tree: ast.Module) -> ast.FunctionDef:
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef))


def _renamed(source: str, names: dict[str, str]) -> str:
    """Every variable of these names under its new one; left alone where a call names one."""
    tree = syntax_tree(source)
    if any(isinstance(node, ast.keyword) and node.arg in names for node in ast.walk(tree)):
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = names.get(node.arg, node.arg)
    return ast.unparse(tree)


def _independent(one: ast.stmt, other: ast.stmt) -> bool:
    pairs = [_assigned(statement) for statement in (one, other)]
    if None in pairs:
        return False
    (name, reads), (other_name, other_reads) = (pair for pair in pairs if pair is not None)
    return name != other_name and name not in other_reads and other_name not in reads


def _assigned(statement: ast.stmt) -> tuple[str, set[str]] | None:
    """The name that a plain assignment binds, and the names that it reads."""
    match statement:
        case ast.Assign([ast.Name(name)], value):
            return name, {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
    return None
