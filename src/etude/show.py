"""Show: the counts of a run, or one of its rows with its lineage (see `lineage`). A pure reader.

show(Path("runs/tiny"), Console())                       counts, funnel, ladder, losses, samples
show(Path("runs/tiny"), Console(), "0f4c1b6a52d0e3b7")   one row, and what it came from
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from etude import health, readings, store
from etude.console import Console, aligned, wrapped
from etude.decontaminate import LEVELS
from etude.errors import InputError
from etude.lineage import trace
from etude.lineage.words import say_code, show_chain
from etude.readings import Funnel, aside, vetting
from etude.readings.words import harmless, percent
from etude.tables import OUTCOMES
from etude.types import Score

SAMPLES = 3
"""Accepted pairs that are shown of the last round."""
MOST_PROBLEMS = 250
"""Problems of an evaluation that are listed; machines hear of all."""
COUNTS = (
    "asked", "well_formed", "kept", "fates", "again", "candidates", "outcomes", "solved", "taught",
    "examples",
)  # fmt: skip
"""What machines are told of a funnel."""


def show(folder: Path, console: Console, row_id: str | None = None) -> None:
    """Counts of a run, or one row with its lineage. The run may be unfinished.

    Raises `InputError` when the folder is no run, or the id names nothing in it.
    """
    run = store.Run.read(folder)
    if readings.is_evaluation(run.recipe):
        _evaluation(run, console, row_id)
    elif row_id is None:
        _counts(run, console)
    else:
        show_chain(console, trace(folder, row_id))


def _evaluation(run: store.Run, console: Console, row_id: str | None) -> None:
    if row_id is not None:
        raise InputError(
            f"{run.folder} holds an evaluation, which has no rows to name: leave it out."
        )
    made = readings.scores(run.folder / "evaluate")
    if not made:
        raise InputError(f"{run.folder} holds an evaluation without scores yet: let it finish.")
    stage = run.folder / "evaluate"
    console.say(f"model {run.recipe.model.base}, layout {run.recipe.prompt.layout}")
    console.scores(made, readings.unattempted(stage, made))
    say_contamination(console, stage, made)
    _problems(console, readings.problems(stage))


def say_contamination(console: Console, stage: Path, made: Sequence[Score]) -> None:
    """One line: how many problems the model's training examples meet, and how."""
    hits = readings.contamination(stage)
    if hits is None:
        console.record("contamination", known=False)
        console.say(
            "\nin the training examples: not known, as the model is not one of a run, "
            "or the run's seeds are not there"
        )
        return
    met = Counter(row["level"] for row in hits)
    total = sum({score.part: score.problems for score in made}.values())
    console.record("contamination", known=True, problems=total, **met)
    cells = ", ".join(f"{met[level]:,} {level}" for level in LEVELS)
    console.say(f"\nin the training examples, of {total:,} problems: {cells}")
    if hits:
        console.say(f"  both texts of each: {stage / 'contamination.parquet'}")


def _problems(console: Console, rows: Sequence[store.Row]) -> None:
    """One line a problem: its accepted attempts, and what the others were."""
    for row in rows:
        console.record("problem", **row)
    shown = [["accepted", "problem", "the other attempts"]]
    for row in rows[:MOST_PROBLEMS]:
        others = Counter({name: row[name] for name in OUTCOMES if name != "accepted" and row[name]})
        left = "  ".join(tally(others)) if row["attempts"] else "not asked: its prompt is too long"
        name = harmless(row["problem"], lines=1, width=60)
        shown.append([f"{row['accepted']:,} of {row['attempts']:,}", name, left])
    if rows:
        console.say("\nproblems", "bold")
    widths = [max(len(row[column]) for row in shown) for column in range(2)]
    for done, name, left in shown if rows else ():
        console.say(f"  {done:>{widths[0]}}  {name:<{widths[1]}}  {left}".rstrip())
    if len(rows) > MOST_PROBLEMS:
        console.say(f"  ... {len(rows) - MOST_PROBLEMS:,} more, with --json or in problems.parquet")


def _counts(run: store.Run, console: Console) -> None:
    for arm in readings.ARMS:
        place = store.arm_folder(run.folder, arm)
        for number in readings.rounds(place):
            _round(console, arm, place, number)
    console.ladder(run)
    stage = run.folder / "final" / "evaluate"
    if readings.contamination(stage) is not None:
        say_contamination(console, stage, readings.scores(stage))
    _reinvented(console, run.folder)
    _set_aside(console, run.folder)
    _losses(console, run.folder)
    _samples(console, run)
    console.say()
    finished = readings.scores(run.folder / "final" / "evaluate")
    console.next_command(shlex.join(["etude", "report" if finished else "run", str(run.folder)]))


def _round(console: Console, arm: str, place: Path, number: int) -> None:
    counts = readings.funnel(place, number)
    made = readings.scores(store.round_folder(place, number) / "evaluate")
    console.record(
        "round",
        arm=arm,
        round=number,
        **{name: getattr(counts, name) for name in COUNTS},
        scores=[asdict(score) for score in made],
        health=store.read_stage(store.round_folder(place, number) / "health"),
    )
    heading = f"round {number}" + ("" if arm == "verified" else f"  [{arm}]")
    console.say(heading, "bold" if arm == "verified" else "dim")
    measured = store.read_stage(store.round_folder(place, number) / "health")
    ill = [("health", list(health.ill(measured)))] if any(health.ill(measured)) else []
    lines = [*funnel_items(counts), *vetting_items(place, number), *score_items(made), *ill]
    for name, items in lines:
        for line in wrapped(items, console.width, f"  {name:<9} ", " " * 12, "  "):
            console.say(line, "" if arm == "verified" else "dim")


