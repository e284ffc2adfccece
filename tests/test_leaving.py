"""What asks a run to end: it says once what is kept, and no later signal breaks its leaving."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from etude.session import LEAVE, leaving

AT_THE_END = """
import atexit, os, signal, sys
from pathlib import Path
from etude.session import leaving

atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
folder = Path(sys.argv[1])
with leaving(folder, "the outer"), leaving(folder, "the inner"):
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_while_it_leaves_is_not_heard(tmp_path: Path) -> None:
    words = [sys.executable, "-c", AT_THE_END, str(tmp_path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr == (
        f"\nInterrupted. 0 finished units are kept in {tmp_path}. Continue with:\n  the inner\n"
    )


WHILE_COLLECTING = """
import os, signal, sys, time
from pathlib import Path
from etude.session import leaving

class Garbage:
    def __del__(self):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
        time.sleep(0.01)

folder = Path(sys.argv[1])
with leaving(folder, "the outer"), leaving(folder, "the inner"):
    Garbage()
    for _ in range(100):
        time.sleep(0.1)
print("it went on")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_while_garbage_is_collected_is_not_lost(name: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", WHILE_COLLECTING, str(tmp_path), name]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == (
        f"\nInterrupted. 0 finished units are kept in {tmp_path}. Continue with:\n  the inner\n"
    )


def test_a_body_that_ends_leaves_the_signals_as_they_were(tmp_path: Path) -> None:
    before, hook = [signal.getsignal(number) for number in LEAVE], sys.unraisablehook
    with leaving(tmp_path, "the outer"), leaving(tmp_path, "the inner"):
        assert [signal.getsignal(number) for number in LEAVE] != before
    assert [signal.getsignal(number) for number in LEAVE] == before
    assert sys.unraisablehook is hook
