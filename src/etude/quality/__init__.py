"""Quality: what a run's accepted solutions look like beside people's. A reader, with a judge.

Covered: length, cyclomatic complexity and lint, by the text; CPU time of solution and puzzle
together, of all groups anew and by turns, so that they are compared on one machine. Not covered:
how hard the puzzles are, which differ between the groups: a shorter solution may be that of an
easier puzzle.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from etude import readings, store
from etude.arm import checked, limits_of
from etude.config import Recipe
from etude.console import Console, aligned, wrapped
from etude.errors import InputError
from etude.judge import Judge
from etude.quality.measures import lints, measured
from etude.query import Tables
from etude.seeds import load_seeds
from etude.stats import Estimate, mean_interval
from etude.types import Outcome

HUMAN = "human"
TIMED = 100
"""Pairs of a group whose time is taken, at most."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The accepted pairs of one group, of which some were drawn."""

    name: str
    total: int
    drawn: tuple[tuple[str, str], ...]
    """Source of the puzzle and of the solution. Hostile text."""


@dataclass(frozen=True, slots=True)
class Quality:
    """One group's solutions. Means are over the solutions that were measured, with 95% intervals;
    None where none could be.

    All but the times are the same whenever they are asked for.
    """

    name: str
    solutions: int
    """Distinct accepted solutions: of one puzzle each source once."""
    measured: int
    characters: Estimate | None
    lines: Estimate | None
    complexity: Estimate | None
    findings: Estimate | None
    """Of pyflakes, a solution; None also where it is not installed."""
    cpu_seconds: float | None
    """The median CPU time of both steps. Measured, so it differs from time to time."""
    timed: int


def quality(folder: Path, *, limit: int = 2_000, seed: int = 0, time: bool = True) -> list[Quality]:
    """People's solutions, then the accepted ones of each round of the loop.

    Args:
        limit: solutions that are measured of a group, at most; drawn by a hash of their ids.
        time: judge up to 100 pairs of each group for the CPU time that they take.

    Raises:
        InputError: the folder is no run, its seeds are not there, or it has no accepted solution.
    """
    if limit < 1:
        raise InputError(f"--limit must be at least 1 but is {limit}.")
    recipe = store.read_recipe(folder)
    if readings.is_evaluation(recipe):
        raise InputError(f"{folder} must be a run but holds an evaluation.")
    groups = [_people(recipe, limit, seed), *_rounds(folder, limit, seed)]
    if len(groups) < 2:
        raise InputError(
            f"{folder} must hold accepted solutions to look at, but has none yet. "
            f"See it with `etude show {folder}`."
        )
    times = _times(recipe, groups) if time else [[] for _ in groups]
    return [_quality(group, taken) for group, taken in zip(groups, times, strict=True)]


def _people(recipe: Recipe, limit: int, seed: int) -> Pairs:
    pairs = {(one.puzzle.id, one.solution): one for one in load_seeds(recipe)}
    order = sorted(pairs, key=lambda key: (_hash("".join(key), seed), key))[:limit]
    drawn = tuple((pairs[key].puzzle.source, pairs[key].solution) for key in order)
    return Pairs(HUMAN, len(pairs), drawn)


def _hash(text: str, seed: int) -> str:
    data = f"{text}{seed}".encode("utf-8", "surrogatepass")
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


_ACCEPTED = """
with accepted as (
    select v.round, v.puzzle_id, c.source, min(v.candidate_id) as candidate_id
    from verdicts v join candidates c
        on c.arm = v.arm and c.round = v.round and c.candidate_id = v.candidate_id
    where v.arm = 'verified' and v.outcome = 'accepted' and v.stable is distinct from false
    group by v.round, v.puzzle_id, c.source
),
counted as (
    select *, count(*) over (partition by round) as total, row_number() over (
        partition by round order by md5(candidate_id || ?), candidate_id
    ) as place from accepted
)
select a.round, a.total, p.source as puzzle, a.source as solution
from counted a join (
    select round, puzzle_id, min(source) as source from puzzles
    where arm = 'verified' group by round, puzzle_id
) p on p.round = a.round and p.puzzle_id = a.puzzle_id
where a.place <= ? order by a.round, a.place
"""


