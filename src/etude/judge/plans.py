"""Which steps it takes to judge something, and what their ends mean.

A plan is a generator: it yields steps that may be run in any order, each in a process of its own,
gets back how they ended, and returns its result. It runs in the supervisor and looks into no
text: an answer is decoded no further than to show its beginning.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TypeVar

from etude.judge import codec
from etude.judge.ended import Ended
from etude.judge.exchange import DETAIL_BYTES
from etude.judge.limits import Limits
from etude.judge.looks import FIRST, SECOND, Look
from etude.judge.wire import ORDER, PUZZLE, QUIET_PUZZLE, SOLUTION
from etude.types import Outcome, Verdict

_GROUP = 24
"""Solutions whose answers are held at the same time."""
_WORTH_SHARING = 3
_SHARED_BYTES = 16 << 20
"""Answers that are larger together go one by one: a zygote ends at a frame that is too large."""
_QUICK = 0.2
"""Part of the CPU limit within which `f` must answer to be asked about several answers at once."""
_ANSWERS_A_STEP = 256
_MOST_LIMITS = 20
"""CPU limits that all plain answers of one question may cost together, about."""
_SETTLED = frozenset((Outcome.WRONG, Outcome.MISTYPED, Outcome.RAISED))
"""What a shared process is believed. Everything else is asked again in a process of its own."""
_LOOKED_AT_AGAIN = _SETTLED | {Outcome.ACCEPTED}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Step:
    """What one child is to do."""

    kind: bytes
    parts: Sequence[bytes]
    results: int = 1
    """Each has the limits to itself."""
    room: int = 0
    """Bytes for the payload."""
    share: float = 1.0
    """Of the CPU limit."""
    look: Look = FIRST


Plan = Generator[Sequence[Step], Sequence[Ended], Result]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one step came to, for one candidate."""

    outcome: Outcome
    detail: str
    cpu_seconds: float
    peak_bytes: int


class Verification:
    """Judges solutions of one puzzle: each `g()` in a process of its own, then `f(answer)`.

    A puzzle that is quick, and of which its syntax says that it can carry nothing over, is asked
    about several answers in one process. Those it accepts there are asked about once more, each
    in a process of its own; so a puzzle is never believed that something is solved unless a fresh
    copy of it says so.
    """

    def __init__(self, puzzle: Sequence[bytes], limits: Limits, *, twice: bool = False) -> None:
        """`puzzle` is its name and answer type, both empty when they are to be found, and its
        source. `twice` adds a second look."""
        self._puzzle = puzzle
        self._limits = limits
        self._twice = twice
        self._asked: dict[bytes, _Found] = {}

    def plan(self, sources: Sequence[bytes]) -> Plan[list[Verdict]]:
        """A verdict for each source, in order."""
        verdicts: list[Verdict] = []
        for start in range(0, len(sources), _GROUP):
            verdicts += yield from self._group(sources[start : start + _GROUP])
        return verdicts

    def _group(self, sources: Sequence[bytes]) -> Plan[list[Verdict]]:
        room = self._limits.answer_bytes
        ends = yield [Step(SOLUTION, [source], room=room) for source in sources]
        found = [self._found(ended, "g") for ended in ends]
        keys = [_key(ended.payload) for ended in ends]
        new = {
            key: ended.payload
            for key, ended, own in zip(keys, ends, found, strict=True)
            if own.outcome is Outcome.ACCEPTED and key not in self._asked
        }
        yield from self._ask(new)
        verdicts = []
        for key, ended, own in zip(keys, ends, found, strict=True):
            if own.outcome is not Outcome.ACCEPTED:
                verdicts.append(_verdict(own))
                continue
            asked = self._asked[key]
            if new.pop(key, None) is None:  # it was asked about an answer once: counted there
                asked = replace(asked, cpu_seconds=0.0)
            verdicts.append(_joined(own, asked, ended.payload))
        if self._twice:
            data = [ended.payload for ended in ends]
            verdicts = yield from self._second_look(sources, data, verdicts)
        return verdicts

    def _second_look(
        self, sources: Sequence[bytes], answers: Sequence[bytes], verdicts: Sequence[Verdict]
    ) -> Plan[list[Verdict]]:
        """The verdicts, marked as stable or not.

        `f` is asked about each answer again, and `g()` of what was accepted is called again; where
        it gives another answer, `f` is asked about that one too. Whatever the first look did not
        come to the end of, a time-out for example, stays unmarked.
        """
        places = [
            place
            for place, verdict in enumerate(verdicts)
            if verdict.answer is not None and verdict.outcome in _LOOKED_AT_AGAIN
        ]
        accepted = [p for p in places if verdicts[p].outcome is Outcome.ACCEPTED]
        room = self._limits.answer_bytes
        ends = yield [
            *(self._asked_again(answers[place]) for place in places),
            *(Step(SOLUTION, [sources[p]], room=room, look=SECOND) for p in accepted),
        ]
        stable: dict[int, bool] = {
            place: self._found(ended, "f").outcome is verdicts[place].outcome
            for place, ended in zip(places, ends, strict=False)
        }
        others: dict[int, bytes] = {}
        for place, ended in zip(accepted, ends[len(places) :], strict=True):
            if self._found(ended, "g").outcome is not Outcome.ACCEPTED:
                stable[place] = False
            elif ended.payload != answers[place]:
                others[place] = ended.payload
        ends = yield [self._asked_again(data) for data in others.values()]
        for place, ended in zip(others, ends, strict=True):
            stable[place] &= self._found(ended, "f").outcome is Outcome.ACCEPTED
        return [
            replace(verdict, stable=stable.get(place)) for place, verdict in enumerate(verdicts)
        ]

    def _asked_again(self, answer: bytes) -> Step:
        return Step(PUZZLE, [*self._puzzle, answer], look=SECOND)

    def _ask(self, answers: dict[bytes, bytes]) -> Plan[None]:
        """Find what `f` says of each answer, by its key."""
        left = dict(answers)
        if len(left) >= _WORTH_SHARING and sum(map(len, left.values())) <= _SHARED_BYTES:
            together = yield from self._ask_together(left)
            self._asked |= together
            left = {key: data for key, data in answers.items() if key not in together}
        ends = yield [Step(PUZZLE, [*self._puzzle, data]) for data in left.values()]
        for key, ended in zip(left, ends, strict=True):
            self._asked[key] = self._found(ended, "f")

    def _ask_together(self, answers: dict[bytes, bytes]) -> Plan[dict[bytes, _Found]]:
        """What a shared process says, as far as it is believed."""
        room = len(answers) * (DETAIL_BYTES + 1)
        parts = [*self._puzzle, *answers.values()]
        (ended,) = yield [Step(QUIET_PUZZLE, parts, len(answers), room, _QUICK)]
        codes = ended.results
        if not codes:
            return {}
        cpu, peak = ended.cpu_seconds / len(codes), ended.peak_bytes
        if _outcome(codes[0]) is Outcome.UNPARSED:
            found = _Found(Outcome.UNPARSED, _text(ended.detail), cpu, peak)
            return dict.fromkeys(answers, found)
        details = [*_text(ended.payload).split("\n"), *[""] * len(codes)]
        return {
            key: _Found(_outcome(code), detail, cpu, peak)
            for key, code, detail in zip(answers, codes, details, strict=False)
            if _outcome(code) in _SETTLED
        }

    def _found(self, ended: Ended, step: str) -> _Found:
        """What a step came to: the zygote's own eyes first, then what the child said."""
        cpu, peak = ended.cpu_seconds, ended.peak_bytes
        seen, why = ended.seen(self._limits)
        if seen is not None:
            return _Found(seen, f"{step}: {why}", cpu, peak)
        if not ended.results or ended.results[0] >= len(ORDER):
            return _Found(Outcome.CRASHED, f"{step} left without an answer", cpu, peak)
        return _Found(_outcome(ended.results[0]), _text(ended.detail), cpu, peak)


