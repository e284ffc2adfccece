"""SIGKILL at random moments: of the run, of an arm, of what judges, of the engine's process.

`ETUDE_KILLS` says how many (10 without it), a fifth of them of engines; `ETUDE_SURVIVAL_LOG` names
a file that gets a row for each. Whatever is killed, the same command ends with the same tables; a
sandbox that dies is replaced while the run goes on.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import runs
from runs import Driver, Process

PART = 10
"""Kills of two runs: one of each of the tests."""
ENGINES = 2
"""Of these, kills of an engine's process."""
VICTIMS = ("run", "arm", "judge", "run", "arm", "judge", "run", "sandbox")
RESUMES = 4
HEAD = """| run | files | killed | seen | continued | same tables |
| ---: | ---: | --- | --- | --- | --- |
"""

pytestmark = pytest.mark.slow


@dataclass
class Kill:
    """One row of the log."""

    run: int
    files: int
    victim: str
    seen: str = ""
    resumed: str = ""

    def row(self, equal: bool) -> str:
        told = (self.run, self.files, self.victim, self.seen, self.resumed, "yes" * equal or "NO")
        return "| " + " | ".join(str(one) for one in told) + " |\n"


def victims(driver: Driver, kind: str) -> list[Process]:
    """The processes of a kind, the run's own aside. An arm without one beside it judges itself."""
    if kind == "arm":
        return driver.arms()
    if kind == "judge":
        return driver.workers() or driver.judges()
    return driver.judges() if kind == "sandbox" else driver.engines()


class Disturbed:
    """A run that is killed again and again."""

    def __init__(self, number: int, folder: Path, start: Callable[[], Driver], run: Path) -> None:
        self.number, self.folder, self.start, self.run = number, folder, start, run
        self.kills: list[Kill] = []
        self.driver = start()

    def strike(self, files: int, kind: str, rng: random.Random) -> None:
        """Kill one of a kind, a moment after the run has so many files."""
        kill, wait = Kill(self.number, files, kind), rng.uniform(0, 1)
        while True:
            driver = self.going_on()
            if driver.wait_until(lambda: runs.finished(self.run) >= files):
                time.sleep(wait)
                if self.hit(kill, driver, kind, rng):
                    self.kills.append(kill)
                    return
            assert driver.end() != 0, f"the run was over before {kill}"

    def hit(self, kill: Kill, driver: Driver, kind: str, rng: random.Random) -> bool:
        """Whether one was found and died of it."""
        if kind == "run":
            driver.family()
            driver.process.kill()
            kill.seen = f"ended with {driver.end()}"
            return driver.process.returncode == -9
        found = driver.wait_until(lambda: victims(driver, kind))
        if not found or not (there := victims(driver, kind)):
            return False
        return rng.choice(there).kill()

    def going_on(self) -> Driver:
        """The run, continued where it has ended."""
        if not self.driver.running:
            code, words = self.driver.ended()
            assert code != 0, "the run was over before all kills"
            self.kills[-1].seen = f"ended with {code}: {words}" if words else f"ended with {code}"
            self.kills[-1].resumed = "by the same command"
            self.driver = self.start()
        return self.driver

    def finish(self) -> None:
        """To the end, and by the same command where what was killed took the run with it."""
        for _ in range(RESUMES):
            if self.driver.end() == 0:
                break
            self.going_on()
        assert self.driver.ended() == (0, ""), self.driver.text[-3000:]
        for kill in self.kills:
            kill.seen = kill.seen or "the run went on"
            kill.resumed = kill.resumed or "not needed"


@pytest.fixture
def log() -> Iterator[Callable[[Disturbed, bool], None]]:
    """Appends the kills of a run to the log, if one is asked for."""
    place = os.environ.get("ETUDE_SURVIVAL_LOG")

    def write(disturbed: Disturbed, equal: bool) -> None:
        if place:
            with Path(place).open("a") as out:
                if out.tell() == 0:
                    out.write(HEAD)
                out.writelines(kill.row(equal) for kill in disturbed.kills)

    return write


def struck(disturbed: Disturbed, moments: list[int], kinds: list[str], rng: random.Random) -> None:
    try:
        for files, kind in zip(moments, kinds, strict=True):
            disturbed.strike(files, kind, rng)
        disturbed.finish()
    finally:
        disturbed.driver.strike_all()


@pytest.mark.parametrize("number", range(max(1, runs.KILLS // PART)))
def test_kills_change_no_byte(
    number: int,
    undisturbed: Path,
    tmp_path: Path,
    log: Callable[[Disturbed, bool], None],
) -> None:
    rng, run = random.Random(20 + number), tmp_path / "run"
    moments = sorted(rng.sample(range(2, runs.finished(undisturbed) - 8), PART - ENGINES))
    kinds = rng.sample(VICTIMS, len(VICTIMS))
    disturbed = Disturbed(number, tmp_path, lambda: Driver(runs.command(run), tmp_path), run)
    struck(disturbed, moments, kinds, rng)
    differing = runs.differing(run, undisturbed)
    log(disturbed, not differing)
    assert differing == []
    for kill in disturbed.kills:
        if kill.victim == "sandbox":
            assert kill.seen == "the run went on", "a judge replaces its sandbox by itself"


@pytest.mark.parametrize("number", range(max(1, runs.KILLS // PART)))
def test_kills_of_an_engines_process_change_no_byte(
    number: int,
    teachers: runs.Teachers,
    taught: Path,
    tmp_path: Path,
    log: Callable[[Disturbed, bool], None],
) -> None:
    """The process is real, and so is the engine that asks it; what answers in it is no model."""
    rng = random.Random(40 + number)
    run = teachers.begin(tmp_path / "run")
    before = runs.finished(run)
    moments = sorted(before + rng.randrange(9) for _ in range(ENGINES))
    disturbed = Disturbed(number, tmp_path, lambda: teachers.start(run, tmp_path), run)
    struck(disturbed, moments, ["engine"] * ENGINES, rng)
    differing = runs.differing(run, taught)
    log(disturbed, not differing)
    assert differing == []
