"""Two evaluations of the same problems, compared problem by problem.

Covered: evaluations by `etude evaluate`, and those within a run (`runs/tiny/final`,
`runs/tiny/round-02`). Where one has more attempts, the first ones are taken, as many as the other
has. Not covered: evaluations of different problems, which can't be paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from etude import config, readings, store
from etude.console import Console, aligned, part_heading, wrapped
from etude.errors import InputError
from etude.readings.words import harmless, percent, signed
from etude.stats import (
    Estimate,
    detectable_difference,
    holm,
    mcnemar,
    mean_intervals,
    paired_differences,
    pass_at_all_k,
    sign_flips,
)
from etude.types import Score

MOST_NAMED = 5
"""Problems that are named on each side; machines hear of all."""
CONDITIONS = ("prompt.", "judge.", "evaluate.temperature", "evaluate.max_new_tokens", "engine.")
"""Settings that may make a difference, and are said where they differ."""
OF_PROPOSING = "prompt.shown"
"""A setting of the prompt with which no problem is asked."""

Floats = npt.NDArray[np.float64]
Problems = dict[str, tuple[str, str]]
"""Name of each problem: its id and part, in the order of the suite."""


@dataclass(frozen=True, slots=True)
class Side:
    """One evaluation."""

    place: Path
    """The folder that holds `evaluate/`."""
    recipe: config.Recipe
    suite: str
    samples: int
    ks: tuple[int, ...]
    problems: Problems

    def accepted(self, samples: int) -> dict[str, int]:
        """How many of the first attempts at each problem were accepted."""
        counts = dict.fromkeys(self.problems, 0)
        for row in readings.columns(self.place / "evaluate", ["problem", "draw", "outcome"]):
            if row["draw"] < samples and row["outcome"] == "accepted":
                counts[row["problem"]] += 1
        return counts


@dataclass(frozen=True, slots=True)
class Row:
    """pass@k of both on one part, and their paired difference."""

    part: str
    k: int
    before: Estimate
    after: Estimate
    difference: Estimate
    p: float
    """Two-sided, by flipping signs."""
    p_holm: float
    """Adjusted for all the rows of the comparison."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Problems of one part by who solved them at least once, with McNemar's exact p."""

    part: str
    both: int
    gained: int
    lost: int
    neither: int
    p: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two evaluations say of each other."""

    samples: int
    rows: tuple[Row, ...]
    solved: tuple[Solved, ...]
    detectable: dict[str, float]
    """By part, the smallest difference in pass@1 that such a comparison finds 4 times in 5."""
    changes: dict[str, float]
    """By problem, the difference in pass@1, the largest gain first; equal ones are left out."""


def is_evaluated(place: Path) -> bool:
    """Whether a folder holds a finished evaluation."""
    return (place / "evaluate" / "problems.parquet").is_file()


def read_side(place: Path) -> Side:
    """A finished evaluation. Raises `InputError` when the folder holds none."""
    made = readings.scores(place / "evaluate")
    table = readings.problems(place / "evaluate")
    if not made or not table:
        raise InputError(
            f"{place} must hold a finished evaluation with problems.parquet, but does not. Give "
            "the command again that made it: what is finished is not done twice."
        )
    run = next((one for one in (place, *place.parents) if (one / "recipe.toml").is_file()), place)
    return Side(
        place,
        store.read_recipe(run),
        made[0].suite,
        made[0].samples,
        tuple(readings.ks_of(made)),
        {row["problem"]: (row["problem_id"], row["part"]) for row in table},
    )


def compare(before: Side, after: Side) -> Comparison:
    """The paired comparison. Raises `InputError` when the problems are not the same."""
    check_same_problems(before.place, before.problems, after.place, after.problems)
    samples = min(before.samples, after.samples)
    old, new = before.accepted(samples), after.accepted(samples)
    ks = [k for k in after.ks if k <= samples] or [1]
    parts = list(dict.fromkeys(part for _, part in after.problems.values()))
    rows: list[Row] = []
    solved: list[Solved] = []
    detectable: dict[str, float] = {}
    for part in parts:
        names = [name for name, (_, its) in after.problems.items() if its == part]
        counts = [old[name] for name in names], [new[name] for name in names]
        first, second = (pass_at_all_k(samples, one)[:, [k - 1 for k in ks]] for one in counts)
        rows += _rows(part, ks, first, second)
        solved.append(_solved(part, *counts))
        if len(names) > 1:
            gains = np.subtract(counts[1], counts[0]) / samples
            detectable[part] = detectable_difference(gains.tolist())
    changes = {name: (new[name] - old[name]) / samples for name in after.problems}
    ordered = sorted(changes.items(), key=lambda item: -item[1])
    return Comparison(
        samples,
        _adjusted(rows),
        tuple(solved),
        detectable,
        {name: change for name, change in ordered if change},
    )


def check_same_problems(
    before: str | Path, old: Problems, after: str | Path, new: Problems
) -> None:
    """Raises `InputError` unless two evaluations, named by the paths, ask the same."""
    if old == new:
        return
    ours, theirs = set(new.items()), set(old.items())
    name = min(ours ^ theirs)[0]
    raise InputError(
        f"{after} and {before} must have been asked the same problems to be compared, but "
        f"{len(ours - theirs):,} are the first's alone and {len(theirs - ours):,} the second's, "
        f"for example {harmless(name, lines=1)}. Evaluate both on the same suite and split."
    )


def _rows(part: str, ks: Sequence[int], before: Floats, after: Floats) -> list[Row]:
    found = zip(
        ks,
        mean_intervals(before),
        mean_intervals(after),
        paired_differences(before, after),
        sign_flips(before, after),
        strict=True,
    )
    return [Row(part, k, old, new, gap, p, p) for k, old, new, gap, p in found]


def _adjusted(rows: Sequence[Row]) -> tuple[Row, ...]:
    adjusted = holm([row.p for row in rows])
    return tuple(
        Row(row.part, row.k, row.before, row.after, row.difference, row.p, p)
        for row, p in zip(rows, adjusted, strict=True)
    )


def _solved(part: str, before: Sequence[int], after: Sequence[int]) -> Solved:
    pairs = [(bool(old), bool(new)) for old, new in zip(before, after, strict=True)]
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    both, neither = pairs.count((True, True)), pairs.count((False, False))
    return Solved(part, both, gained, lost, neither, mcnemar(gained, lost))


def show_comparison(console: Console, before: Side, after: Side) -> None:
    """Compare, and print it. Raises `InputError` as `compare` does."""
    found = compare(before, after)
    differing = [
        text
        for text in config.differences(before.recipe, after.recipe)
        if text.startswith(CONDITIONS) and not text.startswith(OF_PROPOSING)
    ]
    console.record(
        "comparison",
        model=str(after.place),
        against=str(before.place),
        settings=differing,
        **asdict(found),
    )
    console.say(f"A  {after.place}\nB  {before.place}")
    if differing:
        console.say(f"asked differently (B -> A): {'; '.join(differing)}")
    for solved in found.solved:
        _show_part(console, after, found, solved)
    _show_changes(console, found)


def _show_part(console: Console, after: Side, found: Comparison, solved: Solved) -> None:
    rows = [row for row in found.rows if row.part == solved.part]
    count = sum(1 for _, part in after.problems.values() if part == solved.part)
    score = Score(after.suite, solved.part, 1, 0.0, 0.0, 0.0, count, found.samples)
    console.say()
    console.say(part_heading(solved.part, [score]), "bold")
    cells = [
        ["", *(f"pass@{row.k}" for row in rows)],
        ["A", *(percent(row.after) for row in rows)],
        ["B", *(percent(row.before) for row in rows)],
        ["A - B", *(signed(row.difference) for row in rows)],
        ["p", *(chance(row.p) for row in rows)],
        ["p, all tests (Holm)", *(chance(row.p_holm) for row in rows)],
    ]
    for line in aligned(cells):
        console.say(line)
    console.say(
        f"  solved at least once: {solved.both} by both, {solved.gained} by A alone, "
        f"{solved.lost} by B alone, {solved.neither} by neither; exact McNemar p {chance(solved.p)}"
    )
    if found.detectable.get(solved.part, 0) > 0:
        console.say(
            f"  such a comparison finds a difference in pass@1 of "
            f"{100 * found.detectable[solved.part]:.1f} points 4 times in 5"
        )


def _show_changes(console: Console, found: Comparison) -> None:
    gains = [(name, change) for name, change in found.changes.items() if change > 0]
    losses = [(name, change) for name, change in reversed(found.changes.items()) if change < 0]
    console.say()
    for title, some in (("better at", gains), ("worse at", losses)):
        named = [f"{harmless(n, lines=1)} {100 * c:+.0f}" for n, c in some[:MOST_NAMED]]
        head = f"A is {title} {len(some)} problems" + ":" * bool(named)
        for line in wrapped([head, *", ".join(named).split(" ")], console.width, "", "  ", " "):
            console.say(line)


def chance(p: float) -> str:
    """A p-value as it is printed: `0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
