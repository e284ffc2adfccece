"""The verb `export`: the verified pairs of a run as JSONL, Parquet, or a folder for `datasets`.

    with placed(out, origin) as place: pairs of the tables -> (judged again) -> rows -> sinks, card

Covered: runs, finished or going on, of any size. The run is only read. Not covered: what a pair is
worth (see `etude report`), and pairs of other origin (see `importing`).
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from etude import config, domains, readings, store, tables
from etude.arm import load_problems
from etude.console import Console
from etude.decontaminate import Trained, contamination
from etude.errors import InputError
from etude.export.card import write_card
from etude.export.columns import SCHEMA, finished
from etude.export.hub import check_repo, push
from etude.export.licence import licence_of
from etude.export.made import Exported, Options, origin
from etude.export.pairs import Choice, Pairs
from etude.export.verifying import judge_of, seed_rows, verified
from etude.export.writing import (
    MANIFEST,
    RECIPE,
    Format,
    Lines,
    Shards,
    Sink,
    Table,
    format_of,
    placed,
)
from etude.types import Problem

SUFFIXES: dict[Format, str] = {"jsonl": ".jsonl", "parquet": ".parquet", "datasets": ""}


def export_run(
    folder: Path,
    out: Path | None,
    options: Options,
    *,
    format: str | None,
    repo: str | None,
    public: bool,
    json_lines: bool,
) -> None:
    """Export a run; say what was written and where. Raises `InputError`."""
    console = Console(json_lines=json_lines)
    run = store.Run.read(folder)
    if readings.is_evaluation(run.recipe):
        raise InputError(f"{folder} must be a run but holds an evaluation, which has no pairs.")
    kind = format_of(out, format)
    if not 0 <= options.test_share < 1:
        raise InputError(f"--split must be from 0 to below 1, but is {options.test_share}.")
    if options.test_share and kind != "datasets":
        raise InputError("--split needs a folder: leave it out, or export with --format datasets.")
    if repo is not None and kind != "datasets":
        raise InputError("--push needs a folder: leave it out, or export with --format datasets.")
    if repo is not None:
        check_repo(repo)
    place = out or _beside_run(folder, SUFFIXES[kind])
    made = _export(run, place, kind, options, repo)
    _say(console, made, place, kind)
    if repo is not None:
        console.say(f"pushed: {push(place, repo, public=public)}")


def _beside_run(folder: Path, suffix: str) -> Path:
    """By the name that was typed, but for `.` and the like, which name no neighbour."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}-pairs{suffix}")


def _export(
    run: store.Run, out: Path, kind: Format, options: Options, name: str | None
) -> Exported:
    with ExitStack() as stack:
        place = stack.enter_context(placed(out, origin(run), force=options.force))
        scratch = stack.enter_context(
            tempfile.TemporaryDirectory(".spill", ".", store.scratch(out).parent)
        )
        pairs = stack.enter_context(Pairs(run, options.choice, Path(scratch)))
        made = Exported(run, options, pairs, licence_of(run, options.license))
        made.problems = _problems(run)
        sinks = _sinks(place, kind, options.test_share)
        trained = _written(made, _batches(made, stack), sinks)
        made.hits = contamination(made.problems or [], trained, domains.named(run.recipe.domain))
        for split, sink in sinks.items():
            sink.close()
            made.bytes[split] = sink.bytes if isinstance(sink, Shards) else 0
        if kind == "datasets":
            _beside(place, made, name or out.name)
        return made


def _problems(run: store.Run) -> list[Problem] | None:
    """The run's held-out problems; None where they are no longer to be had, which is then said."""
    try:
        return load_problems(run.recipe)
    except InputError:
        return None


def _sinks(place: Path, kind: Format, test_share: float) -> dict[str, Sink]:
    if kind == "jsonl":
        return {"train": Lines(place)}
    if kind == "parquet":
        return {"train": Table(place)}
    place.mkdir()
    splits = ("train", "test") if test_share else ("train",)
    return {split: Shards(place, split) for split in splits}


