"""Ctrl-C, twice, and the polite signals, at random moments: it ends, says so, and leaves nothing.

The first comes to the whole group, as from a terminal; the second a moment, or a second, later.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

import runs

pytestmark = pytest.mark.slow

MOMENTS = (
    (signal.SIGINT, 0.05),
    (signal.SIGTERM, 1.0),
    (signal.SIGHUP, None),
    (signal.SIGINT, 1.0),
    (signal.SIGTERM, 0.02),
    (signal.SIGINT, 0.0),
)[: None if runs.LONG else 3]
"""Which signal, and after how many seconds it comes again, if it does."""
LONGEST = 10.0
"""Seconds by which it comes, from when the run begins to hear."""


@pytest.mark.parametrize("seed", range(4 if runs.LONG else 1))
def test_signals_at_random_moments_end_the_run_and_lose_nothing(
    seed: int, undisturbed: Path, tmp_path: Path
) -> None:
    rng = random.Random(11 + seed)
    run = runs.cut(undisturbed, tmp_path / "run", "final", "round-02")
    words = runs.command(run, "--no-controls")
    for number, again in MOMENTS:
        signalled(runs.Driver(words, tmp_path), number, again, rng.uniform(0, LONGEST), run)
    runs.finish(words, tmp_path)
    assert runs.differing(run, undisturbed) == []


def signalled(
    driver: runs.Driver, number: signal.Signals, again: float | None, after: float, run: Path
) -> None:
    try:
        assert driver.wait_until(lambda: driver.listens)
        driver.wait(after)
        driver.family()
        os.killpg(driver.pid, number)
        if again is not None:
            time.sleep(again)
            if driver.running:
                os.killpg(driver.pid, number)
        code, _ = driver.ended()
        assert code in (130, -number), driver.text
        if code == 130:
            assert f"are kept in {run}. Continue with:\n  etude run {run}" in driver.text
        assert "Traceback" not in driver.text
    finally:
        driver.strike_all()
