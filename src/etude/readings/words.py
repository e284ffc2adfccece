"""Words: readings put into text for people, and model-written text made harmless."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from etude import health, readings, store
from etude.course import STOP
from etude.readings import PARTS, RUNGS, Comparison, Rung
from etude.stats import Estimate
from etude.types import Score


def headline(rungs: Sequence[Rung], compared: Sequence[Comparison]) -> list[str]:
    """The run's result in a few sentences: the scores, then what they are beside the controls."""
    if not rungs:
        return ["Nothing has been scored yet."]
    top = rungs[-1]
    first = [s for s in top.scores if s.k == min(t.k for t in top.scores)]
    who = "The student" if top.label == RUNGS[-1][0] else f"The model {top.bare!r}"
    scored = listed([f"{_share(s)} of the {PARTS.get(s.part, s.part)}" for s in first])
    made = [f"{who} solves {scored} {tries(first[0].k)}."]
    for score in first:
        beside = [c for c in compared if (c.part, c.k) == (score.part, score.k)]
        made += [_beside(score.part, beside)] if beside else []
    return made


def _share(score: Score) -> str:
    return f"{100 * score.value:.1f}% [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def _beside(part: str, compared: Sequence[Comparison]) -> str:
    """One part against every other rung: what is not shown comes before what is."""
    worse = [c for c in compared if c.worse]
    unclear = [c for c in compared if not c.worse and not c.improved]
    said = [f"it is worse than {_gains(worse)}"] if worse else []
    said += [f"no improvement is shown over {_gains(unclear)}"] if unclear else []
    if not said:
        closest = min(compared, key=lambda c: c.difference.value)
        said = [f"that is more than every other rung; the closest is {_gains([closest])}"]
    return f"On the {PARTS.get(part, part)} {' and '.join(said)}."


def _gains(compared: Sequence[Comparison]) -> str:
    return listed([f"{c.against.removeprefix('+ ')} ({signed(c.difference)})" for c in compared])


Result = tuple[Sequence[Rung], Sequence[Comparison]]
"""The ladder of one run, and what its top is against the others."""


def across_seeds(results: Sequence[Result]) -> list[str]:
    """The result of runs that differ in their seed alone: means, and from where to where they go.

    Only finished runs are taken. The span is no interval: a few seeds don't give one.
    """
    finished = [(r, c) for r, c in results if r and r[-1].label == RUNGS[-1][0]]
    if len(finished) < 2:
        return ["Fewer than two of the runs are finished, so nothing is said across seeds."]
    tops = [rungs[-1] for rungs, _ in finished]
    k = min(score.k for score in tops[0].scores)
    parts = list(dict.fromkeys(score.part for score in tops[0].scores))
    scored = [
        f"{span(_values(tops, part, k), '%')} of the {PARTS.get(part, part)}" for part in parts
    ]
    who = f"Over {len(finished)} seeds the student solves on average"
    gains = [line for part in parts for line in _seed_gains(finished, part, k)]
    how = "In brackets: the lowest and the highest seed, which is no interval."
    clear = " Clear: the whole 95% interval over problems is above zero." if gains else ""
    return [f"{who} {listed(scored)} {tries(k)}.", *gains, how + clear]


def _values(tops: Sequence[Rung], part: str, k: int) -> list[float]:
    return [s.value for top in tops for s in top.scores if (s.part, s.k) == (part, k)]


def _seed_gains(finished: Sequence[Result], part: str, k: int) -> list[str]:
    found: dict[str, list[Comparison]] = defaultdict(list)
    for _, compared in finished:
        for c in compared:
            if (c.part, c.k) == (part, k):
                found[c.against].append(c)
    said = [
        f"{span([c.difference.value for c in made], sign='+')} over {against.removeprefix('+ ')}, "
        f"clear in {sum(c.improved for c in made)} of {len(made)}"
        for against, made in found.items()
    ]
    return [f"On the {PARTS.get(part, part)}, in points: {'; '.join(said)}."] if said else []


def span(values: Sequence[float], unit: str = "", sign: str = "") -> str:
    """`58.2% (54.1 to 61.0)`: the mean, and the lowest and highest, in percent.

    >>> span([0.541, 0.610], "%")
    '57.6% (54.1 to 61.0)'
    """
    mean, low, high = (round(100 * x, 1) + 0.0 for x in (fmean(values), min(values), max(values)))
    return f"{mean:{sign}.1f}{unit} ({low:{sign}.1f} to {high:{sign}.1f})"


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)


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
