"""The scored members of a sweep, and the first of them against the others on the same problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from etude import readings, store
from etude.stats import Estimate, paired_difference, pass_at_k
from etude.types import Score

PLACES = {
    "verified": "final/evaluate",
    "seeds": "round-00/evaluate",
    "pretrained": "final/evaluate",
    "unverified": "final/evaluate",
    "more-epochs": "final/evaluate",
    "evaluation": "evaluate",
}
"""Where the scores of an arm are, below its folder; `evaluation` is one of `etude evaluate`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a sweep's table."""

    label: str
    folder: Path
    """The folder of its attempts and scores."""
    scores: tuple[Score, ...]

    def score(self, part: str, k: int) -> Score | None:
        return next((s for s in self.scores if (s.part, s.k) == (part, k)), None)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row minus the first, paired by problem, in pass@k from 0 to 1."""

    label: str
    part: str
    k: int
    difference: Estimate


def row_of(label: str, member: Path, arm: str) -> Row | None:
    """The row of one arm of a member; None while it has not been scored."""
    above = member if arm in ("seeds", "evaluation") else store.arm_folder(member, arm)
    folder = above / PLACES[arm]
    made = readings.scores(folder)
    return Row(label, folder, tuple(made)) if made else None


def compared(rows: Sequence[Row]) -> list[Difference]:
    """Every row against the first, for each part and k that both have of the same problems."""
    if not rows:
        return []
    first, *others = rows
    before, asked = readings.attempts(first.folder), _asked(first)
    found = []
    for row in others:
        after, theirs = readings.attempts(row.folder), _asked(row)
        for score in row.scores:
            base = first.score(score.part, score.k)
            same = asked.get(score.part) == theirs.get(score.part)
            if base and same and base.suite == score.suite:
                made = _paired(before, after, base, score)
                found.append(Difference(row.label, score.part, score.k, made))
    return found


def _asked(row: Row) -> dict[str, dict[str, str]]:
    """By part, the name and id of each problem: a name alone may stand for another problem."""
    found: dict[str, dict[str, str]] = {}
    for problem in readings.problems(row.folder):
        found.setdefault(problem["part"], {})[problem["problem"]] = problem["problem_id"]
    return found


def _paired(
    before: readings.Attempts, after: readings.Attempts, old: Score, new: Score
) -> Estimate:
    """A problem without an attempt, as its prompt did not fit, was not solved."""
    was, now = before.get(old.part, {}), after.get(new.part, {})
    names = sorted(was.keys() | now.keys())
    untried = [0.0] * (new.problems - len(names))

    def rates(counts: dict[str, tuple[int, int]]) -> list[float]:
        known = {name: pass_at_k(*counts[name], new.k) for name in counts}
        return [known.get(name, 0.0) for name in names] + untried

    return paired_difference(rates(was), rates(now))
