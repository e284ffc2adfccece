"""The verb `judge --again`: a run's stored candidates, judged again, and the verdicts that flipped.

Covered: the attempts of every round of every arm, and of every evaluation. The run is only read.
Not covered: which puzzles the vetting found trivial, and which proposals were puzzles.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from etude import readings, store, streams
from etude.arm import limits_of, load_problems, longest_tests
from etude.attempts import placeless, program_of
from etude.errors import Fault, InputError
from etude.judge import Conditions, Limits, Program
from etude.judge.limits import WAITING
from etude.judge.record import METADATA_KEY, described
from etude.judging import MOST_FAULTS, open_judge, say
from etude.readings.words import harmless
from etude.types import Exercise, Outcome, Puzzle, Verdict

NEAR = 0.25
"""The part of a limit from which on another machine, or a busy one, may pass it."""
FLIPPED = 1
"""The exit code when there are flips."""
VERDICT = ("outcome", "answer", "detail", "cpu_seconds", "peak_bytes")


@dataclass(frozen=True, slots=True)
class Stored:
    """A candidate as a table holds it, with the verdict of then."""

    place: str
    """The segment: `round-01/judge/00003`."""
    id: str
    """Of a round: the candidate's id. Of an evaluation: `problem#draw`."""
    source: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Flip:
    """A candidate with another outcome than then."""

    stored: Stored
    now: Verdict
    near_limit: bool
    """One outcome is `timeout` or `memory`, and the other verdict came near that limit."""

    @property
    def kind(self) -> str:
        return f"{self.stored.verdict.outcome} -> {self.now.outcome}"

    def as_dict(self) -> dict[str, Any]:
        then = self.stored.verdict
        return {
            "place": self.stored.place,
            "id": self.stored.id,
            "near_limit": self.near_limit,
            "then": {key: getattr(then, key) for key in VERDICT},
            "now": {key: getattr(self.now, key) for key in VERDICT},
        }

    def __str__(self) -> str:
        near = "  near a limit" if self.near_limit else ""
        detail = self.now.detail or self.stored.verdict.detail
        said = f"  {harmless(detail, lines=1, width=100)}" if detail else ""
        return f"{self.stored.place}  {self.stored.id}  {self.kind}{near}{said}"


def judge_again(
    folder: Path,
    files: Sequence[str],
    out: Path | None,
    *,
    workers: int | None,
    cpu_seconds: float | None,
    isolation: str | None,
    twice: bool,
    json_lines: bool,
) -> None:
    """Judge what a run holds again and list the flips; exit with 1 when there are any.

    Limits and isolation are the recipe's, unless given.
    """
    if files or out is not None or twice:
        given = f"--out {out}" if out is not None else " ".join(files) or "--twice"
        raise InputError(f"--again takes a run alone, but got {given} as well: leave it out.")
    run = store.Run.read(folder)
    segments = judged_segments(run.folder)
    if not segments:
        raise InputError(f"{folder} must hold verdicts to be judged again, but has none yet.")
    section = run.recipe.judge
    limits = limits_of(section, longest_tests(run.recipe))
    if cpu_seconds is not None:
        waiting = max(limits.wall_seconds, WAITING * cpu_seconds)
        limits = replace(limits, cpu_seconds=cpu_seconds, wall_seconds=waiting)
    summary = Summary()
    with (
        _interrupted(summary),
        open_judge(workers, limits, section.isolation if isolation is None else isolation) as judge,
    ):
        summary.now = judge.conditions
        summary.paces = _recorded_pace(folder), judge.pace
        groups: deque[list[Stored]] = deque()
        for verdicts in judge.verify_all(_jobs(run, segments, groups, summary)):
            for stored, now in zip(groups.popleft(), verdicts, strict=True):
                flip = summary.compare(stored, now, limits)
                summary.stop_if_hopeless()
                if flip is not None:
                    say(_record("flip", flip.as_dict()) if json_lines else str(flip))
    say(_record("again", summary.as_dict()) if json_lines else "\n".join(summary.lines()))
    summary.end()


def judged_segments(run: Path) -> list[Path]:
    """Every segment of verdicts, in order: of rounds and evaluations, the controls' too."""
    arms = [run, *sorted(path for path in (run / "controls").glob("*") if path.is_dir())]
    found: list[Path] = []
    for arm in arms:
        places = [arm, *(store.round_folder(arm, n) for n in readings.rounds(arm)), arm / "final"]
        for place in places:
            for stage in ("judge", "evaluate"):
                found += store.segments(place / stage)
    return found


