"""Browse: a local page over the tables of a run, also while it goes on, and its review queue.

Covered: overview, candidates, puzzles, held-out problems, two runs side by side, reviews. Model
text is data on every page: escaped, without characters that act, and cut where it is long. Nothing
is loaded from elsewhere. Not covered: many users; whoever can reach the address may review.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from etude.errors import InputError

NEEDED = {"starlette", "uvicorn", "plotly", "pygments", "anyio", "h11", "click"}
"""What the extra `browse` brings."""

__all__ = ["serve"]


def serve(
    folders: Sequence[Path], *, host: str, port: int, open_page: bool, reviewer: str | None
) -> None:
    """Serve one run, or two side by side, until Ctrl-C.

    Raises `InputError` for a folder that is no run, a port in use and a missing extra.
    """
    try:
        from etude.browse.server import run
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise InputError(
            f"etude browse needs the Python package {error.name}, which is not installed: "
            "pip install 'etude[browse]'."
        ) from None
    run(folders, host=host, port=port, open_page=open_page, reviewer=reviewer)
