"""Attacks of the project's own, each with the reason why it is one: `tests/attacks/*.toml`.

A case is a table: `why`, `solution`, and where they are not the usual ones `puzzle` (the usual one
accepts nothing, so that no `accepted` can be right) and `outcomes` (any but `accepted` and
`fault`). `first` is a solution of the same puzzle that is judged, and accepted, just before.
`%REACH%` stands for the functions of `attacks/reach.py`.
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
# Looks at what is the same for every step, in both of them: whatever an attack changed is its own.
WITNESS = """
def witness():
    import abc, codecs, collections.abc, copyreg, decimal, functools, gc, json, math, numbers, os
    import random, re, string, sys, threading, time, types, warnings, weakref
    assert 3 + 4 == 7 and [n * n for n in range(4)] == [0, 1, 4, 9] and str(True) == "True"
    assert random.random() == 0.8444218515250481 and random.randrange(1000) == 776
    assert sys.getrecursionlimit() == 3000 and len(str(10**5000)) == 5001
    assert sys.gettrace() is sys.getprofile() is threading.gettrace() is None
    assert sys.stdout is sys.__stdout__ and sys.excepthook is sys.__excepthook__
    assert sys.unraisablehook is sys.__unraisablehook__ and sys.displayhook is sys.__displayhook__
    assert sys.path == [] and len(sys.meta_path) == 3 and sys.getswitchinterval() == 0.005
    assert not gc.isenabled() and gc.callbacks == [] and gc.get_threshold() == (700, 10, 10)
    assert decimal.getcontext().prec == decimal.DefaultContext.prec == 28
    assert str(decimal.Decimal(1) / 3) == "0." + "3" * 28
    assert re.fullmatch("(p+)oison", "pppoison")[1] == "ppp" and not re.match("x", "y")
    assert not isinstance("a", numbers.Number) and not isinstance(5, collections.abc.Sized)
    assert json.loads("[1, 2]") == [1, 2] and json.dumps({"a": None}) == '{"a": null}'
    assert sorted([3, 1, 2]) == [1, 2, 3] and sum([1, 2]) == 3 and len("abc") == 3
    assert math.sqrt(16) == 4.0 and math.pi > 3.1 and string.digits == "0123456789"
    assert dict(os.environ) == {} and os.getcwd and codecs.lookup("utf-8").name == "utf-8"
    assert List[int].__args__ == (int,) and functools.reduce(max, [1, 3, 2]) == 3
    assert b"\\xff".decode("utf-8", "replace") == "\\ufffd"
    assert "\\ud800".encode("utf-8", "replace") == b"?"
    try: codecs.lookup("poison")
    except LookupError: pass
    else: return 0
    return 5
"""
INNOCENT.append(
    (
        WITNESS + "\ndef f(x: int): return x == 5 == witness()",
        WITNESS + "\ndef g(): return witness()",
        "accepted",
    )
)


def cases() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for file in FILES:
        for name, case in tomllib.loads(file.read_text("utf-8")).items():
            assert name not in found, f"{name} is there twice"
            found[name] = case
    return found


CASES = cases()
REACH = Path(__file__).with_name("attacks").joinpath("reach.py").read_text("utf-8")
MACROS = {
    "%REACH%": REACH,
    "%BRACKETS%": "(" * 10_000,
    "%ALTERNATIVES%": " | ".join(["str"] * 5_000),
    "%DIGITS%": "9" * 900_000,
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5, wall_seconds=1.5)) as judge:
        if judge.isolation != "full":
            pytest.skip(f"full isolation is not to be had here: {judge.layers}")
        yield judge


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("canary")) as stage:
        yield stage


def filled(stage: Stage, text: str) -> str:
    for name, value in MACROS.items():
        text = text.replace(name, value)
    return stage.set(text)


@pytest.mark.parametrize("name", CASES)
def test_an_attack_gets_nowhere(judge: Judge, stage: Stage, name: str, capfd) -> None:
    case = CASES[name]
    before = descendants(os.getpid())
    puzzle = filled(stage, case.get("puzzle", ACCEPTS_NOTHING))
    if "first" in case:
        assert judge.verify(puzzle, case["first"]).outcome is Outcome.ACCEPTED
    verdict = judge.verify(puzzle, filled(stage, case["solution"]))
    assert verdict.outcome in case.get("outcomes", NOT_ACCEPTED), verdict
    assert SECRET not in (verdict.answer or "") + verdict.detail
    assert len(verdict.detail) <= 500
    for puzzle, innocent, right in INNOCENT:
        found = judge.verify(puzzle, innocent)
        assert found.outcome == right, found
    assert stage.damage() == []
    left = descendants(os.getpid())
    assert len(left) <= len(before), "something was left behind"
    assert resident_bytes(left) < 300 << 20
    assert capfd.readouterr() == ("", "")


def test_what_the_attacks_reach_for_is_there(judge: Judge) -> None:
    """Otherwise an attack could fail because it looks for something of another name."""
    looks = """
def g():
    import hashlib
    assert reach("Exchange").report and reach("Exchange").memory and reach("Kernel")._libc
    assert module("ctypes") and module("mmap") and module("socket")
    assert syscall(39 if reach("Kernel").machine == "x86_64" else 172) > 1
    memory, kept = everything()
    text = b"some text of " + b"this process"
    assert bytes(memory[id(text) + 32 : id(text) + 32 + len(text)]) == text
    return bool(search(b"some te" + b"xt of", 20))
"""
    verdict = judge.verify("def f(x: bool): return x", REACH + looks)
    assert verdict.outcome is Outcome.ACCEPTED, verdict


def test_each_case_says_why() -> None:
    for name, case in CASES.items():
        assert set(case) <= {"why", "first", "solution", "puzzle", "outcomes"}, name
        assert len(case["why"]) > 20, name
        assert set(case.get("outcomes", ())) <= set(Outcome), name