Job = tuple[Puzzle, list[str]] | Program


def _jobs(
    run: store.Run, segments: Sequence[Path], groups: deque[list[Stored]], summary: Summary
) -> Iterator[Job]:
    """A job for each puzzle of each segment; what it asks is appended to `groups`."""
    puzzles = _Puzzles(run)
    for path in segments:
        summary.segments[_conditions(path)] += 1
        place = str(path.relative_to(run.folder).with_suffix(""))
        if path.parent.name == "evaluate":
            rows, known = _attempts(path), puzzles.problems
        else:
            rows, known = _candidates(path), puzzles.of_round(path.parent.parent)
        for name, group in groupby(rows, lambda row: str(row["puzzle"])):
            if name not in known:
                raise InputError(
                    f"{path} has verdicts on {name!r}, which is no puzzle of the run any more: "
                    "its recipe or tables were changed."
                )
            stored = [_stored(path, place, row) for row in group]
            task = known[name]
            if isinstance(task, Exercise):
                for item in stored:
                    groups.append([item])
                    yield program_of(task, item.source)
                continue
            groups.append(stored)
            yield task, [item.source for item in stored]


class _Puzzles:
    """The puzzles of one round at a time by their ids, the problems of the suite by their names."""

    def __init__(self, run: store.Run) -> None:
        self._run = run
        self._round: tuple[Path, Mapping[str, Puzzle | Exercise]] | None = None

    @cached_property
    def problems(self) -> Mapping[str, Puzzle | Exercise]:
        return {problem.name: problem.task for problem in load_problems(self._run.recipe)}

    def of_round(self, folder: Path) -> Mapping[str, Puzzle | Exercise]:
        if self._round is None or self._round[0] != folder:
            self._round = folder, {puzzle.id: puzzle for puzzle in streams.Kept(folder)}
        return self._round[1]


def _attempts(path: Path) -> Iterator[store.Row]:
    """The rows of an evaluation, with `id` and `puzzle`."""
    for row in readings.segment(path, ["problem", "draw", "source", *VERDICT]):
        yield row | {"id": f"{row['problem']}#{row['draw']}", "puzzle": row["problem"]}


def _candidates(path: Path) -> Iterator[store.Row]:
    """The rows of a round's verdicts, with `id`, `puzzle` and the candidates' `source`."""
    solved = path.parent.parent / "solve" / path.name
    rows = readings.segment(solved, ["candidate_id", "source"])
    sources = {row["candidate_id"]: row["source"] for row in rows}
    for row in readings.segment(path, ["candidate_id", "puzzle_id", *VERDICT]):
        if row["candidate_id"] not in sources:
            raise InputError(f"{solved} must hold the candidates of {path}, but lacks some.")
        made = {"id": row["candidate_id"], "puzzle": row["puzzle_id"]}
        yield row | made | {"source": sources[row["candidate_id"]]}


def _stored(path: Path, place: str, row: store.Row) -> Stored:
    try:
        outcome = Outcome(row["outcome"])
    except ValueError:
        raise InputError(f"{path} has the outcome {row['outcome']!r}, which is none.") from None
    verdict = Verdict(
        outcome, row["answer"], row["detail"] or "", row["cpu_seconds"], row["peak_bytes"]
    )
    return Stored(place, row["id"], row["source"], verdict)


def _conditions(path: Path) -> str:
    """The conditions that a segment was judged under, as JSON; empty where it does not say."""
    try:
        metadata = store.read_schema(path).metadata or {}
    except InputError:
        return ""  # its rows can't be read either, which will be said
    return str(metadata.get(METADATA_KEY.encode(), b""), "utf-8")


