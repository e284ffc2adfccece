"""The grammar: its documents are Python of the right types, short, and about the answer."""

from __future__ import annotations

import ast
import builtins
import collections
import itertools
import random

import pytest

from etude.judge import Judge
from etude.puzzle import parse
from etude.tiny import grammar
from etude.tiny.grammar import LONGEST_CONDITION, LONGEST_SOLUTION, document
from etude.types import Outcome


@pytest.fixture(scope="module")
def documents() -> list[tuple[str, str]]:
    rng = random.Random(0)
    return [document(rng) for _ in range(3000)]


@pytest.fixture(scope="module")
def outcomes(documents: list[tuple[str, str]]) -> collections.Counter[Outcome]:
    """What the judge finds for the first thousand."""
    pairs = [(puzzle, [solution]) for puzzle, solution in documents[:1000]]
    with Judge(workers=1) as judge:
        return collections.Counter(verdict.outcome for (verdict,) in judge.verify_all(pairs))


def test_a_puzzle_parses_and_its_solution_has_the_same_inputs(
    documents: list[tuple[str, str]],
) -> None:
    for puzzle, solution in documents:
        inputs = parse(puzzle).inputs
        assert solution.startswith(f"def g({inputs}): return ")
        assert len(ast.parse(f"{puzzle}\n{solution}\n").body) == 2


def test_the_condition_is_about_the_answer(documents: list[tuple[str, str]]) -> None:
    for puzzle, _ in documents:
        body = ast.parse(puzzle).body[0].body[0]  # type: ignore[attr-defined]
        assert any(isinstance(node, ast.Name) and node.id == "x" for node in ast.walk(body)), puzzle


def test_every_name_is_bound(documents: list[tuple[str, str]]) -> None:
    for source in itertools.chain.from_iterable(documents):
        nodes = list(ast.walk(ast.parse(source)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
        bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        assert {node.id for node in names} <= bound | set(dir(builtins)) | {"List"}, source


def test_no_part_is_longer_than_the_caps(documents: list[tuple[str, str]]) -> None:
    for puzzle, solution in documents:
        assert len(solution.split(": return ", 1)[1]) <= LONGEST_SOLUTION
        assert len(puzzle.split(": return ", 1)[1]) <= LONGEST_CONDITION


def test_all_answer_types_are_equally_common(documents: list[tuple[str, str]]) -> None:
    counts = collections.Counter(parse(puzzle).answer_type for puzzle, _ in documents)
    assert set(counts) == {"int", "float", "str", "List[int]", "List[str]"}
    assert min(counts.values()) > 500


def test_a_solution_has_the_declared_type(outcomes: collections.Counter[Outcome]) -> None:
    assert outcomes.total() == 1000
    assert outcomes[Outcome.MISTYPED] == outcomes[Outcome.UNPARSED] == outcomes[Outcome.FAULT] == 0


def test_most_solutions_run_and_few_are_right(outcomes: collections.Counter[Outcome]) -> None:
    assert outcomes[Outcome.ACCEPTED] + outcomes[Outcome.WRONG] > 600
    assert 140 < outcomes[Outcome.ACCEPTED] < 270


def test_the_same_seed_writes_the_same_text() -> None:
    def texts(seed: int) -> list[tuple[str, str]]:
        rng = random.Random(seed)
        return [document(rng) for _ in range(20)]

    assert texts(1) == texts(1)
    assert texts(1) != texts(2)


@pytest.mark.parametrize("type_", grammar.TYPES)
def test_every_template_of_the_tables_can_be_filled(type_: str) -> None:
    """A wrong type in a hole shows here and not once in a thousand documents."""
    rng = random.Random(0)
    scope = {"a": "int", "s": "str", "nums": "ints", "words": "strs", "p": "float"}
    tables = (grammar.EXPRESSIONS[type_], grammar.CHECKS[type_])
    for template in (text.source for table in tables for text in table.templates):
        for depth in (1, 2, 3):
            filled = grammar.fill(template, scope, depth, rng)
            assert not set("{}|") & set(filled), template
            ast.parse(filled, mode="eval")


@pytest.mark.parametrize("type_", grammar.TYPES)
def test_what_fills_a_hole_stays_one_operand(type_: str) -> None:
    """An operation keeps its operator on top: `{(int)} * {(int)}` never becomes `a + b * c`."""
    rng = random.Random(1)
    scope = {"a": "int", "s": "str", "nums": "ints", "words": "strs", "p": "float"}
    for text in (text for text in grammar.EXPRESSIONS[type_].templates if "{(" in text.source):
        plain = ast.parse(grammar.fill(text.source, scope, 1, rng), mode="eval").body
        for _ in range(30):
            deep = ast.parse(grammar.fill(text.source, scope, 3, rng), mode="eval").body
            assert type(deep) is type(plain), text.source
            assert type(getattr(deep, "op", None)) is type(getattr(plain, "op", None)), text.source
