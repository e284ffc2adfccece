"""Several runs side by side: what they found, what they differ in, and their mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from etude import config, readings
from etude.readings import Rung
from etude.readings.words import across_seeds, headline, percent, signed, span
from etude.report.facts import Facts
from etude.report.parts import Cell, Runs, Section, Table, part_name

SEEDS = ("run.seed", "seeds.split_seed")
"""Settings that are seeds: the second draws other held-out problems."""
SETTINGS = 40
"""Settings that are listed of what runs differ in."""


def differ_in_seed_alone(runs: Runs) -> bool:
    """Whether there are several runs, of the same recipe but for its name, each with its seed."""
    seeds = {run.run.recipe.run.seed for run in runs}
    return len(runs) > 1 and len(seeds) == len(runs) and not _differing(runs, (*SEEDS, "name"))


def _differing(runs: Runs, but: Sequence[str] = ()) -> list[str]:
    """The settings in which any two runs differ."""
    pairs = combinations([run.run.recipe for run in runs], 2)
    found = {line.partition(":")[0] for pair in pairs for line in config.differences(*pair)}
    return sorted(found - set(but))


def sentences(runs: Runs) -> list[str]:
    """What the page begins with."""
    if len(runs) == 1:
        return headline(runs[0].rungs, runs[0].compared)
    if differ_in_seed_alone(runs):
        return across_seeds([(run.rungs, run.compared) for run in runs])
    one_each = [f"{run.label}: {headline(run.rungs, run.compared)[0]}" for run in runs]
    return [f"{len(runs)} runs, whose recipes differ in more than the seed.", *one_each]


def compared(runs: Runs) -> Section | None:
    """The runs in one table, and the settings that differ."""
    if len(runs) == 1:
        return None
    tables = [_scores(runs), *_settings(runs)]
    alone = differ_in_seed_alone(runs)
    other = "seeds.split_seed" in _differing(runs)
    drawn = " Each seed has held-out problems of its own (seeds.split_seed)." if other else ""
    intro = (
        "The recipes differ in the seed alone. Means are over seeds; what stands in brackets after "
        f"a mean is the lowest and the highest seed, which is no interval.{drawn}"
        if alone
        else "Each run's student. Intervals are over problems, of one run: another seed would "
        "differ more, so that a difference between two runs may be one of seeds."
    )
    return Section("compared", "The runs side by side", intro, (), tables)


def _student(run: Facts) -> Rung | None:
    last = run.rungs[-1] if run.rungs else None
    return last if last is not None and last.label == readings.RUNGS[-1][0] else None


def _scores(runs: Runs) -> Table:
    """A row a run: the student at the smallest k of every part, and its gain over each rung."""
    students = [_student(run) for run in runs]
    made = [s for one in students if one for s in one.scores]
    wanted = [(part, k) for part in readings.parts_of(made) for k in readings.ks_of(made)]
    against = [label for label, *_ in readings.RUNGS[:-1]]
    lowest = [(part, min(k for p, k in wanted if p == part)) for part in readings.parts_of(made)]
    beside = [(part, k, a) for part, k in lowest for a in against]
    head = ["run", "seed", "rounds", "own examples"]
    head += [f"{part_name(part)}, pass@{k}" for part, k in wanted]
    head += [f"{part_name(part)}, pass@{k}: over {a.removeprefix('+ ')}" for part, k, a in beside]
    rows: list[list[Cell]] = []
    for run, one in zip(runs, students, strict=True):
        scores = {(s.part, s.k): percent(s) for s in one.scores} if one else {}
        gains = {(c.part, c.k, c.against): signed(c.difference) for c in run.compared}
        row = [run.label, f"{run.run.recipe.run.seed}"]
        row += [f"{len(run.finished)} of {run.run.recipe.run.rounds}"]
        row += [f"{one.examples:,}" if one else "-"]
        row += [scores.get(key, "-") for key in wanted]
        rows.append([*row, *(gains.get(key, "-") for key in beside)])
    if differ_in_seed_alone(runs) and sum(one is not None for one in students) > 1:
        rows.append([*_mean(runs, wanted), *_mean_gains(runs, beside)])
    return _turned("The students", head, rows)


def _turned(title: str, head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A column a run: runs are few, and what is said of them is much."""
    names = [str(row[0]) for row in rows]
    turned = [[name, *(row[n] for row in rows)] for n, name in enumerate(head) if n]
    return Table(title, ["", *names], turned, wide=True)


def _mean(runs: Runs, wanted: Sequence[tuple[str, int]]) -> list[str]:
    students = [one for run in runs if (one := _student(run))]
    examples = f"{fmean(one.examples for one in students):,.0f}"
    found = [
        [s.value for one in students if (s := readings.score_of(one, part, k))]
        for part, k in wanted
    ]
    means = [span(values) if len(values) > 1 else "-" for values in found]
    return ["mean (lowest to highest)", "-", "-", examples, *means]


def _mean_gains(runs: Runs, beside: Sequence[tuple[str, int, str]]) -> list[str]:
    known = [{(c.part, c.k, c.against): c.difference.value for c in r.compared} for r in runs]
    found = [[gains[key] for gains in known if key in gains] for key in beside]
    return [span(values, sign="+") if len(values) > 1 else "-" for values in found]


def _settings(runs: Runs) -> list[Table]:
    """Each setting that differs, with its value in every run."""
    keys = _differing(runs)
    if not keys:
        return []
    first = runs[0].run.recipe
    values = [_values(run, keys) for run in runs]
    rows: list[list[Cell]] = [[key, *(of[key] for of in values)] for key in keys[:SETTINGS]]
    more = len(keys) - SETTINGS
    note = f"{more} more settings differ." if more > 0 else ""
    title = f"What the recipes differ in (all else is that of {first.name})"
    return [Table(title, ["setting", *(run.label for run in runs)], rows, note=note, wide=True)]


def _values(run: Facts, keys: Sequence[str]) -> dict[str, str]:
    data = run.run.recipe.model_dump(mode="json")
    found = {}
    for key in keys:
        value: object = data
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        found[key] = "-" if value is None else str(value)
    return found