def funnel_items(counts: Funnel) -> Iterator[tuple[str, list[str]]]:
    """Each stage that has begun, with its counts."""
    lines = {
        "propose": [f"{counts.asked:,} asked"],
        "vet": [f"{counts.kept:,} kept", *tally(counts.fates, "kept")],
        "recall": [f"{counts.again:,} unsolved puzzles tried again"],
        "solve": [f"{counts.candidates:,} candidates"],
        "judge": [f"{counts.solved:,} puzzles solved", *tally(counts.outcomes)],
        "select": [f"{counts.taught:,} puzzles", f"{counts.examples:,} examples"],
    }
    return ((stage, lines[stage]) for stage in counts.stages)


def vetting_items(arm: Path, number: int) -> Iterator[tuple[str, list[str]]]:
    """What a round was probed for, and what was dropped."""
    tried = vetting.varied(arm, number)
    if tried["variants"]:
        yield "vary", [f"{count:,} {name}" for name, count in tried.items() if count]
    fates = vetting.rewritten(arm, number)
    if fates:
        yield "hindsight", tally(fates)
    mended = vetting.repaired(arm, number)
    if mended["unsolved puzzles"]:
        yield "repair", [f"{count:,} {name}" for name, count in mended.items() if count]
    turned = vetting.turned(arm, number)
    if turned["turned round"]:
        yield "turn", [f"{count:,} {name}" for name, count in turned.items()]
    found = vetting.probed(arm, number)
    if found:
        yield "probe", [f"{found.weak:,} weak", f"{found.unstable:,} unstable",
                        f"{found.idle:,} with an idle argument"]  # fmt: skip
    told = vetting.told(arm, number)
    if told:
        yield "describe", [f"{count:,} {name}" for name, count in told.items()]
    made = vetting.derived(arm, number)
    if made:
        yield "derive", tally(made)
    lost = vetting.dropped(arm, number)
    if lost.total():
        yield "dropped", [f"{count:,} {reason}" for reason, count in sorted(lost.items())]


def _reinvented(console: Console, folder: Path) -> None:
    """One line: how often the model came upon a held-out family by itself."""
    found = vetting.reinvented(folder)
    if found:
        for one in found:
            console.record(
                "reinvented",
                round=one.round,
                puzzles=sorted(one.puzzles),
                by_behaviour=sorted(one.behaviour),
                taught=one.taught,
                problems=sorted(one.problems),
                refused=one.refused,
            )
        console.say()
        for line in wrapped(
            vetting.reinvented_words(found).split(" "), console.width, "", "  ", " "
        ):
            console.say(line)


def _set_aside(console: Console, folder: Path) -> None:
    """The units that killed their workers, if any."""
    found = aside.set_aside(folder)
    for one in found:
        console.record("set_aside", **asdict(one) | {"path": str(one.path)})
    if found:
        console.say("\nset aside, as they killed their workers", "bold")
        for line in aside.lines(found):
            console.say(f"  {harmless(line, lines=1)}")


def tally(counts: Counter[str], left_out: str = "") -> list[str]:
    """`2,180 accepted`, ..., the most frequent first."""
    return [f"{count:,} {name}" for name, count in counts.most_common() if name != left_out]


def score_items(made: Sequence[Score]) -> Iterator[tuple[str, list[str]]]:
    """One entry a part: its pass@k with intervals."""
    for number, part in enumerate(readings.parts_of(made)):
        cells = [f"pass@{score.k} {percent(score)}" for score in made if score.part == part]
        yield "evaluate" if number == 0 else "", [part, *cells]


def _losses(console: Console, folder: Path) -> None:
    rows = [["", "loss", "steps", "tokens"]]
    for training in readings.trainings(folder):
        first, last = training.losses[0][1], training.losses[-1][1]
        console.record(
            "training", label=training.label, first=first, last=last, report=training.report
        )
        cells = [f"{first:.2f} -> {last:.2f}"]
        cells += [f"{training.report[name]:,}" for name in ("steps", "tokens")]
        rows.append([training.label, *cells])
    if len(rows) > 1:
        console.say("\ntraining", "bold")
        for line in aligned(rows):
            console.say(line)


def _samples(console: Console, run: store.Run) -> None:
    numbers = readings.rounds(run.folder)
    taught = [n for n in numbers if readings.length(store.round_folder(run.folder, n) / "select")]
    if not taught:
        return
    console.say(f"\naccepted in round {taught[-1]}", "bold")
    for first, *_ in readings.sample_pairs(run.folder, taught[-1], SAMPLES):
        console.record("pair", **asdict(first))
        console.say(f"  puzzle {first.puzzle_id}  candidate {first.candidate_id}", "dim")
        say_code(console, first.puzzle)
        say_code(console, first.solution)
