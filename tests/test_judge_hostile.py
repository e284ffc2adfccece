"""Hostile candidates against the judge: right outcomes, and nothing happens outside.

A few attacks of our own run everywhere. The long list is read from `shared/hostile.json` beside
the repository, where it exists.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etude.judge import Judge, Limits
from etude.types import Verdict
from judge_stage import ENVIRONMENT, SECRET, Stage, descendants, staged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the full isolation is Linux's")

SHARED = Path(__file__).parents[1].parent / "shared" / "hostile.json"
# Twice the usual CPU time: where touching memory is slow, 700 MB of it take a second.
LIMITS = Limits(cpu_seconds=2.0, wall_seconds=3.0)
INNOCENT = [
    ("def f(x: int, n=7):\n    return x == n + 3", "def g(n=7):\n    return n + 3", "accepted"),
    (
        "def f(x: List[int], n=5):\n    return len(x) == n and sum(x) == 2 * n and sorted(x) == x",
        "def g(n=5):\n    import math, random\n    random.seed(1)\n    assert math.sqrt(4) == 2.0\n"
        "    return [2] * n",
        "accepted",
    ),
    ("def f(x: int, n=7):\n    return x == n + 3", "def g(n=7):\n    return n + 4", "wrong"),
]
REPEATED = ("sem_sat_mutates_default", "sem_sat_global_counter")


def listed() -> list[dict[str, Any]]:
    """The shared list, empty where it is absent."""
    if not SHARED.exists():
        return []
    cases: list[dict[str, Any]] = json.loads(SHARED.read_text())
    return cases


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=LIMITS) as judge:
        yield judge


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("canary")) as stage:
        yield stage


def attack(judge: Judge, stage: Stage, puzzle: str, solution: str) -> Verdict:
    """Judge one attack; check that it took effect nowhere, and that the judge is still sound."""
    before = time.monotonic()
    verdict = judge.verify(stage.set(puzzle), stage.set(solution))
    took = time.monotonic() - before
    assert took < 2 * LIMITS.wall_seconds + 5
    assert SECRET not in (verdict.answer or "") + verdict.detail
    innocent = [(judge.verify(f, g).outcome.value, right) for f, g, right in INNOCENT]
    assert all(found == right for found, right in innocent), innocent
    assert stage.damage() == []
    return verdict


def test_the_stage_notices_damage(stage: Stage) -> None:
    (stage.canary / "w_new").write_text("x")
    (stage.canary / "precious.txt").unlink()
    (stage.canary / "secret.txt").write_text("changed")
    assert set(stage.damage()) == {"file:w_new", "gone:precious.txt", "changed:secret.txt"}
    (stage.canary / "w_new").unlink()
    assert stage.damage() == []


PLUS_THREE = "def f(x: int, n=7):\n    return x == n + 3"
IMPOSSIBLE = "def f(x: int):\n    return x > 5 and x < 5"
SECRETIVE = "def f(s: str):\n    return s.startswith('SECRET-')"

# name: (puzzle, body of g, the outcomes that are right)
OWN = {
    "spins": (PLUS_THREE, "while True: pass", {"timeout"}),
    "sleeps": (PLUS_THREE, "import time\ntime.sleep(60)\nreturn 10", {"timeout"}),
    "forks": (PLUS_THREE, "import os\nwhile True: os.fork()", {"refused"}),
    "leaves": (PLUS_THREE, "import os\nos._exit(0)", {"crashed"}),
    "eats memory": (PLUS_THREE, "return len(bytearray(10**12))", {"memory"}),
    "answers at length": ("def f(s: str):\n    return True", "return 'x' * 10**8", {"memory"}),
    "floods its output": (PLUS_THREE, "while True: print('x' * 10**5)", {"timeout"}),
    "writes to all descriptors": (
        IMPOSSIBLE,
        "import os\nfor fd in range(64):\n    try: os.write(fd, b'\\x01' * 64)\n"
        "    except OSError: pass\nreturn 5",
        {"wrong"},
    ),
    "closes all descriptors": (
        PLUS_THREE,
        "import os\nos.closerange(0, 64)\nreturn 10",
        {"accepted"},
    ),
    "reads a file": (SECRETIVE, "return open('@CANARY@/secret.txt').read()", {"refused"}),
    "writes a file": (PLUS_THREE, "open('@CANARY@/w', 'w')\nreturn 10", {"refused"}),
    "deletes a file": (
        PLUS_THREE,
        "import os\nos.unlink('@CANARY@/precious.txt')\nreturn 10",
        {"refused"},
    ),
    "opens a socket": (
        PLUS_THREE,
        "import socket\nsocket.create_connection(('127.0.0.1', @PORT@))\nreturn 10",
        {"refused"},
    ),
    "signals everybody": (PLUS_THREE, "import os\nos.kill(-1, 9)\nreturn 10", {"refused"}),
    "stops its parent": (PLUS_THREE, "import os\nos.kill(os.getppid(), 19)", {"refused"}),
    "raises its limits": (
        PLUS_THREE,
        "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (99, 99))\nreturn 10",
        {"raised", "refused"},
    ),
    "reads the environment": (
        f"def f(s: str):\n    return {ENVIRONMENT!r} in s",
        "import os\nreturn str(dict(os.environ))",
        {"wrong"},
    ),
    "patches builtins": (
        "def f(x: List[int]):\n    return len(x) == 9 and sum(x) == 1",
        "import builtins\nbuiltins.len = lambda x: 9\nbuiltins.sum = lambda x: 1\n"
        "builtins.type = lambda x: list\nreturn [1]",
        {"wrong"},
    ),
    "answers with a liar": (
        IMPOSSIBLE,
        "class I(int):\n    __lt__ = __gt__ = lambda *_: True\nreturn I(5)",
        {"mistyped"},
    ),
    "asks to exit": (PLUS_THREE, "import sys\nsys.exit(0)", {"raised"}),
    "looks for its parent's memory": (
        PLUS_THREE,
        "import gc\nfor o in gc.get_objects():\n"
        "    if type(o).__name__ == 'Request': return bytes(o.item(0))\nreturn 10",
        {"crashed", "accepted", "raised"},
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_own_attack(judge: Judge, stage: Stage, name: str) -> None:
    if judge.isolation != "full":
        pytest.skip(f"this machine has no full isolation: {judge.layers}")
    puzzle, body, right = OWN[name]
    solution = "def g():\n    " + body.replace("\n", "\n    ")
    verdict = attack(judge, stage, puzzle, solution)
    assert verdict.outcome in right, verdict


def test_a_candidate_finds_nothing_of_its_siblings(judge: Judge) -> None:
    """Neither the sources after it nor the answers before it are in a candidate's reach."""
    puzzle = "def f(s: str):\n    return s == 'p' + 'earl' * 2"
    thief = """
def g():
    import gc, sys
    seen, stack = set(), [sys._getframe(), *gc.get_objects()]
    frame = sys._getframe()
    while frame:
        stack += [frame.f_locals, frame.f_globals]
        frame = frame.f_back
    stack += [v for d in stack if type(d) is dict for v in d.values()]
    for o in stack:
        if isinstance(o, (str, bytes)) and len(o) < 10**5:
            text = o if isinstance(o, str) else o.decode("latin-1")
            if "pearl" + "earl" in text and "gc" not in text:
                return "p" + "earl" * 2
    return "found nothing"
"""
    honest = "def g():\n    return 'pearlearl'"
    verdicts = judge.verify_many(puzzle, [honest, thief, honest + " "])
    assert [verdict.outcome.value for verdict in verdicts] == ["accepted", "wrong", "accepted"]
    assert verdicts[1].answer == "'found nothing'"


def test_the_shared_list_is_here_or_named_as_absent() -> None:
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is absent: only the attacks in this file were tried")
    assert len(listed()) > 100


@pytest.mark.slow
@pytest.mark.parametrize("case", listed(), ids=lambda case: case["name"])
def test_listed_attack(judge: Judge, stage: Stage, case: dict[str, Any]) -> None:
    if judge.isolation != "full":
        pytest.skip(f"this machine has no full isolation: {judge.layers}")
    processes = descendants(os.getpid())
    times = 3 if case["name"] in REPEATED else 1
    verdicts = [attack(judge, stage, case["puzzle"], case["solution"]) for _ in range(times)]
    assert {verdict.outcome for verdict in verdicts} <= set(case["outcomes"]), verdicts
    assert len({verdict.outcome for verdict in verdicts}) == 1
    assert len(descendants(os.getpid())) <= len(processes)
