"""A language model teaches itself to program by writing its own exercises."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etude.judge import Judge as Judge
    from etude.judge.aio import AsyncJudge as AsyncJudge

__all__ = ["AsyncJudge", "Judge", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`from etude import Judge, AsyncJudge`, without making everything else pay for them."""
    if name == "Judge":
        from etude.judge import Judge

        return Judge
    if name == "AsyncJudge":
        from etude.judge.aio import AsyncJudge

        return AsyncJudge
    raise AttributeError(f"module 'etude' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What completion and `help` show: also what is loaded only when it is used."""
    return sorted({*globals(), *__all__})
