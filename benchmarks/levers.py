"""What does each lever bring, at equal cost? Runs with and without them, paired by seed.

    python benchmarks/levers.py screen --minutes 120          # 2 seeds, every lever alone
    python benchmarks/levers.py claim --minutes 120           # 5 seeds, the default and controls
    python benchmarks/levers.py claim --table                 # what is known so far
    python benchmarks/levers.py claim --table --plot OUT.html # the same as a picture
    python benchmarks/levers.py screen --rounds 8 10          # of the models of rounds 8 to 10

`benchmarks/levers.toml` names the levers: lists of settings on top of what all have in common. Each
is one ordinary `etude run` a seed, RUNS/screen-0/LEVER, two at a time; stop it anywhere and give
the command again. What a finished run says is kept in `benchmarks/readings.jsonl`, with the commit
that made it, and is not run again: delete its lines, or change its settings, and it is.

A seed changes the weights that a run begins with, the families that are taught, the seed pairs and
every sample. `screen` is scored on the 59 families to choose settings by, `claim` on the 55 to
report on: what is chosen by the one is told by the other (`etude.tiny.families`).

Equal cost: but for the rows of breadth, whose cost the last table tells, all runs of a seed ask for
as many proposals and attempts, and train on as many tokens
(`train.tokens`, `final.tokens`). What they took is counted, not believed: tokens sampled and
trained on, and the judge's seconds of processor time, also as a share of the plain loop's.

The columns: pass@k in percent on held-out constants and held-out families; `fresh`, the share of
attempts that solve the puzzles of a fixed set, drawn from the grammar, which no run trains on;
forms among the solved puzzles of all rounds (canonical source without constants), and of these the
ones that no human puzzle has. Differences to the plain loop are means over seeds, with Student's
95% interval of so many seeds: each seed is one measurement, on the same held-out families. So are
differences to controls, which are those of the recipe (`controls.arms`), and the levers that
`[controls]` names for another.

With `--rounds A B` nothing is run, and the tables are of the models that these rounds left, their
mean, of every run that has got so far.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import t as student_t

from etude.errors import InputError
from lever_plot import plot
from lever_runs import (
    EARLY,
    KS,
    SPLITS,
    Member,
    Reading,
    commit,
    controls,
    fresh,
    in_rounds,
    keep,
    measure,
    members,
    read_all,
    work,
)

HERE = Path(__file__).parent
SEEDS = {"screen": 2, "claim": 5}
MARKS = "<!-- {0} -->", "<!-- {0} ends -->"


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean with Student's 95% interval; infinite for a single value."""
    mean, count = fmean(values), len(values)
    if count < 2:
        return mean, float("-inf"), float("inf")
    half = student_t.ppf(0.975, count - 1) * stdev(values) / count**0.5
    return mean, mean - half, mean + half


Rows = Mapping[str, Sequence[Reading]]
"""By the row's label, one reading a seed, of the same seeds."""


def rows(every: Iterable[Member], known: Iterable[Reading]) -> dict[str, list[Reading]]:
    """What is measured: each lever, and the controls of those that have some."""
    by_member: dict[object, list[Reading]] = {}
    for one in known:
        by_member.setdefault(one.key, []).append(one)
    found: dict[str, list[Reading]] = {}
    for member in every:
        for one in by_member.get(member.key, ()):
            label = one.lever if one.arm == "verified" else f"{one.lever}: {one.arm}"
            found.setdefault(label, []).append(one)
    return found


