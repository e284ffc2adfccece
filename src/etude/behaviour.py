"""Behaviour: what puzzles accept and refuse, whatever their text. Decided in the judge alone.

    probes = probes_of(known)                          answers to try, by answer type
    found = duplicates(judge, known, probes)           found.groups, found.uninformative, ...

Two puzzles are behavioural duplicates when their answers have one type, they accept and refuse the
same probes, at least one of each, each accepts the known answers of the other, and both say the
same of answers close to these. The known answers are probes too: two that accept no other one are
compared where they share such an answer. That is evidence, not proof: another answer may tell them
apart.
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
    """Puzzles that accept no probe and have no known answer, or refuse none: of them nothing is
    said."""
    alike: int
    """Puzzles whose signature is another one's too, crosswise solving aside."""
    untried: int
    """Of these, how many are in no group and were not held against all others: they have no known
    answer, or their like are too many."""


def answer_of(literal: str) -> object:
    """The answer that a verdict's text stands for. Raises ValueError for one that was cut: a number
    in hexadecimal still reads as one then, but as another.

    >>> answer_of("[1, float('inf')]")
    [1, inf]
    """
    if len(literal) >= codec.LONGEST_TEXT:
        raise ValueError("no answer: it was cut")
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
    """The different answers among the texts of verdicts, in order; those that were cut left
    out."""
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
    """For each pair whether each puzzle accepts every known answer of the other, MOST_KNOWN each,
    and both say the same of answers close to these (see `neighbours`).

    A puzzle without a known answer proves nothing: such a pair is False.
    """
    asked = [_shared(one, other) for one, other in pairs]
    jobs = [
        (known.puzzle, [*answers, *close])
        for pair, (answers, close) in zip(pairs, asked, strict=True)
        for known in pair
    ]
    said = [
        letters(puzzle, outcomes).replace("e", "r")
        for (puzzle, _), outcomes in zip(jobs, judge.satisfied_all(jobs), strict=True)
    ]
    return [
        bool(answers) and one == other and set(one[: len(answers)]) == {"a"}
        for (answers, _), one, other in zip(asked, said[::2], said[1::2], strict=True)
    ]


def _shared(one: Known, other: Known) -> tuple[list[object], list[object]]:
    """The known answers of both, and what is close to them; nothing where one of them has none."""
    if not (one.answers and other.answers):
        return [], []
    given = [*one.answers[:MOST_KNOWN], *other.answers[:MOST_KNOWN]]
    answers = {key_of(answer): answer for answer in given}
    close = {key_of(near): near for answer in answers.values() for near in neighbours(answer)}
    return list(answers.values()), [near for key, near in close.items() if key not in answers]


def neighbours(answer: object) -> list[object]:
    """Answers of the same type that are nearly this one.

    >>> neighbours(7), neighbours("ab"), neighbours([1, 2])
    ([8, 6, -7], ['a', 'aba', 'ba', 'AB'], [[1], [1, 2, 1], [2, 1], [2, 2]])
    """
    match answer:
        case bool():
            return [not answer]
        case int() | float():
            return [answer + 1, answer - 1, -answer]
        case "":
            return ["a", " "]
        case str():
            return [answer[:-1], answer + answer[0], answer[::-1], answer.swapcase()]
        case []:
            return []
        case list():
            near = [[item, *answer[1:]] for item in neighbours(answer[0])[:1]]
            return [answer[:-1], [*answer, answer[0]], answer[::-1], *near]
    return []