def question(
    puzzle: Sequence[bytes], answers: Sequence[bytes], limits: Limits, look: Look = FIRST
) -> Plan[list[Outcome]]:
    """Whether `f` accepts each answer. They may share a process: one that dies takes one answer
    with it, and the next goes on. A puzzle that has cost too much in sum is asked no further."""
    outcomes: list[Outcome] = []
    spent = 0.0
    while len(outcomes) < len(answers):
        left = answers[len(outcomes) : len(outcomes) + _ANSWERS_A_STEP]
        if spent > _MOST_LIMITS * limits.cpu_seconds:
            return [*outcomes, *[Outcome.TIMEOUT] * (len(answers) - len(outcomes))]
        (ended,) = yield [Step(PUZZLE, [*puzzle, *left], len(left), look=look)]
        spent += ended.cpu_seconds
        said = [_outcome(code) for code in ended.results]
        if said[:1] == [Outcome.UNPARSED]:
            return [Outcome.UNPARSED] * len(answers)
        if len(said) < len(left):
            cause = ended.seen(limits)[0]
            said.append(cause or Outcome.CRASHED)
            if cause in (Outcome.TIMEOUT, Outcome.FAULT):
                # A puzzle that hangs on one would cost the whole limit on each of the others.
                said += [cause] * (len(answers) - len(outcomes) - len(said))
        outcomes += said
    return outcomes


def _key(answer: bytes) -> bytes:
    """What tells answers apart, without holding on to a large one."""
    return answer if len(answer) < 64 else sha256(answer).digest() * 2


def _outcome(code: int) -> Outcome:
    """What a child said, as far as it may say that: a fault is found by the zygote's own eyes."""
    known = code < len(ORDER) and ORDER[code] is not Outcome.FAULT
    return ORDER[code] if known else Outcome.CRASHED


def _text(detail: bytes) -> str:
    return detail.decode("utf-8", "replace")


def _verdict(found: _Found) -> Verdict:
    return Verdict(found.outcome, None, found.detail, found.cpu_seconds, found.peak_bytes)


def _joined(own: _Found, asked: _Found, data: bytes) -> Verdict:
    """The verdict on a solution that gave an answer."""
    try:
        answer = codec.literal(data)
    except codec.Malformed as error:
        detail = f"not an answer: {error}"
        return _verdict(replace(own, outcome=Outcome.CRASHED, detail=detail))
    cpu = own.cpu_seconds + asked.cpu_seconds
    peak = max(own.peak_bytes, asked.peak_bytes)
    return Verdict(asked.outcome, answer, asked.detail, cpu, peak)


def groups(items: Sequence[bytes], most: int, most_bytes: int) -> Iterator[list[bytes]]:
    """Runs of at most `most` items, and of at most so many bytes unless one item is larger."""
    group: list[bytes] = []
    size = 0
    for item in items:
        if group and (len(group) >= most or size + len(item) > most_bytes):
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item)
    if group:
        yield group
