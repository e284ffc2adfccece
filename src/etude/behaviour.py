"""Behaviour: what puzzles accept and refuse, whatever their text. Decided in the judge alone.

    probes = probes_of(known)                          answers to try, by answer type
    found = duplicates(judge, known, probes)           found.groups, found.uninformative, ...

Two puzzles are behavioural duplicates when their answers have one type, they accept and refuse the
same probes, at least one of each, and each accepts every known answer of the other. That is
evidence, not proof: another probe may tell them apart.
Covered: signatures, groups, solving each other crosswise, with a bounded number of questions a
puzzle. Not covered: where puzzles and answers come from, and what becomes of duplicates.
"""

from __future__ import annotations

import ast
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from etude.errors import Fault
from etude.judge import Judge, codec
from etude.puzzle import NotAPuzzle, syntax_tree
from etude.trivial import OURS, trivial_answers
from etude.types import Outcome, Puzzle

MOST_PROBES = 48
"""Answers that a puzzle is tried with, at most."""
MOST_TRIVIAL = 12
"""Of these, at most so many from the list of trivial answers."""
MOST_KNOWN = 4
"""Known answers of a puzzle that are tried on another one."""
MOST_LEADERS = 8
"""Puzzles of one signature that the others are tried on crosswise, at most."""

LETTERS = {
    Outcome.ACCEPTED: "a",
    Outcome.WRONG: "r",
    Outcome.MISTYPED: "r",
    Outcome.RAISED: "e",
    Outcome.REFUSED: "e",
    Outcome.UNPARSED: "e",
    Outcome.TIMEOUT: "t",
    Outcome.MEMORY: "t",
    Outcome.CRASHED: "t",
}
"""accepted, refused, error, and what came to no end."""

_LARGEST = 1 << 20
"""Bytes of a known answer that can be a probe."""

Probes = Mapping[str, Sequence[object]]
"""By answer type, the answers to try, in order."""


@dataclass(frozen=True, slots=True)
class Known:
    """A puzzle with answers that it is known to accept."""

    puzzle: Puzzle
    answers: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What one puzzle says of the probes of its answer type."""

    answer_type: str
    said: str
    """One letter a probe, in order: see LETTERS."""

    @property
    def text(self) -> str:
        """Compact: runs of one letter as a letter and a length.

        >>> Signature("int", "rrrarr").text
        'r3a1r2'
        """
        return "".join(f"{letter}{len(list(run))}" for letter, run in groupby(self.said))

    @property
    def informative(self) -> bool:
        """It accepts a probe and does not accept another one, coming to an end on both."""
        return "a" in self.said and ("r" in self.said or "e" in self.said)

    @property
    def key(self) -> tuple[str, str]:
        """What puzzles of equal behaviour share: an error is one way to refuse an answer."""
        return self.answer_type, self.said.replace("e", "r")


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found among some puzzles, which are named by their places."""

    signatures: tuple[Signature, ...]
    groups: tuple[tuple[int, ...], ...]
    """Behavioural duplicates, two or more a group, by the first of each."""
    uninformative: int
    """Puzzles that accept no probe, or refuse none: nothing is said of them."""
    alike: int
    """Puzzles that share their signature with another one, crosswise solving aside."""
    untried: int
    """Of these, how many were not held against all others: without a known answer, or too many."""


def answer_of(literal: str) -> object:
    """The answer that a verdict's text stands for. Raises ValueError for one that was cut.

    >>> answer_of("[1, float('inf')]")
    [1, inf]
    """
    try:
        (statement,) = syntax_tree(literal).body
    except (NotAPuzzle, ValueError) as error:
        raise ValueError(f"no answer: {error}") from None
    if not isinstance(statement, ast.Expr):
        raise ValueError("no answer: a statement")
    try:
        return ast.literal_eval(_Floats().visit(statement.value))
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"no answer: {type(error).__name__}") from None