@dataclass
class Summary:
    """What judging again has found so far."""

    candidates: int = 0
    flips: Counter[str] = field(default_factory=Counter)
    near: Counter[str] = field(default_factory=Counter)
    """Flips near a limit."""
    answers: int = 0
    """Same outcome with another answer: the candidate, or how answers are written, is another."""
    faults: int = 0
    faults_in_a_row: int = 0
    fault: str = ""
    segments: Counter[str] = field(default_factory=Counter)
    """By the conditions they were judged under, as JSON."""
    now: Conditions | None = None
    paces: tuple[float | None, float] = (None, 0.0)
    """CPU seconds of a fixed piece of work on the run's machine (None: not recorded), and here."""

    def compare(self, stored: Stored, now: Verdict, limits: Limits) -> Flip | None:
        """Count a candidate; its flip when it has another outcome. A fault is none."""
        self.candidates += 1
        then = stored.verdict
        if now.outcome is Outcome.FAULT:
            self.faults += 1
            self.faults_in_a_row += 1
            self.fault = now.detail
            return None
        self.faults_in_a_row = 0
        if now.outcome is then.outcome:
            self.answers += _as_stored(now.answer) != then.answer
            return None
        flip = Flip(stored, now, near_limit(then, now, limits))
        (self.near if flip.near_limit else self.flips)[flip.kind] += 1
        return flip

    def stop_if_hopeless(self) -> None:
        """Raise `Fault` when sandboxes have failed on too many candidates in a row."""
        if self.faults_in_a_row >= MOST_FAULTS:
            raise Fault(
                f"the sandbox failed on {MOST_FAULTS} candidates in a row (lastly: "
                f"{harmless(self.fault, lines=1)}), after {self.candidates:,} in all."
            )

    def as_dict(self) -> dict[str, Any]:
        return {
            "candidates": self.candidates,
            "flips": dict(self.flips),
            "near_limit": dict(self.near),
            "other_answers": self.answers,
            "faults": self.faults,
            "then": [
                {"segments": count, "judge": json.loads(text) if text else None}
                for text, count in self.segments.items()
            ],
            "now": self.now.as_dict() if self.now else None,
            "pace_seconds": dict(zip(("then", "now"), self.paces, strict=True)),
        }

    def lines(self) -> Iterator[str]:
        total = self.segments.total()
        yield f"judged again: {self.candidates:,} candidates of {total:,} segments"
        yield f"flips: {_kinds(self.flips)}"
        if self.near:
            yield f"flips near a limit, as time and memory differ: {_kinds(self.near)}"
        if self.answers:
            yield f"same outcome with another answer: {self.answers:,}"
        for text, count in self.segments.items():
            then = described(json.loads(text)) if text else "not recorded"
            yield f"then: {then} ({count:,} segments)"
        yield f"now:  {self.now}"
        then, here = (f"{1000 * pace:.1f} ms" if pace else "not recorded" for pace in self.paces)
        yield f"a fixed piece of work: {then} of CPU time then, {here} now"

    def end(self) -> None:
        """Raise `Fault` for candidates without a verdict; exit with 1 when there are flips."""
        if self.faults:
            raise Fault(
                f"the sandbox failed, so that {self.faults:,} candidates got no verdict (lastly: "
                f"{harmless(self.fault, lines=1)}). Judge again."
            )
        if self.flips or self.near:
            sys.exit(FLIPPED)


def _recorded_pace(run: Path) -> float | None:
    """What the run's record says of its machine; None where it says nothing that can be read."""
    try:
        pace = json.loads((run / "record.json").read_text("utf-8")).get("pace_seconds")
    except (OSError, ValueError, AttributeError):
        return None
    return pace if isinstance(pace, float) and pace > 0 else None


def near_limit(then: Verdict, now: Verdict, limits: Limits) -> bool:
    """Whether a flip to or from `timeout` or `memory` is one that measurement can explain."""
    for passed, other in ((then, now), (now, then)):
        if passed.outcome is Outcome.TIMEOUT:
            return other.cpu_seconds >= NEAR * limits.cpu_seconds
        if passed.outcome is Outcome.MEMORY:
            return other.peak_bytes >= NEAR * limits.memory_bytes
    return False


def _as_stored(answer: str | None) -> str | None:
    return None if answer is None else store.escaped(placeless(answer))


def _kinds(flips: Counter[str]) -> str:
    """`3: 2 accepted -> raised  1 wrong -> accepted`, or `0`."""
    kinds = "  ".join(f"{count:,} {kind}" for kind, count in flips.most_common())
    return f"{flips.total():,}: {kinds}" if flips else "0"


def _record(kind: str, content: Mapping[str, Any]) -> str:
    return json.dumps({"kind": kind, **content})


@contextmanager
def _interrupted(summary: Summary) -> Iterator[None]:
    """On Ctrl-C: how far it came, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        count = summary.candidates
        print(f"\nInterrupted. Judged again: {count:,} candidates.", file=sys.stderr)
        sys.exit(130)
