"""Trust: health, vetting, contamination and diversity, each where a run has it.

Text of models stands here as it is: charts make theirs inert, the template escapes what it prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from etude import store
from etude.decontaminate import LEVELS
from etude.diversity import Diversity, Group, Point
from etude.health import meaning, place, words
from etude.readings import aside
from etude.report import charts
from etude.report.charts import Chart, Cloud, Key, Series, colour, step
from etude.report.facts import TEXT, Facts
from etude.report.parts import Cell, Code, Runs, Section, Table, part_name
from etude.stats import Estimate

POINTS = 3_000
"""Puzzles on the map at most, shared among its groups."""
VECTORS = {"ast": "syntax-tree vectors"}
STATES = {"ok": "", "warn": " ▲ warn", "stop": " ■ stop"}


def health(runs: Runs) -> Section | None:
    """Every measure of every round, beside the thresholds of the recipe."""
    tables = [_health_table(run, len(runs) > 1) for run in runs if run.health]
    if not tables:
        return None
    intro = (
        "What the run watches of itself every round. ▲ is beyond the recipe's warning, ■ beyond "
        "where the run stops and keeps its best round."
    )
    several = len(runs) > 1
    said = [
        f"{run.label + ', ' if several else ''}round {row['round']}: {row['state']}, {words(row)}"
        for run in runs
        for row in run.health
        if row["state"] != "ok"
    ]
    return Section("health", "Health", intro, (), tables, said)


def _health_table(run: Facts, several: bool) -> Table:
    numbers = sorted({row["round"] for row in run.health})
    by_measure: dict[str, dict[int, store.Row]] = {}
    for row in run.health:
        by_measure.setdefault(row["measure"], {})[row["round"]] = row
    rows: list[list[Cell]] = []
    for name, at in sorted(by_measure.items(), key=lambda pair: place(pair[0])):
        last = at[max(at)]
        cells = [_measured(at[n]) if n in at else "-" for n in numbers]
        rows.append([name, *cells, _number(last["warn"]), _number(last["stop"]), meaning(name)])
    head = ["measure", *(f"round {n}" for n in numbers), "warns at", "stops at", "what it is"]
    title = f"{run.label}: health by round" if several else "by round"
    return Table(title, head, rows, texts=(len(head) - 1,), wide=True)


def _measured(row: store.Row) -> str:
    return _number(row["value"]) + STATES.get(row["state"], f" {row['state']}")


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.3g}"


def set_aside(runs: Runs) -> Section | None:
    """Units that killed their workers, so that their rows are missing."""
    points = [
        f"{run.label + ', ' if len(runs) > 1 else ''}{line}"
        for run in runs
        for line in aside.lines(run.set_aside)
    ]
    if not points:
        return None
    intro = (
        "These units of work killed every process that tried them. Their rows are missing from "
        "all that is counted here."
    )
    return Section("aside", "Set aside", intro, (), (), points)


def vetting(runs: Runs) -> Section | None:
    """What the probes found of the puzzles that were kept."""
    tables = [_probed(run, len(runs) > 1) for run in runs if run.probes]
    if not tables:
        return None
    intro = (
        "Kept puzzles were tried with the answers of other puzzles of the same type: one that many "
        "strangers' answers satisfy is weak. Unstable ones gave another verdict at a second look; "
        "an idle argument is one whose value changed no verdict."
    )
    return Section("vetting", "Vetting", intro, (), tables)


def _probed(run: Facts, several: bool) -> Table:
    rows: list[list[Cell]] = [
        [
            f"round {row['round']}",
            f"{row['puzzles']:,}",
            f"{row['weak']:,}",
            "-" if row["satisfied"] is None else f"{100 * row['satisfied']:.1f}%",
            f"{row['unstable']:,}",
            f"{row['idle']:,}",
        ]
        for row in run.probes
    ]
    head = ["", "puzzles", "weak", "strangers' answers accepted", "unstable", "idle argument"]
    whose = f"{run.label}: " if several else ""
    return Table(f"{whose}what the probes found", head, rows)


def contamination(runs: Runs) -> Section | None:
    """What the training examples share with the held-out problems, with both texts."""
    known = [run for run in runs if run.contamination is not None]
    if not known:
        return None
    several = len(runs) > 1
    tables: list[Table] = []
    for run in known:
        whose = f"{run.label}: " if several else ""
        tables += [_levels(run, whose), *_reinvented(run, whose), *_hits(run, whose)]
    intro = (
        "Held-out problems that the student's training examples meet, and at which level: the same "
        "text, the same with other names (canonical), the same with other constants (form), or "
        "long stretches of the same words (8-gram). A form that was met is what “held-out "
        "constants” means; it is none for “held-out families”."
    )
    return Section("contamination", "Contamination", intro, (), tables)


def _levels(run: Facts, whose: str) -> Table:
    assert run.contamination is not None
    found = {(row["level"], row["part"]): row["problems"] for row in run.contamination["levels"]}
    student = run.rungs[-1].scores if run.rungs else ()
    of = {score.part: score.problems for score in student}
    parts = list(of) or sorted({part for _, part in found})
    rows: list[list[Cell]] = [
        [level, *(f"{found.get((level, part), 0):,} of {of.get(part, 0):,}" for part in parts)]
        for level in LEVELS
    ]
    return Table(f"{whose}problems that are met", ["level", *map(part_name, parts)], rows)


def _reinvented(run: Facts, whose: str) -> list[Table]:
    """A row a family, a column a round: puzzles of its form or behaviour."""
    numbers = sorted({row["round"] for row in run.reinvented})
    by_family: dict[str, dict[int, store.Row]] = {}
    for row in run.reinvented:
        by_family.setdefault(row["family"], {})[row["round"]] = row
    rows: list[list[Cell]] = [
        [
            family,
            *(f"{at[n]['puzzles']:,}" if n in at else "0" for n in numbers),
            f"{sum(row['taught'] for row in at.values()):,}",
        ]
        for family, at in sorted(by_family.items())
    ]
    head = ["family", *(f"round {n}" for n in numbers), "taught"]
    title = f"{whose}held-out families that the model re-invented: puzzles by round"
    note = "Puzzles that are, but for constants, a held-out problem, or behave as one."
    return [Table(title, head, rows, note=note)] if rows else []


def _hits(run: Facts, whose: str) -> list[Table]:
    assert run.contamination is not None
    rows: list[list[Cell]] = [
        [
            row["level"],
            row["problem"],
            f"{row['examples']:,}",
            Code(row["problem_text"] or ""),
            Code(row["example_text"] or ""),
        ]
        for row in run.contamination["worst"]
    ]
    head = ["level", "problem", "examples", "the problem", "an example that meets it"]
    title = f"{whose}the closest hits, with both texts"
    return [Table(title, head, rows, folded=True, texts=(1,))] if rows else []


def diversity(runs: Runs) -> Section | None:
    """How the puzzles of each round lie beside people's."""
    if find_spec("sklearn") is None:
        said = "Not measured: scikit-learn is not installed (pip install 'etude[report]')."
        return Section("diversity", "Diversity", said)
    known = [(n, run, run.diversity) for n, run in enumerate(runs)]
    found = [(n, run, made) for n, run, made in known if made is not None]
    if not found:
        return None
    several = len(runs) > 1
    drawn = [] if several else [_map(found[0][2])]
    drawn += _measures([(n, run.label, made) for n, run, made in found], several)
    tables = [_groups(made, f"{run.label}: " if several else "") for _, run, made in found]
    notes = [note for _, _, made in found for note in made.notes]
    intro = (
        "Puzzles as vectors of their syntax trees. On the map, puzzles that are built alike lie "
        "close together; its axes have no unit. Coverage is the share of the human puzzles' "
        "clusters that as many puzzles of a group fall in; the Vendi score is how many entirely "
        "different puzzles would be as diverse."
    )
    return Section("diversity", "Diversity", intro, drawn, tables, notes)


