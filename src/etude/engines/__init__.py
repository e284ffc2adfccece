"""Engines: what samples text. One contract, several ways to keep it.

    with contextlib.closing(open_engine("transformers", "runs/a/checkpoint")) as engine:
        [[sample]] = engine.sample([prompt], 1, seed=7, temperature=0.8, max_new_tokens=64)

A transformers model (`engines.transformers`), vLLM in a process of its own (`engines.vllm`), any
server that speaks OpenAI's API (`engines.openai`) and recorded samples (`engines.replay`) are
covered. What an engine needs is imported only when it is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from etude.errors import InputError
from etude.types import Prompt, Sample, Usage

__all__ = ["KINDS", "Engine", "Metered", "open_engine"]


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


@runtime_checkable
class Metered(Engine, Protocol):
    """An engine whose samples cost money, and are kept until someone else has them."""

    @property
    def usage(self) -> Usage:
        """What the samples of the last call cost, whenever they were paid."""
        ...

    def check(self, *, chat: bool) -> None:
        """Asks for one token, for a chat prompt or another.

        Raises:
            InputError: the server is not there, refuses the key, or does not know the model.
        """
        ...

    def forget(self) -> None:
        """The samples so far are safe elsewhere: they need not be kept any longer."""
        ...


KINDS = {
    "transformers": ("etude.engines.transformers", "TransformersEngine", "train"),
    "vllm": ("etude.engines.vllm", "VllmEngine", "vllm"),
    "openai": ("etude.engines.openai", "OpenAIEngine", "openai"),
    "replay": ("etude.engines.replay", "ReplayEngine", ""),
}
"""Name of each kind of engine: its module, imported when it is opened, its class, its extra."""


def open_engine(kind: str, source: str | Path, **options: Any) -> Engine:
    """An engine by the name of its kind. `source` is a model, or for `replay` a recording.

    `options` go to the engine's class.

    Raises:
        InputError: an unknown kind, a source that is not what was asked for, or a missing extra.
    """
    if kind not in KINDS:
        raise InputError(f"engine must be one of {', '.join(KINDS)}, but got {kind!r}.")
    module, name, extra = KINDS[kind]
    try:
        made = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("etude"):
            raise
        raise InputError(
            f"The {kind} engine needs the Python package {error.name}, which is not installed: "
            f"pip install 'etude[{extra}]'."
        ) from error
    return cast(Engine, made(source, **options))
