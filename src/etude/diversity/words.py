"""The verb `etude diversity`: what was measured, for people, for machines, and as a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from etude import store
from etude.console import Console, aligned, wrapped
from etude.diversity.learning import BANDS, Learning, learning
from etude.diversity.measuring import measure
from etude.diversity.results import Cluster, Diversity, Group
from etude.errors import InputError
from etude.readings.words import harmless

POINTS = pa.schema(
    [
        ("puzzle_id", pa.string()),
        ("group", pa.string()),  # human, held out, round N
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("cluster", pa.int64()),
        ("nearest", pa.float64()),  # distance to the nearest other human puzzle
        ("source", pa.string()),
    ]
)
CLUSTERS = 5
"""Clusters that are shown."""


def show_diversity(folder: Path, console: Console, out: Path | None, **options: Any) -> None:
    """Measure, and show. `options` are those of `measure`. Raises `InputError` as it does."""
    found = measure(folder, **options)
    if found is None:
        raise InputError(
            f"{folder} must be a run with puzzles to measure, but no round has kept one yet. "
            f"See it with `etude show {folder}`."
        )
    learned = learning(folder)
    _record(console, found, learned)
    for line in aligned(_group_rows(found.groups)):
        console.say(line)
    for line in explained(found):
        for shown in wrapped(line.split(" "), console.width, "", "  ", " "):
            console.say(shown)
    _show_clusters(console, found)
    _show_learning(console, learned)
    if out is not None:
        rows = [asdict(point) for point in found.points]
        store.write_table(out, rows, POINTS, {"vectors": found.vectors, "map": found.map})
        console.record("map", path=str(out), points=len(rows))
        console.say(f"\nmap: {out}")


def _record(console: Console, found: Diversity, learned: Sequence[Learning]) -> None:
    console.record("diversity", vectors=found.vectors, map=found.map, notes=found.notes)
    for group in found.groups:
        console.record("group", **_finite(asdict(group)))
    for cluster in found.clusters:
        console.record("cluster", **asdict(cluster) | {"counts": dict(cluster.counts)})
    for one in learned:
        bands = dict(zip(BANDS, one.bands, strict=True))
        console.record("learning", **_finite(asdict(one)) | {"bands": bands})


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: what is not known is null."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }


def _group_rows(groups: Sequence[Group]) -> list[list[str]]:
    of = f"of {max(group.matched for group in groups):,}"
    rows = [
        ["", "puzzles", "forms", f"forms {of}", f"Vendi score {of}", f"coverage {of}",
         "nearest", "human form"]
    ]  # fmt: skip
    for one in groups:
        rows.append(
            [
                one.name,
                f"{one.puzzles:,}",
                f"{one.forms:,}",
                _number(one.matched_forms, "{:.1f}"),
                _interval(one.vendi, one.vendi_low, one.vendi_high),
                _interval(100 * one.coverage, 100 * one.coverage_low, 100 * one.coverage_high),
                _number(one.nearest, "{:.3f}"),
                _number(100 * one.human_forms, "{:.1f}"),
            ]
        )
    return rows


def _number(value: float, shape: str) -> str:
    return "-" if math.isnan(value) else shape.format(value)


def _interval(value: float, low: float, high: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f} [{low:.1f}, {high:.1f}]"


def explained(found: Diversity) -> list[str]:
    """What the numbers are of, a sentence a line."""
    return [
        f"Vectors: {found.vectors}.",
        "Coverage, in percent, is of clusters of human puzzles (of human ones: by other human "
        "puzzles), nearest the mean distance to a human puzzle (to another one), human form the "
        "percentage that has the form of a human puzzle (of another one).",
        *(f"{note[0].upper()}{note[1:]}." for note in found.notes),
    ]


def _show_clusters(console: Console, found: Diversity) -> None:
    alone = [cluster for cluster in found.clusters if not cluster.human and cluster.generated]
    missed = [cluster for cluster in found.clusters if cluster.human and not cluster.generated]
    _clusters(console, "clusters without a human puzzle", alone, "generated")
    _clusters(console, "clusters of human puzzles without a generated one", missed, "human")


def _clusters(console: Console, title: str, found: Sequence[Cluster], counted: str) -> None:
    if not found:
        console.say(f"\n{title}: none")
        return
    console.say(f"\n{title}: {len(found):,}", "bold")
    largest = sorted(found, key=lambda one: (-getattr(one, counted), one.number))[:CLUSTERS]
    for one in largest:
        text = harmless(" ".join(one.source.split()), lines=1, width=80)
        console.say(f"  {getattr(one, counted):>5,}  {text}")


def _show_learning(console: Console, learned: Sequence[Learning]) -> None:
    if not learned:
        return
    console.say("\nlearnability p(1 - p), and how often the puzzles were solved", "bold")
    rows = [["", "puzzles", "all", "taught", *BANDS]]
    for one in learned:
        mean = one.learnability
        cells = [f"{one.puzzles:,}", f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}]"]
        cells.append(_number(one.taught, "{:.3f}"))
        rows.append([f"round {one.round}", *cells, *(f"{count:,}" for count in one.bands)])
    for line in aligned(rows):
        console.say(line)
