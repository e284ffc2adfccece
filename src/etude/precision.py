"""In how many bits a machine trains.

A run begins with it, and what trains takes seconds to import: hence a module by itself.
"""

from __future__ import annotations

from typing import Literal

import torch

from etude.errors import RecipeError

Precision = Literal["auto", "bf16", "fp16", "fp32"]


def resolve_precision(precision: Precision = "auto") -> str:
    """`bf16`, `fp16` or `fp32`. `auto` is bf16 where the device multiplies it natively.

    That is a GPU with bfloat16, or a CPU with AMX or AVX512-BF16 instructions: there bf16 is
    faster than fp32, elsewhere it is emulated and slower.

    Raises:
        RecipeError: `fp16` without a GPU.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise RecipeError("precision fp16 needs a GPU, but there is none: use bf16, fp32 or auto.")
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    cpu = torch.cpu
    native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"
