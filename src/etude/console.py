"""The console: what happens in a run, as lines for people or as JSON lines for machines.

One line a stage, a live bar on the line in progress, the next command last. Covered: terminals,
plain streams, JSON. Not covered: what the numbers mean (see `readings`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import rich.console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from etude import readings, store
from etude.errors import UserError
from etude.readings import Comparison, Rung
from etude.readings.words import conclusion, harmless, percent, printable, signed, stopped
from etude.types import Event, Score

WIDEST = 100
JSON_SECONDS = 1.0
"""Machines hear of a stage in progress at most this often."""

Lines = list[str]


class Console:
    """Renders what a run tells. As a context manager it shows live bars on a terminal."""

    def __init__(self, *, json_lines: bool = False, file: TextIO | None = None) -> None:
        self.json_lines = json_lines
        self._out = rich.console.Console(file=file, markup=False, highlight=False, emoji=False)
        self.width = _width(self._out)
        self._heading: str | None = None
        self._live: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        if self._out.is_terminal and not self.json_lines:
            bar = BarColumn(bar_width=30)
            shown = (TextColumn("{task.description}", markup=False), bar, MofNCompleteColumn())
            self._live = Progress(*shown, console=self._out, transient=True, refresh_per_second=2)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._bars.clear()

    def say(self, text: str = "", style: str = "") -> None:
        """Lines for people alone. No character in them can act; long text is not cut here."""
        if not self.json_lines:
            self._print(printable(text), style)

    def record(self, kind: str, **content: Any) -> None:
        """One JSON object on a line of its own; nothing for people."""
        if self.json_lines:
            self._print(json.dumps({"kind": kind, **content}))

    def _print(self, text: str, style: str = "") -> None:
        encoding = self._out.encoding
        shown = text.encode(encoding, "backslashreplace").decode(encoding)
        self._out.print(Text(shown, style), soft_wrap=True)

    def event(self, event: Event) -> None:
        """Show how far a stage is; its finished line when it has ended."""
        ended = event.done >= event.total > 0
        if self.json_lines:
            self._record_event(event, ended)
            return
        self._head(event)
        if ended:
            self._drop_bar(event.arm)
            style = "" if event.arm == "verified" else "dim"
            for line in stage_lines(event, self.width):
                self.say(line, style)
        else:
            self._move_bar(event)

    def _record_event(self, event: Event, ended: bool) -> None:
        now = time.monotonic()
        if ended or now - self._told.get(event.arm, 0.0) >= JSON_SECONDS:
            self._told[event.arm] = now
            self.record("stage", **asdict(event))

    def _head(self, event: Event) -> None:
        heading = place_of(event)
        if event.arm == "verified" and heading != self._heading:
            self._heading = heading
            self.say(heading, "bold")

    def _move_bar(self, event: Event) -> None:
        if self._live is None:
            return
        text, total = label_of(event), event.total or None
        if event.arm in self._bars:
            bar = self._bars[event.arm]
            self._live.update(bar, description=text, completed=event.done, total=total)
        else:
            self._bars[event.arm] = self._live.add_task(text, completed=event.done, total=total)

    def _drop_bar(self, arm: str) -> None:
        if self._live is not None and arm in self._bars:
            self._live.remove_task(self._bars.pop(arm))
            self._live.refresh()  # or the line that is printed next would draw the bar again

    def ladder(self, run: store.Run) -> None:
        """The ladder, what the loop gained over each control, and what did not improve."""
        rungs = readings.ladder(run.folder)
        compared = readings.comparisons(rungs)
        self.record(
            "ladder",
            rungs=[
                {"label": r.label, "examples": r.examples, "scores": [asdict(s) for s in r.scores]}
                for r in rungs
            ],
            differences=[asdict(c) | {"improved": c.improved} for c in compared],
        )
        if not rungs or self.json_lines:
            return
        for part in readings.parts_of(rungs[-1].scores):
            self.say()
            self._part(part, rungs, [c for c in compared if c.part == part])
        self.say()
        early = stopped(run.folder)
        for line in [*([early] if early else []), *conclusion(compared)]:
            for shown in wrapped(line.split(" "), self.width, "", "  ", " "):
                self.say(shown)

    def _part(self, part: str, rungs: Sequence[Rung], compared: Sequence[Comparison]) -> None:
        self.say(part_heading(part, rungs[-1].scores), "bold")
        for line in rung_lines(part, rungs, self.width):
            self.say(line, "green" if line.startswith("  + verified") else "")
        for line in difference_lines(compared, self.width):
            self.say(line)

    def scores(self, made: Sequence[Score], unattempted: int) -> None:
        """pass@k of one model, and how many problems it could not be asked."""
        self.record("scores", scores=[asdict(score) for score in made], unattempted=unattempted)
        for part in readings.parts_of(made):
            self.say(part_heading(part, made), "bold")
            for score in (s for s in made if s.part == part):
                self.say(f"  pass@{score.k:<5} {percent(score)}")
        if unattempted:
            self.say(
                f"{unattempted:,} problems count as unsolved without an attempt: with their "
                "prompt the text would be longer than the model's context."
            )

    def report(self, path: Path) -> None:
        """Where the report lies."""
        self.record("report", path=str(path))
        self.say(f"\nreport: {path}")

    def next_command(self, command: str) -> None:
        """The command to give next: the last line."""
        self.record("next", command=command)
        self.say(f"next:   {command}")

    def error(self, error: UserError) -> None:
        """One sentence, on the error stream."""
        print(f"etude: {printable(str(error))}", file=sys.stderr)


def _width(out: rich.console.Console) -> int:
    """At most 100 columns; a stream without a width of its own takes them all."""
    known = out.is_terminal or "COLUMNS" in os.environ
    return min(out.width, WIDEST) if known else WIDEST


def place_of(event: Event) -> str:
    return "final" if event.round is None else f"round {event.round}"


def label_of(event: Event) -> str:
    """What stands before a stage's counts: its name, and for a control also arm and round."""
    if event.arm == "verified":
        return f"  {event.stage:<9}"
    return f"  [{event.arm}] {place_of(event)} {event.stage:<9}"


