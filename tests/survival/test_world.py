"""What happens around a run: clocks that are set, packages that go, a server that fails, a second
driver. It ends with the same tables, or says what it needs and continues when it has it."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import llm_server
import runs
from etude import store

pytestmark = pytest.mark.slow
HOUR = 3600


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: the clock that is set is in C")
    made = tmp_path_factory.mktemp("clock") / "clock.so"
    source = runs.STAGE / "clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


@pytest.fixture
def clock(shim: Path, tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The file that says how many seconds the wall clock is off, and the environment for it."""
    off = tmp_path / "off"
    off.write_bytes(bytes(8))
    environment = {"LD_PRELOAD": str(shim), "CLOCK_OFF": str(off)}
    words = [sys.executable, "-c", "import time; print(time.time())"]
    with off.open("r+b") as file:
        file.write(struct.pack("q", -10 * HOUR))
    said = subprocess.run(
        words, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    real = subprocess.run(words, capture_output=True, text=True, check=True)
    assert -10.1 * HOUR < float(said.stdout) - float(real.stdout) < -9.9 * HOUR
    return off, environment


def test_clocks_that_jump_change_nothing(
    clock: tuple[Path, dict[str, str]], undisturbed: Path, tmp_path: Path
) -> None:
    """By hours, forwards and back, a few times a second."""
    off, environment = clock
    rng = random.Random(6)
    run = runs.cut(undisturbed, tmp_path / "run", "final", *(["round-02"] if runs.LONG else []))
    for kept in (run / "times").iterdir():
        kept.unlink()
    driver = runs.Driver(runs.command(run, "--no-controls"), tmp_path, **environment)
    try:
        while driver.running:
            with off.open("r+b") as file:
                file.write(struct.pack("q", round(rng.uniform(-9, 9) * HOUR)))
            driver.wait(0.3)
        assert driver.ended() == (0, ""), driver.text
    finally:
        driver.strike_all()
    assert runs.differing(run, undisturbed) == []
    files = sorted((run / "times").iterdir())
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert lines
    assert all(0 <= line["seconds"] < runs.PATIENCE for line in lines)


@pytest.mark.parametrize(
    ("kept", "last"),
    [
        pytest.param(("anchors", "propose"), "vet", id="engine", marks=pytest.mark.long),
        pytest.param((), "evaluate", id="training"),
    ],
)
def test_a_package_that_goes_is_named_and_the_run_continues_when_it_is_back(
    kept: tuple[str, ...], last: str, undisturbed: Path, tmp_path: Path
) -> None:
    """It is missed by the engine, or by the training; it goes when `last` is written."""
    stages = sorted(one.name for one in (undisturbed / "round-02").iterdir())
    gone = [f"round-02/{name}" for name in stages if kept and name not in kept]
    run = runs.cut(undisturbed, tmp_path / "run", "final", *gone)
    words = runs.command(run, "--no-controls")
    stage = {"PYTHONPATH": str(runs.STAGE)}
    stage["ETUDE_STAGE_MISSING"] = f"torch={run / 'round-02' / last}"
    code, said = runs.run_to_the_end(words, tmp_path, **stage)
    assert code == 2, said
    runs.sentence(said, "needs the Python package torch", r"pip install 'etude\[train\]'")
    assert (run / "round-02" / last).exists(), "it came as far as that"
    stage["ETUDE_STAGE_MISSING"] = f"plotly={run}"
    runs.finish(words, tmp_path, **stage)
    assert not (run / "report.html").exists()
    assert runs.differing(run, undisturbed) == []


@pytest.mark.long
def test_a_server_that_fails_for_a_while_is_waited_for_or_the_run_says_so(
    teachers: runs.Teachers, server: llm_server.Running, taught: Path, tmp_path: Path
) -> None:
    """Nothing is paid twice: as many answers as there are candidates, and one for each start."""
    run = teachers.begin(tmp_path / "run")
    server.plan(teaches=True, faults=["", "", "503", "", "429:0.1"])
    driver = teachers.start(run, tmp_path)
    try:
        assert driver.wait_until(lambda: server.log()["answered"] > 60)
        server.fail("503")
        code, said = driver.ended()
    finally:
        driver.strike_all()
    assert code == 2, driver.text
    runs.sentence(said, f"The server at {server.url} must answer", "503")
    assert "Continue with: etude run" in driver.text
    code, said = runs.run_to_the_end(teachers.words(run), tmp_path, PYTHONPATH=str(runs.STAGE))
    assert code == 2, "it fails still"
    server.fail("")
    runs.finish(teachers.words(run), tmp_path, PYTHONPATH=str(runs.STAGE))
    assert runs.differing(run, taught) == []
    rows = len(store.read_stage(run / "round-01" / "solve"))
    assert server.log()["answered"] == rows + 2
    assert not list(run.rglob("paid.jsonl"))


def test_a_second_driver_is_refused_and_the_first_goes_on(
    undisturbed: Path, tmp_path: Path
) -> None:
    run = runs.cut(undisturbed, tmp_path / "run", "final")
    words = runs.command(run, "--no-controls")
    driver = runs.Driver(words, tmp_path)
    try:
        assert driver.wait_until(lambda: "round 1" in driver.text)
        code, said = runs.run_to_the_end(words, tmp_path)
        assert code == 2
        runs.sentence(said, f"{run} is being written by another process")
        assert driver.ended() == (0, ""), driver.text
    finally:
        driver.strike_all()
    assert runs.differing(run, undisturbed) == []
