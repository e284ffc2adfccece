"""The stand-in for vLLM of `tests/vllm_stage`, whose texts here are puzzles and solutions."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[2]
sys.path.append(str(TESTS))

from llm_server import taught  # noqa: E402

_spec = spec_from_file_location("vllm_stage", TESTS / "vllm_stage" / "vllm.py")
assert _spec is not None
assert _spec.loader is not None
_stage = module_from_spec(_spec)
sys.modules["vllm_stage"] = _stage
_spec.loader.exec_module(_stage)
ModelRegistry, SamplingParams = _stage.ModelRegistry, _stage.SamplingParams


class LLM(_stage.LLM):
    def _output(self, prompt: Any, params: Any, index: int) -> Any:
        asked = self.tokenizer.decode(prompt["prompt_token_ids"], skip_special_tokens=True)
        return _stage.CompletionOutput(index, taught(asked, (params.seed or 0) + index), "stop")
