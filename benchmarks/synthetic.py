"""A run folder of any size, with tables of every stage, for measuring what reads them.

    python benchmarks/synthetic.py FOLDER --candidates 1000000

The puzzles are drawn from the grammar that the default model is pretrained on; outcomes, details,
scores and losses are drawn by chance in the proportions of a real run. Nothing was sampled by a
model or judged, so that the folder says nothing about learning. Of 20 proposals 3 repeat an
earlier puzzle: verbatim, with other names, with other constants. The same arguments give the same
bytes. There are no checkpoints.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from etude import config, store, suites, tables
from etude.evaluate import write_scores
from etude.judge import Limits
from etude.judge.record import METADATA_KEY, Conditions
from etude.puzzle import NotAPuzzle, parse
from etude.seeds import load_seeds
from etude.tiny import grammar
from etude.types import Problem, Puzzle, content_id

ATTEMPTS = 12
"""Candidates a puzzle, as in the recipe `tiny`."""
PROPOSALS = 3
"""Proposals for each puzzle that is kept."""
PUZZLES_PER_UNIT = 100
OUTCOMES = {
    "accepted": 12, "wrong": 42, "unparsed": 23, "raised": 19, "mistyped": 3, "timeout": 1,
}  # fmt: skip
DETAILS = {
    "raised": ("NameError: name 'nums' is not defined", "IndexError: list index out of range",
               "TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
    "unparsed": ("SyntaxError: unmatched ')' (solution, line 1)",
                 "SyntaxError: '(' was never closed (solution, line 1)"),
    "mistyped": ("str, not int", "tuple, not list"),
    "timeout": ("g: more than 0.5 s of CPU time",),
}  # fmt: skip
LOSS = pa.schema(
    [
        ("step", pa.int64()),
        ("epoch", pa.float64()),
        ("loss", pa.float64()),
        ("learning_rate", pa.float64()),
        ("tokens", pa.int64()),
    ]
)
Pair = tuple[Puzzle, str]


@dataclass(frozen=True)
class Scale:
    """How much of everything."""

    candidates: int
    rounds: int
    seed: int

    @property
    def puzzles(self) -> int:
        """Kept puzzles a round of one arm; half of the candidates are the control's."""
        return max(1, self.candidates // (2 * self.rounds * ATTEMPTS))


def write_run(folder: Path, candidates: int, *, rounds: int = 3, seed: int = 0) -> None:
    """Write a finished run with so many candidates, half of them of the control `unverified`."""
    scale = Scale(candidates, rounds, seed)
    settings = [
        f"run.rounds={rounds}", f"vet.max_puzzles={scale.puzzles}", f"solve.samples={ATTEMPTS}",
        f"propose.samples={scale.puzzles * PROPOSALS}",
    ]  # fmt: skip
    recipe = config.load("tiny", settings).model_copy(update={"name": "synthetic"})
    run = store.Run.open(folder, recipe, {"versions": {}, "machine": "synthetic"})
    problems = suites.load("tiny", folder=None, split_seed=recipe.seeds.split_seed)
    parents = [pair.puzzle.id for pair in load_seeds(recipe)]
    write_seeds(folder, parents)
    for arm in ("verified", "unverified"):
        place = store.arm_folder(run.folder, arm)
        for number in range(1, rounds + 1):
            write_round(store.round_folder(place, number), scale, arm, number, parents)
            write_training(store.round_folder(place, number) / "train")
    ranked = [
        (folder / "controls" / "pretrained" / "final", 0.04, 128),
        (folder / "round-00", 0.13, 128),
        *((store.round_folder(folder, n), 0.13 + 0.02 * n, 32) for n in range(1, rounds + 1)),
        (folder / "controls" / "more-epochs" / "final", 0.18, 128),
        (folder / "controls" / "unverified" / "final", 0.17, 128),
        (folder / "final", 0.22, 128),
    ]
    for place, rate, samples in ranked:
        write_evaluation(place / "evaluate", problems, rate, samples, seed)
    for place in ("round-00/pretrain", "round-00/train", "final/train"):
        write_training(folder / place)
    for arm in ("unverified", "more-epochs"):
        write_training(folder / "controls" / arm / "final" / "train")


def conditions() -> dict[str, str]:
    """What verdicts would rest on."""
    limits = Limits(cpu_seconds=0.5, wall_seconds=5.0, memory_bytes=256 << 20)
    return {METADATA_KEY: Conditions(2, "full", "3.11.9", "linux-x86_64", limits).as_json()}


def write_seeds(folder: Path, parents: list[str]) -> None:
    row: store.Row = {"name": "", "outcome": "accepted", "answer": "1", "detail": ""}
    rows = [row | {"puzzle_id": each, "cpu_seconds": 1e-3, "peak_bytes": 1} for each in parents]
    path = store.unit_path(folder / "round-00" / "seeds", 0)
    store.write_table(path, rows, tables.SEEDS, conditions())


def write_round(folder: Path, scale: Scale, arm: str, number: int, parents: list[str]) -> None:
    """Propose, vet, solve, judge and select of one round."""
    rng = random.Random(f"{scale.seed} {arm} {number}")
    pairs = write_vetted(folder, scale.puzzles, rng, parents)
    examples: list[store.Row] = []
    for unit in range(0, len(pairs), PUZZLES_PER_UNIT):
        rows = [
            row for pair in pairs[unit : unit + PUZZLES_PER_UNIT] for row in attempts(pair, rng)
        ]
        at = unit // PUZZLES_PER_UNIT
        note = {"etude.engine": json.dumps({"engine": f"transformers:round-{number - 1:02d}"})}
        write(store.unit_path(folder / "solve", at), rows, tables.SOLVE, note)
        write(store.unit_path(folder / "judge", at), rows, tables.JUDGE, conditions())
        examples += [row for row in rows if row["text"]]
    write(store.unit_path(folder / "select", 0), examples, tables.SELECT)


def write(
    path: Path, rows: list[store.Row], schema: pa.Schema, notes: dict[str, str] | None = None
) -> None:
    """A segment with the columns of the schema; what else the rows hold is left out."""
    store.write_table(
        path, [{name: row[name] for name in schema.names} for row in rows], schema, notes
    )


def write_vetted(folder: Path, puzzles: int, rng: random.Random, parents: list[str]) -> list[Pair]:
    """The proposals of a round and their fates; the pairs that are kept."""
    kept: list[Pair] = []
    proposed: list[store.Row] = []
    vetted: list[store.Row] = []
    known: set[str] = set()
    for text, solution in proposals(rng):
        proposed.append(proposal(len(proposed), text, rng, parents))
        fate, puzzle = fate_of(text, known, rng)
        vetted.append(vetting(proposed[-1]["proposal_id"], fate, puzzle))
        if fate == "kept":
            kept.append((puzzle, solution))
            known.add(puzzle.id)
        if len(kept) == puzzles:
            break
    for unit in range(0, len(proposed), 512):
        path = store.unit_path(folder / "propose", unit // 512)
        store.write_table(path, proposed[unit : unit + 512], tables.PROPOSE)
    store.write_table(store.unit_path(folder / "vet", 0), vetted, tables.VET, conditions())
    return kept


def proposals(rng: random.Random) -> Iterator[tuple[str, str]]:
    """Texts of puzzles with a solution each, forever: new ones, broken ones and copies."""
    recent: list[tuple[str, str]] = []
    for number in range(1 << 60):
        if number % 20 >= 17 and recent:
            yield copied(*rng.choice(recent), how=number % 20)
            continue
        pair = grammar.document(rng)
        recent = [*recent[-200:], pair]
        yield (pair[0][: len(pair[0]) // 2], pair[1]) if number % 20 >= 8 else pair


def copied(puzzle: str, solution: str, how: int) -> tuple[str, str]:
    """Verbatim, with another name for the answer, or with other numbers."""
    if how == 18:
        puzzle = re.sub(r"\bx\b", "answer", puzzle)
    if how == 19:
        puzzle = re.sub(r"\b(\d+)\b", lambda found: str(int(found[1]) + 1), puzzle)
    return puzzle, solution


def proposal(number: int, text: str, rng: random.Random, parents: list[str]) -> store.Row:
    shown = rng.sample(parents, 2)
    return {
        "proposal_id": f"{rng.getrandbits(64):016x}",
        "draw": number % 512,
        "parents": shown,
        "prompt": "def f(x: int, a=7): return x + a == 9\ndef f(",
        "text": text.removeprefix("def f("),
        "finished": True,
    }


def fate_of(text: str, known: set[str], rng: random.Random) -> tuple[str, Puzzle]:
    """The fate of a proposal; its puzzle counts only where it is one."""
    try:
        puzzle = parse(text)
    except NotAPuzzle:
        return "unparsed", Puzzle("", "", "f", "", "", "")
    if puzzle.id in known:
        return "duplicate", puzzle
    return rng.choice(["kept", "kept", "kept", "trivial", "broken rule"]), puzzle


def vetting(proposal_id: str, fate: str, puzzle: Puzzle) -> store.Row:
    row: store.Row = dict.fromkeys(tables.VET.names)
    row |= {"proposal_id": proposal_id, "fate": fate, "detail": ""}
    if fate != "unparsed":
        row |= {
            "puzzle_id": puzzle.id,
            "source": puzzle.source,
            "answer_type": puzzle.answer_type,
            "inputs": puzzle.inputs,
            "form": puzzle.form,
        }
    return row


def attempts(pair: Pair, rng: random.Random) -> list[store.Row]:
    """The candidates of a puzzle with their verdicts, and at most one example."""
    puzzle, solution = pair
    rate = rng.betavariate(0.3, 1.2)
    outcomes = [drawn(rng, rate) for _ in range(ATTEMPTS)]
    accepted = outcomes.count("accepted")
    first = outcomes.index("accepted") if 0 < accepted < ATTEMPTS else -1
    return [
        attempt(puzzle, solution, draw, outcome, rng)
        | {"solve_rate": accepted / ATTEMPTS, "text": ""}
        | (example(puzzle, solution) if draw == first else {})
        for draw, outcome in enumerate(outcomes)
    ]


def drawn(rng: random.Random, rate: float) -> str:
    if rng.random() < rate:
        return "accepted"
    failures = [name for name in OUTCOMES if name != "accepted"]
    return rng.choices(failures, [OUTCOMES[name] for name in failures])[0]


def attempt(
    puzzle: Puzzle, solution: str, draw: int, outcome: str, rng: random.Random
) -> store.Row:
    source = solution if outcome == "accepted" else f"{solution} + {rng.randrange(1000)}"
    return {
        "candidate_id": f"{rng.getrandbits(64):016x}",
        "puzzle_id": puzzle.id,
        "draw": draw,
        "source": source[:-1] if outcome == "unparsed" else source,
        "finished": True,
        "outcome": outcome,
        "answer": str(rng.randrange(1000)) if outcome in ("accepted", "wrong") else None,
        "detail": rng.choice(DETAILS.get(outcome, ("",))),
        "cpu_seconds": rng.uniform(5e-4, 2e-3),
        "peak_bytes": 17_600_000 + rng.randrange(1 << 20),
        "stable": None,
    }


def example(puzzle: Puzzle, solution: str) -> store.Row:
    text = f"{puzzle.source}\n{solution}\n"
    return {"text": text, "example_id": content_id(text)}


def write_evaluation(
    stage: Path, problems: list[Problem], rate: float, samples: int, seed: int
) -> None:
    """Attempts and scores of all problems; some problems are much easier than others."""
    rng = random.Random(f"{seed} {stage.parent.name}")
    rows: list[store.Row] = []
    for problem in problems:
        ease = rng.betavariate(rate, 1 - rate)
        rows += [evaluated(problem, draw, drawn(rng, ease), rng) for draw in range(samples)]
    store.write_table(store.unit_path(stage, 0), rows, tables.EVALUATE, conditions())
    ks = [k for k in (1, 10, 20, 100) if k <= samples]
    write_scores(stage, rows, problems, "tiny", ks, samples)


def evaluated(problem: Problem, draw: int, outcome: str, rng: random.Random) -> store.Row:
    assert problem.puzzle is not None
    row = attempt(problem.puzzle, "def g(a=7): return a", draw, outcome, rng)
    row |= {"problem": problem.name, "part": problem.part}
    return {name: row[name] for name in tables.EVALUATE.names}


def write_training(out: Path) -> None:
    rows = [
        {"step": step, "epoch": step / 100, "loss": 0.4 + 40 / (step + 40), "learning_rate": 1e-3,
         "tokens": 1024 * step}
        for step in range(10, 101, 10)
    ]  # fmt: skip
    store.write_table(out / "loss.parquet", rows, LOSS)
    report = {"documents": 1000, "too_long": 0, "steps": 100, "tokens": 102_400}
    store.write_atomically(out / "training.json", json.dumps(report, indent=2).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_run(options.folder, options.candidates, rounds=options.rounds, seed=options.seed)


if __name__ == "__main__":
    main()
