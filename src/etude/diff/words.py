"""A diff in words: clear lines for people, one object a finding for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from etude.comparing import chance
from etude.console import Console, aligned, wrapped
from etude.diff.contents import Contents
from etude.diff.funnels import Stage
from etude.diff.problems import LEVEL, Change, Changes
from etude.diff.sides import Part
from etude.readings.words import harmless, percent, signed

MOST_NAMED = 3
"""What entered and what left that is named; machines hear of all."""
MOST_PROBLEMS = 20


def show_head(console: Console, before: Part, after: Part, settings: Sequence[str]) -> None:
    """Which two, and the settings that differ."""
    console.record(
        "diff",
        before={"run": str(before.run.folder), "round": before.round},
        after={"run": str(after.run.folder), "round": after.round},
        settings=list(settings),
    )
    console.say(f"A  {before.name}\nB  {after.name}", "bold")
    if before.run.folder == after.run.folder:
        return
    console.say("\nsettings (A -> B)", "bold")
    for text in settings or ["none differ"]:
        console.say(f"  {harmless(text, lines=1, width=400)}")


def show_contents(console: Console, found: Contents) -> None:
    """How many entered, stayed and left, and the first of them."""
    console.record("contents", **asdict(found))
    counts = f"{found.both:,} in both, {len(found.left):,} in A alone, {len(found.entered):,} in B"
    console.say(f"\n{found.what}", "bold")
    console.say(f"  {counts} alone")
    for sign, some in (("-", found.left), ("+", found.entered)):
        for key, text in list(some.items())[:MOST_NAMED]:
            name = "" if found.what == "forms" else f"{key}  "
            shown = harmless(" ".join(text.split("\n")), lines=1, width=max(console.width - 24, 40))
            console.say(f"  {sign} {name}{shown}", "red" if sign == "-" else "green")
        if len(some) > MOST_NAMED:
            console.say(f"  {sign} ... {len(some) - MOST_NAMED:,} more, with --json", "dim")


def show_funnels(console: Console, stages: Sequence[Stage]) -> None:
    """A row a count: both counts, both shares, their difference in points."""
    for stage in stages:
        shares = dict(zip(("share_before", "share_after"), stage.shares, strict=True))
        console.record("funnel", **asdict(stage), **shares)
    console.say("\nfunnel and outcomes", "bold")
    rows = [["", "A", "B", "A %", "B %", "B - A"]]
    for stage in stages:
        old, new = stage.shares
        whole = stage.before == stage.of_before and stage.after == stage.of_after
        cells = ["", "", ""]
        if not whole and old is not None and new is not None:
            cells = [f"{100 * old:.1f}", f"{100 * new:.1f}", f"{100 * (new - old):+.1f}"]
        name = f"{stage.stage:<8} {stage.name}"
        rows.append([name, f"{stage.before:,}", f"{stage.after:,}", *cells])
    for line in aligned(rows):
        console.say(line.rstrip())


def show_problems(console: Console, found: Changes, after: Part) -> None:
    """pass@k of both, how many problems changed beside noise, and which changed for sure."""
    console.record(
        "problems",
        compared=True,
        suite=after.run.recipe.evaluate.suite,
        level=LEVEL,
        comparison=asdict(found.comparison),
        beside_noise=[asdict(one) for one in found.beside_noise],
        problems=[asdict(one) for one in found.problems],
    )
    _show_scores(console, found)
    console.say("\nheld-out problems, one by one", "bold")
    for one in found.beside_noise:
        words = {
            "changed": f"changed at p <= {LEVEL} (exact test of the attempts)",
            "solved after alone": "solved by B alone",
            "solved before alone": "solved by A alone",
        }[one.name]
        console.say(
            f"  {one.found:,} of {len(found.problems):,} {words}; "
            f"expected by noise alone: {one.expected:.1f}"
        )
    certain = found.certain
    text = (
        f"{len(certain):,} changed by more than noise, of which at most {LEVEL:.0%} wrongly (false "
        "discovery rate, Benjamini and Hochberg)" + ":" * bool(certain)
    )
    for line in wrapped(text.split(" "), console.width, "  ", "  ", " "):
        console.say(line)
    _show_certain(console, certain)


def _show_scores(console: Console, found: Changes) -> None:
    console.say("\nscores, in percent", "bold")
    rows = [["", "A", "B", "B - A", "p", "p (Holm)"]]
    rows += [
        [
            f"{row.part} pass@{row.k}",
            percent(row.before),
            percent(row.after),
            signed(row.difference),
            chance(row.p),
            chance(row.p_holm),
        ]
        for row in found.comparison.rows
    ]
    for line in aligned(rows):
        console.say(line)


def _show_certain(console: Console, certain: Sequence[Change]) -> None:
    if not certain:
        return
    rows = [["", "A", "B", "p", "q"]]
    for one in certain[:MOST_PROBLEMS]:
        old = f"{one.before} of {one.attempts_before}"
        new = f"{one.after} of {one.attempts_after}"
        name = harmless(one.problem, lines=1, width=50)
        rows.append([name, old, new, chance(one.p), chance(one.q)])
    for line in aligned(rows):
        console.say(line)
    if len(certain) > MOST_PROBLEMS:
        console.say(f"  ... {len(certain) - MOST_PROBLEMS:,} more, with --json")
