"""The command `etude`, and the options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="etude",
    help="A language model teaches itself to program by writing its own exercises.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Set = Annotated[
    list[str],
    typer.Option("--set", help="Change a setting: section.key=value."),
]
Track = Annotated[
    str | None,
    typer.Option(help="Tell a tracker too: trackio, tensorboard or wandb; offline by default."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for machines.")]


def place(text: str) -> Path:
    """A folder or file of this machine, or of another file system, as in s3://bucket/run."""
    if ":/" not in text:
        return Path(text)
    from etude import store

    return store.place(text)


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
