"""The report: one self-contained HTML file, read from run folders and from nothing else.

    facts      what a run says, summed by DuckDB
    results    the ladder, pass@k, rounds
    making     funnel, failures, difficulty, trainings, gallery, time and cost
    trust      health, contamination, diversity
    several    runs side by side
    charts     numbers to plotly charts; `inert` makes a model's text harmless in them
    page       the HTML, its scripts, and what it forbids

Nothing in it can act or load, whatever a model wrote. The same folders give the same bytes.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from etude import config, reviews, store
from etude.errors import InputError
from etude.readings.words import listed, stopped
from etude.report import making, results, several, trust
from etude.report.facts import Facts
from etude.report.page import check_installed, render
from etude.report.parts import Runs

__all__ = ["write_report"]

DECIDED = {"accept": "accepted", "reject": "rejected", "edit": "edited"}
SECTIONS = (
    several.compared,
    results.ladder,
    results.pass_curves,
    results.rounds,
    making.funnel,
    making.failures,
    making.difficulty,
    trust.set_aside,
    trust.health,
    trust.vetting,
    trust.diversity,
    trust.contamination,
    making.gallery,
    making.losses,
    making.spent,
)
"""In the order in which they are read."""


def write_report(folders: Sequence[Path], out: Path | None = None) -> Path:
    """Write one page about a run, or several, whole or not at all; its path.

    Without `out` it is `report.html`, in the folder of the one run, or of several here.

    Raises `InputError` when a folder is no run, or a table in it can't be read; `MissingExtra`
    where plotly is not installed.
    """
    check_installed()
    if out is None:
        out = (folders[0] if len(folders) == 1 else Path()) / "report.html"
    _check_different(folders)
    with ExitStack() as opened:
        names = _labels(folders)
        runs = [
            opened.enter_context(closing(Facts(folder, name)))
            for folder, name in zip(folders, names, strict=True)
        ]
        made = _page(runs)
    store.write_atomically(out, made)
    return out


def _check_different(folders: Sequence[Path]) -> None:
    places = [folder.resolve() for folder in folders]
    twice = next((f for n, f in enumerate(folders) if places[n] in places[:n]), None)
    if twice is not None:
        raise InputError(f"A report must be of different runs, but {twice} is given twice.")


def _labels(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell the runs apart."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts))):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return ["/".join(part) for part in parts]


def _page(runs: Runs) -> bytes:
    made = [section for section in (make(runs) for make in SECTIONS) if section is not None]
    one = len(runs) == 1
    title = f"etude: {runs[0].run.recipe.name}" if one else f"etude: {len(runs)} runs"
    return render(
        title,
        several.sentences(runs),
        made,
        figures=results.figures(runs),
        progress=list(_progress(runs)),
        recipes=[(run.label, config.dump(run.run.recipe)) for run in runs],
        records=[(run.label, run.record) for run in runs],
        commands=[_command(run) for run in runs],
    )


def _progress(runs: Runs) -> Iterator[str]:
    """What is finished of what was asked for."""
    for run in runs:
        whose = f"{run.label}: " if len(runs) > 1 else ""
        done, asked = len(run.finished), run.run.recipe.run.rounds
        rungs = f"{len(run.rungs)} rungs of the ladder scored"
        yield f"{whose}{done} of {asked} rounds finished, {rungs}."
        if early := stopped(run.folder):
            yield f"{whose}{early}"
        if decided := _reviewed(run.folder):
            yield f"{whose}{decided}"
    yield "Intervals are of 95%, over problems, of one run: another seed would differ more."


def _reviewed(folder: Path) -> str:
    """What people decided about the run's puzzles; empty where they decided nothing."""
    decisions = Counter(one.decision for one in reviews.standing(reviews.read(folder)).values())
    if not decisions:
        return ""
    said = listed([f"{count:,} {DECIDED[name]}" for name, count in sorted(decisions.items())])
    return f"People reviewed its puzzles: {said}. What a round went by is in its anchors/."


def _command(run: Facts) -> str:
    """What makes the run again from its recipe."""
    recipe = shlex.quote(str(Path(run.label) / "recipe.toml"))
    return f"etude run {recipe} --out {shlex.quote(run.label + '-again')}"
