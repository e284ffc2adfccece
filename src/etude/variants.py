"""Variants of a puzzle: the same question about other constants. By the syntax tree alone.

    [variant, *_] = variants(parse("def f(x: int, a=7): return x + a == 9"), 4)
    with_defaults("def g(a=7): return 9 - a", puzzle, variant)       # the solution, asked that

Only defaults of inputs are drawn anew: `g` is given these. What stands in the body is the question
itself, which every right solution has to write in, so it stays. A draw keeps type, size and shape:
numbers as many digits and steps, words their length, lists about theirs; equal values stay equal,
and what held between the inputs (order, membership, divisibility, an index within a list) holds
again. Covered: numbers, texts, truth values, and lists, tuples, sets and dicts of them. Not
covered: whether anything satisfies a variant, which is for the judge to say.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from etude.arguments import function_of, inputs_of
from etude.constants import Draw, by_length
from etude.puzzle import NotAPuzzle, dumped, parse, source_of, syntax_tree
from etude.types import Puzzle

DRAWS = 24
"""Draws for each variant that is wanted; those that break what held are thrown away."""
IDLE = 2_400
"""Draws in a row that bring no other variant, after which no more are looked for."""
LONGEST = 2_000
"""Characters of the inputs of a puzzle that has variants."""

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Variant:
    """A puzzle with other defaults."""

    puzzle: Puzzle
    defaults: Mapping[str, str]
    """By name, the new default of each input that has another one, as source."""


def variants(
    puzzle: Puzzle, tries: int, *, words: Sequence[str] = (), seed: int = 0
) -> list[Variant]:
    """Up to `tries` different variants; fewer where draws repeat, none without simple inputs.

    The same for the same arguments. `words` are what words are drawn from.

    >>> from etude.puzzle import parse
    >>> puzzle = parse("def f(x: int, a=7, b=21): return x * a == b * 10")
    >>> [one.puzzle.inputs for one in variants(puzzle, 3)]
    ['a=2, b=16', 'a=8, b=64', 'a=8, b=48']
    """
    if not tries or len(puzzle.inputs) > LONGEST:
        return []
    try:
        old = inputs_of(function_of(syntax_tree(puzzle.source)))
        values = values_of(old)
    except (NotAPuzzle, ValueError, TypeError, RecursionError, MemoryError):
        return []
    rng = random.Random(f"{seed} {puzzle.id}")
    pool = by_length(words)
    found: dict[str, Variant] = {}
    seen: set[str] = set()
    idle = 0
    for number in range(DRAWS * tries if values else 0):
        idle += 1
        if idle > IDLE:
            break
        texts = _drawn(old, values, Draw(rng, {} if number % 3 == 2 else pool))
        if texts is None or repr(texts) in seen:
            continue
        seen.add(repr(texts))
        made = replaced(puzzle, texts)
        if made is not None and made.puzzle.id != puzzle.id and made.puzzle.id not in found:
            found[made.puzzle.id], idle = made, 0
        if len(found) == tries:
            break
    return list(found.values())


def values_of(inputs: Mapping[str, ast.expr]) -> Values:
    """The values of the defaults that are literals."""
    found: Values = {}
    for name, node in inputs.items():
        try:
            found[name] = ast.literal_eval(node)
        except (ValueError, TypeError):
            continue
    return found


def _drawn(old: Mapping[str, ast.expr], values: Values, draw: Draw) -> dict[str, str] | None:
    """Other defaults, by name, or None where the draw broke what held between the inputs."""
    new = {name: draw.like(old[name]) for name in values}
    drawn = values_of(new)
    for name, value in _mended(values, drawn, draw):
        drawn[name], new[name] = value, ast.Constant(value)
    if not _holds(values, drawn):
        return None
    return {name: source_of(node) for name, node in new.items() if drawn[name] != values[name]}


def _mended(old: Values, drawn: Values, draw: Draw) -> Iterator[tuple[str, int]]:
    """Inputs whose relation to another one chance would hardly keep, and what they are then: one
    that was an index within a list, one that was a multiple."""
    for one, relation, other in _relations(old):
        among, value = drawn[other], drawn[one]
        if relation == "within" and isinstance(among, list | tuple | str) and among:
            assert isinstance(value, int)
            if value >= len(among):
                yield one, draw.rng.randrange(len(among))
    for one, (other, times) in _multiples(old).items():
        base = drawn[other]
        assert isinstance(base, int)
        yield one, base * draw.digits(times)


def replaced(puzzle: Puzzle, defaults: Mapping[str, str]) -> Variant | None:
    """The puzzle with these defaults, its text the same otherwise; None if it can't be written."""
    try:
        source = _with_defaults(puzzle.source, puzzle.name, defaults)
        return None if source is None else Variant(parse(source), dict(defaults))
    except NotAPuzzle:
        return None