def table(found: Rows, beside: Mapping[str, Sequence[str]]) -> list[str]:
    """The levers' scores, then what each has more than the plain loop, then what it took. `beside`
    names, for a lever, others that are controls of it."""
    columns = [(part, k) for part in ("constants", "families") for k in KS]
    head = [f"{part} pass@{k}" for part, k in columns]
    lines = [*_head("", [*head, "fresh", "forms", "new forms"])]
    for label, readings in found.items():
        cells = [
            f"{fmean(one.scores[f'{part}@{k}'] for one in readings):.1f}" for part, k in columns
        ]
        cells.append(f"{fmean(one.fresh for one in readings):.1f}")
        for place in (0, 1):
            counts = [one.forms[place] for one in readings if one.forms]
            cells.append(f"{fmean(counts):,.0f}" if counts else "")
        lines.append(f"| {label} ({len(readings)}) | " + " | ".join(cells) + " |")
    parts = (
        _differences(found, columns),
        _controls(found, beside, columns),
        _late(found),
        _costs(found),
    )
    return [*lines, *(line for part in parts if part for line in ("", *part))]


def _head(first: str, others: Sequence[str]) -> list[str]:
    return [f"| {first} | " + " | ".join(others) + " |", "| --- " + "| ---: " * len(others) + "|"]


def _differences(found: Rows, columns: Sequence[tuple[str, int]]) -> list[str]:
    first = next(iter(found), "")
    lines = _head(f"minus {first}", [f"{part} pass@{k}" for part, k in columns])
    for label in list(found)[1:]:
        cells = [_paired(found[first], found[label], column) for column in columns]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def _controls(
    found: Rows, beside: Mapping[str, Sequence[str]], columns: Sequence[tuple[str, int]]
) -> list[str]:
    """What each lever has more than its controls: its own, in which the judge or the loop is left
    out, and levers that are such; nothing where none has any."""
    pairs = [(label.partition(": ")[0], label) for label in found if ": " in label]
    pairs += [
        (lever, other)
        for lever, others in beside.items()
        for other in others
        if lever in found and other in found
    ]
    lines = _head("minus its control", [f"{part} pass@{k}" for part, k in columns])
    for lever, control in pairs:
        cells = [_paired(found[control], found[lever], column) for column in columns]
        lines.append(f"| {lever} minus {control.rpartition(': ')[2]} | " + " | ".join(cells) + " |")
    return lines if pairs else []


def _paired(before: Sequence[Reading], after: Sequence[Reading], column: tuple[str, int]) -> str:
    name = "{}@{}".format(*column)
    by_seed = {one.seed: one.scores[name] for one in before}
    return _told([one.scores[name] - by_seed[one.seed] for one in after if one.seed in by_seed])


def _told(gaps: Sequence[float]) -> str:
    """`+3.1 [+0.4, +5.8]`, in bold where the interval excludes zero."""
    if not gaps:
        return ""
    mean, low, high = interval(gaps)
    if len(gaps) < 2:
        return f"{mean:+.1f}"
    text = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
    return f"**{text}**" if low > 0 or high < 0 else text


def _late(found: Rows) -> list[str]:
    """The last round against an early one, of the models that the rounds themselves have."""
    loops = {
        label: list(own)
        for label, own in found.items()
        if own[0].arm == "verified" and own[0].rounds > EARLY
    }
    columns = [("constants", 1), ("constants", 10), ("families", 1), ("families", 10)]
    lines = _head(f"last round minus round {EARLY}", [f"{part} pass@{k}" for part, k in columns])
    for label, readings in loops.items():
        cells = []
        for part, k in columns:
            gaps = []
            for one in readings:
                early, late = (f"{part}@{k} round {at}" for at in (EARLY, one.rounds))
                if early in one.scores and late in one.scores:
                    gaps.append(one.scores[late] - one.scores[early])
            cells.append(_told(gaps))
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def _costs(found: Rows) -> list[str]:
    kinds = ("sampled", "trained", "judged")
    lines = _head("cost", ["tokens sampled", "tokens trained on", "judge, CPU s", "to plain"])
    plain = next(iter(found.values()), [])
    for label, readings in found.items():
        means = {kind: fmean(one.cost[kind] for one in readings) for kind in kinds}
        base = {kind: fmean(one.cost[kind] for one in plain) for kind in kinds}
        shares = [f"{means[kind] / base[kind]:.2f}" if base[kind] else "-" for kind in kinds]
        cells = [f"{means[kind]:,.0f}" for kind in kinds] + [" / ".join(shares)]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def rounds_table(every: Iterable[Member], first: int, last: int) -> list[str]:
    """Of the models of some rounds: the scores, and what each lever has more than the first."""
    found: dict[str, dict[int, dict[tuple[str, int], float]]] = {}
    for member in every:
        scores = in_rounds(member, first, last)
        if scores is not None:
            found.setdefault(member.lever, {})[member.seed] = scores
    columns = [(part, k) for part in ("constants", "families") for k in KS[:2]]
    named = [f"{part} pass@{k}" for part, k in columns]
    lines = _head("", named)
    for lever, by_seed in found.items():
        cells = [f"{fmean(one[column] for one in by_seed.values()):.1f}" for column in columns]
        lines.append(f"| {lever} ({len(by_seed)}) | " + " | ".join(cells) + " |")
    plain = next(iter(found), "")
    lines += ["", *_head(f"minus {plain}", named)]
    for lever in list(found)[1:]:
        both = [seed for seed in found[lever] if seed in found[plain]]
        gaps = (
            [found[lever][seed][column] - found[plain][seed][column] for seed in both]
            for column in columns
        )
        lines.append(f"| {lever} | " + " | ".join(map(_told, gaps)) + " |")
    return lines


