"""A language model teaches itself to program by writing its own exercises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etude.judge import Judge as Judge

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`from etude import Judge`, without making everything else pay for the judge."""
    if name == "Judge":
        from etude.judge import Judge

        return Judge
    raise AttributeError(f"module 'etude' has no attribute {name!r}")
