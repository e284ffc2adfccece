"""What the command ends with, whatever a verb raised."""

from __future__ import annotations

import sys

import typer

# Each registers its verbs, in the order in which `etude --help` lists them.
# isort: off
from etude.cli import working  # noqa: F401
from etude.cli import reading  # noqa: F401
from etude.cli import data  # noqa: F401

# isort: on
from etude.cli.app import app
from etude.errors import Fault, for_the_caller
from etude.kernels import keep_few


def main() -> None:
    """Exit codes: 0; 1 for a fault of ours, or verdicts that flipped; 2 for bad input; 130 for
    Ctrl-C; 141 when nobody reads the verdicts any more."""
    keep_few()
    try:
        app()
    except Fault as error:
        typer.echo(f"etude: a fault of etude itself, not of the model: {error}", err=True)
        sys.exit(1)
    except Exception as error:
        if (told := for_the_caller(error)) is None:
            raise
        typer.echo(f"etude: {told}", err=True)
        sys.exit(2)
