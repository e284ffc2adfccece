"""What the stages `probe` and `screen` found, and what was dropped for it: counts of a round.

An older run has none of these stages: what is not there is left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from etude import readings, store, tables
from etude.generality import REPAIRS, TURNS, is_accepted, repairs, turns

SEEN_PARTS = ("constants",)
"""Parts of a suite whose problems have the seeds' own forms: to meet these is no invention."""


@dataclass(frozen=True, slots=True)
class Probed:
    """The counts of a round's `probe`."""

    puzzles: int
    weak: int
    unstable: int
    idle: int
    """Puzzles with an argument whose value changed no verdict."""


@dataclass(frozen=True, slots=True)
class Reinvented:
    """The kept puzzles of a round that are, but for constants, problems of held-out families."""

    round: int
    refused: int
    """Proposals that were problems of the suite themselves, and so were no puzzles to keep."""
    form: frozenset[str]
    """Ids of puzzles of the form of such a problem."""
    behaviour: frozenset[str]
    """Ids of puzzles that behave as such a problem."""
    taught: int
    """Of these puzzles, how many became examples."""
    problems: frozenset[str]
    families: frozenset[str]

    @property
    def puzzles(self) -> frozenset[str]:
        return self.form | self.behaviour


def probed(arm: Path, number: int) -> Probed | None:
    """None where a round has not been probed."""
    stage = store.round_folder(arm, number) / "probe"
    rows = list(readings.columns(stage, ["weak", "stable", "idle_arguments"]))
    if not any(stage.glob("[0-9]*.parquet")):
        return None
    return Probed(
        len(rows),
        sum(bool(row["weak"]) for row in rows),
        sum(row["stable"] is False for row in rows),
        sum(bool(row["idle_arguments"]) for row in rows),
    )


def varied(arm: Path, number: int) -> Counter[str]:
    """Variants that solutions of a round were tried on: how many, and of them solved; and how many
    were tried on none, as they are held out."""
    names = ["puzzle_id", "variant_id", "outcome"]
    said: dict[tuple[str, str], set[str]] = {}
    for row in readings.columns(store.round_folder(arm, number) / "vary", names):
        said.setdefault((row["puzzle_id"], row["variant_id"]), set()).add(row["outcome"])
    held_out = sum("held out" in outcomes for outcomes in said.values())
    found = Counter(variants=len(said) - held_out)
    found["solved"] = sum("accepted" in outcomes for outcomes in said.values())
    found["held out"] = held_out
    return found


def rewritten(arm: Path, number: int) -> Counter[str]:
    """What became of the rewritten pairs that the judge accepted."""
    stage = store.round_folder(arm, number) / "hindsight"
    return Counter(row["fate"] for row in readings.columns(stage, ["fate"]) if row["fate"])


def repaired(arm: Path, number: int) -> Counter[str]:
    """Puzzles that nobody solved, solutions tried on them, and how many puzzles they solve."""
    return repairs(readings.columns(store.round_folder(arm, number) / "repair", REPAIRS))


def turned(arm: Path, number: int) -> Counter[str]:
    """Puzzles that were made of attempts, and how many of them were solved."""
    folder = store.round_folder(arm, number) / "turn"
    return turns(readings.columns(folder, list(TURNS)))


def told(arm: Path, number: int) -> Counter[str]:
    """Docstrings of puzzles, those that were tried, and those that their puzzle was solved by."""
    folder = store.round_folder(arm, number)
    faults = [row["fault"] for row in readings.columns(folder / "describe", ["fault"])]
    found = Counter({"docstrings": len(faults), "tried": faults.count("")})
    rows = readings.columns(folder / "retell", ["description_id", "outcome", "stable"])
    solved = {row["description_id"] for row in rows if is_accepted(row)}
    return found + Counter({"solved by": len(solved)})


def derived(arm: Path, number: int) -> Counter[str]:
    """Examples that were made from pairs, by their origin."""
    stage = store.round_folder(arm, number) / "derive"
    return Counter(row["origin"] for row in readings.columns(stage, ["origin"]))


def dropped(arm: Path, number: int) -> Counter[str]:
    """Examples that a round left out, by the reason: `near a held-out problem`, ..."""
    found: Counter[str] = Counter()
    folder = store.round_folder(arm, number)
    for stage in ("turn", "select", "derive"):
        for path in store.segments(folder / stage):
            note = (store.read_schema(path).metadata or {}).get(tables.DROPPED.encode())
            found.update(json.loads(note) if note else {})
    return found


def reinvented(arm: Path) -> list[Reinvented]:
    """How often the model re-invented a held-out family, by round; the screened rounds alone."""
    return [
        _reinvented(arm, number)
        for number in readings.rounds(arm)
        if any((store.round_folder(arm, number) / "screen").glob("[0-9]*.parquet"))
    ]


def _reinvented(arm: Path, number: int) -> Reinvented:
    folder = store.round_folder(arm, number)
    hits = [
        row
        for row in readings.columns(folder / "screen", ["problem", "part", "level", "puzzle_id"])
        if row["part"] not in SEEN_PARTS and row["level"] in ("canonical", "form", "behaviour")
    ]
    alike = {row["puzzle_id"] for row in hits if row["level"] == "behaviour"}
    form = {row["puzzle_id"] for row in hits if row["level"] != "behaviour"}
    taught = {row["puzzle_id"] for row in readings.columns(folder / "select", ["puzzle_id"])}
    fates = readings.columns(folder / "vet", ["fate"])
    return Reinvented(
        number,
        sum(row["fate"] == "held out" for row in fates),
        frozenset(form),
        frozenset(alike),
        len(taught & (form | alike)),
        frozenset(row["problem"] for row in hits),
        frozenset(row["problem"].partition("/")[0] for row in hits),
    )


def reinvented_words(found: Sequence[Reinvented]) -> str:
    """One line over all rounds; empty where none was screened."""
    if not found:
        return ""
    rounds = ", ".join(f"{len(one.puzzles):,}" for one in found)
    everything = frozenset().union(*(one.puzzles for one in found))
    behaviour = frozenset().union(*(one.behaviour for one in found))
    problems = frozenset().union(*(one.problems for one in found))
    families = frozenset().union(*(one.families for one in found))
    return (
        f"held-out families re-invented: {len(everything):,} puzzles ({rounds} by round; "
        f"{len(behaviour):,} of them by behaviour), {sum(one.taught for one in found):,} taught, "
        f"near {len(problems):,} problems of {len(families):,} families; "
        f"{sum(one.refused for one in found):,} proposals were problems of the suite, and refused"
    )
