"""A chain in words: headings and short values for people, one object a link for machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from etude.comparing import chance
from etude.console import Console, aligned
from etude.judge.record import described
from etude.lineage.links import Chain, Link
from etude.readings.words import harmless

MOST_PARENTS = 8
"""Parents that are shown of a prompt; machines hear of all."""
_HIDDEN = {"arm", "round", "depth"}
_TABLES = (
    *("training", "variants", "passes", "parent", "checkpoint", "nearest", "contamination"),
    "recalled",
)
"""Links of which there are several in a row: a line each."""

Content = dict[str, Any]


def show_chain(console: Console, chain: Chain) -> None:
    """Print a chain: the row itself, what it came from, what came of it."""
    console.record(
        "lineage",
        run=str(chain.run),
        what=chain.kind,
        id=chain.id,
        arm=chain.arm,
        round=chain.round,
        copies=chain.copies,
        links=len(chain.links),
    )
    for link in chain.links:
        console.record(link.kind, of=link.of, **link.content)
    if console.json_lines:
        return
    arm = "" if chain.arm == "verified" else f"[{chain.arm}] "
    place = "" if chain.round is None else f", {arm}round {chain.round}"
    kind = "puzzle made of another" if chain.kind == "made" else chain.kind
    console.say(harmless(f"{kind} {chain.id}{place}", lines=1), "bold")
    if chain.copies:
        console.say(f"  {chain.copies:,} more rows have this id", "dim")
    for group in _grouped(chain.links):
        _group(console, group)


def _grouped(links: Sequence[Link]) -> list[list[Link]]:
    """Links in a row that make one table, or one link alone."""
    groups: list[list[Link]] = []
    for link in links:
        last = groups[-1][-1] if groups else None
        together = link.kind in _TABLES and last is not None and last.kind == link.kind
        if together and last is not None and (last.of == link.of or link.kind == "checkpoint"):
            groups[-1].append(link)
        else:
            groups.append([link])
    return groups


def _group(console: Console, group: Sequence[Link]) -> None:
    kind = group[0].kind
    console.say(f"\n{_TITLES.get(kind, kind)}", "bold")
    contents = [link.content for link in group]
    if kind in _SHOWN:
        _SHOWN[kind](console, contents)
    else:
        for content in contents:
            say_row(console, content)


def say_row(console: Console, row: Content) -> None:
    """One row: short values beside their names, texts of several lines below them."""
    for name, value in row.items():
        text = "" if name in _HIDDEN else _text(name, value)
        if text == "":
            continue
        if "\n" in text or len(text) > console.width - 18:
            console.say(f"  {name}")
            say_code(console, text, lines=200, width=1000)
        else:
            console.say(f"  {name:<14} {harmless(text)}")


def say_code(console: Console, text: str, *, lines: int = 20, width: int = 160) -> None:
    """Model-written text, indented, as it can be shown anywhere."""
    shown = harmless(text.rstrip("\n"), lines=lines, width=width)
    for line in shown.split("\n"):
        console.say(f"    {line}")


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "judge" and isinstance(value, dict):
        return described(value)
    if isinstance(value, dict):
        return ", ".join(f"{count:,} {key}" for key, count in value.items())
    if isinstance(value, list):
        return (
            f"{len(value):,} below" if name == "parents" and value else ", ".join(map(str, value))
        )
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _say_table(console: Console, rows: Sequence[Sequence[str]]) -> None:
    for line in aligned(rows):
        console.say(line.rstrip())


def _filters(console: Console, contents: Sequence[Content]) -> None:
    (content,) = contents
    for step in content["steps"]:
        said = {True: "passed", False: "stopped", None: "not reached"}[step["passed"]]
        detail = harmless(step["detail"], lines=1, width=100)
        text = "; ".join(part for part in (step["rule"], detail) if part)
        console.say(f"  {said:<12} {step['filter']:<15} {text}".rstrip())
    if content["judge"]:
        console.say(f"  {'judge':<12} {described(content['judge'])}")


def _trainings(console: Console, contents: Sequence[Content]) -> None:
    for content in contents:
        shown = content["shown"]
        if not content["recorded"]:
            said = "not recorded by the version of etude that trained it"
        elif content["documents"] and not shown:
            long = "longer than the model's context, or " if content["too_long"] else ""
            said = f"no: {long}not reached before the training's end"
        elif shown:
            said = "yes, shown once" if shown == 1 else f"yes, shown {shown:,} times"
        else:
            said = "no"
        console.say(f"  {content['model']:<32} {said}")


def _variants(console: Console, contents: Sequence[Content]) -> None:
    for one in contents:
        console.say(
            f"  {one['candidate_id']}  solves {one['solved']:,} of {one['solvable']:,} variants "
            f"that can be solved, {one['tried']:,} tried"
        )


def _parents(console: Console, contents: Sequence[Content]) -> None:
    for content in contents[:MOST_PARENTS]:
        origin = content["origin"]
        where = f"{origin} {content['name']}" if content["name"] else origin
        if content["round"] and origin == "round":
            where = f"round {content['round']}"
        source = harmless(content["source"] or content["note"], lines=1, width=120)
        console.say(f"  {content['puzzle_id']}  {harmless(where, lines=1, width=40):<20}  {source}")
    if len(contents) > MOST_PARENTS:
        console.say(f"  ... {len(contents) - MOST_PARENTS:,} more, with --json")


def _checkpoints(console: Console, contents: Sequence[Content]) -> None:
    for content in contents:
        name = harmless(content["model"], lines=1)
        console.say(f"  {name}" + (f", by {content['engine']}" if content["engine"] else ""))
        if content["documents"] is None:
            console.say(
                "    no training of this run" if content["in_run"] else "    not of this run"
            )
            continue
        made = content["sources"]
        told = ", ".join(f"{count:,} of {source}" for source, count in (made or {}).items())
        texts = f" (distinct: {told})" if told else ""
        console.say(
            f"    {content['documents']:,} documents{texts}, {content['steps']:,} steps, "
            f"seed {content['seed']}"
        )
        start = content["start"] or "not recorded"
        console.say(f"    from {harmless(start, lines=1)}  {content['start_id'] or ''}".rstrip())
        if content["early"]:
            mixed = harmless(content["early"], lines=1)
            console.say(f"    and a share of {mixed}  {content['early_id']}")
        console.say(f"    weights {content['weights'] or 'not recorded'}")


def _passes(console: Console, contents: Sequence[Content]) -> None:
    rows = [["", "accepted", "95% interval", "p", "q"]]
    for one in contents:
        place = "final" if one["round"] is None else f"round {one['round']}"
        name = place if one["arm"] == "verified" else f"[{one['arm']}] {place}"
        cells = ["", "", ""]
        if one["low"] is not None:
            cells[0] = f"[{100 * one['low']:.0f}, {100 * one['high']:.0f}] %"
        if one["p"] is not None:
            cells[1:] = [chance(one["p"]), chance(one["q"])]
        counts = f"{one['accepted']:,} of {one['attempts']:,}" if one["attempts"] else "not asked"
        rows.append([name + " (reference)" * one["reference"], counts, *cells])
    _say_table(console, rows)
    console.say("  p: exact test against the reference; q: of all problems tested at once")


def _solvable(console: Console, contents: Sequence[Content]) -> None:
    (one,) = contents
    if one["became_solvable"]:
        first = f"first solved in {one['first']}, never by the reference"
    elif one["solved_before"]:
        first = "solved by the reference already"
    else:
        first = "never solved by the loop"
    console.say(f"  {first}")
    if one["by_noise"] is not None:
        console.say(
            f"  as many accepted attempts would all fall to {one['last']} by noise alone with "
            f"chance {chance(one['by_noise'])}"
        )
    if one["more_than_noise"] is not None:
        more = "more" if one["more_than_noise"] else "not shown to be more"
        console.say(
            f"  {one['last']} against the reference: {more} than noise (q {chance(one['q'])})"
        )


def _nearest(console: Console, contents: Sequence[Content]) -> None:
    for one in contents:
        alike = [
            name for name, so in (("form", one["same_form"]), ("type", one["same_type"])) if so
        ]
        same = f"same {' and '.join(alike)}, " if alike else ""
        console.say(
            f"  {one['example_id']}  {harmless(one['origin'], lines=1, width=40)}  {same}"
            f"{one['grams']:.0%} of its 8-grams, {one['tokens']:.0%} of the tokens"
        )
        say_code(console, one["text"], lines=6)


def _recalled(console: Console, contents: Sequence[Content]) -> None:
    for one in contents:
        rounds = f"{one['tries']:,} round{'s' * (one['tries'] != 1)}"
        rate = one["expected"]
        believed = "" if rate is None else f"; expected to be solved {rate:.0%} of the time"
        console.say(
            f"  round {one['round']}: kept by round {one['first_round']}, tried in {rounds} with "
            f"{one['attempts']:,} attempts by then{believed}"
        )


def _contamination(console: Console, contents: Sequence[Content]) -> None:
    for one in contents:
        console.say(
            f"  {one['level']:<10} {one['examples']:,} examples, for example {one['example_id']} "
            f"({one['share']:.0%} of its 8-grams)"
        )


_TITLES = {
    "filters": "filters of the vetting",
    "training": "trained on",
    "tried": "as it was tried",
    "variants": "with other constants",
    "parent": "puzzles that the prompt showed",
    "checkpoint": "model",
    "passes": "passes",
    "solvable": "became solvable",
    "contamination": "training examples that meet it",
    "nearest": "nearest training examples up to then",
    "attempts": "all attempts at it",
    "recalled": "unsolved, and tried again",
    "turned": "puzzles made of attempts at it",
}
_SHOWN: dict[str, Callable[[Console, Sequence[Content]], None]] = {
    "filters": _filters,
    "training": _trainings,
    "variants": _variants,
    "parent": _parents,
    "checkpoint": _checkpoints,
    "passes": _passes,
    "solvable": _solvable,
    "nearest": _nearest,
    "contamination": _contamination,
    "recalled": _recalled,
}
