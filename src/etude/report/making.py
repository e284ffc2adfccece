"""Making: what became of the puzzles and candidates, how hard they were, what it all took.

With one run, colours tell rounds or outcomes apart; with several they tell the
runs apart. A section without anything to say is None. Text of models stands here as it is: charts
make theirs inert, and the template escapes what it prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from etude import readings
from etude.console import duration
from etude.readings import Funnel
from etude.report import charts
from etude.report.charts import Chart, Key, Series, colour, keys_of, step
from etude.report.facts import CLASSES, Facts
from etude.report.parts import Cell, Code, Runs, Section, Table, estimate
from etude.stats import Estimate

OUTCOMES = (
    "accepted", "wrong", "mistyped", "raised", "timeout", "memory", "crashed", "refused",
    "unparsed", "fault",
)  # fmt: skip
"""Their order fixes their colours."""
FATES = (
    "kept", "duplicate", "same form", "trivial", "held out", "over the limit", "broken rule", None,
    "unparsed", "same cell",
)  # fmt: skip
"""Fates in the order of the colours of outcomes; None leaves a colour out."""
FUNNEL = ("asked", "well_formed", "kept", "solved", "taught")


def funnel(runs: Runs) -> Section | None:
    """How many puzzles come through each stage."""
    if not any(run.loop for run in runs):
        return None
    if len(runs) == 1:
        named = [(f"round {c.round}", c) for c in runs[0].loop]
        tones = [step(n, len(named)) for n in range(len(named))]
    else:
        named = [(run.label, _summed(run.loop)) for run in runs if run.loop]
        tones = [colour(n) for n, run in enumerate(runs) if run.loop]
    counts = [[_stage(c, stage) for stage in FUNNEL] for _, c in named]
    parts = [(name, tone, c) for (name, _), tone, c in zip(named, tones, counts, strict=True)]
    rows = [
        [stage.replace("_", "-"), *(f"{c[n]:,}" for c in counts)] for n, stage in enumerate(FUNNEL)
    ]
    rows += [
        [name, *(f"{getattr(c, name):,}" for _, c in named)]
        for name in ("candidates", "examples", "derived")
        if name != "derived" or any(c.derived for _, c in named)
    ]
    chart = Chart(
        "funnel",
        "puzzles" if len(runs) == 1 else "puzzles of all rounds",
        "how many puzzles were asked for, well-formed, kept, solved and taught",
        charts.bars([stage.replace("_", "-") for stage in FUNNEL], parts, stacked=False),
        ["", *(name for name, _ in named)],
        rows,
        [Key(tone, name, "area") for (name, _), tone in zip(named, tones, strict=True)],
    )
    fates = _shares(runs, "fates", "what became of the proposals", FATES)
    intro = (
        "Proposals asked of the model; those that are puzzles at all; those that the vetting kept; "
        "those with an accepted solution; those that became training examples."
    )
    return Section("funnel", "The funnel", intro, [chart, *fates])


def _stage(counts: Funnel, stage: str) -> int:
    value: int = getattr(counts, stage)
    return value


def _summed(rounds: Sequence[Funnel]) -> Funnel:
    def total(name: str) -> int:
        return sum(getattr(counts, name) for counts in rounds)

    return Funnel(
        "verified",
        0,
        (),
        total("asked"),
        sum((counts.fates for counts in rounds), Counter()),
        total("again"),
        total("candidates"),
        sum((counts.outcomes for counts in rounds), Counter()),
        total("solved"),
        total("taught"),
        total("examples"),
        total("derived"),
    )


def _shares(runs: Runs, kind: str, title: str, order: Sequence[str | None]) -> list[Chart]:
    """A full bar a round; of several runs the loop's alone.

    Names that the order does not know come last, in its last colour.
    """
    arms = readings.ARMS if len(runs) == 1 else ("verified",)
    rounds = [
        (_row_name(run, counts, len(runs) > 1), getattr(counts, kind))
        for run in runs
        for arm in arms
        for counts in run.funnels[arm]
        if getattr(counts, kind)
    ]
    if not rounds:
        return []
    seen = {name for _, counts in rounds for name in counts}
    named = [(number, name) for number, name in enumerate(order) if name in seen and name]
    named += [(len(order) - 1, name) for name in sorted(seen - {n for _, n in named})]
    parts = [(name, f"@o{tone}", [counts[name] for _, counts in rounds]) for tone, name in named]
    labels = [label for label, _ in rounds]
    rows = [[label, *(f"{counts[name]:,}" for _, name in named)] for label, counts in rounds]
    spec = charts.shares(labels, parts)
    keys = [Key(tone, name, "area") for name, tone, _ in parts]
    return [Chart(kind, title, title, spec, ["", *(name for _, name in named)], rows, keys)]


def _row_name(run: Facts, counts: Funnel, several: bool) -> str:
    name = "round" if counts.arm == "verified" else counts.arm
    return f"{run.label}, {name} {counts.round}" if several else f"{name} {counts.round}"


def failures(runs: Runs) -> Section | None:
    """Why candidates were not accepted."""
    drawn = _shares(
        runs, "outcomes", "what the judge found, in percent of the candidates", OUTCOMES
    )
    if not drawn:
        return None
    tables = [_reasons(run, len(runs) > 1) for run in runs if run.reasons]
    intro = (
        "Accepted means: f(g()) is literally True. A wrong answer was returned and refused; a "
        "mistyped one is not of the type that the puzzle asks for; raised, timeout and memory name "
        "how the solution ended; unparsed is no Python function."
    )
    return Section("failures", "Why candidates fail", intro, drawn, tables)


def _reasons(run: Facts, several: bool) -> Table:
    total = max(1, run.judged[0])
    rows: list[list[Cell]] = [
        [
            reason.outcome,
            f"{reason.count:,}",
            f"{100 * reason.count / total:.1f}%",
            reason.kind or ("f did not return True" if reason.outcome == "wrong" else "-"),
            f"{reason.puzzles:,}",
            Code(reason.example if reason.example != reason.kind else ""),
        ]
        for reason in run.reasons
    ]
    head = ["outcome", "candidates", "of all", "reason", "puzzles", "for example"]
    whose = f"{run.label}: " if several else ""
    title = f"{whose}the most frequent reasons, over all rounds"
    return Table(title, head, rows, folded=several, texts=(3, 5), wide=True)


def difficulty(runs: Runs) -> Section | None:
    """How often puzzles were solved."""
    several = len(runs) > 1
    rows = [(run, found) for run in runs for found in run.difficulty]
    if not rows:
        return None
    labels = [f"{r.label}, round {d.round}" if several else f"round {d.round}" for r, d in rows]
    parts = [
        (name, f"@d{n}", [found.classes[n] for _, found in rows]) for n, name in enumerate(CLASSES)
    ]
    table = [
        [
            label,
            *(f"{count:,}" for count in found.classes),
            f"{100 * found.between:.1f}%",
            _plain(found.learnability),
        ]
        for label, (_, found) in zip(labels, rows, strict=True)
    ]
    spread = Chart(
        "difficulty",
        "how often puzzles were solved, in percent of the puzzles that were tried",
        "share of the puzzles by the share of their attempts that was accepted, for every round",
        charts.shares(labels, parts),
        ["", *CLASSES, "sometimes", "learnability"],
        table,
        [Key(tone, name, "area") for name, tone, _ in parts],
    )
    return Section(
        "difficulty",
        "Difficulty",
        "A puzzle that is never or always solved teaches nothing new: what lies between is where a "
        "model learns. Learnability is the mean of p (1 - p) over the puzzles, p being the share "
        "of attempts that are accepted: 0.25 when every puzzle is solved half the time. It is "
        "estimated without bias, so that of a few attempts it may come out higher.",
        [spread, *_learnability(runs)],
    )


def _plain(value: Estimate) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _learnability(runs: Runs) -> list[Chart]:
    """Lines over rounds, where there are several rounds."""
    numbers = sorted({d.round for run in runs for d in run.difficulty})
    if len(numbers) < 2:
        return []
    series, columns = [], []
    for n, run in enumerate(runs):
        at = {d.round: d.learnability for d in run.difficulty}
        values = [estimate(at[r]) if r in at else None for r in numbers]
        name = run.label if len(runs) > 1 else "learnability"
        series.append(Series(name, colour(n), values, n))
        columns.append([_plain(at[r]) if r in at else "-" for r in numbers])
    rows = [[str(r), *(column[i] for column in columns)] for i, r in enumerate(numbers)]
    spec = charts.by_round(numbers, series)
    title = "learnability by round, in percent"
    head = ["round", *(s.label for s in series)]
    keys = keys_of(series) if len(runs) > 1 else []
    return [Chart("learnability", title, title, spec, head, rows, keys)]


def losses(runs: Runs) -> Section | None:
    """Every training's loss; the pretraining, which is much longer, apart."""
    found = [(n, run, one) for n, run in enumerate(runs) for one in run.trainings]
    pretrained = [item for item in found if item[-1].label.endswith("pretrain")]
    others = [item for item in found if item not in pretrained]
    drawn = [_losses("losses", "training loss", others, len(runs) > 1)] if others else []
    if pretrained:
        drawn.append(_losses("pretraining", "loss of the pretraining", pretrained, len(runs) > 1))
    if not drawn:
        return None
    intro = "Mean loss a token of the texts, from the first logged step to the last."
    return Section("losses", "Trainings", intro, drawn)


