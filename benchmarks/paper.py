"""Completions and verified pairs a minute on one core, beside the paper's procedure.

    python benchmarks/paper.py P3_FOLDER

P3_FOLDER holds P3's `puzzles.json` and `split.json`. Both sides have the same small GPT-Neo
(`paper_model.py`: trained here, for about two minutes), the same prompts (as many of the 155
training puzzles as fit; the five examples and a puzzle), as many samples of each, and the same
core, in turns. One side is etude's stages propose, vet, solve and judge, tables included; the other
is `paper_procedure.py`, which runs what the model wrote without a sandbox. What is solved are the
puzzles that etude's vet kept, on both sides. Time is wall-clock time; the median of the turns
counts. Loading the models is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from etude import config, store
from etude.arm import Arm
from etude.prompts import PAPER_EXAMPLES, renamed, solving_prompt
from etude.propose import propose
from etude.puzzle import parse, without_docstring
from etude.solve import judge, solve
from etude.suites import p3_training
from etude.types import Prompt, Puzzle
from etude.vet import vet
from paper_model import build
from paper_procedure import ROWS, Checker, Writer

PROPOSE = {"new": 200, "temperature": 0.9}
SOLVE = {"new": 150, "temperature": 0.9}
STAGES = ("propose", "vet", "solve", "judge")


@dataclass
class Turn:
    """What one side did in one turn."""

    proposals: int = 0
    solutions: int = 0
    verified: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = time.perf_counter() - start

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def rates(self) -> dict[str, float]:
        """A minute: proposals while proposing, solutions while solving, both and pairs overall."""
        return {
            "proposals": 60 * self.proposals / self.seconds["propose"],
            "solutions": 60 * self.solutions / self.seconds["solve"],
            "completions": 60 * (self.proposals + self.solutions) / self.total,
            "verified pairs": 60 * self.verified / self.total,
        }


def recipe_text(model: Path, seeds: Path, arguments: argparse.Namespace) -> str:
    """The paper's settings."""
    return f"""
name = "paper"
model.base = {json.dumps(str(model))}
model.precision = "fp32"
seeds.source = {json.dumps(str(seeds))}
run.seed = {arguments.seed}
prompt.layout = "paper"
prompt.few_shot = true
[propose]
samples = {arguments.prompts * ROWS}
per_prompt = {ROWS}
temperature = {PROPOSE["temperature"]}
max_new_tokens = {PROPOSE["new"]}
[vet]
rules = "paper"
max_puzzles = {arguments.puzzles}
[solve]
samples = {ROWS}
temperature = {SOLVE["temperature"]}
max_new_tokens = {SOLVE["new"]}
[judge]
cpu_seconds = 1.0
"""


