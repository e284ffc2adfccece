"""What a reinforcement is made of, and what it leaves: plain data that travels to where it is done.

`steps.parquet` has a row a step, `samples.parquet` every sample with what it earned, and
`training.json` what was done, as `training.Fitted` says it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.config import ReinforceSection
from etude.reinforce.tasks import Tasks


@dataclass(frozen=True)
class Job:
    """One reinforcement: `tasks` with the model `model`, into the folder `out`."""

    model: str | Path
    out: Path
    tasks: Tasks
    section: ReinforceSection
    seed: int
    solve_tokens: int
    propose_tokens: int
    known: frozenset[str] = frozenset()
    """Ids of puzzles that a proposal must not repeat; their forms, that are no longer new."""
    forms: frozenset[str] = frozenset()
    held_out: frozenset[str] = frozenset()
    examples: tuple[tuple[str, str], ...] = ()
    """Solved examples that are shown when a proposed puzzle is tried."""
    layout: Any = "line"
    paper: bool = False
    watched: bool = True
    """False for the control: its rewards are dealt out by chance, and no monitor stops it."""
    precision: str = "fp32"
    attention: str = "eager"
    threads: int = 1
    judged: str = ""
    """JSON of what the judge's verdicts rest on."""

    def fingerprint(self, weights: str) -> str:
        """Equal for equal arguments: whether a checkpoint belongs to them."""
        asked = [[(task.prompt.text, task.prompt.chat) for task in step] for step in self.steps()]
        told = [weights, self.section.model_dump(), asked, self.seed, self.solve_tokens]
        told += [self.propose_tokens, sorted(self.known), sorted(self.held_out), self.paper]
        told += [self.watched, self.precision, self.attention, self.threads, self.judged]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def steps(self) -> list[Any]:
        """The tasks of every step, and those that are held apart."""
        return [*self.tasks.steps, self.tasks.probe]

    @property
    def updates(self) -> int:
        return len(self.tasks.steps) * self.section.iterations
