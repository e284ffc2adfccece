"""Puzzles by what they accept and refuse: signatures, behavioural duplicates, probe answers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from etude import behaviour
from etude.behaviour import Known, Signature, answer_of, answers_of, probes_of
from etude.errors import Fault
from etude.judge import Judge, Limits, codec
from etude.puzzle import parse
from etude.types import Outcome


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5)) as judge:
        yield judge


def known(source: str, *answers: object) -> Known:
    return Known(parse(source), answers)


def found(judge: Judge, *puzzles: Known) -> behaviour.Duplicates:
    return behaviour.duplicates(judge, puzzles, probes_of(puzzles))


SUM = known("def f(x: int, a=7): return x + a == 9", 2)


def test_a_puzzle_that_was_rewritten_behaves_alike(judge: Judge) -> None:
    other = known("def f(y: int):\n    z = 3 * y\n    return z == 6", 2)
    assert found(judge, SUM, other).groups == ((0, 1),)


def test_another_constant_behaves_otherwise(judge: Judge) -> None:
    other = known("def f(x: int, a=7): return x + a == 10", 3)
    assert found(judge, SUM, other).groups == ()


def test_an_error_is_a_refusal(judge: Judge) -> None:
    other = known("def f(x: int): return 1 / (x == 2) == 1.0", 2)
    made = found(judge, SUM, other)
    assert made.signatures[0].said != made.signatures[1].said
    assert made.groups == ((0, 1),)


def test_answers_that_are_refused_after_all_prove_nothing(judge: Judge) -> None:
    """As an answer is that was accepted by chance alone."""
    twin = known("def f(y: int, b=7): return 9 == y + b", 5)
    assert (
        behaviour.crossed(judge, [(SUM, twin), (known(SUM.puzzle.source, 5), twin)]) == [False] * 2
    )


def test_another_type_is_another_puzzle(judge: Judge) -> None:
    other = known("def f(x: float, a=7.0): return x + a == 9", 2.0)
    assert found(judge, SUM, other).groups == ()


def test_equal_signatures_are_not_enough(judge: Judge) -> None:
    """The probes know no number above 100, so that only the known answers tell these apart."""
    one = known("def f(x: int): return x == 2 or x == 10**6", 2, 10**6)
    puzzles = [SUM, one]
    probes = {"int": [1, 2, 3]}
    made = behaviour.duplicates(judge, puzzles, probes)
    assert made.signatures[0].key == made.signatures[1].key
    assert (made.alike, made.groups) == (2, ())


def test_of_puzzles_that_accept_all_or_nothing_nothing_is_said(judge: Judge) -> None:
    puzzles = [known("def f(x: int): return True", 1), known("def f(x: int): return x < 10**9", 1)]
    made = found(judge, *puzzles)
    assert (made.groups, made.uninformative, made.alike) == ((), 2, 0)


def test_a_puzzle_without_a_known_answer_proves_nothing(judge: Judge) -> None:
    made = found(judge, SUM, known("def f(x: int): return x == 2"))
    assert (made.alike, made.untried, made.groups) == (2, 1, ())


def test_alike_is_not_passed_on(judge: Judge) -> None:
    """The first of a group is like each of the others; those that are not make a group of their
    own."""
    two = [
        known(f"def f(x: int, a={a}): return x in (2, {10**5} + 0 * a)", 2, 10**5) for a in (1, 2)
    ]
    puzzles = [SUM, two[0], known("def f(x: int): return x == 2", 2), two[1]]
    made = behaviour.duplicates(judge, puzzles, {"int": [1, 2, 3]})
    assert made.groups == ((0, 2), (1, 3))


def test_puzzles_that_only_their_own_answer_solves_are_found_by_it(judge: Judge) -> None:
    """No probe is accepted by either; each is refused by both."""
    one = known("def f(x: str): return x == 'abc' * 5", "abc" * 5)
    other = known("def f(y: str, n=5): return len(y) == 3 * n and y.count('abc') == n", "abc" * 5)
    third = known("def f(x: str): return x == 'abd' * 5", "abd" * 5)
    made = behaviour.duplicates(judge, [one, third, other], {"str": ["", "abc"]})
    assert (made.groups, made.uninformative, made.alike) == (((0, 2),), 0, 2)


def test_answers_close_to_the_known_ones_tell_apart(judge: Judge) -> None:
    """Both accept `corncorn` and none of the probes."""
    one = known("def f(x: str, s='corn'): return x.count(s) == 2", "corncorn")
    other = known("def f(x: str, s='corn'): return x.startswith(s) and x != s", "corncorn")
    assert behaviour.duplicates(judge, [one, other], {"str": ["", "a"]}).groups == ()


@given(st.integers() | st.text() | st.lists(st.integers()) | st.booleans() | st.floats())
def test_neighbours_are_of_the_same_type_and_few(answer: object) -> None:
    near = behaviour.neighbours(answer)
    assert len(near) <= 4
    assert all(type(one) is type(answer) for one in near)


def test_a_puzzle_that_hangs_says_so(judge: Judge) -> None:
    puzzle = parse("def f(x: int):\n    while x > 1: pass\n    return x == 1")
    (made,) = behaviour.signatures(judge, [puzzle], {"int": [0, 1, 2, -1]})
    assert (made.text, made.informative) == ("r1a1t2", True)


def test_a_fault_is_no_answer() -> None:
    with pytest.raises(Fault, match="the sandbox failed on probes"):
        behaviour.letters(SUM.puzzle, [Outcome.ACCEPTED, Outcome.FAULT])


def test_every_other_outcome_has_a_letter() -> None:
    assert set(behaviour.LETTERS) == set(Outcome) - {Outcome.FAULT}


@pytest.mark.parametrize(
    "text",
    ["[1, 2", "'a", "f()", "x = 1", "", "{[1]: 2}", "[" * 5000, "float('x')", "1; 2", "\ud800"],
)
def test_a_text_that_was_cut_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match="no answer"):
        answer_of(text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner),
    max_leaves=10,
)


@given(plain)
def test_answers_come_back_from_the_texts_of_verdicts(answer: object) -> None:
    data = codec.encode(answer, 1 << 20)
    text = codec.literal(data, 10_000)
    assume(len(text) < codec.LONGEST_TEXT)
    assert codec.literal(codec.encode(answer_of(text), 1 << 20), 10_000) == text


def test_answers_of_verdicts_are_told_apart_and_the_cut_left_out() -> None:
    assert answers_of(["1", None, "1", "True", "[1", "1.0"]) == (1, True, 1.0)
    cut = hex(1 << 9_000)[:1000]  # a number, but another one
    assert answers_of([cut]) == ()
    with pytest.raises(ValueError, match="it was cut"):
        answer_of(cut)
    assert codec.literal(codec.encode(1 << 9_000, 1 << 20)) == hex(1 << 9_000)[:1000]
    assert math.isinf(answers_of(["float('inf')"])[0])  # type: ignore[arg-type]


def test_probes_are_the_same_for_the_same_puzzles_and_bounded() -> None:
    puzzles = [known(f"def f(x: int): return x == {n}", n, n + 1) for n in range(1000, 1200)]
    probes = probes_of(puzzles, most=20, seed=3)
    assert probes == probes_of(puzzles, most=20, seed=3)
    assert probes != probes_of(puzzles, most=20, seed=4)
    assert len(probes["int"]) == 20
    assert sum(answer >= 1000 for answer in probes["int"]) == 20 - behaviour.MOST_TRIVIAL  # type: ignore[operator]


def test_probes_of_a_type_without_trivial_answers_are_known_answers() -> None:
    assert probes_of([known("def f(x: Dict[str, int]): return x['a'] == 1", {"a": 1})]) == {
        "Dict[str, int]": [{"a": 1}]
    }


@given(st.text("arte", max_size=60))
def test_a_signature_as_text_says_all(said: str) -> None:
    text = Signature("int", said).text
    letters, counts = (
        [c for c in text if c.isalpha()],
        [int(part) for part in "".join(c if c.isdigit() else " " for c in text).split()],
    )
    assert "".join(a * n for a, n in zip(letters, counts, strict=True)) == said
