"""Value: what a part of the training examples is worth, by training without it.

The student is trained without the part, and on as many examples drawn from all of them; both are
scored on the run's suite, and the difference is paired by problem. Covered: parts by cluster,
family, form, round or answer type; several training seeds; two draws of the control, whose
difference shows what chance alone does. Not covered: what a part is worth that the others hold
too; leaving a part out of the loop itself, whose later rounds were made by models that saw it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from etude import config, readings, store
from etude.arm import Arm
from etude.console import Console, aligned, wrapped
from etude.errors import InputError
from etude.readings.words import harmless, signed
from etude.session import check_inputs, continued_by
from etude.stats import Estimate
from etude.value.examples import parts_of, read_examples
from etude.value.findings import AGAIN, LEVEL, Value, values_of
from etude.value.trainings import Asked, open_folder, rates, start, without

VALUE = pa.schema(
    [
        ("part", pa.string()),  # `again`: one draw of the control against the other
        ("shown", pa.string()),  # one puzzle of the part, or its form
        ("examples", pa.int64()),  # of the part
        ("trained", pa.int64()),  # examples of every training
        ("difference", pa.float64()),  # pass@1 of the control minus that without the part
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("detectable", pa.float64()),
        ("p", pa.float64()),  # after Holm
        ("seeds", pa.list_(pa.float64())),  # the difference of each training seed
    ]
)


def value(
    folder: Path,
    *,
    by: str,
    parts: int,
    seeds: int,
    out: Path | None,
    settings: Sequence[str],
    json_lines: bool,
) -> None:
    """Train without each part, score, and say what it shows. Goes on where it was interrupted."""
    console = Console(json_lines=json_lines)
    asked = _asked(folder, by, parts, seeds, out, settings)
    words = ["etude", "value", str(folder), "--by", by, "--parts", str(parts)]
    words += ["--seeds", str(seeds), "--out", str(asked.out)]
    words += [word for setting in settings for word in ("--set", setting)]
    with continued_by(asked.out, shlex.join(words)), store.only_writer(asked.out), console:
        open_folder(asked)
        _say_plan(console, asked)
        found = values_of(rates(asked, console.event))
        _write(asked, found)
    _show(console, asked, found)


def _asked(
    folder: Path, by: str, parts: int, seeds: int, out: Path | None, settings: Sequence[str]
) -> Asked:
    kept = store.read_recipe(folder)
    if readings.is_evaluation(kept):
        raise InputError(f"{folder} must be a run but holds an evaluation.")
    recipe = config.parse(config.dump(kept), str(folder / "recipe.toml"), settings)
    check_inputs(recipe)
    run = store.Run(folder, recipe)
    with Arm(run, "verified", lambda _: None) as arm:
        start(arm)
        examples = read_examples(arm)
        chosen = parts_of(arm, examples, by, parts)
    named = f"value-{folder.resolve().name}-{by}"
    target = out or folder.resolve().parent / named
    return Asked(run, target, by, tuple(chosen), tuple(examples), seeds)


def _say_plan(console: Console, asked: Asked) -> None:
    section = asked.run.recipe.final
    long = f"{section.tokens:,} tokens" if section.tokens else f"{section.epochs:g} epochs"
    often = f"{section.seed_repeat} times"
    if section.human_share is not None:
        often = f"as {section.human_share:.0%} of all"
    console.record(
        "plan", parts=len(asked.parts), seeds=asked.seeds, trainings=asked.trainings,
        trained=asked.size, examples=len(asked.examples),
    )  # fmt: skip
    console.say(
        f"{asked.trainings} trainings on {asked.size:,} of {len(asked.examples):,} examples, and "
        f"the seeds {often}, for {long}, from the model "
        "that saw none"
    )


def _write(asked: Asked, found: dict[str, Value]) -> None:
    rows = [
        {"part": name, "shown": shown, "examples": size, "trained": asked.size}
        | asdict(found[key])
        | {"seeds": list(found[key].seeds)}
        for key, name, shown, size in _lines(asked)
    ]
    store.write_table(asked.out / "value.parquet", rows, VALUE)


def _lines(asked: Asked) -> list[tuple[str, str, str, int]]:
    """Key, name, what is shown of it and size of each part; the control's second draw last."""
    found = [
        (without(number), part.name, part.shown, len(part.members))
        for number, part in enumerate(asked.parts)
    ]
    return [*found, (AGAIN, AGAIN, "one draw of the control minus another", 0)]


def _show(console: Console, asked: Asked, found: dict[str, Value]) -> None:
    rows = [["part", "examples", "worth", "could show", "p"]]
    for key, name, shown, size in _lines(asked):
        one = found[key]
        console.record("value", part=name, shown=shown, examples=size, **asdict(one))
        worth = signed(Estimate(one.difference, one.low, one.high))
        cells = [f"{size:,}" if size else "-", worth, f"{100 * one.detectable:.1f}", f"{one.p:.3f}"]
        rows.append([harmless(name, lines=1, width=40), *cells])
    console.say("\nvalue in points of pass@1, the control minus without the part", "bold")
    for line in aligned(rows):
        console.say(line)
    _show_texts(console, asked)
    console.say()
    for line in _conclusion(asked, found):
        for shown in wrapped(line.split(" "), console.width, "", "  ", " "):
            console.say(shown)


def _show_texts(console: Console, asked: Asked) -> None:
    if asked.by in ("round", "type"):
        return
    console.say("\none puzzle of each part", "bold")
    for part in asked.parts:
        text = harmless(" ".join(part.shown.split()), lines=1, width=76)
        console.say(f"  {harmless(part.name, lines=1, width=12):<12} {text}")


def _conclusion(asked: Asked, found: dict[str, Value]) -> list[str]:
    """What the differences do and do not show, said plainly."""
    named = {key: name for key, name, *_ in _lines(asked) if key != AGAIN}
    shown = [key for key in named if found[key].p < LEVEL]
    lines = [
        f"{harmless(named[key], lines=1, width=40)} is worth "
        f"{'more' if found[key].difference > 0 else 'less'} than as many examples of all."
        for key in shown
    ]
    reach = [100 * found[key].detectable for key in named if key not in shown]
    if reach:
        who = "The other parts show none" if shown else "No part shows a value of its own"
        lines.append(
            f"{who}: differences below {min(reach):.1f} to {max(reach):.1f} points would be "
            "missed more often than 1 time in 5."
        )
    lines.append(
        f"Two draws of the control, between which nothing was changed, differ by "
        f"{100 * abs(found[AGAIN].difference):.1f} points."
    )
    if asked.seeds == 1:
        lines.append(
            "One training seed: the intervals do not hold the chance of training. Ask for "
            "--seeds 2 or more."
        )
    return lines
