"""The verbs that show what is in a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etude.cli.app import Json, app, place
from etude.errors import InputError


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(help="A run folder.", parser=place, metavar="RUN")],
    row_id: Annotated[str | None, typer.Argument(help="Show one row with its lineage.")] = None,
    json: Json = False,
) -> None:
    """Counts, funnel and scores of a run, or one row with its lineage."""
    from etude.console import Console
    from etude.show import show as show_run

    show_run(folder, Console(json_lines=json), row_id)


@app.command()
def why(
    row_id: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="An example, candidate, puzzle (also one made of another), proposal or seed; or a "
            "held-out problem's name.",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="A run folder [the one in runs/ that knows the id].", parser=place
        ),
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
    before: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", parser=place)],
    after: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="Another one; or give --rounds.", parser=place),
    ] = None,
    rounds: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="A B", help="Compare these two rounds, not whole runs."),
    ] = None,
    json: Json = False,
) -> None:
    """What differs between two runs, or two rounds: what entered and left, and what changed."""
    from etude.console import Console
    from etude.diff import diff_runs

    diff_runs(Console(json_lines=json), before, after, rounds)


@app.command()
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders.", parser=place)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file [RUN/report.html, of several runs report.html].",
            parser=place,
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Write a report of a run, or of several: one HTML file that needs nothing else."""
    from etude.report import write_report

    typer.echo(str(write_report(folders, out)))


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