def duplicates(judge: Judge, known: Sequence[Known], probes: Probes) -> Duplicates:
    """Which of these puzzles behave alike. Raises `Fault` when the sandbox fails.

    The known answers of a puzzle are probes too: two that accept no other one but share such an
    answer are held against each other. In each lot of puzzles that may be alike the first is tried
    crosswise with all others, then the first of those that are left, at most MOST_LEADERS times;
    a group is what is connected by pairs that were found alike.
    """
    made = signatures(judge, [one.puzzle for one in known], probes)
    lots: dict[tuple[str, str, bytes], list[int]] = defaultdict(list)
    for place, signature in enumerate(made):
        for mark in _marks(signature, known[place]):
            lots[*signature.key, mark].append(place)
    alike = [places for places in lots.values() if len(places) > 1]
    met, owed = _met(judge, known, alike)
    grouped = {place for pair in met for place in pair}
    return Duplicates(
        tuple(made),
        _connected(met),
        sum(not _marks(*pair) for pair in zip(made, known, strict=True)),
        len({place for places in alike for place in places}),
        len(owed - grouped),
    )


def _marks(signature: Signature, known: Known) -> list[bytes]:
    """What, beside its signature, puzzles share that may be alike: nothing where the signature is
    informative, otherwise a known answer; no mark where nothing can be said."""
    if signature.informative:
        return [b""]
    if "a" in signature.said or not {"r", "e"} & set(signature.said):
        return []
    return [key_of(answer) for answer in known.answers[:MOST_KNOWN]]


def _met(
    judge: Judge, known: Sequence[Known], lots: Sequence[Sequence[int]]
) -> tuple[set[tuple[int, int]], set[int]]:
    """The pairs that were found alike, and the places that were not held against all others."""
    left = [[place for place in places if known[place].answers] for places in lots]
    owed = {place for places in lots for place in places if not known[place].answers}
    met: set[tuple[int, int]] = set()
    for _ in range(MOST_LEADERS):
        wanted = {(places[0], other) for places in left for other in places[1:]}
        pairs = sorted(wanted - met)
        same = crossed(judge, [(known[one], known[other]) for one, other in pairs])
        met |= {pair for pair, yes in zip(pairs, same, strict=True) if yes}
        left = [[p for p in places[1:] if (places[0], p) not in met] for places in left if places]
    return met, owed.union(*(places for places in left if len(places) > 1))


def alike(
    judge: Judge, ones: Sequence[Known], others: Sequence[Known], probes: Probes
) -> list[tuple[int, int]]:
    """The pairs of one of `ones` and one of `others`, by their places, that behave alike.

    Each of `others` is tried crosswise on at most MOST_LEADERS of `ones`. Raises `Fault` when the
    sandbox fails.
    """
    return Alike(judge, ones, probes).pairs(others)


class Alike:
    """Puzzles that many others are held against, some of these at a time."""

    def __init__(self, judge: Judge, ones: Sequence[Known], probes: Probes) -> None:
        self.judge, self.ones, self.probes = judge, ones, probes
        whole = [one for one in range(len(ones)) if ones[one].answers]
        made = signatures(judge, [ones[place].puzzle for place in whole], probes)
        self._lots: dict[tuple[str, str, bytes], list[int]] = defaultdict(list)
        for place, signature in zip(whole, made, strict=True):
            for mark in _marks(signature, ones[place]):
                self._lots[*signature.key, mark].append(place)

    def pairs(self, others: Sequence[Known]) -> list[tuple[int, int]]:
        """The places of those that behave alike, in the order of the others. See `alike`."""
        pairs: list[tuple[int, int]] = []
        said = signatures(self.judge, [other.puzzle for other in others], self.probes)
        for number, (signature, other) in enumerate(zip(said, others, strict=True)):
            lots = (self._lots.get((*signature.key, m), ()) for m in _marks(signature, other))
            found = dict.fromkeys(place for lot in lots for place in lot)
            pairs += [(place, number) for place in list(found)[:MOST_LEADERS]]
        same = crossed(self.judge, [(self.ones[one], others[other]) for one, other in pairs])
        return [pair for pair, yes in zip(pairs, same, strict=True) if yes]


def _connected(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    group: dict[int, set[int]] = {}
    for one, other in sorted(pairs):
        joined = group.get(one, {one}) | group.get(other, {other})
        group |= dict.fromkeys(joined, joined)
    return tuple(sorted({tuple(sorted(places)) for places in group.values()}))
