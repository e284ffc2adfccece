"""The processes of the arms, for real."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from etude import store
from etude.ladder import LONGEST_FIRST, _Arms
from etude.types import Event

SCRIPT = """
import multiprocessing, time
from etude.offspring import no_interrupt

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with no_interrupt():
        process = context.Process(target=time.sleep, args=(1,))
        process.start()
    print("started", flush=True)
    try:
        time.sleep(20)
    except KeyboardInterrupt:
        process.join()
        print("interrupted", process.exitcode)
"""


def test_ctrl_c_reaches_the_run_and_never_an_arm_that_is_starting(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script],
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it for `&`
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(0.02)  # the process that was started is still importing
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert out == "interrupted 0\n"
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> store.Run:
    """A small run with all its arms."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = ["pretrain.documents=100", "seeds.epochs=1", "run.rounds=1", "propose.samples=64"]
    settings += ["evaluate.max_new_tokens=8", "evaluate.final_samples=2", "vet.max_puzzles=4"]
    words = [word for one in settings for word in ("--set", one)]
    command = [sys.executable, "-m", "etude", "run", "smoke", *words, "--out", folder]
    subprocess.run(command, check=True, capture_output=True)
    return store.Run.read(folder)


class Counted(_Arms):
    """Says which arms a process was started for, and which went on in one that was there."""

    started: list[str]
    went_on: list[str]
    doomed = False
    """Whether processes die as soon as they are done with an arm."""

    def _start(self, name: str) -> None:
        self.started.append(name)
        super()._start(name)

    def _go_on(self, ready: Connection, process: BaseProcess) -> None:
        self.went_on.append(self.owed[0])
        if self.doomed:
            process.kill()
            process.join()
        super()._go_on(ready, process)


def climbed(run: store.Run, most: int, *, doomed: bool = False) -> tuple[Counted, set[str]]:
    """All arms of a finished run once more, and those of them that told something."""
    told: list[Event] = []
    arms = Counted(run, told.append, "here")
    arms.started, arms.went_on, arms.doomed = [], [], doomed
    arms.run(LONGEST_FIRST, most)
    return arms, {event.arm for event in told}


@pytest.mark.long
@pytest.mark.slow
def test_a_process_that_is_done_with_an_arm_takes_the_next(finished: store.Run) -> None:
    arms, told = climbed(finished, 2)
    assert arms.started == ["verified", "unverified"]
    assert sorted(arms.went_on) == ["more-epochs", "pretrained", "seeds"]
    assert told == {*LONGEST_FIRST}


@pytest.mark.long
@pytest.mark.slow
def test_one_that_died_between_two_arms_loses_none(finished: store.Run) -> None:
    arms, told = climbed(finished, 1, doomed=True)
    assert arms.went_on == [*LONGEST_FIRST[1:]]
    assert arms.started == [*LONGEST_FIRST]
    assert told == {*LONGEST_FIRST}