def write_seeds(training: list[Puzzle], path: Path) -> Path:
    """The training puzzles as seed pairs. Only puzzles are shown, so no solution is needed."""
    lines = [
        {"puzzle": renamed(puzzle.source, "f"), "solution": "def g():\n    pass"}
        for puzzle in training
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def ours(arm: Arm, model: Path) -> Turn:
    """One round as far as verdicts."""
    turn = Turn()
    arm.engine(model).fits(Prompt("", ""), 1)  # loaded before the clock starts
    arm.judge.satisfied(parse("def f(x: int): return x == 1"), [1])
    with turn.timing("propose"):
        proposed = propose(arm, 1, model, model)
    with turn.timing("vet"):
        vet(arm, 1)
    with turn.timing("solve"):
        flow = solve(arm, 1, model, model)
    with turn.timing("judge"):
        judged = judge(arm, 1, flow)
    solved = arm.round(1) / "solve"
    turn.proposals, turn.solutions = (len(store.read_stage(at)) for at in (proposed, solved))
    turn.verified = sum(row["outcome"] == "accepted" for row in store.read_stage(judged))
    return turn


def theirs(
    writer: Writer, checker: Checker, proposing: list[Prompt], puzzles: list[Puzzle]
) -> Turn:
    """The same prompts and puzzles, the paper's way."""
    turn = Turn()
    with turn.timing("propose"):
        proposals = [text for prompt in proposing for text in writer.write(prompt, **PROPOSE)]
    with turn.timing("vet"):
        checker.puzzles(proposals)
    with turn.timing("solve"):
        prompts = [solving_prompt(puzzle, PAPER_EXAMPLES) for puzzle in puzzles]
        solutions = [writer.write(prompt, **SOLVE) for prompt in prompts]
    with turn.timing("judge"):
        judged = zip(puzzles, solutions, strict=True)
        turn.verified = sum(checker.verified(puzzle, texts) for puzzle, texts in judged)
    turn.proposals, turn.solutions = len(proposals), sum(map(len, solutions))
    return turn


def prompts_of(arm: Arm) -> list[Prompt]:
    """The prompts of the round's proposals."""
    rows = store.read_stage(arm.round(1) / "propose")
    texts = dict.fromkeys(row["prompt"] for row in rows)
    return [Prompt(text, "def " + text.rpartition("def ")[2]) for text in texts]


def show(name: str, turns: list[Turn]) -> None:
    """A side: medians of its rates, and where its time went."""
    rates = {key: statistics.median(t.rates()[key] for t in turns) for key in turns[0].rates()}
    total = sum(turn.total for turn in turns)
    shares = (f"{s} {100 * sum(t.seconds[s] for t in turns) / total:.0f}%" for s in STAGES)
    print(f"{name:8}" + "".join(f"{rates[key]:12,.0f} {key}" for key in rates))
    print(f"{'':8}  time: {', '.join(shares)}; {sum(t.verified for t in turns):,} pairs verified")


def show_ratios(mine: list[Turn], other: list[Turn]) -> None:
    """The median over the turns of each ratio."""
    pairs = [(a.rates(), b.rates()) for a, b in zip(mine, other, strict=True)]
    ratios = []
    for key in ("proposals", "solutions", "completions", "verified pairs"):
        of = [a[key] / b[key] for a, b in pairs if b[key]]
        ratios.append(f"{key} x {statistics.median(of):.1f}" if of else f"{key} none")
    print("ratio     " + "   ".join(ratios))


def lengths(arm: Arm, tokens: Callable[[str], int]) -> str:
    """How long our samples are, and which share ended by themselves."""
    said = []
    for stage, text in (("propose", "text"), ("solve", "source")):
        rows = store.read_stage(arm.round(1) / stage)
        mean = statistics.mean(tokens(row[text]) for row in rows)
        share = sum(row["finished"] for row in rows) / len(rows)
        said.append(f"{stage}: {mean:.0f} tokens a completion, {100 * share:.0f}% ended")
    return "; ".join(said)


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Both sides in turns. Every turn of ours is the same round again, in a run of its own."""
    training = p3_training(arguments.p3)
    sources = [without_docstring(puzzle.source) for puzzle in training]
    model = arguments.model or build(folder, sources, arguments.documents)
    seeds = write_seeds(training, folder / "seeds.jsonl")
    recipe = config.parse(recipe_text(model, seeds, arguments), "the benchmark's recipe")
    writer, checker = Writer(str(model)), Checker()
    mine, other = [], []
    for number in range(1, arguments.turns + 1):
        run = store.Run.open(folder / f"run-{number}", recipe, {})
        with Arm(run, "verified", lambda _: None) as arm:
            mine.append(ours(arm, model))
            if not mine[-1].solutions:
                sys.exit("not one puzzle was kept; ask for more with --prompts")
            other.append(theirs(writer, checker, prompts_of(arm), arm.puzzles(1)))
            print(f"turn {number}: {mine[-1].total:.1f} s and {other[-1].total:.1f} s", flush=True)
    checker.close()
    print(
        f"{mine[0].proposals} proposals of {arguments.prompts} prompts and {ROWS} attempts at "
        f"{mine[0].solutions // ROWS} puzzles a turn; a minute:"
    )
    show("etude", mine)
    print(f"{'':10}{lengths(arm, writer.tokens)}")
    show("paper", other)
    show_ratios(mine, other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("p3", type=Path, help="the folder with P3's puzzles.json and split.json")
    parser.add_argument("--model", type=Path, help="a folder instead of the model made here")
    parser.add_argument("--documents", type=int, default=3000, help="texts to train it on")
    parser.add_argument("--prompts", type=int, default=2, help="prompts for proposals in a turn")
    parser.add_argument("--puzzles", type=int, default=8, help="puzzles to solve in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))


if __name__ == "__main__":
    main()
