"""The judge as scorers for inspect_ai (the extra `inspect`): of puzzles, of programs with tests.

    Task(dataset=[Sample(input=..., metadata={"puzzle": "def f(x: int): ..."})],
         solver=generate(), scorer=etude_scorer())

Only this module and `inspect_tasks`, which has whole suites, import inspect_ai:
`pip install 'etude[inspect]'`.
"""

from __future__ import annotations

import atexit
import threading
from dataclasses import asdict
from functools import cache

from etude.errors import Fault, InputError
from etude.judge import Judge, Limits, Program
from etude.readings.words import printable
from etude.replies import solution_source
from etude.types import Outcome, Verdict

try:
    import anyio.to_thread
    from inspect_ai.scorer import (
        CORRECT,
        INCORRECT,
        Score,
        Scorer,
        Target,
        accuracy,
        scorer,
        stderr,
    )
    from inspect_ai.solver import TaskState
except ImportError as error:
    raise InputError(
        f"etude.scorers needs inspect_ai ({error}): pip install 'etude[inspect]'"
    ) from error

_LIMITS = Limits()
_starting = threading.Lock()


@scorer(metrics=[accuracy(), stderr()])
def etude_scorer(
    puzzle: str = "puzzle",
    prefix: str = "",
    workers: int | None = None,
    cpu_seconds: float = _LIMITS.cpu_seconds,
    isolation: str = "auto",
) -> Scorer:
    """Correct when the judge accepts the model's solution: `f(g()) is True`.

    The text of `f` is in the sample's metadata under the key `puzzle`, else it is the target. The
    model's solution is found as `replies.solution_source` says; `prefix` is what the prompt ended
    with. The others are the judge's, as of `Judge`; scorers with the same ones share its sandboxes,
    which start with the first sample. The score's metadata has the verdict and its conditions.

    When the sandbox itself fails, `Fault` is raised: inspect_ai then records an error and no score,
    and goes by `retry_on_error` and `fail_on_error`. `InputError` is raised for a sample without a
    puzzle.
    """
    judge = (workers, Limits.of_cpu(cpu_seconds), isolation)

    async def score(state: TaskState, target: Target) -> Score:
        text = _puzzle(state, target, puzzle)
        source = solution_source(state.output.completion, prefix)
        return await _scored(judge, (text, source), source)

    return score


@scorer(metrics=[accuracy(), stderr()])
def etude_program_scorer(
    workers: int | None = None,
    cpu_seconds: float = _LIMITS.cpu_seconds,
    isolation: str = "auto",
) -> Scorer:
    """Correct when the model's function passes its tests, which run where it can't reach them.

    The sample's metadata has `tests`, `entry_point`, and `preamble`, what stands before the
    function. All else is as with `etude_scorer`.
    """
    judge = (workers, Limits.of_cpu(cpu_seconds), isolation)

    async def score(state: TaskState, target: Target) -> Score:
        found = [_text(state, key) for key in ("preamble", "tests", "entry_point")]
        preamble, tests, entry = found
        source = solution_source(state.output.completion)
        return await _scored(judge, Program(f"{preamble}\n", source, tests, entry), source)

    return score


JudgeSettings = tuple[int | None, Limits, str]
Question = tuple[str, str] | Program
"""A puzzle and a solution, or a program with its tests."""


async def _scored(judge: JudgeSettings, question: Question, source: str) -> Score:
    # A thread of anyio's, since inspect_ai runs with trio as well as with asyncio.
    verdict, conditions = await anyio.to_thread.run_sync(
        _verified, judge, question, abandon_on_cancel=True
    )
    if verdict.outcome is Outcome.FAULT:
        raise Fault(f"the sandbox failed, so there is no score: {printable(verdict.detail)}")
    return Score(
        value=CORRECT if verdict.outcome is Outcome.ACCEPTED else INCORRECT,
        answer=source,
        explanation=_explanation(verdict),
        metadata={**asdict(verdict), "outcome": str(verdict.outcome), "judge": conditions},
    )


def _verified(judge: JudgeSettings, question: Question) -> tuple[Verdict, str]:
    """The verdict of the judge with these settings, and under which conditions."""
    with _starting:  # two samples that come first would otherwise both start one
        started = _started(*judge)
    conditions = str(started.conditions)
    if isinstance(question, Program):
        return started.verify_program(question), conditions
    return started.verify(*question), conditions


@cache
def _started(workers: int | None, limits: Limits, isolation: str) -> Judge:
    """A judge that is closed when the interpreter ends: a scorer is not told when it is done."""
    judge = Judge(workers, limits, isolation)
    atexit.register(judge.close)
    return judge


def _puzzle(state: TaskState, target: Target, key: str) -> str:
    text = (state.metadata or {}).get(key, target.text)
    if not isinstance(text, str) or not text.strip():
        raise InputError(
            f"sample {state.sample_id!r} must have a puzzle, as text under {key!r} in its "
            f"metadata or as its target, but has {text!r}"
        )
    return text


def _text(state: TaskState, key: str) -> str:
    text = (state.metadata or {}).get(key)
    if not isinstance(text, str):
        raise InputError(
            f"sample {state.sample_id!r} must have a text under {key!r} in its metadata, but has "
            f"{text!r}"
        )
    return text


def _explanation(verdict: Verdict) -> str:
    """The verdict in a line: `accepted, answer 2`."""
    words = [str(verdict.outcome)]
    if verdict.detail:
        words.append(printable(verdict.detail))
    if verdict.answer is not None:
        words.append(f"answer {printable(verdict.answer)}")
    return ", ".join(words)
