"""Results: the ladder, the whole pass@k curves, the rounds.

With one run, colours tell ks, rounds or rungs apart; with several they tell the
runs apart. A section without anything to say is None. Text of models stands here as it is: charts
make theirs inert, and the template escapes what it prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from etude import readings
from etude.readings import vetting
from etude.readings.words import conclusion, percent, signed
from etude.report import charts
from etude.report.charts import Chart, Key, Series, colour, keys_of, step
from etude.report.facts import Facts
from etude.report.parts import Runs, Section, estimate, part_name, slug
from etude.stats import Estimate
from etude.types import Score


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that is printed large."""

    label: str
    value: str
    beside: str = ""


def figures(runs: Runs) -> list[Figure]:
    """The numbers that a reader looks for first. Of several runs the table says more."""
    if len(runs) > 1:
        return []
    made = []
    (run,) = runs
    if run.rungs:
        top = run.rungs[-1]
        k = min(score.k for score in top.scores)
        made = [
            Figure(
                f"{part_name(score.part)}, pass@{k}",
                f"{100 * score.value:.1f}%",
                f"[{100 * score.low:.1f}, {100 * score.high:.1f}]",
            )
            for score in top.scores
            if score.k == k
        ]
    asked, kept = (sum(getattr(c, n) for c in run.loop) for n in ("asked", "kept"))
    judged = sum(c.outcomes.total() for c in run.loop)
    accepted = sum(c.outcomes["accepted"] for c in run.loop)
    if asked:
        made.append(Figure("puzzles kept", f"{kept:,}", f"of {asked:,} proposals"))
    if judged:
        made.append(Figure("solutions accepted", f"{accepted:,}", f"of {judged:,} candidates"))
        own = sum(c.examples for c in run.loop)
        origins = sum((vetting.derived(run.folder, c.round) for c in run.loop), Counter[str]())
        further = origins.total()
        told = ", ".join(f"{count:,} {origin}" for origin, count in origins.most_common())
        beside = f"{further:,} of them made from pairs: {told}" if further else ""
        made.append(Figure("training examples", f"{own + further:,}", beside))
    return made


def ladder(runs: Runs) -> Section | None:
    """Every rung with its intervals, and what the loop gained over each."""
    scored = [run for run in runs if run.rungs]
    if not scored:
        return None
    parts = readings.parts_of([s for run in scored for rung in run.rungs for s in rung.scores])
    one = len(runs) == 1
    drawn = [
        (_ladder_of_one(scored[0], part) if one else _ladder_of_many(scored, part))
        for part in parts
    ]
    for part in parts:
        compared = [run for run in scored if any(c.part == part for c in run.compared)]
        if compared:
            drawn.append(_gains_of_one(compared[0], part) if one else _gains(runs, part))
    points = [line for run in scored for line in conclusion(run.compared)] if one else []
    return Section(
        "ladder",
        "The ladder",
        "pass@k is the chance that at least one of k attempts is accepted. Each rung changes one "
        "thing: “seeds” is the model before the first round; “more epochs” is trained on the seeds "
        "alone, for as many tokens as the loop; “unverified” is the loop without the judge. "
        "Rates are in percent, with 95% intervals over problems; differences are paired by "
        "problem.",
        drawn,
        points=points,
    )


def _estimated(score: Score | None) -> Estimate | None:
    return None if score is None else estimate(score)


def _cell(score: Score | None) -> str:
    return "-" if score is None else percent(score)


def _ladder_of_one(run: Facts, part: str) -> Chart:
    made = [score for rung in run.rungs for score in rung.scores if score.part == part]
    ks = readings.ks_of(made)
    found = [[readings.score_of(rung, part, k) for k in ks] for rung in run.rungs]
    series = [
        Series(f"pass@{k}", colour(n), [_estimated(row[n]) for row in found], n)
        for n, k in enumerate(ks)
    ]
    rows = [
        [rung.short, *map(_cell, scores), f"{rung.examples:,}"]
        for rung, scores in zip(run.rungs, found, strict=True)
    ]
    title = f"{part_name(part)} ({made[0].problems} problems)"
    return Chart(
        f"ladder-{slug(part)}",
        title,
        f"pass@k of every rung of the ladder on the {title}, with intervals",
        charts.intervals([r.short for r in run.rungs], series, best="+ verified"),
        ["", *(f"pass@{k}" for k in ks), "own examples"],
        rows,
        keys_of(series),
    )


