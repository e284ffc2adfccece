"""The only place where text written by a model runs.

    with Judge() as judge:
        verdict = judge.verify(puzzle, solution)

A verdict is accepted when `f(g()) is True`, with an answer of exactly the declared type. See
`docs/judge.md` for what is enforced and how.
"""

from etude.judge.isolation import LEVELS as ISOLATION_LEVELS
from etude.judge.judge import Judge, usable_cores
from etude.judge.limits import Limits
from etude.judge.pairs import (
    BrokenLine,
    Exam,
    Pair,
    judge_file,
    judge_pairs,
    read_lines,
    read_pairs,
    read_sources,
)
from etude.judge.program import Program
from etude.judge.record import JUDGE_VERSION, Conditions

__all__ = [
    "ISOLATION_LEVELS",
    "JUDGE_VERSION",
    "BrokenLine",
    "Conditions",
    "Exam",
    "Judge",
    "Limits",
    "Pair",
    "Program",
    "judge_file",
    "judge_pairs",
    "read_lines",
    "read_pairs",
    "read_sources",
    "usable_cores",
]