Trained = tuple[int, Facts, readings.Training]


def _losses(name: str, title: str, found: Sequence[Trained], several: bool) -> Chart:
    names = [f"{run.label}: {one.label}" if several else one.label for _, run, one in found]
    styles = [(colour(n), 0) for n, *_ in found] if several else _styles(found)
    drawn = [
        (name, *style, one.losses)
        for name, style, (_, _, one) in zip(names, styles, found, strict=True)
    ]
    rows = [
        [name, _ends(one.losses), *(f"{one.report[key]:,}" for key in REPORTED)]
        for name, (_, _, one) in zip(names, found, strict=True)
    ]
    lines = [
        Key(tone, name, "dashed" if dash else "line")
        for name, (tone, dash) in zip(names, styles, strict=True)
    ]
    by_run = {run.label: Key(colour(n), run.label, "line") for n, run, _ in found}
    spec = charts.lines(drawn, "step", "loss")
    keys = list(by_run.values()) if several else lines
    head = ["", "loss", "examples", "steps", "tokens"]
    return Chart(name, title, f"{title} over steps, a line a training", spec, head, rows, keys)


REPORTED = ("documents", "steps", "tokens")


def _styles(found: Sequence[Trained]) -> list[tuple[str, int]]:
    """The trainings of an arm go from light to dark; those of a control are dashed."""
    arms = [next((arm for arm in CONTROLS if one.label.startswith(arm)), "") for *_, one in found]
    seen: Counter[str] = Counter()
    made = []
    for arm in arms:
        made.append((step(seen[arm], arms.count(arm)), CONTROLS.index(arm) + 1 if arm else 0))
        seen[arm] += 1
    return made


