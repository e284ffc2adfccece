"""The processes of the arms, for real."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