def duration(seconds: float) -> str:
    """`0:05`, `12:40`, `3:00:07`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def stage_lines(event: Event, width: int) -> Lines:
    """The line of a finished stage, its time at the right; a long summary takes several."""
    label, took = label_of(event) + " ", duration(event.seconds)
    items = harmless(event.summary, lines=1, width=1000).split("  ")
    room = width - len(took) - 2
    first, *more = wrapped(items, room, label, " " * min(len(label), 12), "  ")
    return [f"{first:<{room}}  {took}", *more]


def wrapped(items: Sequence[str], width: int, first: str, later: str, between: str) -> Lines:
    """Items joined into lines of at most `width`; a single longer item keeps a line to itself."""
    lines, fresh = [first], True
    for item in items:
        joint = "" if fresh else between
        if not fresh and len(lines[-1] + joint + item) > width:
            lines.append(later)
            joint = ""
        lines[-1] += joint + item
        fresh = False
    return [line.rstrip() for line in lines]


def part_heading(part: str, made: Sequence[Score]) -> str:
    """`held-out constants, in percent: 96 problems, 128 attempts each`."""
    score = next(score for score in made if score.part == part)
    title = readings.PARTS.get(part, part)
    attempts = "1 attempt" if score.samples == 1 else f"{score.samples} attempts"
    return f"{title}, in percent: {score.problems} problems, {attempts} each"


def rung_lines(part: str, rungs: Sequence[Rung], width: int) -> Lines:
    """One row a rung. Narrow screens get shorter names, then no intervals, which is said."""
    ks = readings.ks_of([s for rung in rungs for s in rung.scores if s.part == part])

    def table(*, short: bool, intervals: bool = True, examples: bool = True) -> Lines:
        rows = [["", *(f"pass@{k}" for k in ks), "examples"]]
        for rung in rungs:
            cells = [_cell(readings.score_of(rung, part, k), intervals) for k in ks]
            rows.append([rung.short if short else rung.label, *cells, f"{rung.examples:,}"])
        return aligned(rows if examples else [row[:-1] for row in rows])

    bare = [*table(short=True, intervals=False, examples=False), _NO_INTERVALS]
    return _fitting(
        [table(short=False), table(short=True), table(short=True, examples=False), bare], width
    )


def difference_lines(compared: Sequence[Comparison], width: int) -> Lines:
    """`verified - more epochs: +5.5 [+2.1, +8.9]`, a row a rung, a column a k."""
    if not compared:
        return []
    ks = sorted({c.k for c in compared})
    against = list(dict.fromkeys(c.against for c in compared))
    known = {(c.against, c.k): c.difference for c in compared}

    def table(shown: Sequence[int]) -> Lines:
        rows = [["", *(f"pass@{k}" for k in shown)]]
        for label in against:
            cells = [signed(known[label, k]) if (label, k) in known else "-" for k in shown]
            rows.append([f"verified - {label.removeprefix('+ ').partition(' on ')[0]}:", *cells])
        return aligned(rows)[1:]

    return _fitting([table(ks[:count]) for count in range(len(ks), 0, -1)], width)


def _cell(score: Score | None, intervals: bool) -> str:
    if score is None:
        return "-"
    return percent(score) if intervals else f"{100 * score.value:.1f}"


_NO_INTERVALS = "  (too narrow for the 95% intervals: they are in the report)"


def _fitting(choices: Sequence[Lines], width: int) -> Lines:
    """The first that fits; the last when none does."""
    fits = (lines for lines in choices if max(map(len, lines)) <= width)
    return next(fits, choices[-1])


def aligned(rows: Sequence[Sequence[str]]) -> Lines:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  "
        + f"{row[0]:<{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