def with_defaults(solution: str, puzzle: Puzzle, variant: Variant) -> str | None:
    """A solution of the puzzle with the defaults of the variant: what it is called with there.

    An input that it does not take is left out. None for what is no Python, unless it begins as
    the prompt does that asked for it.

    >>> from etude.puzzle import parse
    >>> puzzle = parse("def f(x: int, a=7): return x + a == 9")
    >>> with_defaults("def g(a=7): return 9 - a", puzzle, variants(puzzle, 1)[0])
    'def g(a=6): return 9 - a'
    """
    try:
        return _with_defaults(solution, "g", variant.defaults)
    except NotAPuzzle:
        opening = f"def g({puzzle.inputs}):"
        if puzzle.inputs and solution.startswith(opening):
            return f"def g({variant.puzzle.inputs}):{solution.removeprefix(opening)}"
        return None


def _with_defaults(source: str, name: str, defaults: Mapping[str, str]) -> str | None:
    """The text with other defaults of the last function of that name; None if it can't be cut.

    Raises `NotAPuzzle` for what is no Python.
    """
    function = _named(syntax_tree(source), name)
    if function is None:
        return source
    inputs = inputs_of(function)
    new = {one: text for one, text in defaults.items() if one in inputs}
    made = spliced(source, [(inputs[one], text) for one, text in new.items()])
    again = _named(syntax_tree(made), name)
    for one, text in new.items():
        inputs[one] = ast.parse(text, mode="eval").body
    if again is None or dumped(again.body) != dumped(function.body):
        return None
    found = inputs_of(again)
    same = list(found) == list(inputs) and dumped(found.values()) == dumped(inputs.values())
    return made if same else None


def _named(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    """The function that the name stands for in the end."""
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


def spliced(source: str, changes: Iterable[tuple[ast.expr, str]]) -> str:
    """The text with other text in the places of some expressions, which don't overlap."""
    data = source.encode()
    starts = [0]
    for line in re.split(rb"(?<=\n)|(?<=\r)(?!\n)", data):
        starts.append(starts[-1] + len(line))
    places = [
        (starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 1) - 1], node, text)
        for node, text in changes
    ]
    for start, last, node, text in sorted(places, key=lambda place: -place[0]):
        data = data[:start] + text.encode() + data[last + (node.end_col_offset or 0) :]
    return data.decode()


def _multiples(values: Values) -> dict[str, tuple[str, int]]:
    """Inputs that are a multiple of another one: of which, and how many times."""
    found: dict[str, tuple[str, int]] = {}
    whole = {name: value for name, value in values.items() if type(value) is int and value > 1}
    for name, other in permutations(whole, 2):
        times, rest = divmod(whole[name], whole[other])
        if times > 1 and not rest and name not in found and other not in found:
            found[name] = other, times
    return found


def _holds(old: Values, new: Values) -> bool:
    """Whether what held between the inputs holds again."""
    kept = set(_relations(new))
    return all(relation in kept for relation in _relations(old))


def _relations(values: Values) -> Iterator[tuple[str, str, str]]:
    """Which number is below which, within the length of what, and what stands in what."""
    for one, other in permutations(values, 2):
        value, among = values[one], values[other]
        if _is_number(value) and _is_number(among):
            if value < among:  # type: ignore[operator]
                yield one, "below", other
        elif isinstance(among, list | tuple | str):
            if type(value) is int and 0 <= value < len(among):
                yield one, "within", other
            if _stands_in(value, among):
                yield one, "in", other


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _stands_in(value: object, among: list[object] | tuple[object, ...] | str) -> bool:
    if isinstance(among, str):
        return isinstance(value, str) and value in among
    return not isinstance(value, bool) and value in among


def words_of(puzzles: Iterable[Puzzle]) -> list[str]:
    """The words in the inputs of some puzzles, in lower case and in order."""
    found: set[str] = set()
    for puzzle in puzzles:
        try:
            inputs = inputs_of(function_of(syntax_tree(puzzle.source)))
        except (NotAPuzzle, RecursionError):
            continue
        for default in inputs.values():
            for node in ast.walk(default):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.update(re.findall(r"[a-z]{2,}", node.value.lower()))
    return sorted(found)
