"""The verbs that sample, judge and train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etude.cli.app import Json, Set, Track, app, place
from etude.errors import InputError


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(help="A recipe that ships, a TOML file, or a run folder to continue.")
    ] = "tiny",
    out: Annotated[
        Path | None, typer.Option(help="The run folder [runs/NAME].", parser=place, metavar="PATH")
    ] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Also run the controls.")
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it would take.")
    ] = False,
    track: Track = None,
    way: Annotated[
        str,
        typer.Option("--cluster", help="Who works: here, processes:N, auto or HOST:PORT (Ray)."),
    ] = "here",
    json: Json = False,
) -> None:
    """Start or continue a run; ends with the ladder and the path of the report."""
    from etude import session

    if dry_run:
        session.forecast_run(
            recipe, settings, controls=controls, json_lines=json, track=track, way=way
        )
        return
    session.run(recipe, out, settings, controls=controls, json_lines=json, track=track, way=way)


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
        Path | None,
        typer.Option(
            help="Folder of attempts and scores [runs/evaluate-SUITE-MODEL].",
            parser=place,
            metavar="PATH",
        ),
    ] = None,
    settings: Set = [],  # noqa: B006 - typer copies it
    track: Track = None,
    json: Json = False,
) -> None:
    """pass@k of any model on a suite of held-out problems, also against another model."""
    from etude import evaluating

    if check_suite == (model is not None):
        raise InputError(
            "etude evaluate takes --model, or --check-suite without one. Give one of the two."
        )
    if model is None:
        evaluating.check_suite(suite, folder, settings, json_lines=json)
        return
    evaluating.evaluate_model(
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
def check(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run folder [this machine].", parser=place),
    ] = None,
    mend: Annotated[
        bool,
        typer.Option("--mend", help="Move what is broken in RUN aside: a run makes it again."),
    ] = False,
    json: Json = False,
) -> None:
    """What the judge's sandbox guarantees on this machine; of a run, whether all of it is whole.

    Exit code 1 when something in the run is broken.
    """
    if folder is not None:
        from etude.check.words import check_run

        check_run(folder, mend=mend, json_lines=json)
        return
    if mend:
        raise InputError("--mend needs a run: `etude check RUN --mend`.")
    from etude.check.machine import show_machine

    show_machine(json_lines=json)
