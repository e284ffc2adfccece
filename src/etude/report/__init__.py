"""The report: one self-contained HTML file, read from the run folder and from nothing else.

Covered: ladder, scores by round, funnels, outcomes, losses, samples, recipe, versions. The page
has no script and may load nothing, so that model-written text in it can do nothing either.
The same folder gives the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from etude import config, readings, store
from etude.errors import InputError
from etude.readings import Comparison, Funnel, Rung
from etude.readings.words import conclusion, harmless, percent, printable, sentence, signed
from etude.report import pictures
from etude.report.pictures import Curve, Mark
from etude.types import Score

SAMPLES = 6
OUTCOMES = (
    "accepted", "wrong", "mistyped", "raised", "timeout", "memory", "crashed", "refused",
    "unparsed", "fault",
)  # fmt: skip
"""Their order fixes their colours."""
FATES = (
    "kept", "duplicate", "same form", "trivial", "held out", "over the limit", "broken rule", None,
    "unparsed", None,
)  # fmt: skip
"""Fates in the order of the colours of outcomes; None leaves a colour out."""

__all__ = ["write_report"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture and the table behind it."""

    title: str
    picture: Markup
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    keys: Sequence[tuple[Markup, str]] = ()
    differences: Sequence[Sequence[str]] = ()
    """Rows of the ladder's second table: rung, then the gain over it at each k."""


def write_report(run_folder: Path) -> Path:
    """Write `report.html` into the run folder, whole or not at all; its path.

    Raises `InputError` when the folder is no run, or a table in it can't be read.
    """
    run = store.Run.read(run_folder)
    if readings.is_evaluation(run.recipe):
        raise InputError(
            f"{run_folder} must be a run but holds an evaluation: see it with "
            f"`etude show {run_folder}`."
        )
    path = run_folder / "report.html"
    page = _template().render(_content(run))
    store.write_atomically(path, printable(page).encode("utf-8"))
    return path


