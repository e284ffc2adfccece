"""Ctrl-C in the middle: the program ends at once, with nothing said but that, and nothing stays.

Each script is a real program in a process group of its own, and the signal goes to the whole
group, as from a terminal.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from judge_stage import descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PAIRS = """
import asyncio, itertools
from etude import AsyncJudge, Judge

PUZZLE = "def f(x: int, n=7):\\n    return x == n"

def jobs():
    for n in itertools.count():
        yield PUZZLE, [f"def g():\\n    return {n}", f"def g():\\n    while {n} > 9: pass"]
"""
STREAM = """
with Judge(workers=2) as judge:
    for number, verdicts in enumerate(judge.verify_all(jobs())):
        if number == 1:
            print("ready", flush=True)
"""
AWAITED = """
async def main():
    number = 0
    async for verdicts in AsyncJudge(judge).verify_all(jobs()):
        number += 1
        if number == 2:
            print("ready", flush=True)

with Judge(workers=2) as judge:
    asyncio.run(main())
"""
ONE_CALL = """
with Judge(workers=2) as judge:
    print("ready", flush=True)
    judge.verify_many(PUZZLE, [f"import time\\ndef g(): time.sleep({n} + 9)" for n in range(500)])
"""
STARTING = """
print("ready", flush=True)
while True:
    Judge(workers=2).close()
"""
IN_CLOSE = """
import os, signal, threading, time
from etude.errors import Fault

def ask(number):
    try:
        judge.verify_many(PUZZLE, [f"import time\\ndef g(): time.sleep(9 + {number})"])
    except Fault:
        pass

def again():
    while not judge._closed:
        time.sleep(0.0001)
    os.kill(os.getpid(), signal.SIGINT)

with Judge(workers=2) as judge:
    for number in range(100):
        threading.Thread(target=ask, args=(number,)).start()
    threading.Thread(target=again).start()
    print("ready", flush=True)
    time.sleep(60)
"""
SCRIPTS = {"stream": STREAM, "awaited": AWAITED, "one call": ONE_CALL, "starting": STARTING}
SECONDS = 5.0
"""In which everything must have ended: far below what the candidates ask for."""
RAISED = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|Exit|Fault)\b.*)", re.MULTILINE)


def alive(pid: int) -> bool:
    """Whether a process is there. One that is dead but not yet buried by init is not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def interrupted(script: str, wait: float, *gaps: float) -> tuple[int, str]:
    """Exit status and standard error of a script that gets SIGINT, and again after each gap."""
    command = [sys.executable, "-c", PAIRS + script]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            time.sleep(wait)
            below = descendants(program.pid)
            start = time.monotonic()
            os.killpg(program.pid, signal.SIGINT)
            for gap in gaps:
                time.sleep(gap)
                if program.poll() is None:
                    os.killpg(program.pid, signal.SIGINT)
            _, said = program.communicate(timeout=SECONDS)
        finally:
            program.kill()
    while left := [pid for pid in below if alive(pid)]:
        assert time.monotonic() - start < SECONDS, f"left behind: {left}"
        time.sleep(0.02)
    return program.returncode, said


@pytest.mark.parametrize("wait", [0.0, 0.13])
@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_ends_everything_and_says_only_that(script: str, wait: float) -> None:
    status, said = interrupted(SCRIPTS[script], wait)
    assert status == -signal.SIGINT, said
    # asyncio cancels first, and shows that too.
    assert set(RAISED.findall(said)) <= {"KeyboardInterrupt", "CancelledError"}, said
    assert said.endswith("KeyboardInterrupt\n")
    assert not re.search(r"ignored in|never (awaited|retrieved)|was destroyed", said), said


@pytest.mark.parametrize("gap", [0.0, 0.001, 0.004, 0.02])
@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_twice_ends_everything_too(script: str, gap: float) -> None:
    """The second may come while the judge is being closed, or the interpreter ends."""
    _, said = interrupted(SCRIPTS[script], 0.05, gap)
    raised = {line.partition(":")[0] for line in RAISED.findall(said)}
    assert raised <= {"KeyboardInterrupt", "CancelledError", "Exception ignored in"}, said


def test_threads_that_wait_are_released_when_ctrl_c_ends_the_closing() -> None:
    """Most of them wait for a sandbox that no longer takes anything."""
    status, said = interrupted(IN_CLOSE, 0.1)
    assert status == -signal.SIGINT
    assert set(RAISED.findall(said)) <= {"KeyboardInterrupt"}, said
