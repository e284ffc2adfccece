"""The verb `import`: pairs from a file, each judged on its way in, and a report on the file.

    OUT.unfinished/00000.parquet    judged units; the same command goes on where it stopped
    OUT                             the accepted pairs, in the columns of `etude export`
    OUT/rejected.parquet            every other pair, with line and verdict

Covered: P3's puzzles.json, the released text of the paper's data sets, JSON lines, Parquet, of any
size. Not covered: programs with tests (see `etude judge`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from etude import __version__, store, suites
from etude.arm import checked, counted
from etude.attempts import verdict_columns
from etude.console import Console
from etude.decontaminate import Trained, contamination
from etude.errors import InputError
from etude.export.columns import finished
from etude.export.pairs import check_level, judged_columns
from etude.export.writing import (
    MANIFEST,
    Format,
    Lines,
    Shards,
    Sink,
    Table,
    check_free,
    format_of,
    placed,
)
from etude.importing.card import write_card
from etude.importing.integrity import Integrity, Segments
from etude.importing.reading import IMPORTED, UNIT, UNPARSED, check_source, read_units
from etude.judge import Judge, Limits
from etude.judging import open_judge
from etude.prompts import Layout
from etude.readings.words import printable
from etude.types import Problem, content_id

STATE = "import.json"
"""In the unfinished folder: of which file, under which judge."""


@dataclass(frozen=True, slots=True)
class Options:
    """What `etude import` is asked for."""

    layout: str = "paper"
    """Of the training text: `paper` or `line`."""
    dedup: str = "exact"
    suite: str | None = None
    folder: Path | None = None
    license: str | None = None
    force: bool = False
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The file that is imported."""

    path: Path
    digest: str
    judged: dict[str, Any]
    """What its verdicts rest on, as `Conditions` gives it."""

    @property
    def origin(self) -> str:
        """What tells this import from others."""
        return f"import {self.digest[:16]} {content_id(json.dumps(self.judged, sort_keys=True))}"


def import_file(
    file: Path,
    out: Path | None,
    options: Options,
    *,
    format: str | None,
    workers: int | None,
    limits: Limits,
    isolation: str,
    json_lines: bool,
) -> None:
    """Judge every pair of a file, write those that are accepted, and say what was found.

    Raises `InputError` for a file that can't be read, or holds no accepted pair.
    """
    console = Console(json_lines=json_lines)
    kind = format_of(out, format)
    layout_of(options.layout)
    check_level(options.dedup)
    suffix = "" if kind == "datasets" else f".{kind}"
    place = out or Path(f"{file.name.split('.')[0]}-pairs{suffix}")
    if place.absolute() == file.absolute():
        raise InputError(f"--out must be another file than the pairs, but both are {place}.")
    check_source(file)
    problems = suites.load(options.suite, folder=options.folder) if options.suite else []
    work = place.with_name(f"{place.name}.unfinished")
    command = shlex.join(["etude", *sys.argv[1:]])
    with open_judge(workers, limits, isolation, options.twice) as judge:
        source = Source(file, _digest(file), judge.conditions.as_dict())
        check_free(place, source.origin, options.force)
        with store.only_writer(work):
            with _kept(work, command):
                _check_work(work, source)
                _judge(console, judge, source, work)
            found = _write(place, kind, work, source, options, problems)
            shutil.rmtree(work)
    _say(console, found, source, place, kind)


def layout_of(name: str) -> Layout:
    """The layout of this name. Raises `InputError`."""
    layouts: tuple[Layout, ...] = ("paper", "line")
    found = next((layout for layout in layouts if layout == name), None)
    if found is None:
        raise InputError(f"--layout must be one of {', '.join(layouts)}, but is {name!r}.")
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_work(work: Path, source: Source) -> None:
    """Make the folder of what is judged, or see that it is of this file under this judge."""
    state = {"sha256": source.digest, "judge": source.judged}
    path = work / STATE
    if not path.exists():
        store.write_atomically(path, json.dumps(state, indent=2).encode())
    try:
        kept = json.loads(path.read_text("utf-8"))
    except ValueError:
        kept = None
    if kept != state:
        raise InputError(
            f"{work} must be of {source.path} under the same judge, but is of another file or "
            "judge. Delete it, or choose another place with --out."
        )


def _judge(console: Console, judge: Judge, source: Source, work: Path) -> None:
    """Judge the units that are owed, each kept when it is known."""
    done = next(n for n in itertools.count() if not store.unit_path(work, n).exists())
    if done:
        console.say(f"{done * UNIT:,} items were judged before")
    for number, rows in read_units(source.path, done):
        store.write_table(store.unit_path(work, number), _verdicts(judge, rows), IMPORTED)
        outcomes = Counter(row["outcome"] for row in rows)
        console.record("unit", number=number, outcomes=dict(outcomes))
        console.say(f"  to item {number * UNIT + len(rows):,}: {counted(outcomes)}", "dim")


def _verdicts(judge: Judge, rows: list[store.Row]) -> list[store.Row]:
    """The rows with their verdicts. Raises `Fault` when the sandbox failed: that is none."""
    pairs = [row for row in rows if row.get("outcome") != UNPARSED]
    groups = [list(group) for _, group in itertools.groupby(pairs, lambda row: row["puzzle"])]
    jobs = [(str(group[0]["puzzle"]), [row["solution"] for row in group]) for group in groups]
    for group, verdicts in zip(groups, judge.verify_all(jobs), strict=True):
        for row, verdict in zip(group, checked(verdicts), strict=True):
            row |= verdict_columns(verdict) | {"stable": verdict.stable}
    return rows


