"""The verb `dedup`: duplicates of a run or a file, counted at every level, listed, left out.

Near and behavioural duplicates are reported; they are left out of `--out` only where their level
is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from etude import duplicates, store
from etude.console import Console, aligned
from etude.duplicates import Found, sources
from etude.duplicates.behaving import behavioural
from etude.errors import InputError
from etude.judge import Limits, usable_cores
from etude.judging import open_judge

DROPPED = ("exact", "canonical", "form")
"""Levels that `--out` leaves out without being told."""
BEHAVIOURAL = "behavioural"
"""The level that runs what it compares, in the judge."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as in `etude dedup --help`."""

    of: str | None = None
    levels: tuple[str, ...] = ()
    per_form: int = duplicates.PER_FORM
    threshold: float = duplicates.THRESHOLD
    behavioural: bool = False
    out: Path | None = None
    pairs: Path | None = None
    json_lines: bool = False


def dedup(path: Path, wanted: Wanted) -> None:
    """Count the duplicates of a run or a file; write what is left, or every pair.

    Raises `InputError` for a file or setting that is not what it should be.
    """
    console = Console(json_lines=wanted.json_lines)
    tables = _tables(path, wanted)
    _check_files(path, wanted)
    for number, table in enumerate(tables):
        source = sources.source_of(path, table)
        found = duplicates.find(
            source.items(),
            _by_text(wanted),
            per_form=wanted.per_form,
            threshold=wanted.threshold,
            processes=usable_cores(),
        )
        if wanted.behavioural or BEHAVIOURAL in wanted.levels:
            _behave(console, source, found)
        if number:
            console.say()
        _show(console, source.name, found, wanted)
        if wanted.pairs is not None:
            sources.write_rows(wanted.pairs, _pairs(found), sources.PAIRS)
            console.say(f"pairs: {wanted.pairs}")
        if wanted.out is not None:
            _write(console, source, found, wanted)


def _by_text(wanted: Wanted) -> tuple[str, ...]:
    """The levels that are decided by texts alone. Raises `InputError` for one that is none."""
    known = (*duplicates.LEVELS, BEHAVIOURAL)
    unknown = [level for level in wanted.levels if level not in known]
    if unknown:
        raise InputError(f"--level must be one of {', '.join(known)}, but is {unknown[0]}.")
    named = tuple(level for level in wanted.levels if level != BEHAVIOURAL)
    return named or (("exact",) if wanted.levels else duplicates.LEVELS)


def _behave(console: Console, source: sources.Source, found: Found) -> None:
    """Add the level `behavioural`. Isolation is that of `etude judge`."""
    with open_judge(None, Limits(), "auto") as judge:
        held = behavioural(source.items(), judge, source.answers())
    found.add(BEHAVIOURAL, held.firsts)
    console.record("behaviour", compared=held.compared, untried=held.untried)
    console.say(
        f"behaviour: {held.compared:,} of {len(found):,} rows have a puzzle with a known answer "
        "that tells probes apart"
    )


def _tables(path: Path, wanted: Wanted) -> list[str]:
    """The tables that are looked at; of a file, its only one."""
    if not path.is_dir():
        if wanted.of is not None:
            raise InputError(f"--of is for a run folder, but {path} is none: leave it out.")
        return [""]
    if wanted.of is None:
        if wanted.out or wanted.pairs:
            raise InputError(
                "a run has several tables, so that --out and --pairs need one of them: add --of "
                "puzzles, --of examples or --of candidates."
            )
        return ["puzzles", "examples"]
    if wanted.of not in sources.TABLES:
        raise InputError(f"--of must be one of {', '.join(sources.TABLES)}, but is {wanted.of}.")
    return [wanted.of]


def _check_files(path: Path, wanted: Wanted) -> None:
    """What can't be written is said before the work, not after it."""
    for option, file in (("--out", wanted.out), ("--pairs", wanted.pairs)):
        if file is None:
            continue
        if file.suffix.lower() not in (*sources.JSON_LINES, ".parquet"):
            raise InputError(f"{option} must end with .jsonl or .parquet, but is {file.name}.")
        if file.is_file() and path.is_file() and file.samefile(path):
            raise InputError(f"{option} must be another file than the rows, but both are {file}.")
        if file.is_dir() or not file.parent.is_dir():
            raise InputError(f"{option} must be a file in a folder that exists, but is {file}.")


def _show(console: Console, name: str, found: Found, wanted: Wanted) -> None:
    console.record(
        "dedup", source=name, rows=len(found), unparsed=found.unparsed, crowded=found.crowded
    )
    unparsed = f", {found.unparsed:,} no Python" if found.unparsed else ""
    console.say(f"{name}: {len(found):,} rows{unparsed}", "bold")
    notes = {"form": f"at most {wanted.per_form}", "near": f"Jaccard {wanted.threshold:g}"}
    rows = [["level", "groups", "duplicates", "left"]]
    for level in found.levels:
        groups, twins = found.count(level), found.duplicates(level)
        left = len(found) - twins
        console.record("level", level=level, groups=groups, duplicates=twins, left=left)
        label = f"{level} ({notes[level]})" if level in notes else level
        rows.append([label, f"{groups:,}", f"{twins:,}", f"{left:,}"])
    for line in aligned(rows):
        console.say(line)
    if found.crowded:
        console.say(
            f"  {found.crowded:,} rows were held only against the likeliest of many near ones"
        )


def _pairs(found: Found) -> Iterator[store.Row]:
    for level in found.levels:
        for twin in found.pairs(level):
            row = asdict(twin)
            yield {name: row[name] for name in sources.PAIRS.names}


def _write(console: Console, source: sources.Source, found: Found, wanted: Wanted) -> None:
    assert wanted.out is not None
    dropped = [level for level in found.levels if level in (wanted.levels or DROPPED)]
    left = found.mask(*dropped)
    source.write(left, wanted.out)
    kept = int(left.sum())
    console.record("kept", path=str(wanted.out), rows=kept, dropped=dropped)
    console.say(f"kept:  {kept:,} rows in {wanted.out}, without {', '.join(dropped)}")
