"""The step in C and the step in Python: the same verdicts."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.errors import InputError
from etude.judge import Judge, Limits
from etude.types import Outcome

HOSTILE = Path(__file__).parents[2] / "shared" / "hostile.json"
P3 = Path(__file__).parents[2] / "shared" / "p3" / "puzzles.json"
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=3)
CASES = {
    "right": "def g(): return 4",
    "wrong": "def g(): return 5",
    "of another type": "def g(): return 4.0",
    "raises": "def g(): return 1 // 0",
    "endless": "def g():\n while True: pass",
    "sleeps": "import time\ndef g(): time.sleep(60)",
    "too much memory": "def g(): return len([0] * 10**10)",
    "many small objects": "def g(): return len([[i] for i in range(10**8)])",
    "leaves": "import os\ndef g(): os._exit(0)",
    "deep": "def g(): return g()",
    "refused": "def g(): return open('/etc/passwd')",
    "no Python": "def g(:",
    "a segmentation fault": (
        "import sys\nsys.setrecursionlimit(10**8)\ndef g():\n one, other = [], []\n"
        " for _ in range(10**6): one, other = [one], [other]\n return one == other"
    ),
    "grows inherited things": (
        "import sys, typing\ndef g():\n"
        " for i in range(10**4): typing.__all__.append(str(i)); setattr(typing, f'x{i}', [i])\n"
        " for i in range(10**4): delattr(typing, f'x{i}')\n return 4"
    ),
    "frees inherited things": (
        "import sys, re, json, decimal\ndef g():\n"
        " for module in (re, json, decimal): vars(module).clear()\n"
        " import gc; gc.collect(); return 4"
    ),
    "makes and frees": (
        "def g():\n kept = {}\n"
        " for i in range(3 * 10**4):\n"
        "  kept[i] = [str(i) * (i % 50), {i: (i,)}, set(range(i % 20)), 'x' * (i % 2000)]\n"
        "  kept.pop(i - 100, None)\n return 4 if len(kept) == 100 else 0"
    ),
}


@pytest.fixture(scope="module", params=["native", "python"])
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    if request.param == "native" and not importlib.util.find_spec("etude.judge._native"):
        pytest.skip("the extension was not built: no compiler, or no Linux")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETUDE_JUDGE_LOOP", request.param)
        with Judge(workers=1, limits=LIMITS) as judge:
            assert judge.native == (request.param == "native")
            yield judge


def test_a_loop_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETUDE_JUDGE_LOOP", "rust")
    with pytest.raises(InputError, match="must be native or python, but is 'rust'"):
        Judge(workers=1)


EXPECTED = {
    "right": Outcome.ACCEPTED,
    "wrong": Outcome.WRONG,
    "of another type": Outcome.MISTYPED,
    "raises": Outcome.RAISED,
    "endless": Outcome.TIMEOUT,
    "sleeps": Outcome.TIMEOUT,
    "too much memory": Outcome.MEMORY,
    "many small objects": Outcome.TIMEOUT,
    "leaves": Outcome.CRASHED,
    "deep": Outcome.RAISED,
    "refused": Outcome.REFUSED,
    "no Python": Outcome.UNPARSED,
    "a segmentation fault": Outcome.CRASHED,
    "grows inherited things": Outcome.ACCEPTED,
    "frees inherited things": Outcome.ACCEPTED,
    "makes and frees": Outcome.ACCEPTED,
}


@pytest.mark.parametrize("name", CASES)
def test_outcomes(judge: Judge, name: str) -> None:
    verdict = judge.verify("def f(x: int): return x == 4", CASES[name])
    assert verdict.outcome is EXPECTED[name], verdict


def test_the_memory_limit_holds_for_small_objects_too(judge: Judge) -> None:
    with Judge(workers=1, limits=Limits(20, 200, memory_bytes=64 << 20)) as small:
        verdict = small.verify("def f(x: int): return x == 4", CASES["many small objects"])
    assert verdict.outcome is Outcome.MEMORY
    assert verdict.peak_bytes < 200 << 20


def test_small_objects_may_take_all_of_a_large_limit(judge: Judge) -> None:
    """More of them than the extension keeps in a place of their own, which is a gigabyte."""
    many = "def g():\n kept = [bytes(470) for _ in range(22 * 10**5)]\n return len(kept) // 550000"
    with Judge(workers=1, limits=Limits(20, 200, memory_bytes=2 << 30)) as large:
        verdict = large.verify("def f(x: int): return x == 4", many)
    assert verdict.outcome is Outcome.ACCEPTED, verdict


def test_a_puzzle_that_answers_differently_later_meets_the_same_memory(judge: Judge) -> None:
    """What one step leaves in its memory, the next does not find."""
    spoils = "import math\ndef f(x: int):\n math.pi = 3\n return x == 4"
    assert judge.verify(spoils, "def g(): return 4").outcome is Outcome.ACCEPTED
    looks = "import math\ndef f(x: int): return math.pi > 3.1"
    assert judge.verify(looks, "def g(): return 4").outcome is Outcome.ACCEPTED


def test_reference_pairs_of_p3(judge: Judge) -> None:
    if not P3.exists():
        pytest.skip(f"{P3} is absent")
    puzzles = [puzzle for puzzle in json.loads(P3.read_text()) if puzzle["sol_bodies"]][::11]
    jobs = [(p["sat"], [p["sol_header"] + "\n" + p["sol_bodies"][0]]) for p in puzzles]
    with Judge(workers=1, limits=Limits(cpu_seconds=5)) as patient:
        assert patient.native == judge.native
        found = [verdict.outcome for (verdict,) in patient.verify_all(jobs)]
    assert len(found) > 140
    names = [p["name"] for p, outcome in zip(puzzles, found, strict=True) if outcome != "accepted"]
    assert not [name for name in names if not name.startswith("Mastermind")]
