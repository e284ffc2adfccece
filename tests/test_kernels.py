"""Kernels that oneDNN keeps: few, where nobody asked for something else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from etude.kernels import FEW, VARIABLES

KEPT = """
import sys
from etude.kernels import keep_few
if sys.argv[1] == "few":
    keep_few()
import torch

torch.set_num_threads(1)
layer = torch.nn.Linear(512, 512)


def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def work(first):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for rows in range(first, first + 200):
            layer(torch.zeros(rows, 512))


work(600)  # the largest first: what an operation takes besides grows no more
before = resident()
work(1)
work(201)
print(resident() - before)
"""


def asked_for(environment: dict[str, str], code: str) -> str:
    whole = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    said = subprocess.run(
        [sys.executable, "-c", code], env=whole | environment, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    return said.stdout


@pytest.mark.parametrize("begun", ["from etude.cli import main; sys.argv[1:] = ['--version']"])
def test_the_command_asks_for_few_and_leaves_what_was_asked_for(begun: str) -> None:
    code = (
        f"import os, sys; {begun}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([os.environ[name] for name in {VARIABLES!r}])"
    )
    assert str([FEW, FEW]) in asked_for({}, code)
    assert str(["7", FEW]) in asked_for({VARIABLES[0]: "7"}, code)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
def test_four_hundred_shapes_of_a_batch_take_no_memory_for_good() -> None:
    """Without, 232 MiB on a processor with AMX."""
    few = [sys.executable, "-c", KEPT, "few"]
    whole = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    said = subprocess.run(few, env=whole, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert int(said.stdout) < 64 << 10
