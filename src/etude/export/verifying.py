"""Pairs judged on their way out: the seed pairs, which no table vouches for, and all with --verify.

Covered: verdicts under the run's limits, pairs that are no longer accepted. Those never leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from etude import domains, store
from etude.arm import checked, limits_of
from etude.attempts import verdict_columns
from etude.export.pairs import judged_columns
from etude.judge import Judge
from etude.seeds import load_seeds
from etude.types import Outcome, Verdict, content_id

MOST_LISTED = 1_000


@dataclass
class Refusals:
    """Pairs that the judge did not accept on their way out."""

    count: int = 0
    listed: list[store.Row] = field(default_factory=list)
    """The first of them, with the verdict."""

    def add(self, row: store.Row, verdict: Verdict) -> None:
        self.count += 1
        if len(self.listed) < MOST_LISTED:
            names = ("round", "puzzle_id", "candidate_id", "name")
            known = {name: row.get(name) for name in names}
            now = "unstable" if verdict.stable is False else str(verdict.outcome)
            self.listed.append(known | {"outcome": now, "detail": store.escaped(verdict.detail)})


def judge_of(run: store.Run) -> Judge:
    """A judge under the run's own limits. Raises `InputError` where its isolation can't be had."""
    section = run.recipe.judge
    return Judge(section.workers, limits_of(section), section.isolation, twice=section.twice)


def seed_rows(run: store.Run, judge: Judge, refused: Refusals) -> Iterator[list[store.Row]]:
    """The human-written pairs of the run that the judge accepts, as rows of round 0."""
    layout, domain = run.recipe.prompt.layout, domains.named(run.recipe.domain)
    rows = []
    for pair in load_seeds(run.recipe):
        text = domain.example_text(pair.puzzle.source, pair.solution, layout=layout)
        rows.append(
            {
                "source": "human",
                "round": 0,
                "puzzle_id": pair.puzzle.id,
                "example_id": content_id(text),
                "puzzle": pair.puzzle.source,
                "solution": pair.solution,
                "answer_type": pair.puzzle.answer_type,
                "inputs": pair.puzzle.inputs,
                "whole_form": pair.puzzle.form,
                "name": pair.name or None,
            }
        )
    return verified([rows], judge, refused)


def verified(
    batches: Iterable[list[store.Row]], judge: Judge, refused: Refusals
) -> Iterator[list[store.Row]]:
    """The rows that the judge accepts, with what it found now; the others go into `refused`.

    Raises `Fault` when the sandbox failed: that is no verdict.
    """
    judged = judged_columns(judge.conditions.as_dict())
    for rows in batches:
        groups = [list(group) for _, group in groupby(rows, lambda row: str(row["puzzle"]))]
        jobs = [(group[0]["puzzle"], [row["solution"] for row in group]) for group in groups]
        kept = []
        for group, verdicts in zip(groups, judge.verify_all(jobs), strict=True):
            for row, verdict in zip(group, checked(verdicts), strict=True):
                if verdict.outcome is Outcome.ACCEPTED and verdict.stable is not False:
                    found = verdict_columns(verdict)
                    now = {name: found[name] for name in ("answer", "cpu_seconds")}
                    kept.append(row | judged | now | {"stable": verdict.stable})
                else:
                    refused.add(row, verdict)
        yield kept