def _ladder_of_many(runs: Runs, part: str) -> Chart:
    labels = [label for label, *_ in readings.RUNGS]
    by_label = [{rung.label: rung for rung in run.rungs} for run in runs]
    k = min(s.k for run in runs for rung in run.rungs for s in rung.scores if s.part == part)
    seen = [label for label in labels if any(label in rungs for rungs in by_label)]
    found = [
        [readings.score_of(rungs[at], part, k) if at in rungs else None for at in seen]
        for rungs in by_label
    ]
    series = [
        Series(run.label, colour(n), [_estimated(s) for s in scores], n)
        for n, (run, scores) in enumerate(zip(runs, found, strict=True))
    ]
    short = [label.partition(" on ")[0] for label in seen]
    rows = [[name, *(_cell(scores[n]) for scores in found)] for n, name in enumerate(short)]
    title = f"{part_name(part)}, pass@{k}"
    return Chart(
        f"ladder-{slug(part)}",
        title,
        f"{title} of every rung of the ladder, a colour a run, with intervals",
        charts.intervals(short, series, best="+ verified"),
        ["", *(run.label for run in runs)],
        rows,
        keys_of(series),
    )


def _gains_of_one(run: Facts, part: str) -> Chart:
    """What the loop gained over every other rung, on the same problems, for every k."""
    made = [c for c in run.compared if c.part == part]
    ks = sorted({c.k for c in made})
    known = [{c.against: c.difference for c in made if c.k == k} for k in ks]
    styles = [(f"pass@{k}", n) for n, k in enumerate(ks)]
    return _gains_chart(part, f"{part_name(part)}: gain over each other rung", styles, known)


def _gains(runs: Runs, part: str) -> Chart:
    """The same of several runs, at the smallest k."""
    k = min(c.k for run in runs for c in run.compared if c.part == part)
    styles, known = [], []
    for n, run in enumerate(runs):
        made = {c.against: c.difference for c in run.compared if (c.part, c.k) == (part, k)}
        styles.append((run.label, n))
        known.append(made)
    title = f"{part_name(part)}, pass@{k}: gain over each other rung"
    return _gains_chart(part, title, styles, known)


def _gains_chart(
    part: str,
    title: str,
    styles: Sequence[tuple[str, int]],
    known: Sequence[Mapping[str, Estimate]],
) -> Chart:
    against = list(dict.fromkeys(label for gains in known for label in gains))
    names = [label.removeprefix("+ ").partition(" on ")[0] for label in against]
    series = [
        Series(name, colour(n), [_points(gains.get(label)) for label in against], n)
        for (name, n), gains in zip(styles, known, strict=True)
    ]
    rows = [
        [name, *(signed(gains[label]) if label in gains else "-" for gains in known)]
        for name, label in zip(names, against, strict=True)
    ]
    return Chart(
        f"gains-{slug(part)}",
        f"{title}, in points",
        f"{title}, in points, with intervals; right of zero is a gain of the loop",
        charts.intervals(names, series, unit="points"),
        ["verified minus", *(one.label for one in series)],
        rows,
        keys_of(series),
    )


def _points(difference: Estimate | None) -> Estimate | None:
    return None if difference is None else estimate(difference)


def _curve_series(
    curves: Sequence[tuple[str, str, int, bool, Sequence[Score]]], part: str
) -> tuple[list[int], list[Series], list[list[str]]]:
    """ks, the curves of one part over them, and the rows of the table."""
    by_k = [{s.k: s for s in made if s.part == part} for *_, made in curves]
    ks = sorted({k for scores in by_k for k in scores})
    series = [
        Series(name, tone, [estimate(scores[k]) if k in scores else None for k in ks], mark, faint)
        for (name, tone, mark, faint, _), scores in zip(curves, by_k, strict=True)
        if scores
    ]
    rows = [
        [f"{k}", *(percent(scores[k]) if k in scores else "-" for scores in by_k if scores)]
        for k in ks
    ]
    return ks, series, rows


def pass_curves(runs: Runs) -> Section | None:
    """The whole pass@k curves: of each round, and of each rung; of the students of several runs."""
    if not any(run.curves for run in runs):
        return None
    parts = readings.parts_of([s for run in runs for made in run.curves.values() for s in made])
    drawn: list[Chart] = []
    for part in parts:
        if len(runs) > 1:
            drawn += _curve_chart(part, "students", _students(runs), "the student of every run")
        else:
            drawn += _curve_chart(part, "rounds", _of_rounds(runs[0]), "after every round")
            drawn += _curve_chart(part, "rungs", _of_rungs(runs[0]), "every rung of the ladder")
    intro = (
        "The student is trained at the end, on the examples of all rounds. Training on what was "
        "verified often lifts the first attempts more than many attempts. Bands are 95% intervals "
        "over problems; curves whose bands overlap are not shown to differ."
    )
    return Section("curves", "pass@k, for every k", intro, drawn) if drawn else None


Named = list[tuple[str, str, int, bool, Sequence[Score]]]


def _students(runs: Runs) -> Named:
    return [
        (run.label, colour(n), n, False, run.curves.get(("verified", None), []))
        for n, run in enumerate(runs)
    ]


