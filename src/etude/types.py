"""Everything that travels between stages: frozen, with no behaviour but identity.

Standard library only, so that the judge can be used alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum


def content_id(*parts: str) -> str:
    """A 16-hex-digit id of some texts: equal texts, equal id, on every machine.

    Each part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


class Outcome(StrEnum):
    """What the judge found for one candidate."""

    ACCEPTED = "accepted"
    """`f(g())` is literally `True`, and the answer has exactly the declared type."""
    WRONG = "wrong"
    """`f(answer)` returned something else than `True`."""
    MISTYPED = "mistyped"
    """The answer is not plain data of exactly the declared type."""
    RAISED = "raised"
    """`g()` or `f(answer)` raised an exception."""
    TIMEOUT = "timeout"
    """A step passed its CPU or wall-clock limit."""
    MEMORY = "memory"
    """A step passed its memory limit, or the answer its size limit."""
    CRASHED = "crashed"
    """A step died or left without an answer: a signal, `os._exit`, a stack overflow in C."""
    REFUSED = "refused"
    """A step tried something that the sandbox forbids."""
    UNPARSED = "unparsed"
    """The text is not Python, or holds no function of the expected name."""
    FAULT = "fault"
    """The sandbox itself failed. Run again; never counted against the model."""


@dataclass(frozen=True, slots=True)
class Puzzle:
    """Source of one function `f(answer: T, inputs=defaults) -> bool`."""

    id: str
    """`content_id` of the canonical source: the same for puzzles that differ in names or layout."""
    source: str
    """The function as it was written."""
    name: str
    """The function's name, `f` for ours and `sat` for P3's."""
    answer_type: str
    """Normalised annotation of the first argument, for example `List[int]`."""
    inputs: str
    """The remaining arguments with their defaults, as source: `a=7, b=73`."""
    form: str
    """Canonical source with constants replaced by their types: what near copies share."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Source of one function `g(inputs=defaults)` whose returned value is the answer."""

    source: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What an engine continues."""

    text: str
    """The whole prompt. It ends with `opening`."""
    opening: str
    """The beginning of the function that the model is to finish, such as `def f(`."""
    chat: bool = False
    """True: `text` is one message to a chat model, `opening` is empty, and the reply is taken whole
    until the model ends it."""
    line: bool = False
    """True: what is to be finished is no function but a line, which ends where the next begins."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What an engine wrote after a prompt: everything up to, and not past, the function's end."""

    text: str
    finished: bool
    """False when the token limit came before the end of the function, or of a chat's reply."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What samples cost: summed over the requests to a server."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """In the currency of the recipe's prices."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a model wrote when asked for a solution to one puzzle."""

    id: str
    puzzle_id: str
    draw: int
    source: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found for one candidate."""

    outcome: Outcome
    answer: str | None = None
    """The answer as a Python literal, when one was given; cut to 1,000 characters."""
    detail: str = ""
    """One line for people: the exception, the limit, the signal. Hostile text: escape it."""
    cpu_seconds: float = 0.0
    """CPU time of both steps. Measured, so it differs from run to run."""
    peak_bytes: int = 0
    """The larger peak resident size of the two steps. Measured."""
    stable: bool | None = None
    """Whether a second look, with other chance, time, hashes and places in memory, found the same
    outcome; None when there was none."""


@dataclass(frozen=True, slots=True)
class Example:
    """One training text made from an accepted (puzzle, solution) pair."""

    id: str
    puzzle_id: str
    candidate_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """A function to write that tests decide about, as in HumanEval and MBPP."""

    prompt: str
    """What a model is shown. It ends with `opening`."""
    opening: str
    """The beginning of the function: its header, or up to the end of its docstring."""
    preamble: str
    """What stands before the function in the program that is judged: imports, helpers."""
    tests: str
    entry_point: str

    @property
    def id(self) -> str:
        return content_id(self.prompt, self.preamble, self.tests, self.entry_point)


@dataclass(frozen=True, slots=True)
class Document:
    """One text to train on."""

    text: str
    prompt_characters: int = 0
    """How many characters at the beginning only lead up to what is to be learned: they are read,
    but nothing is learned from predicting them."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One held-out problem of a suite: a puzzle, or an exercise."""

    name: str
    part: str
    """The part of the suite that is scored apart: `constants`, `families`, `humaneval`, `other`."""
    puzzle: Puzzle | None = None
    exercise: Exercise | None = None
    solution: str = ""
    """A reference solution, as the suite has it: a function `g` (`sol`), or the function asked for.
    Empty where it has none."""

    @property
    def task(self) -> Puzzle | Exercise:
        """Whichever of the two it is."""
        task = self.puzzle or self.exercise
        assert task is not None, f"the problem {self.name} asks for nothing"
        return task

    @property
    def id(self) -> str:
        """The same for problems that ask the same, whatever their names."""
        return self.task.id


@dataclass(frozen=True, slots=True)
class Score:
    """pass@k over the problems of one part of a suite, with a 95% interval over problems."""

    suite: str
    part: str
    k: int
    value: float
    low: float
    high: float
    problems: int
    samples: int
    """Attempts per problem."""


@dataclass(frozen=True, slots=True)
class Event:
    """What the loop tells whoever is watching. Readers render it; no stage knows of them."""

    arm: str
    """`verified` for the loop itself, otherwise the name of a control."""
    round: int | None
    """None outside the rounds: pretraining and the final training."""
    stage: str
    done: int
    total: int
    """Units finished and to finish. The stage has ended when they are equal."""
    summary: str = ""
    """One line of counts, given with the last event of a stage."""
    seconds: float = 0.0
