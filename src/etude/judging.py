"""The verb `judge`: verdicts for pairs.

Covered: files, standard input, two files of Python; verdicts as JSON lines; what goes wrong while
they are written. Judging a run again: `again`.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from os.path import exists, isdir, isfile, samefile  # those of Path fail on odd names
from pathlib import Path
from typing import Any

from etude.arm import counted
from etude.errors import Fault, InputError
from etude.judge import (
    BrokenLine,
    Exam,
    Judge,
    Limits,
    Pair,
    judge_pairs,
    read_lines,
    read_pairs,
    read_sources,
)
from etude.readings.words import printable
from etude.types import Outcome, Verdict

MOST_NAMED = 20
"""Broken lines that are named each; the others are counted."""
MOST_FAULTS = 20
"""Pairs in a row on which the sandbox may fail before there is no point in going on."""
STDIN = "-"
Item = Pair | Exam | BrokenLine
READER_GONE = 141
"""The exit code when nobody reads standard output any more, as shells know it from SIGPIPE."""


def judge_files(
    files: Sequence[str],
    out: Path | None,
    *,
    workers: int | None,
    limits: Limits,
    isolation: str,
    twice: bool = False,
    json_lines: bool,
) -> None:
    """Judge every pair of a file, of standard input (`-`), or of two files of Python.

    Raises `InputError` at the end when lines were broken, `Fault` when pairs have no verdict.
    """
    if out is not None:
        _check_out(files, out)
    tally = Tally(" and ".join(files))
    with ExitStack() as stack:
        stack.enter_context(_interrupted(tally, out))
        pairs = _pairs_of(files)  # what makes them unreadable is said before sandboxes start
        judge = stack.enter_context(open_judge(workers, limits, isolation, twice))
        conditions = str(judge.conditions)
        sink = stack.enter_context(Sink(out)) if out else None
        for item in judge_pairs(pairs, judge):
            if isinstance(item, BrokenLine):
                tally.broken_line(item)
                continue
            pair, verdict = item
            tally.add(pair, verdict)
            if sink is not None or json_lines:
                text = json.dumps(verdict_record(pair, verdict, conditions))
                if sink is not None:
                    sink.write(text)
                if json_lines:
                    say(text)
            if len(files) == 2 and not json_lines:
                say(_one(verdict))
            tally.stop_if_hopeless()
    if not json_lines and len(files) != 2:
        say(str(tally))
    tally.complain()


def open_judge(workers: int | None, limits: Limits, isolation: str, twice: bool = False) -> Judge:
    """A judge; where `auto` gives less than everything, this is said."""
    judge = Judge(workers, limits, isolation, twice)
    if isolation == "auto" and judge.isolation != "full":
        print(f"isolation: {judge.isolation}; `etude check` says why", file=sys.stderr)
    return judge


def _pairs_of(files: Sequence[str]) -> Iterator[Item]:
    """The pairs that the arguments name, the first of them read. Raises `InputError`."""
    sources = [file for file in files if file.endswith(".py")]
    if sources or len(files) != 1:
        if len(sources) != 2 or len(files) != 2:
            raise InputError(
                "pairs must be given as one file, as - for standard input, or as PUZZLE.py "
                f"SOLUTION.py, but got {' '.join(files) or 'nothing'}"
            )
        return iter([read_sources(*sources)])
    (file,) = files
    name = "standard input" if file == STDIN else file
    pairs = _readable(name, _from_stdin() if file == STDIN else read_pairs(file))
    first = next(pairs, None)
    if first is None:
        raise InputError(f"{name} must hold at least one pair, but holds none.")
    return itertools.chain([first], pairs)


def _from_stdin() -> Iterator[Item]:
    if sys.stdin is None:
        raise InputError("standard input must hold pairs, but is closed.")
    return read_lines(sys.stdin.buffer)


def _readable(name: str, pairs: Iterator[Item]) -> Iterator[Item]:
    try:
        yield from pairs
    except OSError as error:
        raise InputError(f"{name} can't be read ({error.strerror}).") from error


@dataclass
class Tally:
    """What came of the pairs so far."""

    source: str
    outcomes: Counter[str] = field(default_factory=Counter)
    programs: int = 0
    """How many of the pairs are programs with tests."""
    unstable: int = 0
    broken: int = 0
    fault: str = ""
    """What the last fault was."""
    faults_in_a_row: int = 0

    def add(self, pair: Pair | Exam, verdict: Verdict) -> None:
        """Count a verdict."""
        self.outcomes[verdict.outcome] += 1
        self.programs += isinstance(pair, Exam)
        self.unstable += verdict.stable is False
        if verdict.outcome is Outcome.FAULT:
            self.fault = verdict.detail
            self.faults_in_a_row += 1
        else:
            self.faults_in_a_row = 0

    def stop_if_hopeless(self) -> None:
        """Raise `Fault` when sandboxes have failed on too many pairs in a row."""
        if self.faults_in_a_row >= MOST_FAULTS:
            raise Fault(
                f"the sandbox failed on {MOST_FAULTS} pairs in a row (lastly: "
                f"{printable(self.fault)}), so the others were not tried. Verdicts: {self}."
            )

    def broken_line(self, line: BrokenLine) -> None:
        self.broken += 1
        if self.broken <= MOST_NAMED:
            print(f"line {line.line}: {printable(line.reason)}", file=sys.stderr)

    @property
    def judged(self) -> str:
        """`1 pair`, `2 programs` or `1 pair and 2 programs`."""
        counts = {"pair": self.outcomes.total() - self.programs, "program": self.programs}
        words = [f"{count:,} {what}{'s' * (count != 1)}" for what, count in counts.items() if count]
        return " and ".join(words) or "0 pairs"

    def __str__(self) -> str:
        unstable = f", {self.unstable:,} unstable" if self.unstable else ""
        return f"{self.judged}: {counted(self.outcomes)}{unstable}"

    def complain(self) -> None:
        """Raise `Fault` for pairs without a verdict, else `InputError` for broken lines."""
        count = "1 line holds" if self.broken == 1 else f"{self.broken:,} lines hold"
        first = f"the first {MOST_NAMED} " if self.broken > MOST_NAMED else ""
        broken = (
            f"{self.source}: {count} no pair ({first}named above); judged: {self.judged}. "
            "Each line or row must have puzzle and solution, or prompt, completion, test and "
            "entry_point, all text."
        )
        faults = self.outcomes[Outcome.FAULT]
        if faults:
            if self.broken:
                print(broken, file=sys.stderr)
            raise Fault(
                f"the sandbox failed, so that {faults:,} of {self.judged} got no verdict, but "
                f"`fault` (lastly: {printable(self.fault)}). Judge these again."
            )
        if self.broken:
            raise InputError(broken)


class Sink:
    """A file of lines. Each is written when it is known, so that whatever ends it, whole lines
    are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise InputError(f"--out {path} can't be written ({error.strerror}).") from error
        self._lines = 0
        self._bytes = 0

    def write(self, text: str) -> None:
        """One more line. Raises `InputError` when the disk is full."""
        data = memoryview(text.encode() + b"\n")
        done = 0
        try:
            while done < len(data):
                done += self._file.write(data[done:]) or 0
        except OSError as error:
            with suppress(OSError):  # half a line is worse than none; a pipe can't be cut
                self._file.truncate(self._bytes)
            raise InputError(
                f"{self.path} could not be written ({error.strerror}): it holds the verdicts of "
                f"the first {self._lines:,} pairs. Make room or grant access, then give the "
                "command again."
            ) from error
        self._lines += 1
        self._bytes += done

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def say(text: str) -> None:
    """A line on standard output, at once. Raises `InputError` when it can't be written.

    Ends the program, as shells expect it, when nobody reads any more.
    """
    if sys.stdout is None:
        raise InputError("standard output must be open for the verdicts, but is closed.")
    try:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        _forget_output()
        sys.exit(READER_GONE)
    except OSError as error:
        _forget_output()
        raise InputError(
            f"standard output could not be written ({error.strerror}). Make room or grant access, "
            "then give the command again."
        ) from error


