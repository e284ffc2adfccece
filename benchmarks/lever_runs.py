"""The runs that `levers.py` compares: which there are, doing what is owed, and what each says."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import fmean

from etude import store, streams
from etude.judge import Judge
from etude.puzzle import NotAPuzzle, check_rules, parse
from etude.seeds import load_seeds
from etude.tiny.families import REPORTING, TUNING
from etude.tiny.grammar import document
from etude.trivial import trivial_answers
from etude.types import Outcome

SPLITS = {"screen": TUNING[0], "claim": REPORTING[0]}
"""The split of the families of seed 0; the next seeds have the next ones."""
FRESH = 200
"""Puzzles of the fixed set."""
FRESH_SAMPLES = 10
EARLY = 3
"""The round that the last one is held against."""
KS = (1, 10, 100)


@dataclass(frozen=True)
class Member:
    """One lever on one seed."""

    part: str
    seed: int
    lever: str
    settings: tuple[str, ...]
    runs: Path

    @property
    def folder(self) -> Path:
        return self.runs / f"{self.part}-{self.seed}" / self.lever

    @property
    def command(self) -> list[str]:
        words = [sys.executable, "-m", "etude", "run", "tiny", "--out", str(self.folder)]
        own = (f"run.seed={self.seed}", f"seeds.split_seed={SPLITS[self.part] + self.seed}")
        return words + [word for one in (*self.settings, *own) for word in ("--set", one)]

    @property
    def finished(self) -> bool:
        """Whether every rung that its recipe asks for is scored."""
        if not (self.folder / "recipe.toml").exists():
            return False
        recipe = store.read_recipe(self.folder)
        made = [self.folder, *(store.arm_folder(self.folder, one) for one in recipe.controls.arms)]
        return all((one / "final" / "evaluate" / "scores.parquet").exists() for one in made)


def members(part: str, levers: Path, runs: Path, seeds: int) -> Iterator[Member]:
    """Seed by seed, so that what is there at any time can be compared."""
    said = tomllib.loads(levers.read_text("utf-8"))
    for seed in range(seeds):
        for lever, settings in said[part].items():
            yield Member(part, seed, lever, (*said["settings"], *settings), runs)


def work(owed: Sequence[Member], minutes: float, at_once: int) -> None:
    """Run what is owed. After so many minutes what runs is interrupted, and may be continued."""
    ends = time.monotonic() + 60 * minutes
    waiting = list(owed)
    running: dict[Path, subprocess.Popen[bytes]] = {}
    try:
        while (waiting or running) and time.monotonic() < ends:
            while waiting and len(running) < at_once:
                member = waiting.pop(0)
                print(f"{member.part} {member.seed} {member.lever}", flush=True)
                running[member.folder] = _started(member)
            time.sleep(1)
            for folder, process in list(running.items()):
                if process.poll() is not None:
                    del running[folder]
                    if process.returncode:
                        raise SystemExit(f"{folder} ended with {process.returncode}")
    finally:
        for process in running.values():
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()


def _started(member: Member) -> subprocess.Popen[bytes]:
    member.folder.parent.mkdir(parents=True, exist_ok=True)
    log = member.folder.with_suffix(".log").open("ab")
    return subprocess.Popen(member.command, stdout=log, stderr=log)


@cache
def fresh(path: Path) -> frozenset[str]:
    """The fixed set of puzzles, made where it is not there; their ids.

    Each is a random condition of the grammar with a random solution that the judge accepts, and no
    trivial answer does.
    """
    if not path.exists():
        rng, found = random.Random(20), dict[str, str]()
        with Judge() as judge:
            while len(found) < FRESH:
                text, solution = document(rng)
                puzzle = parse(text)
                try:
                    check_rules(puzzle)
                except NotAPuzzle:
                    continue
                trivial = judge.satisfied(puzzle, trivial_answers(puzzle.answer_type))
                if Outcome.ACCEPTED in list(trivial):
                    continue
                if judge.verify(puzzle, solution).outcome is Outcome.ACCEPTED:
                    found[puzzle.id] = text
        lines = [json.dumps({"name": key, "puzzle": text}) for key, text in found.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return frozenset(row["name"] for row in rows)


@dataclass(frozen=True)
class Reading:
    """What one finished arm of a member says."""

    member: Member
    arm: str = "verified"

    @property
    def folder(self) -> Path:
        return store.arm_folder(self.member.folder, self.arm)

    @cached_property
    def scores(self) -> dict[tuple[str, int], float]:
        """Percent by part and k, of the student; `constants@3` of the model of round 3."""
        found = _scores(self.folder / "final")
        rounds = store.read_recipe(self.member.folder).run.rounds
        for number in (EARLY, rounds):
            at = store.round_folder(self.folder, number)
            if (at / "evaluate" / "scores.parquet").exists():
                found |= {(f"{part} round {number}", k): v for (part, k), v in _scores(at).items()}
        return found

    @cached_property
    def fresh(self) -> float:
        """Percent of attempts that solve the fixed puzzles. Attempts are made where they are not
        there."""
        puzzles, out = self.member.runs / "fresh.jsonl", self.folder / "final" / "fresh.jsonl"
        if not out.exists():
            partial = out.with_name(".fresh.jsonl")
            command = [sys.executable, "-m", "etude", "solve", str(puzzles), "--out", str(partial)]
            command += ["--model", str(self.folder / "final" / "train"), "--layout", "line"]
            command += ["--samples", str(FRESH_SAMPLES)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            partial.rename(out)
        rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
        return 100 * fmean(row["outcome"] == "accepted" for row in rows)

    @cached_property
    def forms(self) -> tuple[int, int]:
        """Forms of the solved puzzles of all rounds, and those of them that no human puzzle has."""
        human = {one.puzzle.form for one in load_seeds(store.read_recipe(self.member.folder))}
        solved: set[str] = set()
        for folder in self._rounds():
            accepted = streams.rows(folder / "judge", ["puzzle_id", "outcome"])
            ids = {row["puzzle_id"] for row in accepted if row["outcome"] == "accepted"}
            kept = streams.rows(folder / "vet", ["puzzle_id", "form", "fate"])
            solved |= {one["form"] for one in kept if one["puzzle_id"] in ids}
        return len(solved), len(solved - human)

    def _rounds(self) -> list[Path]:
        """The folders of its rounds; none of a control that has no loop."""
        rounds = store.read_recipe(self.member.folder).run.rounds
        places = (store.round_folder(self.folder, number) for number in range(1, rounds + 1))
        return [place for place in places if place.exists()]

    @cached_property
    def cost(self) -> dict[str, float]:
        """Tokens sampled and trained on, seconds of the judge; round 0 and scoring left out."""
        from etude.engines.transformers.loading import load_tokenizer

        encode = load_tokenizer(self.member.folder / "round-00" / "train").encode
        sampled, judged, trained = 0, 0.0, 0
        for folder in self._rounds():
            for stage, column in (("propose", "text"), ("solve", "source")):
                sampled += sum(
                    len(encode(row[column])) for row in streams.rows(folder / stage, [column])
                )
            for place in sorted(one for one in folder.iterdir() if one.is_dir()):
                judged += _judged(place)
            trained += _trained(folder / "train")
        trained += _trained(self.folder / "final" / "train")
        return {"sampled": sampled, "trained": trained, "judged": judged}


def in_rounds(member: Member, first: int, last: int) -> dict[tuple[str, int], float] | None:
    """The means over some rounds of what their models scored; None where one is not scored yet."""
    places = [store.round_folder(member.folder, number) for number in range(first, last + 1)]
    if not all((one / "evaluate" / "scores.parquet").exists() for one in places):
        return None
    found = [_scores(one) for one in places]
    return {key: fmean(one[key] for one in found) for key in found[0]}


def _judged(stage: Path) -> float:
    segments = streams.segments(stage) if stage.name not in ("evaluate", "train") else []
    measured = [path for path in segments if "cpu_seconds" in store.read_schema(path).names]
    rows = (row for path in measured for row in streams.rows_of(path, ["cpu_seconds"]))
    alone = sum(row["cpu_seconds"] or 0.0 for row in rows)
    if stage.name != "repair":
        return alone
    columns = ["puzzle_id", "search_seconds"]
    searched = (row for path in measured for row in streams.rows_of(path, columns))
    return alone + sum({row["puzzle_id"]: row["search_seconds"] for row in searched}.values())


def _trained(folder: Path) -> int:
    if not (folder / "training.json").exists():
        return 0
    return int(json.loads((folder / "training.json").read_text("utf-8"))["tokens"])


def _scores(folder: Path) -> dict[tuple[str, int], float]:
    rows = store.read_table(folder / "evaluate" / "scores.parquet")
    return {(row["part"], row["k"]): 100 * row["value"] for row in rows if row["k"] in KS}
