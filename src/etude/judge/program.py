"""General programs with tests, as in HumanEval and MBPP: which steps it takes to judge one.

The tests and the program never share a process: see `recorded.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import takewhile

from etude.judge.arguments import check_text
from etude.judge.ended import Ended
from etude.judge.limits import Limits
from etude.judge.plans import Plan, Step
from etude.judge.recorded import packed, unpacked
from etude.judge.wire import ASKS, CALLS, ORDER, TESTS
from etude.types import Outcome, Verdict

_MOST_RUNS = 1000
"""Of the tests. Each but the last finds at least one call that was not known, and mostly all: only
where each argument is computed from the result before does it take one for each call."""
_MOST_LIMITS = 10
"""CPU limits that all steps may cost together."""
_MOST_SHORT = 10
"""Times that a program may leave calls unanswered. It may take the whole limit each time, and an
honest one does so only where the tests called it on a wrong guess."""


@dataclass(frozen=True, slots=True)
class Program:
    """A function that a model completed, and the tests that decide about it.

    `prompt + completion` is the program. `tests` are statements that call `entry_point` by its
    name, or define `check(candidate)`. They are believed: they must come from someone who is.

    >>> Program("def add(a, b):\\n", "    return a + b\\n", "assert add(1, 2) == 3", "add").source
    'def add(a, b):\\n    return a + b\\n'
    """

    prompt: str
    completion: str
    tests: str
    entry_point: str

    def __post_init__(self) -> None:
        """Raise `InputError` for a part that is no text."""
        for field in fields(self):
            check_text(f"the {field.name} of a program", getattr(self, field.name))

    @property
    def source(self) -> str:
        """What the model's function is in."""
        return self.prompt + self.completion


def program_plan(program: Program, limits: Limits) -> Plan[list[Verdict]]:
    """One verdict.

    Accepted: the tests ran to their end. Wrong: an assertion did not hold. Mistyped: the function
    returned what is no plain data.
    """
    room = limits.answer_bytes
    prompt, source, tests, entry = (
        text.encode("utf-8", "surrogatepass")
        for text in (program.prompt, program.source, program.tests, program.entry_point)
    )
    if max(len(source), len(tests)) > limits.source_bytes:
        return [Verdict(Outcome.UNPARSED, detail=f"longer than {limits.source_bytes} bytes")]
    calls: list[bytes] = []
    results: list[bytes] = []
    guess, guesses = b"1", True
    cpu, peak = 0.0, 0
    short = 0

    def verdict(ended: Ended, whose: str) -> list[Verdict]:
        seen, why = ended.seen(limits)
        if seen is not None:
            return [Verdict(seen, None, f"{whose}: {why}", cpu, peak)]
        if not ended.results or ended.results[0] >= len(ORDER):
            detail = f"{whose} left without an outcome"
            return [Verdict(Outcome.CRASHED, None, detail, cpu, peak)]
        outcome, detail = ORDER[ended.results[0]], ended.detail.decode("utf-8", "replace")
        # Only the tests accept, and only the zygote's own eyes find a fault.
        if outcome is Outcome.FAULT or (outcome is Outcome.ACCEPTED and whose != "tests"):
            outcome = Outcome.CRASHED
        return [Verdict(outcome, None, detail, cpu, peak)]

    for _ in range(_MOST_RUNS):
        parts = [prompt, tests, entry, guess, packed(calls), packed(results)]
        (ended,) = yield [Step(TESTS, parts, room=room)]
        cpu, peak = cpu + ended.cpu_seconds, max(peak, ended.peak_bytes)
        if ended.seen(limits)[0] is not None and guesses:
            guesses, guess = False, b""  # it may be the guesses that led to no end
            continue
        if ended.seen(limits)[0] is not None or ended.results != bytes([ASKS]):
            return verdict(ended, "tests")
        asked = unpacked(ended.payload)
        same = takewhile(lambda pair: pair[0] == pair[1], zip(calls, asked, strict=False))
        known = min(len(results), sum(1 for _ in same))
        (ended,) = yield [Step(CALLS, [source, entry, *asked], room=room)]
        cpu, peak = cpu + ended.cpu_seconds, max(peak, ended.peak_bytes)
        if cpu > _MOST_LIMITS * limits.cpu_seconds:
            why = f"more than {_MOST_LIMITS} times the CPU limit in all"
            return [Verdict(Outcome.TIMEOUT, None, why, cpu, peak)]
        calls, results = asked, unpacked(ended.payload)[: len(asked)]
        short += len(results) < len(asked)
        if len(results) <= known or short > _MOST_SHORT:
            # The first call without a result is one that the tests certainly make.
            return verdict(ended, "program")
        # What failed otherwise was called on a guess: go on without guessing.
        guess = b"1" if guesses and len(results) == len(asked) else b""
    detail = f"new calls after {_MOST_RUNS:,} runs of the tests: not the same from run to run?"
    return [Verdict(Outcome.UNPARSED, None, detail, cpu, peak)]
