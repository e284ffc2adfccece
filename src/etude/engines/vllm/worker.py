"""vLLM's offline engine, as it lives in the child process. The only place that imports vllm."""

from __future__ import annotations

import os
from typing import Any

from etude.engines.samples import STOPS, derived_seed
from etude.engines.transformers.loading import encode_prompts, load_config, load_tokenizer
from etude.errors import InputError
from etude.types import Prompt

ENVIRONMENT = {
    # One process: ours. When it goes, nothing of vLLM is left on the GPU.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}


class Worker:
    """One model in vLLM."""

    def __init__(self, model: str, *, dtype: str, context: int, memory_share: float) -> None:
        """Loads the model. Raises `InputError` where vLLM refuses it."""
        os.environ.update(ENVIRONMENT)
        from vllm import LLM, ModelRegistry

        self._model = model
        self._tokenizer = load_tokenizer(model)
        try:
            self._llm = LLM(
                model=model,
                dtype=dtype,
                max_model_len=context or None,
                gpu_memory_utilization=memory_share,
                enable_prefix_caching=True,
                seed=0,
            )
        except (ValueError, RuntimeError, OSError, NotImplementedError) as error:
            known = ModelRegistry.get_supported_archs()
            missing = [name for name in load_config(model).architectures or [] if name not in known]
            lacks = f"vLLM has no {missing[0]}; " if missing else ""
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise InputError(
                f"vLLM must take the model {model}, but does not ({lacks}it says: "
                f"{(lines or [type(error).__name__])[-1]}). Take engine.kind = transformers."
            ) from error
        self.context = int(self._llm.llm_engine.model_config.max_model_len)

    def count(self, prompt: Prompt) -> tuple[int, int]:
        """The tokens of a prompt, and how many the context has."""
        [ids] = encode_prompts(self._tokenizer, [prompt], self._model)
        return len(ids), self.context

    def sample(
        self,
        prompts: list[Prompt],
        n: int,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[tuple[str, str]]]:
        """For each prompt `n` texts, and why each ended. Raises `InputError` for a long prompt."""
        from vllm import SamplingParams

        encoded = encode_prompts(self._tokenizer, prompts, self._model)
        for number, ids in enumerate(encoded):
            if len(ids) + max_new_tokens > self.context:
                raise InputError(
                    f"A prompt and its continuation must fit the model's {self.context} tokens, "
                    f"but prompt {number} has {len(ids)} and {max_new_tokens} new ones are asked "
                    "for: leave out the prompts for which fits() is False."
                )
        # At temperature 0 all samples of a prompt are one, and vLLM refuses to draw it twice.
        drawn = n if temperature else 1
        settings = [
            SamplingParams(
                n=drawn,
                seed=derived_seed(seed, place, 0),
                temperature=temperature,
                max_tokens=max_new_tokens,
                stop=None if prompt.chat else list(STOPS),
            )
            for place, prompt in enumerate(prompts)
        ]
        asked: list[Any] = [{"prompt_token_ids": ids} for ids in encoded]
        answers = self._llm.generate(asked, settings, use_tqdm=False)
        return [_texts(answer.outputs) * (n // drawn) for answer in answers]


def _texts(outputs: Any) -> list[tuple[str, str]]:
    ordered = sorted(outputs, key=lambda output: output.index)
    return [(output.text, str(output.finish_reason)) for output in ordered]
