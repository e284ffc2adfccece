"""The verbs about puzzles and pairs as data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etude.cli.app import Json, Set, app, place


@app.command()
def dedup(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|FILE", help="A run folder; JSONL or Parquet of puzzle, perhaps solution."
        ),
    ],
    of: Annotated[
        str | None, typer.Option(help="Of a run: puzzles, examples or candidates.")
    ] = None,
    level: Annotated[
        list[str],
        typer.Option(
            help="exact, canonical, form, near, behavioural; several times [all but the last]."
        ),
    ] = [],  # noqa: B006 - typer copies it
    per_form: Annotated[int, typer.Option(min=1, help="Rows of one form that are kept.")] = 12,
    threshold: Annotated[
        float, typer.Option(help="The Jaccard index from which two texts are near.")
    ] = 0.8,
    behavioural: Annotated[
        bool, typer.Option("--behavioural", help="Also compare what puzzles accept, in the judge.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the rows that are left, without copies at --level [exact, canonical, form]."
        ),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Write every duplicate beside the first of its group.")
    ] = None,
    json: Json = False,
) -> None:
    """Duplicates at each level: how many, what would be left; the rows kept, and both texts."""
    from etude.dedup import Wanted, dedup

    dedup(source, Wanted(of, tuple(level), per_form, threshold, behavioural, out, pairs, json))


@app.command()
def diversity(
    folder: Annotated[Path, typer.Argument(help="A run folder.")],
    vectors: Annotated[
        str,
        typer.Option(help="ast, hidden, hidden:LAYER, or a sentence-transformers model."),
    ] = "ast",
    model: Annotated[
        str | None, typer.Option(help="With --vectors hidden: the model [the run's student].")
    ] = None,
    map: Annotated[str, typer.Option(help="pca or umap.")] = "pca",
    limit: Annotated[int, typer.Option(help="Puzzles that are measured of a group.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Write the map, a row a puzzle, to this Parquet file.")
    ] = None,
    json: Json = False,
) -> None:
    """How diverse a run's puzzles are beside people's, and how much they can teach."""
    from etude.console import Console
    from etude.diversity.words import show_diversity

    show_diversity(
        folder, Console(json_lines=json), out, vectors=vectors, model=model, map=map, limit=limit,
        seed=seed,
    )  # fmt: skip


@app.command()
def quality(
    folder: Annotated[Path, typer.Argument(help="A run folder.")],
    limit: Annotated[int, typer.Option(help="Solutions that are measured of a group.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    time: Annotated[
        bool, typer.Option("--time/--no-time", help="Judge some again for their CPU time.")
    ] = True,
    json: Json = False,
) -> None:
    """What a run's accepted solutions look like beside people's: length, complexity, lint, time."""
    from etude.console import Console
    from etude.quality import show_quality

    show_quality(folder, Console(json_lines=json), limit=limit, seed=seed, time=time)


@app.command()
def value(
    folder: Annotated[Path, typer.Argument(help="A finished run.")],
    by: Annotated[
        str, typer.Option(help="What is left out: a cluster, family, form, round or type.")
    ] = "cluster",
    parts: Annotated[int, typer.Option(min=2, help="The largest parts, so many.")] = 6,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the trainings [value-RUN-BY beside the run].")
    ] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    json: Json = False,
) -> None:
    """What parts of the training examples are worth: train without each, and compare."""
    from etude.value import value as value_of

    value_of(folder, by=by, parts=parts, seeds=seeds, out=out, settings=settings, json_lines=json)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", parser=place)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder, or a name that ends with .jsonl or .parquet [RUN-pairs].",
            parser=place,
            metavar="PATH",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, parquet or datasets [by the name of --out].")
    ] = None,
    arm: Annotated[str, typer.Option(help="The loop's pairs, or a control's.")] = "verified",
    round: Annotated[int | None, typer.Option(min=1, help="Of this round alone.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every accepted pair, selected for training or not.")
    ] = False,
    derived: Annotated[
        bool,
        typer.Option("--derived/--no-derived", help="Also trained pairs that were made of others."),
    ] = True,
    dedup: Annotated[str, typer.Option(help="none, exact, canonical, form or near.")] = "exact",
    include_seeds: Annotated[
        bool, typer.Option("--include-seeds", help="Also the pairs that the run started from.")
    ] = False,
    split: Annotated[
        float, typer.Option(help="Share of a test split; near copies stay together.")
    ] = 0.0,
    verify: Annotated[
        bool, typer.Option("--verify", help="Judge every pair again; leave out what flips.")
    ] = False,
    license: Annotated[
        str | None, typer.Option(help="Licence of the dataset [that of the generating model].")
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="REPO", help="Upload to this dataset of the hub.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Let a dataset that --push makes be seen by all.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is there, if it is an export.")
    ] = False,
    json: Json = False,
) -> None:
    """The verified pairs of a run, for `datasets` and TRL, with a dataset card."""
    from etude.export import Choice, Options, export_run

    export_run(
        folder,
        out,
        Options(
            Choice(arm, round, everything, derived, dedup),
            include_seeds, verify, split, license, force,
        ),
        format=format, repo=push, public=public, json_lines=json,
    )  # fmt: skip


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="P3's puzzles.json, the paper's text, JSONL, JSON or Parquet of pairs."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A folder, or a name that ends with .jsonl or .parquet [FILE-pairs]."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, parquet or datasets [by the name of --out].")
    ] = None,
    layout: Annotated[str, typer.Option(help="Of the training text: paper or line.")] = "paper",
    dedup: Annotated[str, typer.Option(help="none, exact, canonical, form or near.")] = "exact",
    suite: Annotated[
        str | None, typer.Option(help="Say what the pairs share with this suite, such as p3.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The suite's file, or the folder that holds it.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="Licence of the file.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Sandboxes [one a core].")] = None,
    cpu_seconds: Annotated[
        float | None, typer.Option(min=0.01, help="CPU time of a step [1.0].")
    ] = None,
    isolation: Annotated[str, typer.Option(help="auto, full, filtered or process.")] = "auto",
    twice: Annotated[
        bool, typer.Option("--twice", help="Look twice, and leave out pairs that change.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is there, if it is an export.")
    ] = False,
    json: Json = False,
) -> None:
    """Pairs of a file, each judged on its way in, and what was found in it."""
    from etude import importing
    from etude.judge import Limits

    options = importing.Options(layout, dedup, suite, folder, license, force, twice)
    importing.import_file(
        file,
        out,
        options,
        format=format,
        workers=workers,
        limits=Limits() if cpu_seconds is None else Limits.of_cpu(cpu_seconds),
        isolation=isolation,
        json_lines=json,
    )
