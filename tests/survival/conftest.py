"""The undisturbed run, made once for all tests, in whichever process they run."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llm_server
import runs

if sys.platform != "linux":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run have in common; that of ETUDE_SURVIVAL lasts."""
    if "ETUDE_SURVIVAL" in os.environ:
        folder = Path(os.environ["ETUDE_SURVIVAL"]).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "survival"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    """What one process makes, and the others wait for."""
    run = folder / name
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / f"{name}.done").exists():
            make(run)
            (folder / f"{name}.done").touch()
    return run


@pytest.fixture(scope="session")
def undisturbed(shared: Path) -> Path:
    """A run that nobody disturbed. Copy it, and leave it as it is."""
    return made_once(shared, "run", lambda run: runs.finish(runs.command(run), shared))


@pytest.fixture
def server() -> Iterator[llm_server.Running]:
    """A server that writes puzzles, and solutions of which two of three are right."""
    with llm_server.running() as made:
        made.plan(teaches=True)
        yield made


@pytest.fixture
def teachers(undisturbed: Path, server: llm_server.Running) -> runs.Teachers:
    return runs.Teachers(undisturbed, server.url)


@pytest.fixture
def taught(shared: Path, teachers: runs.Teachers) -> Path:
    """The undisturbed run with other engines."""

    def make(run: Path) -> None:
        if not run.exists():
            teachers.begin(run)
        runs.finish(teachers.words(run), shared, PYTHONPATH=str(runs.STAGE))

    return made_once(shared, "taught", make)
