"""A forecast put into lines for people, and into one object for machines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from etude.console import WIDEST, Console, aligned, duration
from etude.forecast import Cost, Forecast
from etude.readings import is_evaluation

GIB = 1 << 30


def show(made: Forecast, console: Console) -> None:
    """The whole forecast."""
    console.record("forecast", **as_dict(made))
    name = made.recipe.name
    console.say(f"{name}: what the run would do. Nothing is written; times are estimates.", "bold")
    for line in lines(made, console.width):
        console.say(line)


def lines(made: Forecast, width: int = WIDEST) -> list[str]:
    """A row a stage, then what the counts, times and memory rest on."""
    head = ["", "units", "prompts", "texts", "tokens", "checks", "trained on", "steps", "time"]
    rows = [head, *(_row(cost) for cost in made.costs if cost.work.arm == "verified")]
    others = dict.fromkeys(cost.work.arm for cost in made.costs if cost.work.arm != "verified")
    rows += [_sum(arm, [c for c in made.costs if c.work.arm == arm]) for arm in others]
    rows.append(_sum("all", made.costs))
    return [*aligned(rows), "", *notes(made, width)]


def notes(made: Forecast, width: int = WIDEST) -> list[str]:
    """What the rows rest on."""
    told = {"counts:": _counts(made), "lengths:": _lengths(made), "time:": _time(made)}
    told["memory:"] = f"{_size(made.sampling_bytes)} to sample (weights and caches in 16 bits)"
    if not is_evaluation(made.recipe):
        told["memory:"] += f", {_size(made.training_bytes)} to train ({made.training_in})"
    if made.money:
        told["money:"] = f"{made.money:,.2f} for the servers, by the prices in the recipe"
    return [
        line
        for head, text in told.items()
        for line in textwrap.wrap(f"{head:<10}{text}", width, subsequent_indent=" " * 10)
    ]


def _counts(made: Forecast) -> str:
    recipe = made.recipe
    if is_evaluation(recipe):
        return "exact; every text is taken to be as long as it may be"
    most = min(recipe.propose.samples, recipe.vet.max_puzzles)
    return (
        f"exact for propose and evaluate; at most for the rest, with {most:,} puzzles a round and "
        "every text as long as it may be"
    )


def _lengths(made: Forecast) -> str:
    sizes = made.lengths
    if is_evaluation(made.recipe):
        return f"prompts of {sizes.evaluate:,.0f} tokens; {made.lengths_by}"
    return (
        f"prompts of {sizes.propose:,.0f} tokens to propose, {sizes.solve:,.0f} to solve, "
        f"{sizes.evaluate:,.0f} to evaluate, pairs of {sizes.seed:,.0f}; {made.lengths_by}"
    )


def _time(made: Forecast) -> str:
    together = made.recipe.run.processes
    single = together == 1 or is_evaluation(made.recipe)
    arms = "" if single else f" for all arms, of which {together} run at a time"
    return (
        f"{'' if is_evaluation(made.recipe) else 'at most about '}{made.hours:,.2f} hours{arms}; "
        f"{made.speed.source}; the judge measured here, {1000 * made.speed.check:.1f} ms a check"
        f"{_unknown(made)}"
    )


def _unknown(made: Forecast) -> str:
    """What is counted as nothing, so that it does not read as a time."""
    recipe = made.recipe
    reinforced = recipe.reinforce is not None and not is_evaluation(recipe)
    more = "; reinforcement is not counted, and takes longest" if reinforced else ""
    asked = [recipe.engine] + [one.engine for one in (recipe.propose, recipe.solve) if one.engine]
    served = any(section.kind == "openai" for section in asked)
    return more + "; what servers take is not known, and counted as nothing" * served


def _row(cost: Cost) -> list[str]:
    work = cost.work
    place = "final" if work.round is None else f"round {work.round}"
    return [f"{place} {work.stage}", *_cells([cost])]


def _sum(label: str, costs: Sequence[Cost]) -> list[str]:
    return [label, *_cells(costs)]


def _cells(costs: Sequence[Cost]) -> list[str]:
    works = [cost.work for cost in costs]
    counts = [
        sum(work.units for work in works),
        sum(work.prompts for work in works),
        sum(work.samples for work in works),
        sum(round(cost.read + cost.written) for cost in costs),
        sum(work.checks for work in works),
        sum(round(cost.trained) for cost in costs),
        sum(cost.steps for cost in costs),
    ]
    return [*(_short(n) for n in counts), duration(sum(cost.seconds for cost in costs))]


def _size(count: float) -> str:
    """`512 MiB`, `12.5 GiB`."""
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / (1 << 20):,.0f} MiB"


def _short(count: int) -> str:
    """`12,345`, `1.2M`, `4.5G`; nothing for none."""
    for size, letter in ((10**9, "G"), (10**6, "M")):
        if count >= size:
            return f"{count / size:,.1f}{letter}"
    return f"{count:,}" if count else ""


def as_dict(made: Forecast) -> dict[str, Any]:
    """The forecast for machines: every stage with its counts, tokens and seconds."""
    stages = [
        asdict(cost.work)
        | {
            key: getattr(cost, key)
            for key in ("read", "written", "trained", "steps", "seconds", "money")
        }
        for cost in made.costs
    ]
    rest = ("parameters", "lengths_by", "sampling_bytes", "training_bytes", "hours", "money")
    return {
        "name": made.recipe.name,
        "stages": stages,
        "lengths": asdict(made.lengths),
        "speed": asdict(made.speed),
        **{key: getattr(made, key) for key in rest},
    }
