"""An object in a process of its own: what it answers, what it raises, and when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from etude.engines.child import Child
from etude.errors import Fault, InputError

STAGE = Path(__file__).parent / "vllm_stage"
ANSWERING = "answering:Answering"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(STAGE))


def answering(*args: Any, **options: Any) -> Child:
    return Child(sys.executable, ANSWERING, *args, **options)


def test_a_child_answers_until_it_is_closed(stage: None) -> None:
    child = answering("ab")
    assert child.ask("say", 3) == "ababab"
    assert child.ask("pid") != os.getpid()
    with pytest.raises(InputError, match="too long"):
        child.ask("refuse")
    with pytest.raises(Fault, match="ZeroDivisionError: in the middle"):
        child.ask("fail")
    assert child.ask("say", 1) == "ab"
    child.close()
    child.close()
    with pytest.raises(InputError, match="is closed"):
        child.ask("say", 1)


def test_closing_ends_the_process(stage: None) -> None:
    child = answering("ab")
    pid = child.ask("pid")
    child.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("fail", "error", "words"),
    [
        ("input", InputError, "must be a model but is a toaster"),
        ("fault", Fault, "ZeroDivisionError: of the maker"),
        ("death", Fault, "died with exit code 7"),
    ],
)
def test_what_goes_wrong_at_the_start(
    stage: None, fail: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        answering("ab", fail=fail)


def test_a_death_is_told(stage: None) -> None:
    child = answering("ab")
    with pytest.raises(Fault, match="died with exit code 9"):
        child.ask("die")
    with pytest.raises(InputError, match="is closed"):
        child.ask("say", 1)


def test_a_busy_child_dies_with_its_parent(stage: None, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    code = (
        "import sys; from etude.engines.child import Child; "
        f"Child(sys.executable, {ANSWERING!r}, 'a').ask('sleep', {str(mark)!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (mark.exists() and mark.read_text()):
        assert parent.poll() is None
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{mark.read_text()}").exists():
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.1)