CONTROLS = ("unverified", "more-epochs", "pretrained")


def _ends(losses: Sequence[tuple[int, float]]) -> str:
    return f"{losses[0][1]:.2f} → {losses[-1][1]:.2f}" if losses else "-"


def gallery(runs: Runs) -> Section | None:
    """A few puzzles of the first run, drawn by its seed."""
    shown = runs[0].gallery
    if not shown:
        return None
    whose = f" Of the run {runs[0].label}." if len(runs) > 1 else ""
    intro = (
        "Drawn at random by the run's seed, not chosen: puzzles that taught, each with the "
        "solution that was kept and a wrong attempt, then puzzles that nothing solved. The texts "
        f"are the model's; what does not print is shown by its escape.{whose}"
    )
    return Section("gallery", "Puzzles that it set itself", intro, gallery=shown)


def spent(runs: Runs) -> Section | None:
    """Seconds, tokens and money by stage."""
    rows = [
        [run.label, one.arm, one.stage, duration(sum(one.seconds.values())), *_paid(one.usage)]
        for run in runs
        for one in run.spent
    ]
    if not rows:
        return None
    drop = 0 if len(runs) > 1 else 1
    head = ["run", "arm", "stage", "time", "requests", "prompt tokens", "written tokens", "cost"]
    paid = any(row[4] != "-" for row in rows)
    width = len(head) if paid else 4
    table = Table(
        "by arm and stage", head[drop:width], [row[drop:width] for row in rows], folded=True
    )
    intro = (
        "Measured seconds on the wall, with whatever else the machine did meanwhile: arms run side "
        "by side, so their sum is more than the run took."
    )
    judged, seconds = (sum(x) for x in zip(*(run.judged for run in runs), strict=True))
    points = [f"The judge used {seconds:,.1f} CPU seconds for {judged:,} candidates of the loop."]
    return Section("spent", "Time and cost", intro, _time_chart(runs), [table], points)


def _paid(usage: object) -> list[str]:
    names = ("requests", "prompt_tokens", "completion_tokens")
    counts = [getattr(usage, name) for name in names]
    cost = getattr(usage, "cost", 0.0)
    return [*(f"{c:,}" if c else "-" for c in counts), f"{cost:,.2f}" if cost else "-"]


def _time_chart(runs: Runs) -> list[Chart]:
    """The loop's minutes by stage: a colour a round, or a run."""
    loops = [[one for one in run.spent if one.arm == "verified" and one.seconds] for run in runs]
    stages = list(dict.fromkeys(one.stage for loop in loops for one in loop))
    if not stages:
        return []
    parts: list[tuple[str, str, list[float]]] = []
    if len(runs) == 1:
        by_stage = {one.stage: one.seconds for one in loops[0]}
        numbers = sorted({n for s in by_stage.values() for n in s}, key=lambda n: (n is None, n))
        for at, number in enumerate(numbers):
            name = "student" if number is None else f"round {number}"
            minutes = [by_stage[stage].get(number, 0.0) / 60 for stage in stages]
            parts.append((name, step(at, len(numbers)), minutes))
    else:
        for n, (run, loop) in enumerate(zip(runs, loops, strict=True)):
            sums = {one.stage: sum(one.seconds.values()) / 60 for one in loop}
            parts.append((run.label, colour(n), [sums.get(stage, 0.0) for stage in stages]))
    rows = [
        [stage, *(duration(60 * minutes[n]) for _, _, minutes in parts)]
        for n, stage in enumerate(stages)
    ]
    spec = charts.bars(stages, parts, stacked=len(runs) == 1, unit=" min")
    title = "minutes by stage, of the loop alone"
    keys = [Key(tone, name, "area") for name, tone, _ in parts]
    return [Chart("times", title, title, spec, ["", *(p[0] for p in parts)], rows, keys)]