def insert(path: Path, part: str, text: str) -> None:
    """Replace what stands between the marks. Raises `ValueError` when they are not there."""
    whole = path.read_text("utf-8")
    begin, end = (mark.format(f"levers {part}") for mark in MARKS)
    start = whole.index(begin) + len(begin)
    path.write_text(f"{whole[:start]}\n{text}\n{whole[whole.index(end) :]}", "utf-8")


def main() -> None:
    try:
        _main()
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=SPLITS)
    parser.add_argument("--seeds", type=int, help="2 to screen, 5 to claim")
    parser.add_argument("--runs", type=Path, default=Path("runs/levers"))
    parser.add_argument("--readings", type=Path, default=HERE / "readings.jsonl")
    parser.add_argument("--levers", type=Path, default=HERE / "levers.toml")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--at-once", type=int, default=2, help="runs at the same time")
    parser.add_argument("--table", action="store_true", help="what is known so far; nothing is run")
    parser.add_argument("--rounds", type=int, nargs=2, metavar=("A", "B"), help="of these rounds")
    parser.add_argument("--plot", type=Path, help="also draw it, into this HTML file")
    parser.add_argument("--out", type=Path, help="also put the table into this file")
    given = parser.parse_args()
    seeds = given.seeds or SEEDS[given.part]
    every = list(members(given.part, given.levers, given.runs, seeds))
    beside = controls(given.levers)
    if given.rounds:
        if given.plot or given.out or given.rounds[0] > given.rounds[1]:
            parser.error("--rounds takes two rounds, the first one first, and is printed alone")
        print("\n".join(rounds_table(every, *given.rounds)))
        return
    known = read_all(given.readings)

    def ended(member: Member) -> None:
        known[:] = keep(given.readings, [measure(member, arm, code) for arm in member.arms])

    measured = {one.key for one in known}
    owed = [one for one in every if one.key not in measured]
    if owed and not given.table:
        fresh(given.runs / "fresh.jsonl")
        code = commit()
        try:
            work(owed, given.minutes, given.at_once, ended)
        except KeyboardInterrupt:
            print("Interrupted. Nothing is lost: the same command goes on.", file=sys.stderr)
            sys.exit(130)
    done = len({one.key for one in known} & {one.key for one in every})
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    about = f"`python benchmarks/levers.py {given.part}`, on {machine}; {done} of {len(every)} runs"
    found = rows(every, known)
    if not found:
        parser.error(f"{given.readings} has no reading of {given.part} with these settings")
    text = "\n".join([f"{about}. In brackets behind a name: seeds.", "", *table(found, beside)])
    print(text)
    if given.plot:
        plot(given.plot, found, interval)
    if given.out:
        insert(given.out, given.part, text)


if __name__ == "__main__":
    main()