def _batches(made: Exported, stack: ExitStack) -> Iterable[list[store.Row]]:
    options, rows = made.options, made.pairs.rows()
    if not (options.include_seeds or options.verify):
        return rows
    judge = stack.enter_context(judge_of(made.run))
    if options.verify:
        rows = verified(rows, judge, made.refused)
    if options.include_seeds:
        return itertools.chain(seed_rows(made.run, judge, made.refused), rows)
    return rows


def _written(
    made: Exported, batches: Iterable[list[store.Row]], sinks: dict[str, Sink]
) -> Iterator[Trained]:
    """Write every batch; give each pair on to be compared with held-out problems."""
    layout, domain = made.run.recipe.prompt.layout, domains.named(made.run.recipe.domain)
    split_of = _splitter(made.options.test_share)
    for batch in batches:
        by_split: dict[str, list[store.Row]] = {name: [] for name in sinks}
        for raw in batch:
            row = finished(raw, layout, domain)
            by_split[split_of(row)].append(row)
            made.seeds += row["source"] == "human"
            name = row["example_id"] or row["candidate_id"]
            yield Trained(name, row["text"], row["puzzle_id"], row["puzzle"])
        for split, rows in by_split.items():
            made.splits[split] += len(rows)
            sinks[split].write(rows)


def _splitter(test_share: float) -> Callable[[store.Row], str]:
    """Pairs of one form go to the same split, so that no near copy of a test pair is trained on."""
    bound = int(test_share * 2**64)
    return lambda row: "test" if int(row["form"], 16) < bound else "train"


def _beside(place: Path, made: Exported, name: str) -> None:
    """What stands in the folder beside the data."""
    (place / RECIPE).write_text(config.dump(made.run.recipe), "utf-8")
    manifest = json.dumps(made.as_dict(), indent=2, sort_keys=True)
    (place / MANIFEST).write_text(f"{manifest}\n", "utf-8")
    if made.hits:
        names = tables.CONTAMINATION.names
        rows = [{name: getattr(hit, name) for name in names} for hit in made.hits]
        store.write_table(place / "contamination.parquet", rows, tables.CONTAMINATION)
    if made.refused.listed:
        lines = "".join(f"{json.dumps(row)}\n" for row in made.refused.listed)
        (place / "refused.jsonl").write_text(lines, "utf-8")
    write_card(place, made, name)


def _say(console: Console, made: Exported, place: Path, kind: Format) -> None:
    counts, choice = made.pairs.counts, made.options.choice
    console.record("export", path=str(place), format=kind, **made.as_dict())
    total = made.splits.total()
    parts = [f"{count:,} {split}" for split, count in made.splits.items()]
    of = f"  ({', '.join(parts)})" if len(parts) > 1 else ""
    console.say(f"{total:,} verified {'pair' if total == 1 else 'pairs'}{of}")
    if counts.derived:
        console.say(f"  {counts.derived:,} of them made of others, by the loop (`origin`)")
    if counts.refused:
        console.say(f"  {counts.refused:,} of puzzles that a person rejected: left out")
    if unverified := counts.selected - counts.refused - counts.verified:
        console.say(f"  {unverified:,} not accepted, or by chance alone: left out")
    if doubles := counts.verified - counts.kept:
        console.say(f"  {doubles:,} duplicates ({choice.dedup}): left out")
    if made.refused.count:
        console.say(f"  {made.refused.count:,} refused when judged again: left out")
    if made.problems is None:
        suite = made.run.recipe.evaluate.suite
        console.say(f"  not compared with the suite {suite}, which can't be read here")
    console.say(f"wrote: {place}")
    if kind == "datasets":
        console.say(f'load:  datasets.load_dataset("{place}")')


__all__ = ["SCHEMA", "Choice", "Exported", "Options", "export_run", "origin"]