def _of_rounds(run: Facts) -> Named:
    numbers = sorted(n for arm, n in run.curves if arm == "verified" and n is not None)
    shown = numbers if len(numbers) <= 7 else [*numbers[:1], *numbers[-5:]]
    of = len(shown) + 1
    made: Named = [
        (f"round {n}", step(at, of), 0, at > 0, run.curves["verified", n])
        for at, n in enumerate(shown)
    ]
    if ("verified", None) in run.curves:
        made.append(("student", step(of - 1, of), 0, False, run.curves["verified", None]))
    return made


def _of_rungs(run: Facts) -> Named:
    """The loop stands out; the controls are told apart by dashes too."""
    made: Named = []
    for n, (name, arm, place) in enumerate(reversed(readings.RUNGS)):
        scores = run.curves.get((arm, 0 if place == "round-00" else None), [])
        made.append((name.partition(" on ")[0], colour(n), n, n > 0, scores))
    return made


def _curve_chart(part: str, kind: str, curves: Named, what: str) -> list[Chart]:
    ks, series, rows = _curve_series([c for c in curves if c[-1]], part)
    if not series or len(ks) < 2:
        return []
    title = f"{part_name(part)}: {what}"
    keys = [Key(s.colour, s.label, "dashed" if s.mark else "line") for s in series]
    spec = charts.curves(ks, series, "k: attempts")
    says = f"pass@k over k, of {title}"
    head = ["k", *(s.label for s in series)]
    return [Chart(f"curves-{kind}-{slug(part)}", title, says, spec, head, rows, keys)]


def rounds(runs: Runs) -> Section | None:
    """pass@k after every round."""
    parts = readings.parts_of(
        [s for run in runs for (_, n), made in run.curves.items() if n is not None for s in made]
    )
    one = len(runs) == 1
    drawn = [
        chart
        for part in parts
        for chart in (_rounds_of_one(runs[0], part) if one else _rounds_of_many(runs, part))
    ]
    if not drawn:
        return None
    control = one and any(arm == "unverified" and n is not None for arm, n in runs[0].curves)
    beside = " Dashed: the unverified control." if control else ""
    intro = f"Round 0 is the model before the first round.{beside}"
    return Section("rounds", "Round by round", intro, drawn)


def _by_round(run: Facts, arm: str, part: str) -> dict[int, dict[int, Score]]:
    """The scores that were asked for, by k and round."""
    found: dict[int, dict[int, Score]] = {}
    for of, number in run.curves:
        if of == arm and number is not None:
            for score in run.asked(arm, number):
                if score.part == part:
                    found.setdefault(score.k, {})[number] = score
    return found


def _rounds_of_one(run: Facts, part: str) -> list[Chart]:
    series, heads, columns = [], [], []
    loop = _by_round(run, "verified", part)
    most = max((len(at) for at in loop.values()), default=0)
    ks = sorted(k for k, at in loop.items() if len(at) == most)
    numbers = sorted({n for k in ks for n in loop[k]})
    if len(numbers) < 2:
        return []
    control = _by_round(run, "unverified", part)
    for faint, found in ((False, loop), (True, control)):
        for n, k in enumerate(ks):
            at = found.get(k, {})
            if at:
                values = [estimate(at[r]) if r in at else None for r in numbers]
                name = f"pass@{k}" + (", unverified" if faint else "")
                series.append(Series(name, colour(n), values, n, faint))
                heads.append(name)
                columns.append([percent(at[r]) if r in at else "-" for r in numbers])
    rows = [[str(r), *(column[i] for column in columns)] for i, r in enumerate(numbers)]
    title = part_name(part)
    return [
        Chart(
            f"rounds-{slug(part)}",
            title,
            f"pass@k after every round on the {title}, with intervals",
            charts.by_round(numbers, series),
            ["round", *heads],
            rows,
            keys_of(series),
        )
    ]


def _rounds_of_many(runs: Runs, part: str) -> list[Chart]:
    found = [_by_round(run, "verified", part) for run in runs]
    k = min((k for of in found for k in of), default=None)
    numbers = sorted({n for of in found for n in of.get(k or 0, {})})
    if k is None or len(numbers) < 2:
        return []
    series, columns = [], []
    for n, (run, of) in enumerate(zip(runs, found, strict=True)):
        at = of.get(k, {})
        values = [estimate(at[r]) if r in at else None for r in numbers]
        series.append(Series(run.label, colour(n), values, n))
        columns.append([percent(at[r]) if r in at else "-" for r in numbers])
    rows = [[str(r), *(column[i] for column in columns)] for i, r in enumerate(numbers)]
    title = f"{part_name(part)}, pass@{k}"
    return [
        Chart(
            f"rounds-{slug(part)}",
            title,
            f"{title} after every round, a colour a run, with intervals",
            charts.by_round(numbers, series),
            ["round", *(run.label for run in runs)],
            rows,
            keys_of(series),
        )
    ]