class _Floats(ast.NodeTransformer):
    """`float('inf')`, as the judge writes it, is no literal of Python's, but a constant here."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(ast.Name("float"), [ast.Constant(str(text))], []):
                return ast.Constant(float(text))
        return node


def answers_of(literals: Iterable[str | None]) -> tuple[object, ...]:
    """The different answers among the texts of verdicts, in order; those that were cut left out."""
    found: dict[str, object] = {}
    for literal in literals:
        try:
            if literal:
                found.setdefault(literal, answer_of(literal))
        except ValueError:
            continue
    return tuple(found.values())


def probes_of(
    known: Iterable[Known], *, most: int = MOST_PROBES, seed: int = 0
) -> dict[str, list[object]]:
    """The probes for each answer type among these puzzles: trivial answers, then known answers.

    Deterministic: the same puzzles in the same order and the same seed give the same probes.
    Every puzzle gives at most one answer until all have given one.
    """
    by_type: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    for one in known:
        by_type[one.puzzle.answer_type].append(one.answers)
    return {
        answer_type: _drawn(answer_type, answers, most, random.Random(f"{seed} {answer_type}"))
        for answer_type, answers in sorted(by_type.items())
    }


def _drawn(
    answer_type: str, known: Sequence[tuple[object, ...]], most: int, rng: random.Random
) -> list[object]:
    chosen: dict[bytes, object] = {}
    trivial = _trivial(answer_type)
    for answer in rng.sample(trivial, min(len(trivial), MOST_TRIVIAL, most)):
        chosen.setdefault(key_of(answer), answer)
    order = list(known)
    rng.shuffle(order)
    for turn in range(max(map(len, order), default=0)):
        for answers in order:
            if len(chosen) == most:
                return list(chosen.values())
            if turn < len(answers):
                chosen.setdefault(key_of(answers[turn]), answers[turn])
    return list(chosen.values())


def key_of(answer: object) -> bytes:
    """What tells answers apart: 1, 1.0 and True are three. Raises ValueError for no plain data."""
    try:
        return codec.encode(answer, _LARGEST)
    except (codec.NotPlain, codec.TooLarge) as error:
        raise ValueError(f"no answer: {type(error).__name__}") from None


def _trivial(answer_type: str) -> list[object]:
    """The trivial answers, where there is a list for the type."""
    inner = answer_type
    while inner not in OURS and inner.startswith("List["):
        inner = inner.removeprefix("List[").removesuffix("]")
    return trivial_answers(answer_type) if inner in OURS else []


def signatures(judge: Judge, puzzles: Sequence[Puzzle], probes: Probes) -> list[Signature]:
    """What each puzzle says of the probes of its type. Raises `Fault` when the sandbox fails."""
    jobs = [(puzzle, probes.get(puzzle.answer_type, ())) for puzzle in puzzles]
    found = zip(puzzles, judge.satisfied_all(jobs), strict=True)
    return [Signature(puzzle.answer_type, letters(puzzle, said)) for puzzle, said in found]


def letters(puzzle: Puzzle, outcomes: Iterable[Outcome]) -> str:
    """One letter an outcome. Raises `Fault` where the sandbox failed."""
    said = list(outcomes)
    if Outcome.FAULT in said:
        raise Fault(f"the sandbox failed on probes of the puzzle {puzzle.id}")
    return "".join(LETTERS[outcome] for outcome in said)


def crossed(judge: Judge, pairs: Sequence[tuple[Known, Known]]) -> list[bool]:
    """For each pair whether each puzzle accepts every known answer of the other, MOST_KNOWN each.

    A puzzle without a known answer proves nothing: such a pair is False.
    """
    whole = [place for place, (one, other) in enumerate(pairs) if one.answers and other.answers]
    jobs = [
        (puzzle.puzzle, other.answers[:MOST_KNOWN])
        for place in whole
        for puzzle, other in (pairs[place], pairs[place][::-1])
    ]
    said = [
        set(letters(puzzle, outcomes)) == {"a"}
        for (puzzle, _), outcomes in zip(jobs, judge.satisfied_all(jobs), strict=True)
    ]
    both = {
        place: one and other for place, one, other in zip(whole, said[::2], said[1::2], strict=True)
    }
    return [both.get(place, False) for place in range(len(pairs))]


def duplicates(judge: Judge, known: Sequence[Known], probes: Probes) -> Duplicates:
    """Which of these puzzles behave alike. Raises `Fault` when the sandbox fails.

    Every puzzle of a signature is held against the first of each group that it is not in, for at
    most MOST_LEADERS groups.
    """
    made = signatures(judge, [one.puzzle for one in known], probes)
    by_key: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, signature in enumerate(made):
        if signature.informative:
            by_key[signature.key].append(place)
    alike = [places for places in by_key.values() if len(places) > 1]
    left = [[place for place in places if known[place].answers] for places in alike]
    groups: list[tuple[int, ...]] = []
    for _ in range(MOST_LEADERS):
        left = [places for places in left if len(places) > 1]
        pairs = [(places[0], other) for places in left for other in places[1:]]
        same = crossed(judge, [(known[one], known[other]) for one, other in pairs])
        met = {pair for pair, yes in zip(pairs, same, strict=True) if yes}
        for number, (leader, *others) in enumerate(left):
            group = [other for other in others if (leader, other) in met]
            if group:
                groups.append((leader, *group))
            left[number] = [other for other in others if other not in group]
    unknown = sum(not known[place].answers for places in alike for place in places)
    return Duplicates(
        tuple(made),
        tuple(sorted(groups)),
        sum(not signature.informative for signature in made),
        sum(map(len, alike)),
        unknown + sum(len(places) for places in left if len(places) > 1),
    )
