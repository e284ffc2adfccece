"""What our worker uses of vLLM, for machines without a GPU: the same names, and refusals as strict.

It shows that the worker asks vLLM rightly. What the real one samples is for the tests marked gpu.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig, AutoTokenizer


@dataclass(frozen=True)
class SamplingParams:
    n: int = 1
    seed: int | None = None
    temperature: float = 1.0
    max_tokens: int = 16
    stop: list[str] | None = None

    def __post_init__(self) -> None:
        if self.temperature == 0 and self.n > 1:
            raise ValueError(f"n must be 1 when using greedy sampling, got {self.n}.")
        if self.n < 1:
            raise ValueError(f"n must be at least 1, got {self.n}.")


@dataclass(frozen=True)
class CompletionOutput:
    index: int
    text: str
    finish_reason: str


@dataclass(frozen=True)
class RequestOutput:
    outputs: list[CompletionOutput]


class ModelRegistry:
    @staticmethod
    def get_supported_archs() -> set[str]:
        return {"LlamaForCausalLM"}


class LLM:
    """Texts that tell what was asked."""

    def __init__(
        self,
        model: str,
        *,
        dtype: str,
        max_model_len: int | None,
        gpu_memory_utilization: float,
        enable_prefix_caching: bool,
        seed: int,
    ) -> None:
        config = AutoConfig.from_pretrained(model)
        if config.architectures[0] not in ModelRegistry.get_supported_archs():
            raise ValueError(f"Model architectures {config.architectures} are not supported.")
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model_config = type("ModelConfig", (), {})()
        self.model_config.max_model_len = max_model_len or config.max_position_embeddings
        self.llm_engine = self

    def generate(
        self, prompts: list[Any], params: list[SamplingParams], *, use_tqdm: bool
    ) -> list[RequestOutput]:
        return [
            RequestOutput([self._output(prompt, one, index) for index in reversed(range(one.n))])
            for prompt, one in zip(prompts, params, strict=True)
        ]

    def _output(self, prompt: Any, params: SamplingParams, index: int) -> CompletionOutput:
        chance = (params.seed or 0) + index if params.temperature else 0
        asked = self.tokenizer.decode(prompt["prompt_token_ids"])
        text = f" return {chance}, {asked!r}\ndef h"
        if chance % 3 == 0:
            return CompletionOutput(index, " return (", "length")
        for stop in params.stop or ():
            text = text.partition(stop)[0]
        return CompletionOutput(index, text, "stop")
