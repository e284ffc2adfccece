"""vLLM as an engine: a process of its own for each model, so that closing it frees the whole GPU.

    engine = VllmEngine("runs/a/checkpoint")
    [[sample]] = engine.sample([prompt], 1, seed=7, temperature=0.8, max_new_tokens=64)

Weights are never replaced in a live vLLM: another checkpoint is another process. Covered: a seed
for each request, prefixes computed once, texts cut at the function's end. The same seed gives the
same samples on the same GPU as far as vLLM keeps to it: batches of other sizes round differently.
Not covered: several GPUs, adapters. vLLM has no GPT-Neo.

vLLM fixes the versions of torch and transformers, which may not be those that training needs. So it
may live in another environment, of which it is enough to name the interpreter.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from etude.engines.child import Child
from etude.engines.samples import check_range, sample_of
from etude.engines.transformers.loading import check_source, load_config
from etude.engines.transformers.weights import check_weights
from etude.errors import InputError
from etude.types import Prompt, Sample

__all__ = ["VllmEngine", "check_vllm"]

LACKING = frozenset({"GPTNeoForCausalLM"})
"""Architectures that are known to be in no vLLM, and that its fallback can't run either."""


class VllmEngine:
    """Samples from a model in vLLM."""

    def __init__(
        self,
        model: str | Path,
        *,
        dtype: str = "auto",
        context: int = 0,
        memory_share: float = 0.9,
        python: str = "",
    ) -> None:
        """Starts a process and loads the model in it.

        Args:
            model: a folder written by `save_pretrained`, or a name on the hub.
            dtype: as for the transformers engine; `auto` is vLLM's choice.
            context: tokens of prompt and continuation; 0 is the model's own limit.
            memory_share: how much of the GPU's memory vLLM takes, from 0 to 1.
            python: the interpreter of the environment that has vllm and etude; "" is this one.

        Raises:
            InputError: no vLLM, no such model, or one that vLLM refuses.
        """
        source = check_source(model)
        python = python or sys.executable
        check_vllm(source, python)
        check_weights(source)
        self.name = f"vllm:{source}"
        self._child = Child(
            python,
            "etude.engines.vllm.worker:Worker",
            source,
            dtype=dtype,
            context=context,
            memory_share=memory_share,
        )

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """See `Engine.fits`."""
        tokens, context = self._child.ask("count", prompt)
        return bool(tokens + max_new_tokens <= context)

    def sample(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Sample]]:
        """See `Engine.sample`."""
        check_range(n, temperature, max_new_tokens)
        if not prompts or not n:
            return [[] for _ in prompts]
        asked = (list(prompts), n, seed, temperature, max_new_tokens)
        drawn = self._child.ask("sample", *asked)
        return [
            [sample_of(prompt, text, stopped=reason == "stop") for text, reason in texts]
            for prompt, texts in zip(prompts, drawn, strict=True)
        ]

    def close(self) -> None:
        """Ends the process."""
        self._child.close()


def check_vllm(model: str, python: str = "") -> None:
    """Raises `InputError` where there is no vLLM, or where it is known to lack the model's kind.

    The kind of `scratch`, a model that is yet to be built here, is no question.
    """
    missing = _missing(python or sys.executable)
    if missing:
        raise InputError(
            f"The vllm engine needs the Python packages etude and vllm in one environment, but "
            f"{python or sys.executable} has no {missing}. Make one for it, pip install "
            "'etude[vllm]' there, and name its interpreter as engine.python."
        )
    kinds = () if model == "scratch" else load_config(model).architectures or ()
    if lacking := LACKING.intersection(kinds):
        raise InputError(
            f"vLLM must have the model's architecture, but has no {min(lacking)} ({model}): "
            "take engine.kind = transformers."
        )


def _missing(python: str) -> str:
    """Which of the packages an interpreter lacks, in its own words. Nothing is imported."""
    code = (
        "from importlib.util import find_spec; "
        "print(*(name for name in ('etude', 'vllm') if find_spec(name) is None))"
    )
    try:
        ended = subprocess.run(
            [python, "-P", "-c", code], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise InputError(
            f"engine.python must be a Python interpreter, but {python} can't be run as one: "
            f"{error}."
        ) from None
    return ended.stdout.strip().replace(" ", " and ")
