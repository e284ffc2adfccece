"""Attacks of the project's own, each with the reason why it is one: `tests/attacks/*.toml`.

A case is a table: `why`, `solution`, and where they are not the usual ones `puzzle` (the usual one
accepts nothing, so that no `accepted` can be right) and `outcomes` (any but `accepted` and
`fault`).
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etude.judge import Judge, Limits
from etude.types import Outcome
from judge_stage import SECRET, Stage, descendants, resident_bytes, staged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the full isolation is Linux's")

ACCEPTS_NOTHING = "def f(x: int):\n    return x > 5 and x < 5"
NOT_ACCEPTED = sorted(set(Outcome) - {Outcome.ACCEPTED, Outcome.FAULT})
FILES = sorted(Path(__file__).with_name("attacks").glob("*.toml"))
INNOCENT = [
    ("def f(x: int, n=7):\n    return x == n + 3", "def g(n=7):\n    return n + 3", "accepted"),
    (
        "def f(x: List[int], n=5):\n    return len(x) == n and sum(x) == 2 * n and sorted(x) == x",
        "def g(n=5):\n    import math, random\n    random.seed(1)\n    assert math.sqrt(4) == 2.0\n"
        "    return [2] * n  # NEXT",
        "accepted",
    ),
]


def cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in FILES:
        for name, case in tomllib.loads(file.read_text("utf-8")).items():
            assert name not in found, f"{name} is there twice"
            found[name] = case
    return found


CASES = cases()


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=1, wall_seconds=2)) as judge:
        if judge.isolation != "full":
            pytest.skip(f"full isolation is not to be had here: {judge.layers}")
        yield judge


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("canary")) as stage:
        yield stage


@pytest.mark.parametrize("name", CASES)
def test_an_attack_gets_nowhere(judge: Judge, stage: Stage, name: str, capfd) -> None:
    case = CASES[name]
    solution = case["solution"].replace("%BRACKETS%", "(" * 10_000)
    before = descendants(os.getpid())
    verdict = judge.verify(stage.set(case.get("puzzle", ACCEPTS_NOTHING)), stage.set(solution))
    assert verdict.outcome in case.get("outcomes", NOT_ACCEPTED), verdict
    assert SECRET not in (verdict.answer or "") + verdict.detail
    assert len(verdict.detail) <= 500
    for puzzle, innocent, right in INNOCENT:
        assert judge.verify(puzzle, innocent).outcome == right
    assert stage.damage() == []
    left = descendants(os.getpid())
    assert len(left) <= len(before), "something was left behind"
    assert resident_bytes(left) < 300 << 20
    assert capfd.readouterr() == ("", "")


def test_each_case_says_why() -> None:
    for name, case in CASES.items():
        assert set(case) <= {"why", "solution", "puzzle", "outcomes"}, name
        assert len(case["why"]) > 20, name
        assert set(case.get("outcomes", ())) <= set(Outcome), name
