"""`etude check RUN`: what is found in words, and what `--mend` moves."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from etude import store
from etude.check.findings import Broken, Findings
from etude.check.looking import ASIDE, Tick, look
from etude.console import Console
from etude.readings.words import harmless

MOST = 20
"""Lines of one kind; machines hear of all."""


def check_run(folder: Path, *, mend: bool, json_lines: bool) -> None:
    """Say what is broken, owed and set aside in a run. Ends with exit code 1 when something is
    broken. With `mend` the broken parts are moved aside, so that `etude run` makes them again.

    Raises `InputError` when the folder is no run, or with `mend` when another process works in it.
    """
    console = Console(json_lines=json_lines)
    with _progress(json_lines) as tick:
        found = look(folder, tick)
    _say(console, found)
    if mend and found.broken:
        with store.only_writer(folder):
            _mend(console, found)
    elif any(one.again for one in found.broken):
        console.next_command(shlex.join(["etude", "check", str(folder), "--mend"]))
    if not found.whole:
        sys.exit(1)


@contextmanager
def _progress(json_lines: bool) -> Iterator[Tick]:
    """A line that counts, on a terminal alone."""
    if json_lines or not sys.stderr.isatty():
        yield lambda _: None
        return
    seen: Counter[str] = Counter()

    def tick(size: int) -> None:
        seen.update(files=1, bytes=size)
        if seen["files"] % 50 == 0:
            text = f"\r{seen['files']:,} files  {seen['bytes'] / 1e6:,.0f} MB"
            print(text, end="", file=sys.stderr, flush=True)

    try:
        yield tick
    finally:
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)


def _say(console: Console, found: Findings) -> None:
    console.record("check", **found.as_dict())
    segments, models = found.segments, found.checkpoints
    console.say(f"segments     {segments.total():,}  {_counts(segments)}  {found.rows:,} rows")
    console.say(f"checkpoints  {models.total():,}  {_counts(models)}")
    console.say(f"recipe       {harmless(found.recipe or 'as it was at the start', lines=1)}")
    if found.leftovers:
        console.say(f"leftovers    {found.leftovers:,} of processes that were killed: harmless")
    _say_broken(console, found)
    _say_aside(console, found)
    _say_owed(console, found)


def _counts(counts: Counter[str]) -> str:
    words = {
        "whole": "whole",
        "thinned": "whole but for weights that run.checkpoints removed",
        "without": "without a checksum",
        "broken": "broken",
    }
    return ", ".join(f"{counts[name]:,} {said}" for name, said in words.items() if counts[name])


def _say_broken(console: Console, found: Findings) -> None:
    for one in found.broken:
        place = one.path.relative_to(found.folder).as_posix()
        console.record(
            "broken",
            path=place,
            **one.at.as_dict(),
            flaw=one.flaw,
            again=one.again,
            later=list(one.later),
        )
    for one in found.broken[:MOST]:
        place = one.path.relative_to(found.folder).as_posix()
        console.say(f"broken       {place}: {harmless(one.flaw, lines=1, width=300)}")
        if not one.again:
            console.say("  holds what people decided, which nothing makes again: bring it back")
        if one.later:
            console.say(f"  perhaps made from it: {_listed(one.later)}")
    _say_rest(console, len(found.broken))


def _say_aside(console: Console, found: Findings) -> None:
    for at, unit, seen in found.aside:
        console.record("aside", **at.as_dict(), unit=unit, seen=seen)
    for at, unit, seen in found.aside[:MOST]:
        console.say(f"set aside    {at}, unit {unit}: {harmless(_last(seen), lines=1)}")
    _say_rest(console, len(found.aside))


def _say_owed(console: Console, found: Findings) -> None:
    for at, units in found.owed[:MOST]:
        word = "unit" if len(units) == 1 else "units"
        console.say(f"owed         {at}: {len(units):,} {word} ({_ranges(units)})")
    _say_rest(console, len(found.owed))
    for at in found.trainings:
        console.say(f"owed         {at}: the whole training")


def _say_rest(console: Console, count: int) -> None:
    if count > MOST:
        console.say(f"  and {count - MOST:,} more: see them with --json")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def _last(seen: str) -> str:
    """Of a note on a unit that was set aside, what was seen last."""
    try:
        return str(json.loads(seen)["seen"][-1])
    except (ValueError, LookupError, TypeError):
        return seen


def _ranges(units: Sequence[int]) -> str:
    """`0-3, 7`, at most a few."""
    parts: list[list[int]] = []
    for unit in units:
        if parts and parts[-1][1] == unit - 1:
            parts[-1][1] = unit
        else:
            parts.append([unit, unit])
    said = [f"{a}" if a == b else f"{a}-{b}" for a, b in parts]
    return ", ".join(said[:8]) + (", ..." if len(said) > 8 else "")


def _mend(console: Console, found: Findings) -> None:
    moved = [_moved(found.folder, one) for one in found.broken if one.again]
    for place in moved:
        console.record("moved", path=place)
    kept = found.folder / ASIDE
    console.say(f"moved        {len(moved):,} broken to {kept}: nothing was deleted")
    console.next_command(shlex.join(["etude", "run", str(found.folder)]))


def _moved(folder: Path, one: Broken) -> str:
    place = one.path.relative_to(folder).as_posix()
    target = folder / ASIDE / place
    count = 1
    while target.exists():
        count += 1
        target = folder / ASIDE / f"{place}.{count}"
    store.move(one.path, target)
    return target.relative_to(folder).as_posix()
