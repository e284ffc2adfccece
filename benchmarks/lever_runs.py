"""The runs that `levers.py` compares: which there are, doing what is owed, and what each says."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from etude import config, store, streams
from etude.errors import InputError
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


Key = tuple[str, int, str, str]


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
    def every_setting(self) -> list[str]:
        own = (f"run.seed={self.seed}", f"seeds.split_seed={SPLITS[self.part] + self.seed}")
        return [*self.settings, *own]

    @property
    def command(self) -> list[str]:
        words = [sys.executable, "-m", "etude", "run", "tiny", "--out", str(self.folder)]
        return words + [word for one in self.every_setting for word in ("--set", one)]

    @cached_property
    def recipe(self) -> str:
        """The sum of the settings of `tiny` and the lever that are not those of any recipe: a new
        one that both leave alone changes nothing."""
        said = config.load("tiny", self.every_setting).model_dump(
            mode="json", exclude_defaults=True
        )
        for section in said.values():
            if isinstance(section, dict) and section.get("tokens"):
                section.pop("epochs", None)  # in whose place they are
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def key(self) -> Key:
        """What its readings are known by."""
        return self.part, self.seed, self.lever, self.recipe

    @property
    def arms(self) -> list[str]:
        return ["verified", *store.read_recipe(self.folder).controls.arms]


def members(part: str, levers: Path, runs: Path, seeds: int) -> Iterator[Member]:
    """Seed by seed, so that what is there at any time can be compared."""
    said = _said(levers)
    for seed in range(seeds):
        for lever, settings in said[part].items():
            yield Member(part, seed, lever, (*said["settings"], *settings), runs)


def controls(levers: Path) -> dict[str, list[str]]:
    """The levers that are controls of another, by its name."""
    said = _said(levers)
    known = [*said["screen"], *said["claim"]]
    for lever, others in said["controls"].items():
        for name in (lever, *others):
            if name not in known:
                raise InputError(
                    f"{levers}, [controls] must name levers of [screen] or [claim], but {name!r} "
                    f"is none. There are: {', '.join(known)}."
                )
    return dict(said["controls"])


def _said(levers: Path) -> dict[str, Any]:
    """What the file holds. Raises `InputError` where that is not what it must be."""
    try:
        said = tomllib.loads(levers.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{levers} must be TOML, but can't be read: {error}.") from None
    parts = {"settings": [], "screen": {}, "claim": {}, "controls": {}} | said
    lists = [parts["settings"]]
    for name in ("screen", "claim", "controls"):
        lists += parts[name].values() if isinstance(parts[name], dict) else [None]
    if parts.keys() - {"settings", "screen", "claim", "controls"} or not all(
        isinstance(one, list) and all(isinstance(word, str) for word in one) for one in lists
    ):
        raise InputError(
            f"{levers} must hold a list of texts, settings, and tables of such lists, [screen], "
            "[claim] and [controls], and nothing else, but holds other things."
        )
    return parts


def work(
    owed: Sequence[Member], minutes: float, at_once: int, ended: Callable[[Member], None]
) -> None:
    """Run what is owed; `ended` hears of each that is finished.

    After so many minutes what runs is interrupted, and may be continued.
    """
    ends = time.monotonic() + 60 * minutes
    waiting = list(owed)
    running: dict[Path, tuple[Member, subprocess.Popen[bytes]]] = {}
    try:
        while (waiting or running) and time.monotonic() < ends:
            while waiting and len(running) < at_once:
                member = waiting.pop(0)
                print(f"{member.part} {member.seed} {member.lever}", flush=True)
                running[member.folder] = member, _started(member)
            time.sleep(1)
            for folder, (member, process) in list(running.items()):
                if process.poll() is not None:
                    del running[folder]
                    if process.returncode:
                        raise SystemExit(f"{folder} ended with {process.returncode}")
                    ended(member)
    finally:
        for _, process in running.values():
            process.send_signal(signal.SIGINT)
        for _, process in running.values():
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

    part: str
    seed: int
    lever: str
    settings: tuple[str, ...]
    """All but those of the seed, for who reads this; `recipe` is what it is known by."""
    arm: str
    rounds: int
    scores: dict[str, float]
    """Percent, of the student as `families@10`, of a round's model as `families@10 round 3`."""
    fresh: float
    """Percent of attempts that solve the fixed puzzles."""
    forms: tuple[int, int] | None
    """Of the solved puzzles of all rounds, and those of them that no human puzzle has. None where
    there is no loop."""
    cost: dict[str, float]
    """Tokens sampled and trained on, seconds of the judge; round 0 and scoring left out."""
    code: str
    """The commit whose run it is."""
    recipe: str
    """The sum of the settings (see `Member`)."""

    @property
    def key(self) -> Key:
        return self.part, self.seed, self.lever, self.recipe


