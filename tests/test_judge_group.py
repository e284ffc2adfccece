"""The control group around a zygote, where one can be had."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.judge import Judge, Limits
from etude.judge.group import Group, _own_folder
from etude.types import Outcome
from judge_stage import descendants

SLEEPER = [sys.executable, "-c", "import os, time; os.fork(); os.setsid(); time.sleep(60)"]
PUZZLE, SOLUTION = "def f(x: int): return x == 1", "def g(): return 1"


@pytest.fixture
def group() -> Iterator[Group]:
    try:
        made = Group(Limits())
    except OSError as error:
        pytest.skip(f"no control group is to be had here: {error}")
    yield made
    made.kill()
    made.remove()


def ours() -> set[Path]:
    return set(_own_folder().glob(f"etude-judge-{os.getpid()}-*"))


def test_all_that_is_in_it_dies_at_once(group: Group) -> None:
    before = ours()
    own = Group(Limits())
    with subprocess.Popen([*SLEEPER[:2], "import time; time.sleep(0.2)\n" + SLEEPER[2]]) as process:
        own.add(process.pid)
        while len(own.processes()) < 2:
            time.sleep(0.01)
        own.kill()
        assert process.wait(5) == -9
    own.remove()
    assert ours() == before


def test_a_zygote_lives_in_one_and_leaves_none_behind(group: Group) -> None:
    before = ours()
    with Judge(workers=1) as judge:
        (made,) = ours() - before
        inside = {int(word) for word in (made / "cgroup.procs").read_text().split()}
        assert inside
        assert inside <= descendants(os.getpid())
        assert judge.group.startswith("kill")
        assert judge.verify(PUZZLE, SOLUTION).outcome is Outcome.ACCEPTED
    assert ours() == before


def test_groups_of_judges_that_were_killed_are_removed(group: Group) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        pass
    stale = _own_folder() / f"etude-judge-{process.pid}-0"
    stale.mkdir()
    with Judge(workers=1):
        assert not stale.exists()


def test_without_one_the_judge_says_so_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with Judge(workers=1) as judge:
        assert judge.group.startswith("none: ")
        assert judge.verify(PUZZLE, SOLUTION).outcome is Outcome.ACCEPTED