@cache
def _template() -> Template:
    pages = Environment(
        loader=PackageLoader("etude.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"harmless": harmless}
    return pages.get_template("report.html.j2")


def _content(run: store.Run) -> dict[str, Any]:
    rungs = readings.ladder(run.folder)
    compared = readings.comparisons(rungs)
    arms = {arm: readings.funnels(store.arm_folder(run.folder, arm)) for arm in readings.ARMS}
    loop = arms["verified"]
    return {
        "name": run.recipe.name,
        "progress": _progress(run, rungs),
        "sentence": sentence(rungs, compared),
        "ladder": [_ladder_figure(part, rungs, compared) for part in _parts(rungs)],
        "conclusion": conclusion(compared) if rungs else [],
        "rounds": _round_figures(run.folder),
        "funnels": [_funnel_figure(counts) for counts in loop],
        "shares": [figure for figure in _share_figures(arms) if figure.rows],
        "losses": [_loss_figure(training) for training in readings.trainings(run.folder)],
        "samples": _samples(run.folder, loop),
        "recipe": config.dump(run.recipe),
        "record": _record(run.folder),
    }


def _parts(rungs: Sequence[Rung]) -> list[str]:
    return readings.parts_of([score for rung in rungs for score in rung.scores])


def _progress(run: store.Run, rungs: Sequence[Rung]) -> str:
    """What is finished of what was asked for."""
    rounds = [n for n in readings.rounds(run.folder) if n > 0]
    scored = [n for n in rounds if readings.scores(_evaluated(run.folder, n))]
    text = f"{len(scored)} of {run.recipe.run.rounds} rounds finished"
    return f"{text}, {len(rungs)} rungs of the ladder scored."


def _evaluated(arm: Path, number: int) -> Path:
    return store.round_folder(arm, number) / "evaluate"


def _mark(score: Score, series: int) -> Mark:
    return Mark(series, 100 * score.value, 100 * score.low, 100 * score.high)


def _keys(ks: Sequence[int]) -> list[tuple[Markup, str]]:
    return [(pictures.key(number), f"pass@{k}") for number, k in enumerate(ks)]


def _ladder_figure(part: str, rungs: Sequence[Rung], compared: Sequence[Comparison]) -> Figure:
    made = [score for rung in rungs for score in rung.scores if score.part == part]
    ks = readings.ks_of(made)
    rows, marks = [], []
    for rung in rungs:
        found = [(n, readings.score_of(rung, part, k)) for n, k in enumerate(ks)]
        marks.append((rung.short, [_mark(score, n) for n, score in found if score]))
        cells = [percent(score) if score else "-" for _, score in found]
        rows.append([rung.short, *cells, f"{rung.examples:,}"])
    title = f"{readings.PARTS.get(part, part)} ({made[0].problems} problems)"
    picture = pictures.intervals(f"pass@k of every rung: {title}", marks)
    head = ["", *(f"pass@{k}" for k in ks), "examples"]
    gains = _gains([c for c in compared if c.part == part], ks)
    return Figure(title, picture, head, rows, _keys(ks), gains)


def _gains(compared: Sequence[Comparison], ks: Sequence[int]) -> list[list[str]]:
    known = {(c.against, c.k): signed(c.difference) for c in compared}
    against = dict.fromkeys(c.against for c in compared)
    return [
        [a.removeprefix("+ ").partition(" on ")[0], *(known.get((a, k), "-") for k in ks)]
        for a in against
    ]


def _round_figures(folder: Path) -> list[Figure]:
    """A figure a part: pass@k after each round, the unverified control dashed beside it."""
    made = {
        arm: {
            number: readings.scores(_evaluated(store.arm_folder(folder, arm), number))
            for number in readings.rounds(store.arm_folder(folder, arm))
        }
        for arm in ("verified", "unverified")
    }
    every = [score for scores in made["verified"].values() for score in scores]
    return [_round_figure(part, made) for part in readings.parts_of(every)]


def _round_figure(part: str, made: dict[str, dict[int, list[Score]]]) -> Figure:
    scored = {
        (arm, number, score.k): score
        for arm, rounds in made.items()
        for number, scores in rounds.items()
        for score in scores
        if score.part == part
    }
    times = Counter(k for arm, _, k in scored if arm == "verified")
    ks = sorted(k for k, count in times.items() if count == max(times.values()))
    drawn, rows = [], []
    for arm in made:
        for series, k in enumerate(ks):
            points = [(n, s) for (a, n, kk), s in sorted(scored.items()) if (a, kk) == (arm, k)]
            marks = tuple((number, _mark(score, series)) for number, score in points)
            drawn.append(Curve(series, marks, faint=arm != "verified"))
        numbers = sorted({number for a, number, _ in scored if a == arm})
        for n in numbers:
            cells = [scored.get((arm, n, k)) for k in ks]
            rows.append([arm, str(n), *(percent(s) if s else "-" for s in cells)])
    title = readings.PARTS.get(part, part)
    picture = pictures.curves(f"pass@k by round: {title}", [c for c in drawn if c.points])
    return Figure(title, picture, ["arm", "round", *(f"pass@{k}" for k in ks)], rows, _keys(ks))


def _funnel_figure(counts: Funnel) -> Figure:
    rows = [
        ("asked", counts.asked),
        ("well-formed", counts.well_formed),
        ("kept", counts.kept),
        ("solved", counts.solved),
        ("taught", counts.taught),
    ]
    title = f"round {counts.round}"
    table = [[name, f"{count:,}"] for name, count in rows]
    table += [["candidates", f"{counts.candidates:,}"], ["examples", f"{counts.examples:,}"]]
    return Figure(title, pictures.bars(f"puzzles of {title}", rows), ["puzzles", "count"], table)


def _share_figures(arms: dict[str, list[Funnel]]) -> list[Figure]:
    rounds = [counts for funnels in arms.values() for counts in funnels]
    fates = [(_label(f), f.fates) for f in rounds if f.fates]
    outcomes = [(_label(f), f.outcomes) for f in rounds if f.outcomes]
    return [
        _share_figure("what became of the proposals", fates, FATES),
        _share_figure("what the judge found for the candidates", outcomes, OUTCOMES),
    ]


def _label(counts: Funnel) -> str:
    name = "round" if counts.arm == "verified" else counts.arm
    return f"{name} {counts.round}"


def _share_figure(
    title: str, rows: Sequence[tuple[str, Counter[str]]], order: Sequence[str | None]
) -> Figure:
    """Names that the order does not know come last and share its last colour."""
    seen = {name for _, counts in rows for name in counts}
    known = [(number, name) for number, name in enumerate(order) if name in seen]
    named = known + [(len(order) - 1, name) for name in sorted(seen - set(order))]
    drawn = [
        (label, [(colour, counts[name]) for colour, name in named if name])
        for label, counts in rows
    ]
    table = [[label, *(f"{counts[n]:,}" for _, n in named if n)] for label, counts in rows]
    keys = [(Markup('<i class="swatch o{}"></i>').format(c), name) for c, name in named if name]
    head = ["", *(name for _, name in named if name)]
    return Figure(title, pictures.shares(title, drawn), head, table, keys)


def _loss_figure(training: readings.Training) -> Figure:
    table = [[f"{step:,}", f"{loss:.3f}"] for step, loss in training.losses]
    picture = pictures.loss(f"training loss, {training.label}", training.losses)
    return Figure(training.label, picture, ["step", "loss"], table)


def _samples(folder: Path, loop: Sequence[Funnel]) -> list[list[readings.Pair]]:
    taught = [counts.round for counts in loop if counts.examples]
    return readings.sample_pairs(folder, taught[-1], SAMPLES) if taught else []


def _record(folder: Path) -> list[tuple[str, str]]:
    """Versions and machine, as name and value."""
    path = folder / "record.json"
    try:
        record = dict(json.loads(path.read_text("utf-8")))
        versions = dict(record.pop("versions"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} must hold the run's versions but can't be read ({type(error).__name__}). "
            "Bring the file back that the run began with."
        ) from None
    return [(str(name), str(value)) for name, value in [*versions.items(), *record.items()]]
