"""Filled holes: what is made afterwards lies together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import etude.judge

# In a process of its own: another test's memory would decide where the blocks go.
_SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import heap

def block(size):
    return bytes(size - 33)

def pages(size):
    made = [block(size) for _ in range(20)]
    return len({id(one) >> 12 for one in made})

def holes(size):
    blocks = [block(size) for _ in range(4000)]
    blocks[::200] = [None] * 20
    return blocks

for size in (64, 512, 1600):
    kept = holes(size)
    before = pages(size)
    filler = heap.fill_holes()
    print(size, before, pages(size))
"""


def test_what_is_made_after_filling_lies_together() -> None:
    folder = Path(etude.judge.__file__).parent
    command = [sys.executable, "-S", "-P", "-c", _SCRIPT, str(folder)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    for line in lines[:3]:
        size, before, after = map(int, line.split())
        needed = 20 * (size + 16) // 4096 + 2
        assert before > 2 * needed, "the holes were to be far apart"
        assert after <= needed