def commit() -> str:
    """This clone's, with a `+` where files differ from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def measure(member: Member, arm: str, code: str) -> Reading:
    """Read a finished arm. The fixed puzzles are attempted by its student first."""
    folder = store.arm_folder(member.folder, arm)
    return Reading(
        part=member.part,
        seed=member.seed,
        lever=member.lever,
        settings=member.settings,
        arm=arm,
        rounds=store.read_recipe(member.folder).run.rounds,
        scores=_every_score(member, folder),
        fresh=_fresh(member, folder),
        forms=_forms(member, folder),
        cost=_cost(member, folder),
        code=code,
        recipe=member.recipe,
    )


def read_all(path: Path) -> list[Reading]:
    """The readings that a file holds, the last of each; none where there is no file."""
    found: dict[tuple[Key, str], Reading] = {}
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            one = _reading(json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path}, line {number}, must be a reading as this program writes it, but is not "
                f"({error}). Remove it: its run is read, or made, again."
            ) from None
        found[one.key, one.arm] = one
    return list(found.values())


def _reading(row: dict[str, Any]) -> Reading:
    told = {"settings": tuple(row["settings"]), "forms": row["forms"] and tuple(row["forms"])}
    return Reading(**row | told)


def keep(path: Path, new: Sequence[Reading]) -> list[Reading]:
    """Put readings beside those that the file holds by now, which another process may have written;
    all of them."""
    lock = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        every = {(one.key, one.arm): one for one in (*read_all(path), *new)}
        found = sorted(every.values(), key=lambda one: (one.part, one.seed))
        lines = [f"{json.dumps(asdict(one))}\n" for one in found]
        store.write_atomically(path, "".join(lines).encode())
    finally:
        os.close(lock)
    return found


def _every_score(member: Member, folder: Path) -> dict[str, float]:
    found = {f"{part}@{k}": value for (part, k), value in _scores(folder / "final").items()}
    for number, place in _rounds(member, folder).items():
        if (place / "evaluate" / "scores.parquet").exists():
            made = _scores(place).items()
            found |= {f"{part}@{k} round {number}": value for (part, k), value in made}
    return {key: round(value, 3) for key, value in found.items()}


def _rounds(member: Member, folder: Path) -> dict[int, Path]:
    """The folders of an arm's rounds; none of a control that has no loop."""
    last = store.read_recipe(member.folder).run.rounds
    places = {number: store.round_folder(folder, number) for number in range(1, last + 1)}
    return {number: place for number, place in places.items() if place.exists()}


def _fresh(member: Member, folder: Path) -> float:
    puzzles, out = member.runs / "fresh.jsonl", folder / "final" / "fresh.jsonl"
    if not out.exists():
        partial = out.with_name(".fresh.jsonl")
        command = [sys.executable, "-m", "etude", "solve", str(puzzles), "--out", str(partial)]
        command += ["--model", str(folder / "final" / "train"), "--layout", "line"]
        command += ["--samples", str(FRESH_SAMPLES)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        partial.rename(out)
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return round(100 * fmean(row["outcome"] == "accepted" for row in rows), 3)


def _forms(member: Member, folder: Path) -> tuple[int, int] | None:
    human = {one.puzzle.form for one in load_seeds(store.read_recipe(member.folder))}
    solved: set[str] = set()
    for place in _rounds(member, folder).values():
        accepted = streams.rows(place / "judge", ["puzzle_id", "outcome"])
        ids = {row["puzzle_id"] for row in accepted if row["outcome"] == "accepted"}
        kept = streams.rows(place / "vet", ["puzzle_id", "form", "fate"])
        solved |= {one["form"] for one in kept if one["puzzle_id"] in ids}
    return (len(solved), len(solved - human)) if _rounds(member, folder) else None


def _cost(member: Member, folder: Path) -> dict[str, float]:
    from etude.engines.transformers.loading import load_tokenizer

    encode = load_tokenizer(member.folder / "round-00" / "train").encode
    sampled, judged, trained = 0, 0.0, 0
    for place in _rounds(member, folder).values():
        for stage, column in (("propose", "text"), ("solve", "source")):
            sampled += sum(
                len(encode(row[column])) for row in streams.rows(place / stage, [column])
            )
        for stage in sorted(one for one in place.iterdir() if one.is_dir()):
            judged += _judged(stage)
        trained += _trained(place / "train")
    trained += _trained(folder / "final" / "train")
    return {"sampled": sampled, "trained": trained, "judged": round(judged, 1)}


def in_rounds(member: Member, first: int, last: int) -> dict[tuple[str, int], float] | None:
    """The means over some rounds of what their models scored; None where one is not scored yet."""
    _check_whose(member)
    places = [store.round_folder(member.folder, number) for number in range(first, last + 1)]
    if not all((one / "evaluate" / "scores.parquet").exists() for one in places):
        return None
    found = [_scores(one) for one in places]
    return {key: fmean(one[key] for one in found) for key in found[0]}


def _check_whose(member: Member) -> None:
    """Raises `InputError` where another run lies in the folder."""
    if not (member.folder / "recipe.toml").exists():
        return
    found = store.read_recipe(member.folder).model_dump(exclude={"model": {"precision"}})
    wanted = config.load("tiny", member.every_setting).model_dump(exclude={"model": {"precision"}})
    differs = [name for name in wanted if found[name] != wanted[name]]
    if differs:
        raise InputError(
            f"{member.folder} must be the run of {member.part}, seed {member.seed}, "
            f"{member.lever}, but differs from it in {', '.join(differs)}. Remove it."
        )


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
