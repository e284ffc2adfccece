"""The soak finds what it looks for: it passes on a judge that holds, and says what does not."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from etude.types import Outcome, Verdict

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "soak.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the soak reads /proc")


@pytest.fixture
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


def test_a_short_soak_finds_nothing_off() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "170"], capture_output=True, text=True, check=False, timeout=120
    )
    if "isolation" in done.stderr:
        pytest.skip(done.stderr.strip()[-300:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "170 checks" in done.stdout
    assert "wrong verdicts: 0" in done.stdout


def test_one_in_ten_is_hostile_and_every_kind_comes(soak: ModuleType) -> None:
    cases = [soak.case(number) for number in range(20_000)]
    hostile = [case for case in cases if case not in soak.HARMLESS]
    assert len(hostile) == 2000
    assert {case.name for case in cases} == {
        case.name for case in (*soak.HARMLESS, *soak.HOSTILE, *soak.COSTLY)
    }
    assert len([case for case in cases if case in soak.COSTLY]) == 50
    assert len({soak.case(n).pair(n) for n in range(1000)}) == 1000, "no two are alike"


@pytest.mark.parametrize(
    ("change", "off"),
    [
        ({}, False),
        ({"resident": 120}, True),
        ({"resident": 105}, False),
        ({"descriptors": 9}, True),
        ({"after": {"processes": 1}}, True),
        ({"after": {"descriptors": 9}}, True),
        ({"wrong": True}, True),
    ],
)
def test_what_is_off_is_found(soak: ModuleType, change: dict[str, object], off: bool) -> None:
    made = soak.Soak(1)
    list(made.jobs())
    made.take(Verdict(Outcome.FAULT if "wrong" in change else Outcome.ACCEPTED))
    first = {"seconds": 1.0, "checks": 1, "resident": 100, "processes": 4, "descriptors": 8}
    last = first | {key: value for key, value in change.items() if key in first}
    made.states = [soak.State(**first), soak.State(**last)]
    end = first | {"processes": 0}
    after = change.get("after")
    assert after is None or isinstance(after, dict)
    assert soak.off(made, soak.State(**end), soak.State(**end | (after or {}))) is off