def _forget_output() -> None:
    """Let the interpreter's last flush, of what could not be written, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def _interrupted(tally: Tally, out: Path | None) -> Iterator[None]:
    """On Ctrl-C: how far it came, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        kept = f", with verdicts in {out}" if out else ""
        print(f"\nInterrupted. Judged: {tally.judged}{kept}.", file=sys.stderr)
        sys.exit(130)


def _check_out(files: Iterable[str], out: Path) -> None:
    """Raises `InputError` where verdicts can't be written, or would replace the pairs."""
    if out.suffix.lower() in (".parquet", ".json", ".csv"):
        raise InputError(f"--out is JSON lines, so a .jsonl file, but got {out.name}.")
    if isfile(out) and any(exists(file) and samefile(out, file) for file in files):
        raise InputError(f"--out must be another file than the pairs, but both are {out}.")
    if isdir(out) or not isdir(out.parent):
        found = "a folder" if isdir(out) else f"in {out.parent}, which is no folder"
        raise InputError(f"--out must be a file in a folder that exists, but {out} is {found}.")


def _one(verdict: Verdict) -> str:
    """The verdict on a single pair, for people."""
    answer = f", answer {printable(verdict.answer)}" if verdict.answer is not None else ""
    detail = f": {printable(verdict.detail)}" if verdict.detail else ""
    unstable = ", unstable: a second look found another outcome" * (verdict.stable is False)
    return f"{verdict.outcome}{answer}{detail}{unstable}"


def verdict_record(pair: Pair | Exam, verdict: Verdict, conditions: str) -> dict[str, Any]:
    """A verdict as JSON. `judge` says under which conditions it was found."""
    return {
        "line": pair.line,
        **({"name": pair.name} if pair.name else {}),
        "outcome": str(verdict.outcome),
        "answer": verdict.answer,
        "detail": verdict.detail,
        "cpu_seconds": round(verdict.cpu_seconds, 6),
        "peak_bytes": verdict.peak_bytes,
        **({} if verdict.stable is None else {"stable": verdict.stable}),
        "judge": conditions,
    }
