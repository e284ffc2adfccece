"""Health: what a round says of itself, held against the recipe's limits.

A loop can look busy while it dies: the same puzzles again, all too easy, of one type. A round's
measures are read from its tables once it has been evaluated. One beyond `health.warn` is told, one
beyond `health.stop` ends the rounds (see `course` for what is kept then).
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from etude import store, streams, tables
from etude.answers import verdicts
from etude.arm import Arm
from etude.cluster import Made, Stage
from etude.course import STOP
from etude.duplicates.keys import digest

ABOVE = frozenset({"duplicates", "accepted", "weak", "unstable", "gap", "drop", "alarm"})
"""Measures that are ill when they are high; all others when they are low."""
MEANINGS = {
    "well_formed": "share of the proposals that are a puzzle",
    "duplicates": "share of these that repeat a known puzzle, or are a held-out problem",
    "kept": "share of the proposals that go on to be solved",
    "accepted": "share of the candidates that are right",
    "solved": "share of the kept puzzles with a right candidate",
    "learnable": "share of the kept puzzles with some right and some wrong candidates",
    "taught": "share of the kept puzzles that became an example",
    "solve_rate": "mean share of right candidates of a puzzle",
    "weak": "share of the kept puzzles that too many strangers' answers satisfy",
    "unstable": "share of the kept puzzles whose verdicts change with chance, time or hashes",
    "novel_forms": "share of the kept puzzles whose form no earlier puzzle has",
    "held_out": "mean over the suite's parts of pass@1 after the round",
    "drop": "how far held_out is below the best earlier round",
    "gap": "solve_rate less held_out",
    "loss": "mean loss a token in the last steps of the round's training",
    "alarm": "1 where the monitor stopped the round's reinforcement",
    "types": "how even the mix of answer types is: 1 where all are as frequent",
}
"""What each measure is, of one round, in the order in which they are read."""
OK = "ok"
WARN = "warn"
Measured = dict[str, float | None]


def examine(arm: Arm, number: int) -> Path:
    """The folder of the round's measures, one row each."""
    folder = arm.round(number) / "health"
    work = partial(_work, number=number)
    with arm.watched(number, "health", 1) as watched:
        flow = arm.flow(Stage(folder, 1, work, tables.HEALTH, "plain", spare=False))
        flow.finish(0, watched.tick)
        watched.summary = summary(store.read_stage(folder))
    return folder


def _work(arm: Arm, _: int, *, number: int) -> Made:
    return Made(rows(arm, number))


def summary(found: list[store.Row]) -> str:
    """What is not well, or that all is."""
    ill = [f"{row['state']}: {words(row)}" for row in found if row["state"] != OK]
    well = sum(row["state"] == OK for row in found)
    return "  ".join([f"{well} measures well", *ill])


def words(row: store.Row) -> str:
    """`learnable 0.04, below 0.10`"""
    limit = row["stop"] if row["state"] == STOP else row["warn"]
    side = "above" if row["measure"] in ABOVE else "below"
    return f"{row['measure']} {row['value']:.3g}, {side} {limit:.3g}"


def meaning(measure: str) -> str:
    """What a measure is, in words; empty for one that this version does not know."""
    if measure.startswith("type "):
        return "share of the kept puzzles with this answer type"
    return MEANINGS.get(measure, "")


def place(measure: str) -> tuple[int, str]:
    """Where a measure stands among all: the parts of the loop in their order, then answer types."""
    known = list(MEANINGS)
    return (known.index(measure) if measure in MEANINGS else len(known), measure)


def rows(arm: Arm, number: int) -> list[store.Row]:
    """All measures of a round with their limits; one that has no value has no state but `ok`."""
    section = arm.recipe.health
    made = []
    for measure, value in measures(arm, number).items():
        limits = {name: getattr(getattr(section, name), measure, None) for name in (WARN, STOP)}
        if measure == "alarm" and arm.recipe.reinforce:
            limits = {WARN: 0.0, STOP: 0.0 if arm.recipe.reinforce.on_alarm == STOP else None}
        state = next((name for name in (STOP, WARN) if _beyond(measure, value, limits[name])), OK)
        made.append({"measure": measure, "value": value, **limits, "state": state})
    return made


def _beyond(measure: str, value: float | None, limit: float | None) -> bool:
    if value is None or limit is None:
        return False
    return value > limit if measure in ABOVE else value < limit


def measures(arm: Arm, number: int) -> Measured:
    """Every measure by its name, from 0 to 1 but for `loss`; None where nothing was counted."""
    folder = arm.round(number)
    vetted = _vetted(arm, number)
    puzzles = _of_puzzles(folder, vetted.fates["kept"])
    return {
        **_of_proposals(vetted),
        **puzzles,
        **_of_probes(folder),
        "novel_forms": _share(vetted.novel, vetted.fates["kept"]),
        **_of_learning(arm, number, puzzles["solve_rate"]),
        **_of_reinforcement(arm, number),
        **_of_types(vetted.types, {puzzle.answer_type for puzzle in arm.shown}),
    }


