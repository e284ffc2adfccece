"""What the command ends with, whatever a verb raised."""

from __future__ import annotations

import errno
import sys

import typer

# Each registers its verbs, in the order in which `etude --help` lists them.
# isort: off
from etude.cli import working  # noqa: F401
from etude.cli import reading  # noqa: F401
from etude.cli import data  # noqa: F401

# isort: on
from etude.cli.app import app
from etude.errors import Fault, UserError

TRAIN = {"torch", "transformers", "accelerate", "tokenizers", "safetensors"}
"""What the extra `train` brings."""

BARRED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""No room, or no access: only the caller can mend these."""


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
