"""The reference solutions of P3, judged by default limits: all accepted but for a known few."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etude.judge import Judge, Limits
from etude.types import Outcome

SHARED = Path(__file__).parents[1].parent / "shared" / "p3" / "puzzles.json"

# docs/judge.md gives the reasons.
KNOWN = {"ExponentialCoinMoves:0": Outcome.MEMORY}
SLOW = {"Mastermind:0", "Mastermind:1", "Mastermind:2"}
"""Two to four seconds: which side of the limit that is, is up to the machine."""


@pytest.mark.slow
def test_reference_solutions_are_accepted() -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is absent")
    puzzles = [puzzle for puzzle in json.loads(SHARED.read_text()) if puzzle["sol_bodies"]]
    jobs = [(p["sat"], [p["sol_header"] + "\n" + p["sol_bodies"][0]]) for p in puzzles]
    # Twice the usual limit: Nash:4 and Kirkman:0 take most of a second.
    with Judge(workers=1, limits=Limits(cpu_seconds=2)) as judge:
        verdicts = [verdict for (verdict,) in judge.verify_all(jobs)]
    assert len(verdicts) > 1600
    odd = {
        puzzle["name"]: verdict
        for puzzle, verdict in zip(puzzles, verdicts, strict=True)
        if verdict.outcome is not Outcome.ACCEPTED
    }
    assert all(odd.pop(name).outcome is Outcome.TIMEOUT for name in SLOW & odd.keys())
    assert {name: verdict.outcome for name, verdict in odd.items()} == KNOWN