def _rounds(folder: Path, limit: int, seed: int) -> list[Pairs]:
    with Tables(folder) as tables:
        rows = tables.rows(_ACCEPTED, [str(seed), limit])
    found: dict[int, list[store.Row]] = {}
    for row in rows:
        found.setdefault(row["round"], []).append(row)
    return [
        Pairs(f"round {n}", of[0]["total"], tuple((row["puzzle"], row["solution"]) for row in of))
        for n, of in found.items()
    ]


def _times(recipe: Recipe, groups: Sequence[Pairs]) -> list[list[float]]:
    """CPU seconds of each group's first pairs that are accepted again; by turns, as a machine may
    slow down."""
    longest = max(len(group.drawn) for group in groups)
    turns = [
        (place, pair)
        for number in range(min(TIMED, longest))
        for place, group in enumerate(groups)
        for pair in group.drawn[number : number + 1]
    ]
    times: list[list[float]] = [[] for _ in groups]
    with Judge(1, limits_of(recipe.judge), recipe.judge.isolation) as judge:
        jobs = ((puzzle, [solution]) for _, (puzzle, solution) in turns)
        for (place, _), verdicts in zip(turns, judge.verify_all(jobs), strict=True):
            (verdict,) = checked(verdicts)
            if verdict.outcome is Outcome.ACCEPTED:
                times[place].append(verdict.cpu_seconds)
    return times


def _quality(group: Pairs, times: Sequence[float]) -> Quality:
    read = [found for _, solution in group.drawn if (found := measured(solution))]
    return Quality(
        name=group.name,
        solutions=group.total,
        measured=len(read),
        characters=_mean([one.characters for one in read]),
        lines=_mean([one.lines for one in read]),
        complexity=_mean([one.complexity for one in read]),
        findings=_mean([one.findings for one in read]),
        cpu_seconds=statistics.median(times) if times else None,
        timed=len(times),
    )


def _mean(values: Sequence[int | None]) -> Estimate | None:
    known = [float(value) for value in values if value is not None]
    return mean_interval(known) if known else None


def show_quality(folder: Path, console: Console, *, limit: int, seed: int, time: bool) -> None:
    """The verb `etude quality`."""
    found = quality(folder, limit=limit, seed=seed, time=time)
    for one in found:
        console.record("quality", **asdict(one))
    for line in aligned(list(_table(found))):
        console.say(line)
    for note in _notes(found):
        for line in wrapped(note.split(" "), console.width, "", "  ", " "):
            console.say(line)


def _table(found: Sequence[Quality]) -> Iterator[list[str]]:
    yield ["", "solutions", "characters", "lines", "complexity", "pyflakes", "CPU ms"]
    for one in found:
        yield [
            one.name,
            f"{one.solutions:,}",
            _shown(one.characters, 1),
            "-" if one.lines is None else f"{one.lines.value:.2f}",
            _shown(one.complexity, 2),
            _shown(one.findings, 3),
            "-" if one.cpu_seconds is None else f"{1000 * one.cpu_seconds:.1f}",
        ]


def _shown(value: Estimate | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _notes(found: Sequence[Quality]) -> Iterator[str]:
    yield (
        "Means of distinct accepted solutions, with 95% intervals; CPU time is the median of "
        "solution and puzzle together. The groups solve other puzzles, so a difference may be "
        "theirs."
    )
    cut = [f"{one.measured:,} of {one.solutions:,} of {one.name}" for one in found
           if one.measured < one.solutions]  # fmt: skip
    if cut:
        yield f"Measured: {', '.join(cut)}."
    if not lints():
        yield "Lint needs pyflakes: pip install 'etude[data]'."
