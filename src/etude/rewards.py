"""The judge as a reward for TRL's GRPOTrainer: 1 for a solution that is proved right, otherwise 0.

    with Judge() as judge:
        GRPOTrainer(model, reward_funcs=SolverReward(judge), train_dataset=rows, ...).train()

`rows` have a column `prompt`, and a column `puzzle` with the text of `f`. TRL is not imported here:
what is called like its reward functions may be used by any other trainer.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from etude.errors import Fault, InputError
from etude.judge import Judge
from etude.replies import solution_source
from etude.types import Outcome, Verdict

MOST_FAULTS = 20
"""Completions in a row on which the sandbox may fail before there is no point in going on."""

_log = logging.getLogger(__name__)


class SolverReward:
    """A reward for each completion: 1.0 when the judge accepts it, otherwise 0.0.

    A completion on which the sandbox itself failed gets None, which TRL leaves out, and a warning;
    20 in a row raise `Fault`. Where the trainer takes them, the share of each outcome is logged as
    `etude/OUTCOME`, and the outcome of each completion as the extra column `outcome`.

    >>> with Judge(workers=1) as judge:
    ...     reward = SolverReward(judge, prefix="def g(")
    ...     puzzles = ["def f(x: int, a=7): return x + a == 9"] * 2
    ...     reward([], ["a=7): return 9 - a", "a=7): return a"], puzzle=puzzles)
    [1.0, 0.0]
    """

    def __init__(
        self,
        judge: Judge,
        *,
        puzzle_column: str = "puzzle",
        prefix: str = "",
        prefix_column: str | None = None,
    ) -> None:
        """`prefix` is what the prompts end with and completions go on with, such as `def g(`.

        Where it differs from prompt to prompt, `prefix_column` names a column that holds it.
        Without either a completion holds the whole solution, in a fenced block or as it stands:
        see `replies.solution_source`. Raises `InputError` when both are given.
        """
        if prefix and prefix_column is not None:
            raise InputError(
                f"the prefix must be given once, but both prefix={prefix!r} and "
                f"prefix_column={prefix_column!r} were given"
            )
        self.__name__ = "solver_reward"  # what TRL's logs call it
        self._judge = judge
        self._puzzle_column = puzzle_column
        self._prefix = prefix
        self._prefix_column = prefix_column
        self._faults_in_a_row = 0

    def __call__(
        self, prompts: Sequence[object], completions: Sequence[object], **columns: object
    ) -> list[float | None]:
        """Rewards in the order of `completions`: texts, or lists of chat messages.

        `columns` has the dataset's other columns, a value for each completion, and whatever else
        the trainer hands over; `prompts` are not looked at. Raises `InputError` when the puzzles
        are missing or no text, `Fault` when the sandbox fails again and again.
        """
        puzzles = _texts(columns, self._puzzle_column, len(completions))
        if self._prefix_column is None:
            prefixes = [self._prefix] * len(completions)
        else:
            prefixes = _texts(columns, self._prefix_column, len(completions))
        sources = [solution_source(*pair) for pair in zip(completions, prefixes, strict=True)]
        verdicts = list(self._verdicts(puzzles, sources))
        _tell_trainer(columns, [verdict.outcome for verdict in verdicts])
        self._watch(verdicts)
        return [_reward(verdict.outcome) for verdict in verdicts]

    def _verdicts(self, puzzles: Sequence[str], sources: Sequence[str]) -> Iterator[Verdict]:
        """Neighbours with the same puzzle, such as a group's completions, are judged together."""
        pairs = zip(puzzles, sources, strict=True)
        groups = itertools.groupby(pairs, key=lambda pair: pair[0])
        jobs = ((puzzle, [source for _, source in group]) for puzzle, group in groups)
        for verdicts in self._judge.verify_all(jobs):
            yield from verdicts

    def _watch(self, verdicts: Sequence[Verdict]) -> None:
        """Say that the sandbox failed, and raise `Fault` when it does nothing else."""
        faults = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAULT]
        if not faults:
            self._faults_in_a_row = 0
            return
        for verdict in verdicts:
            failed = verdict.outcome is Outcome.FAULT
            self._faults_in_a_row = self._faults_in_a_row + 1 if failed else 0
            if self._faults_in_a_row >= MOST_FAULTS:
                raise Fault(
                    f"the sandbox failed on {MOST_FAULTS} completions in a row (lastly: "
                    f"{verdict.detail!r}), so there is nothing to reward"
                )
        _log.warning(
            "the sandbox failed on %d of %d completions, which get no reward (lastly: %s)",
            *(len(faults), len(verdicts), repr(faults[-1].detail)),
        )


def _reward(outcome: Outcome) -> float | None:
    return None if outcome is Outcome.FAULT else float(outcome is Outcome.ACCEPTED)


def _texts(columns: Mapping[str, object], name: str, count: int) -> list[str]:
    """A column of texts. Raises `InputError` when it is not one, or not of that length."""
    values = columns.get(name)
    if values is None:
        known = ", ".join(sorted(columns)) or "none"
        raise InputError(f"the dataset must have a column {name!r}, but its columns are: {known}")
    expected = f"the column {name!r} must have a text for each of {count} completions"
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(f"{expected}, but is of type {type(values).__name__}")
    if len(values) != count:
        raise InputError(f"{expected}, but has {len(values)}")
    for value in values:
        if not isinstance(value, str):
            raise InputError(
                f"the column {name!r} must hold text, but holds something of type "
                f"{type(value).__name__}"
            )
    return list(values)


def _tell_trainer(columns: Mapping[str, object], outcomes: Sequence[Outcome]) -> None:
    """TRL hands over two functions for what a reward wants logged; older ones neither."""
    log_extra, log_metric = columns.get("log_extra"), columns.get("log_metric")
    if callable(log_extra):
        log_extra("outcome", [str(outcome) for outcome in outcomes])
    if callable(log_metric) and outcomes:
        counts = Counter(outcomes)
        for outcome in Outcome:
            log_metric(f"etude/{outcome}", counts[outcome] / len(outcomes))
