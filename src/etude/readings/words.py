"""Words: readings put into text for people, and model-written text made harmless."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from etude import health, readings, store
from etude.course import STOP
from etude.readings import PARTS, RUNGS, Comparison, Rung
from etude.stats import Estimate
from etude.types import Score


def sentence(rungs: Sequence[Rung], compared: Sequence[Comparison]) -> str:
    """The run's result in one sentence."""
    if not rungs:
        return "Nothing has been scored yet."
    top = rungs[-1]
    score = min(top.scores, key=lambda s: s.k)
    who = "The student" if top.label == RUNGS[-1][0] else f"The model {top.bare!r}"
    title = PARTS.get(score.part, score.part)
    text = f"{who} solves {percent(score)} % of the {title} {tries(score.k)}"
    control = next(
        (
            c
            for c in compared
            if c.against == RUNGS[2][0] and (c.part, c.k) == (score.part, score.k)
        ),
        None,
    )
    if control is None:
        return f"{text}."
    return f"{text}: {signed(control.difference)} points against more epochs on the seeds."


def tries(k: int) -> str:
    return "at the first attempt" if k == 1 else f"in {k} attempts"


def conclusion(compared: Sequence[Comparison]) -> list[str]:
    """What the comparisons do and do not show, said plainly: what failed first."""
    if not compared:
        return ["No comparison: the loop or its controls have not been scored."]
    failed = [c for c in compared if not c.improved]
    lines = [
        *_grouped("Worse than", [c for c in failed if c.worse]),
        *_grouped("No improvement shown over", [c for c in failed if not c.worse]),
    ]
    if not failed:
        lines = ["Every difference has its whole 95% interval above zero."]
    return [*lines, "Intervals are over problems, of one run: another seed would differ more."]


def _grouped(finding: str, compared: Sequence[Comparison]) -> list[str]:
    """`No improvement shown over seeds: held-out families at pass@1, pass@10.`, a line a rung."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for c in compared:
        found[c.against.removeprefix("+ ")][c.part].append(f"pass@{c.k}")
    return [
        f"{finding} {against}: "
        + "; ".join(f"{PARTS.get(part, part)} at {', '.join(ks)}" for part, ks in parts.items())
        + "."
        for against, parts in found.items()
    ]


def percent(value: Score | Estimate) -> str:
    """`59.4 [55.1, 63.6]`, in percent.

    >>> percent(Estimate(0.594, 0.551, 0.636))
    '59.4 [55.1, 63.6]'
    """
    return f"{100 * value.value:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def signed(value: Estimate) -> str:
    """`+5.5 [+2.1, +8.9]`, in percentage points.

    >>> signed(Estimate(0.055, 0.021, 0.089))
    '+5.5 [+2.1, +8.9]'
    """
    middle, low, high = (round(100 * x, 1) + 0.0 for x in (value.value, value.low, value.high))
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


def harmless(text: str, *, lines: int = 40, width: int = 160) -> str:
    r"""Model-written text that can be shown anywhere: no control, bidi or invisible characters.

    Whatever does not print is shown by its escape; long text is cut, saying so. HTML and markup
    are not its business: a template escapes them.

    >>> harmless("a\x1b[31m\u202eb")
    'a\\x1b[31m\\u202eb'
    """
    found = text.split("\n", lines)
    more = found.pop().count("\n") + 1 if len(found) > lines else 0
    kept = [_harmless_line(line, width) for line in found]
    return "\n".join([*kept, f"... {more:,} more lines"] if more else kept)


def _harmless_line(line: str, width: int) -> str:
    shown = printable(line[:width])
    return shown if len(line) <= width else f"{shown}... ({len(line):,} characters)"


def printable(text: str) -> str:
    """Whole, with an escape for every character that does not print; lines stay lines."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in text.replace("\t", "    ")
    )


def stopped(run: Path) -> str:
    """Why a run's rounds ended early and what its student learned; empty where they did not."""
    course = readings.course(run)
    if not course.stopped:
        return ""
    measured = store.read_stage(store.round_folder(run, course.last) / "health")
    reasons = [health.words(row) for row in measured if row["state"] == STOP]
    kept = "round 1" if course.kept == 1 else f"rounds 1 to {course.kept}"
    best = store.read_recipe(run).health.keep == "best"
    why = ", the best by the held-out pass@1 that is also scored here" if best else ""
    return (
        f"The rounds ended after round {course.last}, by health.stop: {'; '.join(reasons)}. "
        f"The student learned the examples of {kept}{why}."
    )
