"""The verbs: arguments in, one call out.

Everything heavy is imported by the verb that needs it, so that `etude --help` answers at once.
"""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from etude.errors import Fault, InputError, UserError

app = typer.Typer(
    name="etude",
    help="A language model teaches itself to program by writing its own exercises.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

TRAIN = {"torch", "transformers", "accelerate", "tokenizers", "safetensors"}
"""What the extra `train` brings."""

BARRED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""No room, or no access: only the caller can mend these."""

Set = Annotated[
    list[str],
    typer.Option("--set", help="Change a setting: section.key=value."),
]
Track = Annotated[
    str | None,
    typer.Option(help="Tell a tracker too: trackio, tensorboard or wandb; offline by default."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="A recipe that ships, a TOML file, or a run folder to continue.")
    ] = "tiny",
    out: Annotated[Path | None, typer.Option(help="The run folder [runs/NAME].")] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Also run the controls.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it would take.")
    ] = False,
    track: Track = None,
    json: Json = False,
) -> None:
    """Start or continue a run; ends with the ladder and the path of the report."""
    from etude import session

    if dry_run:
        session.forecast_run(recipe, settings, controls=controls, json_lines=json)
        return
    session.run(recipe, out, settings, controls=controls, json_lines=json, track=track)


@app.command()
def sweep(
    source: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A sweep that ships, or a TOML file.")
    ],
    base: Annotated[
        str | None, typer.Option(help="A recipe or a model in place of the sweep's own.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the members [runs/NAME].")] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it would take.")
    ] = False,
    track: Track = None,
    json: Json = False,
) -> None:
    """Several runs or evaluations that differ in a few settings, and one table of them all."""
    from etude.sweep import Options, forecast_sweep, run_sweep

    (forecast_sweep if dry_run else run_sweep)(source, Options(settings, base, out, json, track))


@app.command()
def judge(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PAIRS | - | PUZZLE.py SOLUTION.py]",
            help="JSONL, JSON or Parquet of puzzle, solution (or prompt, completion, test, "
            "entry_point); - is JSONL on standard input.",
            show_default=False,
        ),
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(help="Judge the stored candidates of this run again; list the flips."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the verdicts to this JSONL file.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Sandboxes [one a core].")] = None,
    cpu_seconds: Annotated[
        float | None, typer.Option(min=0.01, help="CPU time of a step [1.0, or the run's].")
    ] = None,
    isolation: Annotated[
        str | None, typer.Option(help="auto, full, filtered or process [auto, or the run's].")
    ] = None,
    twice: Annotated[
        bool, typer.Option("--twice", help="Look twice, and mark pairs whose outcome changes.")
    ] = False,
    json: Json = False,
) -> None:
    """Verdicts for pairs of puzzle and solution, and for programs with tests.

    Exit code 2 when a line is broken, 1 when the sandbox itself failed; with --again, 1 when
    verdicts flipped.
    """
    if again is not None:
        from etude.again import judge_again

        judge_again(
            again, files or [], out, workers=workers, cpu_seconds=cpu_seconds, isolation=isolation,
            twice=twice, json_lines=json,
        )  # fmt: skip
        return
    from etude import judging
    from etude.judge import Limits

    judging.judge_files(
        files or [],
        out,
        workers=workers,
        limits=Limits() if cpu_seconds is None else Limits.of_cpu(cpu_seconds),
        isolation="auto" if isolation is None else isolation,
        twice=twice,
        json_lines=json,
    )


@app.command()
def evaluate(
    model: Annotated[
        str | None,
        typer.Option(
            help="A run, a model's folder, a model's name on the hub, or an evaluation's folder."
        ),
    ] = None,
    suite: Annotated[
        str,
        typer.Option(help="tiny, p3, p3-train, p3-all, humaneval, humaneval+, mbpp or mbpp+."),
    ] = "tiny",
    folder: Annotated[
        Path | None, typer.Option(help="The suite's file, or the folder that holds it.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Attempts a problem.")] = 100,
    layout: Annotated[
        str | None, typer.Option(help="paper, line or chat [that of the model's run, else paper].")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(help="Compare with this model, or evaluation, problem by problem."),
    ] = None,
    check_suite: Annotated[
        bool, typer.Option("--check-suite", help="Judge the suite's own solutions, and no model.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder of attempts and scores [runs/evaluate-SUITE-MODEL].")
    ] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    track: Track = None,
    json: Json = False,
) -> None:
    """pass@k of any model on a suite of held-out problems, also against another model."""
    from etude import session

    if check_suite == (model is not None):
        raise InputError(
            "etude evaluate takes --model, or --check-suite without one. Give one of the two."
        )
    if model is None:
        session.check_suite(suite, folder, settings, json_lines=json)
        return
    session.evaluate_model(
        model, suite, folder, samples=samples, layout=layout, out=out, settings=settings,
        json_lines=json, against=against, track=track,
    )  # fmt: skip


@app.command()
def solve(
    file: Annotated[
        Path, typer.Argument(help="Puzzles: JSONL or Parquet of puzzle, P3's JSON, or a .py file.")
    ],
    model: Annotated[
        str, typer.Option(help="A run, a model's folder, or a model's name on the hub.")
    ],
    samples: Annotated[int, typer.Option(min=1, help="Attempts a puzzle.")] = 10,
    layout: Annotated[
        str | None, typer.Option(help="paper or line [that of the model's run, else paper].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write every attempt and its verdict to this JSONL file.")
    ] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    json: Json = False,
) -> None:
    """Try a model on puzzles of your own."""
    from etude import solving

    solving.solve_file(
        file, model, samples=samples, layout=layout, out=out, settings=settings, json_lines=json
    )


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A run folder.")],
    row_id: Annotated[str | None, typer.Argument(help="Show one row with its lineage.")] = None,
    json: Json = False,
) -> None:
    """Counts, funnel and scores of a run, or one row with its lineage."""
    from etude.console import Console
    from etude.show import show as show_run

    show_run(folder, Console(json_lines=json), row_id)


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
def why(
    row_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An example, candidate, puzzle, proposal or seed; or a held-out problem's name.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run folder [the one in runs/ that knows the id]."),
    ] = None,
    json: Json = False,
) -> None:
    """Where a row came from and what came of it: prompt, model, verdict, filters, training."""
    from etude.console import Console
    from etude.lineage import run_of, trace
    from etude.lineage.words import show_chain

    place = run_of(row_id) if folder is None else folder
    show_chain(Console(json_lines=json), trace(place, row_id))


@app.command()
def diff(
    before: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    after: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Another one; or give --rounds.")
    ] = None,
    rounds: Annotated[
        tuple[int, int] | None, typer.Option(help="Compare these two rounds, not whole runs.")
    ] = None,
    json: Json = False,
) -> None:
    """What differs between two runs, or two rounds: what entered and left, and what changed."""
    from etude.console import Console
    from etude.diff import diff_runs

    diff_runs(Console(json_lines=json), before, after, rounds)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The file [RUN/report.html, of several runs report.html]."),
    ] = None,
) -> None:
    """Write a report of a run, or of several: one HTML file that needs nothing else."""
    from etude.report import write_report

    typer.echo(str(write_report(folders, out)))


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
def browse(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    second: Annotated[
        Path | None, typer.Argument(metavar="[RUN2]", help="Another run, to be compared.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8642,
    host: Annotated[
        str, typer.Option(help="The address to listen on; others than this let other machines in.")
    ] = "127.0.0.1",
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    reviewer: Annotated[
        str | None, typer.Option(help="Who reviews puzzles [git's user.name, or the user's name].")
    ] = None,
) -> None:
    """A local page over a run's tables, also while it goes on; puzzles wait there for review."""
    from etude.browse import serve

    folders = [folder] if second is None else [folder, second]
    serve(folders, host=host, port=port, open_page=open_page, reviewer=reviewer)


@app.command()
def review(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    puzzle: Annotated[
        str | None, typer.Argument(metavar="[PUZZLE_ID]", help="Without it: what waits.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Show it in the next rounds.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="It teaches no more.")] = False,
    edit: Annotated[Path | None, typer.Option(help="Show this file's puzzle in its place.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="No decision stands any more.")] = False,
    solution: Annotated[
        Path | None, typer.Option(help="With --edit: a file with a solution [the known ones].")
    ] = None,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    reviewer: Annotated[
        str | None, typer.Option(help="Who decides [git's user.name, or the user's name].")
    ] = None,
    json: Json = False,
) -> None:
    """List the puzzles that wait for a person, or decide about one."""
    from etude.console import Console
    from etude.reviewing import Asked
    from etude.reviewing import review as decide

    given = {"accept": accept, "reject": reject, "edit": edit is not None, "undo": undo}
    decisions = [name for name, wanted in given.items() if wanted]
    if len(decisions) > 1:
        raise InputError(f"A puzzle takes one decision but got {' and '.join(decisions)}.")
    asked = Asked(puzzle, decisions[0] if decisions else None, edit, solution, note, reviewer)
    decide(folder, asked, Console(json_lines=json))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[
        Path | None,
        typer.Option(help="A folder, or a name that ends with .jsonl or .parquet [RUN-pairs]."),
    ] = None,
    format: Annotated[
        str | None, typer.Option(help="jsonl, parquet or datasets [by the name of --out].")
    ] = None,
    arm: Annotated[str, typer.Option(help="The loop's pairs, or a control's.")] = "verified",
    round: Annotated[int | None, typer.Option(min=1, help="Of this round alone.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every accepted pair, selected for training or not.")
    ] = False,
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
            Choice(arm, round, everything, dedup), include_seeds, verify, split, license, force
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


@app.command()
def check(json: Json = False) -> None:
    """What this machine can do: the layers of the judge's sandbox, and what they guarantee."""
    from etude.check import show_layers

    show_layers(json_lines=json)


def _version(wanted: bool) -> None:
    if wanted:
        from etude import __version__

        typer.echo(f"etude {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Exit codes: 0; 1 for a fault of ours, or verdicts that flipped; 2 for bad input; 130 for
    Ctrl-C; 141 when nobody reads the verdicts any more."""
    try:
        app()
    except UserError as error:
        typer.echo(f"etude: {error}", err=True)
        sys.exit(2)
    except Fault as error:
        typer.echo(f"etude: a fault of etude itself, not of the model: {error}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in TRAIN:
            raise
        typer.echo(
            f"etude: this needs the Python package {error.name}, which is not installed: "
            "pip install 'etude[train]'.",
            err=True,
        )
        sys.exit(2)
    except OSError as error:
        if error.errno not in BARRED:
            raise
        typer.echo(
            f"etude: a file or folder must be there to read or to write, but is not ({error}). "
            "Make room or grant access, then give the command again.",
            err=True,
        )
        sys.exit(2)
