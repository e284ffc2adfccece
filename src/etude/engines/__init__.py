"""Engines: what samples text. One contract, several ways to keep it.

    with contextlib.closing(open_engine("transformers", "runs/a/checkpoint")) as engine:
        [[sample]] = engine.sample([prompt], 1, seed=7, temperature=0.8, max_new_tokens=64)

A transformers model (`engines.transformers`) and recorded samples (`engines.replay`) are covered.
torch is imported only when a transformers engine is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from etude.errors import InputError
from etude.types import Prompt, Sample

__all__ = ["KINDS", "Engine", "open_engine"]


@runtime_checkable
class Engine(Protocol):
    """Samples continuations of prompts. A plain function of the model and the arguments."""

    @property
    def name(self) -> str:
        """What goes into records and messages, such as `transformers:runs/a/checkpoint`."""
        ...

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """Whether prompt and continuation fit the model's context. `sample` refuses others."""
        ...

    def sample(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Sample]]:
        """`n` samples for each prompt, in the order of the prompts.

        The samples of a prompt depend on the model, the prompt, its place in `prompts`, the seed
        and the settings, and on nothing else; no global random state is read or changed.

        Raises:
            InputError: a prompt does not fit, or an argument is out of its range.
        """
        ...

    def close(self) -> None:
        """Gives the model's memory back. Calling it twice is harmless."""
        ...


KINDS = {
    "transformers": ("etude.engines.transformers", "TransformersEngine"),
    "replay": ("etude.engines.replay", "ReplayEngine"),
}
"""Name of each kind of engine: its module, imported when it is opened, and its class."""


def open_engine(kind: str, source: str | Path, **options: Any) -> Engine:
    """An engine by the name of its kind: `transformers` (a model) or `replay` (a recording).

    `options` go to the engine's class.

    Raises:
        InputError: an unknown kind, a source that is not what was asked for, or a missing extra.
    """
    if kind not in KINDS:
        raise InputError(f"engine must be one of {', '.join(KINDS)}, but got {kind!r}.")
    module, name = KINDS[kind]
    try:
        made = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("etude"):
            raise
        raise InputError(
            f"The {kind} engine needs the Python package {error.name}, which is not installed: "
            "pip install 'etude[train]'."
        ) from error
    return cast(Engine, made(source, **options))