@dataclass
class _Vetted:
    """What is counted of a round's proposals."""

    fates: Counter[str] = field(default_factory=Counter)
    formed: int = 0
    types: Counter[str] = field(default_factory=Counter)
    """Of the puzzles that were kept."""
    novel: int = 0
    """Of these, how many have a form that no puzzle shown from the start, or kept in an earlier
    round, has."""


def _vetted(arm: Arm, number: int) -> _Vetted:
    known = {digest(puzzle.form) for puzzle in arm.shown}
    for earlier in range(1, number):
        known |= arm.read_once(arm.round(earlier), _forms)
    found = _Vetted()
    columns = ["fate", "puzzle_id", "answer_type", "form"]
    for row in streams.rows(arm.round(number) / "vet", columns):
        found.fates[row["fate"]] += 1
        found.formed += row["puzzle_id"] is not None
        if row["fate"] == "kept":
            found.types[row["answer_type"]] += 1
            found.novel += digest(row["form"]) not in known
    return found


def _of_proposals(vetted: _Vetted) -> Measured:
    asked = vetted.fates.total()
    return {
        "well_formed": _share(vetted.formed, asked),
        "duplicates": _share(vetted.fates["duplicate"] + vetted.fates["held out"], vetted.formed),
        "kept": _share(vetted.fates["kept"], asked),
    }


def _of_puzzles(folder: Path, kept: int) -> Measured:
    """The verdicts on a puzzle stand together, so that one puzzle is counted at a time; those of
    earlier rounds that are tried again are left out."""
    again = {row["puzzle_id"] for row in streams.rows(folder / streams.AGAIN, ["puzzle_id"])}
    found: Counter[str] = Counter()
    rates = array("d")
    for puzzle, tried in groupby(verdicts(folder / "judge"), key=itemgetter("puzzle_id")):
        if puzzle in again:
            continue
        outcomes = Counter(row["outcome"] for row in tried)
        attempts, accepted = outcomes.total(), outcomes["accepted"]
        found.update({"tried": attempts, "accepted": accepted})
        found["solved"] += accepted > 0
        found["between"] += 0 < accepted < attempts
        rates.append(accepted / attempts)
    return {
        "accepted": _share(found["accepted"], found["tried"]),
        "solved": _share(found["solved"], kept),
        "learnable": _share(found["between"], kept),
        "taught": _share(streams.distinct(folder / "select", "puzzle_id", again), kept),
        "solve_rate": math.fsum(rates) / len(rates) if rates else None,
    }


def _of_probes(folder: Path) -> Measured:
    found: Counter[str] = Counter()
    for row in streams.rows(folder / "probe", ["weak", "stable"]):
        found.update(("asked",))
        found["weak"] += row["weak"] is True
        found["unstable"] += row["stable"] is False
    return {name: _share(found[name], found["asked"]) for name in ("weak", "unstable")}


def _forms(folder: Path) -> frozenset[int]:
    return frozenset(digest(puzzle.form) for puzzle in streams.Kept(folder))


def _of_learning(arm: Arm, number: int, own: float | None) -> Measured:
    """Train against held out: `gap` is how much more of its `own` puzzles the model solves."""
    now = held_out(arm.round(number))
    before = [arm.read_once(arm.round(each), held_out) for each in range(1, number)]
    best = max((value for value in before if value is not None), default=None)
    losses = arm.round(number) / "train" / "loss.parquet"
    return {
        "held_out": now,
        "drop": None if now is None or best is None else best - now,
        "gap": None if now is None or own is None else own - now,
        "loss": store.read_table(losses)[-1]["loss"] if losses.exists() else None,
    }


def _of_reinforcement(arm: Arm, number: int) -> Measured:
    """Nothing where there is none."""
    path = arm.round(number) / "reinforce" / "steps.parquet"
    if not path.exists():
        return {}
    return {"alarm": float(store.read_table(path)[-1]["alarm"] is not None)}


def held_out(folder: Path) -> float | None:
    """The mean over the parts of the suite of pass@1 after a round."""
    path = folder / "evaluate" / "scores.parquet"
    scores = store.read_table(path) if path.exists() else []
    first = [row["value"] for row in scores if row["k"] == 1]
    return math.fsum(first) / len(first) if first else None


def _of_types(counts: Counter[str], human: set[str]) -> Measured:
    """The mix of answer types: its entropy as a share of that of an even mix, and each share.

    Even would be a mix of all types that the round or people's puzzles have, so that a type that
    dies out is missed (the evenness of Pielou, 1966).
    """
    kept = counts.total()
    shares = {name: count / kept for name, count in sorted(counts.items())}
    entropy = -math.fsum(share * math.log(share) for share in shares.values())
    kinds = len(human | counts.keys())
    spread = None if not kept else 1.0 if kinds == 1 else abs(entropy) / math.log(kinds)
    return {"types": spread, **{f"type {name}": share for name, share in shares.items()}}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def ill(found: list[store.Row]) -> Iterator[str]:
    """One line for each measure beyond a limit."""
    return (f"{row['state']}: {words(row)}" for row in found if row["state"] != OK)