def _write(
    place: Path,
    kind: Format,
    work: Path,
    source: Source,
    options: Options,
    problems: Sequence[Problem],
) -> Integrity:
    paths = store.segments(work)
    if not paths:
        shutil.rmtree(work)
        raise InputError(f"{source.path} must hold at least one pair, but holds none.")
    with (
        tempfile.TemporaryDirectory(".spill", ".", place.parent) as scratch,
        Segments(paths, options.dedup, Path(scratch)) as segments,
    ):
        found = segments.integrity()
        if not found.accepted:
            shutil.rmtree(work)  # there is nothing to go on with
            _refuse_nothing(source.path, found)
        with placed(place, source.origin, force=options.force) as temporary:
            sink = _sink(temporary, kind)
            trained = _written(segments, sink, source, layout_of(options.layout))
            hits = contamination(problems, trained)
            sink.close()
            found = replace(
                found, suite=options.suite or "", problems=len(problems), hits=tuple(hits)
            )
            if kind == "datasets":
                _beside(temporary, segments, found, source, options, place.name, sink)
        if kind != "datasets":
            _rejected(place.with_name(f"{place.name}.rejected.parquet"), segments)
    return found


def _refuse_nothing(path: Path, found: Integrity) -> NoReturn:
    first = "; ".join(f"line {line}: {printable(reason)}" for line, reason in found.first)
    raise InputError(
        f"{path} must hold a pair that the judge accepts, but of its {found.total:,} there is "
        f"none: {counted(Counter(found.outcomes))}.{f' {first}.' if first else ''}"
    )


def _sink(place: Path, kind: Format) -> Sink:
    if kind == "jsonl":
        return Lines(place)
    if kind == "parquet":
        return Table(place)
    place.mkdir()
    return Shards(place, "train")


def _written(segments: Segments, sink: Sink, source: Source, layout: Layout) -> Iterator[Trained]:
    judged = judged_columns(source.judged)
    for batch in segments.kept():
        rows = []
        for raw in batch:
            name = raw.pop("name") or f"line {raw['line']}"
            form = raw.pop("form")
            known = {key: value for key, value in raw.items() if key != "line"}
            made = finished(
                known | judged | {"name": name, "source": "file", "whole_form": form}, layout
            )
            made["example_id"] = content_id(made["text"])
            rows.append(made)
            yield Trained(made["example_id"], made["text"], made["puzzle_id"], made["puzzle"])
        sink.write(rows)


def _beside(
    place: Path,
    segments: Segments,
    found: Integrity,
    source: Source,
    options: Options,
    name: str,
    sink: Sink,
) -> None:
    _rejected(place / "rejected.parquet", segments)
    manifest = {
        "origin": source.origin,
        "file": source.path.name,
        "sha256": source.digest,
        "etude": __version__,
        "judge": source.judged,
        "dedup": options.dedup,
        "license": options.license or "unknown",
        **found.as_dict(),
    }
    text = json.dumps(manifest, indent=2, sort_keys=True)
    (place / MANIFEST).write_text(f"{text}\n", "utf-8")
    size = sink.bytes if isinstance(sink, Shards) else 0
    write_card(place, manifest, found, name, size)


def _rejected(path: Path, segments: Segments) -> None:
    """What is not among the pairs, whole: text, line, verdict."""
    table = Table(path, IMPORTED)
    for rows in segments.rejected():
        table.write(rows)
    table.close()


@contextmanager
def _kept(work: Path, command: str) -> Iterator[None]:
    """On Ctrl-C: what is kept, and the command that goes on; exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        kept = len(list(work.glob("[0-9]*.parquet")))
        print(
            f"\nInterrupted. {kept:,} units of {UNIT:,} pairs are kept in {work}. Continue with:\n"
            f"  {command}",
            file=sys.stderr,
        )
        sys.exit(130)


def _say(console: Console, found: Integrity, source: Source, place: Path, kind: Format) -> None:
    console.record("import", path=str(place), format=kind, **found.as_dict())
    console.say(f"{found.total:,} items of {source.path.name}: {counted(Counter(found.outcomes))}")
    for line, reason in found.first:
        console.say(f"  line {line:,}: {reason}", "dim")
    if (more := found.outcomes.get(UNPARSED, 0) - len(found.first)) > 0:
        console.say(f"  and {more:,} more that hold no pair", "dim")
    levels = "  ".join(f"{count:,} {level}" for level, count in found.duplicates.items())
    word = "puzzle" if found.puzzles == 1 else "puzzles"
    console.say(f"{found.puzzles:,} {word}; duplicates among the accepted pairs: {levels}")
    if found.problems:
        met = Counter(hit.level for hit in found.hits)
        words = "  ".join(f"{count:,} {level}" for level, count in met.items()) or "none"
        console.say(f"problems met of the {found.problems:,} of {found.suite}: {words}")
    word = "pair" if found.kept == 1 else "pairs"
    console.say(f"wrote: {place}  ({found.kept:,} verified {word})")
    beside = place / "rejected.parquet" if kind == "datasets" else f"{place}.rejected.parquet"
    console.say(f"       {beside}  ({found.total - found.accepted:,} that are none)")


__all__ = ["Options", "import_file"]