def _tones(groups: Sequence[Group]) -> dict[str, tuple[str, int]]:
    """Colour and symbol of each group: human ones stand out, rounds go from light to dark."""
    rounds = [group.name for group in groups if group.name.startswith("round ")]
    tones = {name: (step(n, len(rounds)), 0) for n, name in enumerate(rounds)}
    others = [group.name for group in groups if group.name not in tones]
    return tones | {name: (colour(1 + n), 2 + n) for n, name in enumerate(others)}


def _map(made: Diversity) -> Chart:
    tones = _tones(made.groups)
    each = max(1, POINTS // max(1, len(tones)))
    by_group = {name: [p for p in made.points if p.group == name] for name in tones}
    drawn = [
        Cloud(*tones[name], [_place(p) for p in _thinned(by_group[name], each)])
        for name in sorted(tones, key=lambda name: not name.startswith("round "))
    ]
    shown = sum(len(one.points) for one in drawn)
    rows = [
        [
            name,
            f"{len(by_group[name]):,}",
            _middle(by_group[name], "x"),
            _middle(by_group[name], "y"),
        ]
        for name in tones
    ]
    says = "a map of the puzzles of every group: puzzles that are built alike lie close together"
    keys = [
        Key(tone, name, "dot", charts.GLYPHS[mark % len(charts.GLYPHS)])
        for name, (tone, mark) in tones.items()
    ]
    return Chart(
        "map",
        f"a map of the puzzles ({made.map.upper()} of {VECTORS.get(made.vectors, made.vectors)})",
        says,
        charts.cloud(drawn),
        ["group", "puzzles", "mean x", "mean y"],
        rows,
        keys,
        f"{shown:,} of {len(made.points):,} measured puzzles. Point at one to read it.",
        wide=True,
    )


def _thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Evenly spread over the group."""
    if len(points) <= most:
        return points
    return [points[n * len(points) // most] for n in range(most)]


def _place(point: Point) -> tuple[float, float, str, str]:
    far = "" if math.isnan(point.nearest) else f", {point.nearest:.3f} from a human puzzle"
    heading = f"{point.group}{far}"
    text = f"{heading}\n{point.puzzle_id}\n\n{point.source[:TEXT]}"
    return point.x, point.y, f"{heading}\n{point.source[:TEXT]}", text


def _middle(points: Sequence[Point], axis: str) -> str:
    values = [getattr(point, axis) for point in points]
    return f"{sum(values) / len(values):.3f}" if values else "-"


def _measures(found: Sequence[tuple[int, str, Diversity]], several: bool) -> list[Chart]:
    """Coverage and Vendi score of every group, with their intervals."""
    coverage = "coverage of the human puzzles' clusters, in percent"
    charts_ = [
        _measure(found, several, "coverage", coverage, _covered, "%"),
        _measure(found, several, "vendi", "Vendi score", _vendi, ""),
    ]
    return [chart for chart in charts_ if chart is not None]


def _measure(
    found: Sequence[tuple[int, str, Diversity]],
    several: bool,
    name: str,
    title: str,
    of: Callable[[Group], Estimate],
    unit: str,
) -> Chart | None:
    names = list(dict.fromkeys(g.name for *_, made in found for g in made.groups))
    series, columns = [], []
    for n, run, made in found:
        known = {group.name: of(group) for group in made.groups}
        values = [_known(known.get(group)) for group in names]
        series.append(Series(run if several else name, colour(n), values, n))
        columns.append([charts.said(value, unit=unit) if value else "-" for value in values])
    if not any(value for one in series for value in one.values):
        return None
    rows = [[group, *(column[i] for column in columns)] for i, group in enumerate(names)]
    head = ["group", *(one.label for one in series)]
    keys = charts.keys_of(series) if several else []
    spec = charts.intervals(names, series, unit=unit)
    return Chart(name, title, f"{title}, of every group", spec, head, rows, keys)


def _known(value: Estimate | None) -> Estimate | None:
    return None if value is None or math.isnan(value.value) else value


def _covered(group: Group) -> Estimate:
    return Estimate(100 * group.coverage, 100 * group.coverage_low, 100 * group.coverage_high)


def _vendi(group: Group) -> Estimate:
    return Estimate(group.vendi, group.vendi_low, group.vendi_high)


def _groups(made: Diversity, whose: str) -> Table:
    rows: list[list[Cell]] = [
        [
            group.name,
            f"{group.puzzles:,}",
            f"{group.forms:,}",
            _number(group.nearest),
            "-" if math.isnan(group.human_forms) else f"{100 * group.human_forms:.1f}%",
        ]
        for group in made.groups
    ]
    head = ["group", "puzzles", "forms", "to the nearest human puzzle", "in a human form"]
    note = (
        "forms: puzzles that differ in more than constants. To the nearest human puzzle: the mean "
        "distance of the vectors, 0 where both are built alike. In a human form: the share that "
        "differs from a human puzzle in constants alone."
    )
    return Table(f"{whose}diversity by group", head, rows, note=note)
