"""The verbs `judge` and `check`: verdicts for a file of pairs, and what the sandbox can do here."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from etude.arm import counted
from etude.errors import InputError
from etude.judge import BrokenLine, Judge, Limits, judge_file, read_pairs
from etude.types import Verdict


def judge_pairs(
    file: Path,
    out: Path | None,
    *,
    workers: int | None,
    cpu_seconds: float,
    isolation: str,
    json_lines: bool,
) -> None:
    """Judge every pair of a file. Raises `InputError` at the end when lines were broken."""
    read_pairs(file)  # whatever makes the whole file unreadable is said before sandboxes start
    if out is not None:
        _check_out(file, out)
    outcomes: Counter[str] = Counter()
    broken = 0
    with ExitStack() as stack:
        judge = stack.enter_context(Judge(workers, Limits(cpu_seconds=cpu_seconds), isolation))
        if isolation == "auto" and judge.isolation != "full":
            print(f"isolation: {judge.isolation}; `etude check` says why", file=sys.stderr)
        sink = stack.enter_context(out.open("w", encoding="utf-8")) if out else None
        stack.enter_context(_interrupted(outcomes, out))
        for line, verdict in judge_file(file, judge):
            if isinstance(verdict, BrokenLine):
                broken += 1
                print(f"line {line}: {verdict.reason}", file=sys.stderr)
                continue
            outcomes[verdict.outcome] += 1
            text = json.dumps(verdict_record(line, verdict))
            if sink is not None:
                sink.write(text + "\n")
            if json_lines:
                print(text)
    if not json_lines:
        print(f"{_pairs(outcomes)}: {counted(outcomes)}")
    if broken:
        count = "1 line holds" if broken == 1 else f"{broken:,} lines hold"
        raise InputError(
            f"{file}: {count} no pair (named above); judged: "
            f"{_pairs(outcomes)}. Each line or row must have puzzle and solution, both text."
        )


@contextmanager
def _interrupted(outcomes: Counter[str], out: Path | None) -> Iterator[None]:
    """On Ctrl-C: how far it came, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f", with verdicts in {out}" if out else ""
        print(f"\nInterrupted. Judged: {_pairs(outcomes)}{kept}.", file=sys.stderr)
        sys.exit(130)


def _pairs(outcomes: Counter[str]) -> str:
    count = outcomes.total()
    return "1 pair" if count == 1 else f"{count:,} pairs"


def _check_out(file: Path, out: Path) -> None:
    """Raises `InputError` where verdicts can't be written, or would replace the pairs."""
    if out.exists() and out.samefile(file):
        raise InputError(f"--out must be another file than the pairs, but both are {out}.")
    if out.is_dir() or not out.parent.is_dir():
        found = "a folder" if out.is_dir() else f"in {out.parent}, which is no folder"
        raise InputError(f"--out must be a file in a folder that exists, but {out} is {found}.")


def verdict_record(line: int, verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON."""
    return {
        "line": line,
        "outcome": str(verdict.outcome),
        "answer": verdict.answer,
        "detail": verdict.detail,
        "cpu_seconds": round(verdict.cpu_seconds, 6),
        "peak_bytes": verdict.peak_bytes,
    }


def show_layers() -> None:
    """Print each layer of isolation and whether it holds here, tried by real attacks."""
    with Judge(1) as judge:
        print(f"isolation: {judge.isolation}")
        for layer, state in judge.layers.items():
            print(f"  {layer:<12} {state}")
