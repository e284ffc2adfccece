"""How many kernels oneDNN keeps: few.

On a CPU, torch compiles a kernel for each shape of a batch that it meets, and keeps up to 1,024 of
them, in two caches of oneDNN and its binding. A run meets hundreds of shapes, most of them once, so
that these are half of the memory of a small model's training; `docs/results.md` ("A long run") has
the figures. What is computed is the same.
"""

from __future__ import annotations

import os

FEW = "32"
VARIABLES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")


def keep_few() -> None:
    """Ask for it, unless whoever started this process asked for something. Takes effect on a torch
    that is imported later, and in the processes that this one starts."""
    for name in VARIABLES:
        os.environ.setdefault(name, FEW)
