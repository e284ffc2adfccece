"""The ends of what a candidate may do: each has an outcome with a name, and never `fault`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from etude.judge import Judge, Limits
from etude.judge.codec import MAX_DEPTH
from etude.types import Outcome, Verdict

ANSWER_BYTES = 1 << 20
MEMORY = 256 << 20
LIMITS = Limits(cpu_seconds=1, wall_seconds=4, memory_bytes=MEMORY, answer_bytes=ANSWER_BYTES)
YES = "def f(x): return True"


@pytest.fixture(scope="module", params=["native", "python"])
def loop(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "native" and not importlib.util.find_spec("etude.judge._native"):
        pytest.skip("the extension was not built: no compiler, or no Linux")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ETUDE_JUDGE_LOOP", request.param)
        yield request.param


@pytest.fixture(scope="module")
def judge(loop: str) -> Iterator[Judge]:
    with Judge(workers=1, limits=LIMITS) as judge:
        yield judge


def verdict_of(judge: Judge, puzzle: str, solution: str) -> Verdict:
    """The verdict, when the judge is as well afterwards as it was before."""
    verdict = judge.verify(puzzle, solution)
    assert judge.verify("def f(x: int): return x == 4", "def g(): return 4").outcome == "accepted"
    return verdict


# name: (puzzle, solution, the outcomes that are right)
ANSWERS = {
    "a 5 million digits int": (
        "def f(x: int): return x.bit_length() == 16_609_640",
        "def g(): return 1 << 16_609_639",
        {"memory"},  # 2 MB, and here an answer has 1 MB
    ),
    "a 2 million digits int": (
        "def f(x: int): return x.bit_length() == 6_643_856",
        "def g(): return 1 << 6_643_855",
        {"accepted"},
    ),
    "digits beyond Python's usual limit": (
        "def f(x: str): return len(x) == 10_001 and int(x) == 10**10_000",
        "def g(): return str(10**10_000)",
        {"accepted"},
    ),
    "a str just within": (
        "def f(x: str): return len(x) == 1048571",
        f"def g(): return 'x' * ({ANSWER_BYTES} - 5)",
        {"accepted"},
    ),
    "a str just beyond": (YES, f"def g(): return 'x' * ({ANSWER_BYTES} - 4)", {"memory"}),
    "ints just within": (
        "def f(x: List[int]): return len(x) == 131071",
        f"def g(): return [7] * ({ANSWER_BYTES} // 8 - 1)",
        {"accepted"},
    ),
    "ints just beyond": (YES, f"def g(): return [7] * ({ANSWER_BYTES} // 8)", {"memory"}),
    "an int just within": (YES, f"def g(): return 1 << 8 * ({ANSWER_BYTES} - 6)", {"accepted"}),
    "an int just beyond": (YES, f"def g(): return 1 << 8 * ({ANSWER_BYTES} - 5)", {"memory"}),
    "nan": ("def f(x: float): return x != x", "def g(): return float('nan')", {"accepted"}),
    "inf": (
        "def f(x: List[float]): return x[0] > 1e308 and x[1] < -1e308",
        "def g(): return [float('inf'), -float('inf')]",
        {"accepted"},
    ),
    "minus zero": (
        "def f(x: float): return str(x) == '-0.0'",
        "def g(): return -0.0",
        {"accepted"},
    ),
    "the least float": (
        "def f(x: float): return 0 < x and x / 2 == 0",
        "def g(): return 5e-324",
        {"accepted"},
    ),
    "nan as a key": (
        "def f(x: Dict[float, int]): return len(x) == 2 and all(k != k for k in x)",
        "def g(): return {float('nan'): 1, float('nan'): 2}",
        {"accepted"},
    ),
    "lone surrogates": (
        "def f(x: str): return [ord(c) for c in x] == [0xd83d, 0xde00, 0xdfff]",
        "def g(): return '\\ud83d\\ude00\\udfff'",
        {"accepted"},
    ),
    "nothing but nul": (
        "def f(x: str): return x == chr(0) * 1000",
        "def g(): return '\\0' * 1000",
        {"accepted"},
    ),
    "every character": (
        "def f(x: str): return len(x) == 0x10000 and x[0xd800] == chr(0xd800)",
        "def g(): return ''.join(map(chr, range(0x10000)))",
        {"accepted"},
    ),
    "empty ones": (
        "def f(x: List[list]): return x == [[], [[]]]",
        "def g(): return [[], [[]]]",
        {"accepted"},
    ),
    "64 bits and one more": (
        "def f(x: List[int]): return x == [2**63 - 1, -2**63, 2**63, -2**63 - 1]",
        "def g(): return [2**63 - 1, -2**63, 2**63, -2**63 - 1]",
        {"accepted"},
    ),
    "a list in itself": (YES, "def g():\n a = []\n a.append(a)\n return a", {"mistyped"}),
    "a dict in itself": (YES, "def g():\n a = {}\n a[1] = a\n return a", {"mistyped"}),
    "a list in its own tuple": (YES, "def g():\n a = []\n a.append((a,))\n return a", {"mistyped"}),
    "as deep as can be": (
        YES,
        f"def g():\n a = 1\n for _ in range({MAX_DEPTH}): a = [a]\n return a",
        {"accepted"},
    ),
    "one level deeper": (
        YES,
        f"def g():\n a = 1\n for _ in range({MAX_DEPTH} + 1): a = [a]\n return a",
        {"mistyped"},
    ),
    "a thousand million leaves, shared": (
        YES,
        "def g():\n a = [1]\n for _ in range(30): a = [a, a]\n return a",
        {"memory"},
    ),
    "ten million shared lists": (YES, "def g():\n a = []\n return [a] * 10**7", {"memory"}),
    "no answer at all": ("def f(x: None): return x is None", "def g(): pass", {"accepted"}),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_extreme_answers(judge: Judge, name: str) -> None:
    puzzle, solution, right = ANSWERS[name]
    verdict = verdict_of(judge, puzzle, solution)
    assert verdict.outcome in right, verdict
    assert len(verdict.answer or "") <= 1000


# name: (the body of g, the outcomes that are right)
DOINGS = {
    "a catastrophic regex": ("import re; re.match('(a*)*$', 'a' * 40 + 'b')", {"timeout"}),
    "a hang in C": ("return len(str(10**10**8))", {"timeout", "memory"}),
    "a power beyond all memory": ("return 10**10**11", {"timeout", "memory"}),
    "a str beyond all memory": ("return 'x' * 10**10", {"memory"}),
    "a str beyond all addresses": ("return 'x' * 2**62", {"memory"}),
    "a list beyond all lists": ("return [0] * 2**62", {"memory"}),
    "a range as a list": ("return list(range(10**12))", {"memory"}),
    "endless recursion": ("return g()", {"raised"}),
    "endless recursion, unlimited": (
        "import sys; sys.setrecursionlimit(10**9); return g()",
        {"memory", "crashed", "timeout"},
    ),
    "endless recursion through C": ("return max([1], key=lambda _: g())", {"raised"}),
    "endless recursion through C, unlimited": (
        "import sys; sys.setrecursionlimit(10**9); return max([1], key=lambda _: g())",
        {"crashed", "memory"},
    ),
    "repr of nested lists": (
        "a = []\nfor _ in range(10**5): a = [a]\nreturn len(repr(a))",
        {"raised"},
    ),
    "comparing nested lists, unlimited": (
        "import sys; sys.setrecursionlimit(10**9)\na = b = 1\n"
        "for _ in range(10**6): a, b = [a], [b]\nreturn a == b",
        {"crashed", "memory"},
    ),
    "iterators in iterators": (
        "a = iter(())\nfor _ in range(10**6): a = map(int, a)\nreturn next(a, 1)",
        {"crashed", "accepted"},
    ),
    "compiling nested brackets": ("return eval('[' * 10**5)", {"raised"}),
    "compiling a deep expression": (
        "return eval('-' * 10**6 + '1')",
        {"raised", "memory", "crashed"},
    ),
    "compiling a long chain": ("return eval('a' + '.b' * 10**5)", {"raised", "memory", "crashed"}),
    "compiling a long sum": ("return eval('+'.join('1' * 10**5))", {"raised", "memory", "crashed"}),
    "reading nested JSON": ("import json; return json.loads('[' * 10**6)", {"raised"}),
    "copying what is nested": (
        "import copy\na = []\nfor _ in range(10**4): a = [a]\nreturn copy.deepcopy(a) and 1",
        {"raised"},
    ),
    "a gigabyte printed": (
        "text = 'x' * 10**6\nfor _ in range(10**3): print(text)\nreturn 1",
        {"accepted"},
    ),
    "endless printing": ("while True: print('x' * 10**6)", {"timeout"}),
    "no standard output": (
        "import sys; sys.stdout = sys.stderr = None; print(1)\nreturn 1",
        {"accepted"},
    ),
    "a closed standard output": ("import sys; sys.stdout.close(); print(1)", {"raised"}),
    "an output of its own": (
        "import io, sys; sys.stdout = io.StringIO(); print(1)\nreturn sys.stdout.getvalue()",
        {"accepted"},
    ),
    "an output that is none": ("import sys; sys.stdout = 5\nprint(1)", {"raised"}),
    "nothing to read": ("return input()", {"raised"}),
    "no modules": ("import sys; sys.modules.clear()\nreturn 1", {"accepted"}),
    "no names": ("globals().clear()\nreturn 1", {"accepted"}),
    "no builtins": ("import builtins; vars(builtins).clear()\nreturn 1", {"accepted"}),
    "no recursion left": ("import sys; sys.setrecursionlimit(5)\nreturn 1", {"raised"}),
    "hardly any recursion left": (
        "import sys\nfor n in range(5, 60):\n try: sys.setrecursionlimit(n)\n"
        " except RecursionError: pass\n else: break\nreturn [[[[[[[[[1]]]]]]]]]",
        {"raised", "crashed"},
    ),
    # A block shrunk to nothing is still a block: where it is freed instead, memory seems to be out.
    "a long list emptied from its end": (
        "a = list(range(1000))\nwhile a: a.pop()\nreturn a == []",
        {"accepted"},
    ),
    "a grown list emptied from its end": (
        "a = []\nfor n in range(10**5): a.append(n)\nwhile a: a.pop()\nreturn a == []",
        {"accepted"},
    ),
    "all that can shrink, shrunk to nothing": (
        "import array, collections, heapq, io\n"
        "for size in (1, 60, 70, 5000, 10**5):\n"
        "    for a in (list(range(size)), bytearray(size), array.array('q', range(size))):\n"
        "        while a: a.pop()\n"
        "        for _ in range(size): a.append(1)\n"
        "        del a[:]\n"
        "    a = set(range(size))\n    while a: a.pop()\n"
        "    a = dict.fromkeys(range(size))\n    while a: a.popitem()\n"
        "    a = collections.deque(range(size))\n    while a: a.pop()\n"
        "    a = io.BytesIO(bytes(size)); a.truncate(0)\n"
        "return 1",
        {"accepted"},
    ),
    "the collector at work": (
        "import gc; gc.unfreeze(); gc.enable(); gc.set_threshold(1)\n"
        "return [[n] for n in range(1000)]",
        {"accepted"},
    ),
}


@pytest.mark.parametrize("name", DOINGS)
def test_extreme_doings(judge: Judge, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    body, right = DOINGS[name]
    solution = "def g():\n    " + body.replace("\n", "\n    ")
    verdict = verdict_of(judge, YES, solution)
    assert verdict.outcome in right, verdict
    assert capfd.readouterr() == ("", "")


# What takes all memory: large blocks, and small ones of each kind.
HOGS = {
    "lists": "while True: kept.append([None])",
    "dicts": "while True: kept.append({len(kept): 1})",
    "one dict": "d = kept.append({}) or kept[0]\nwhile True: d[len(d)] = {len(d): None}",
    "tuples": "while True: kept = (kept,)",
    "strings": "while True: kept.append(str(len(kept)))",
    "kilobytes": "while True: kept.append(bytes(1000))",
    "megabytes": "while True: kept.append(bytearray(1 << 20))",
    "classes": "while True: kept.append(type('x', (), {}))",
    "a generator": "kept.append([[n] for n in range(10**9)])",
    "functions": "while True: kept.append(lambda: kept)",
}


@pytest.fixture(scope="module", params=[16, 33])
def cramped(loop: str, request: pytest.FixtureRequest) -> Iterator[Judge]:
    limits = Limits(cpu_seconds=5, memory_bytes=request.param << 20)
    with Judge(workers=1, limits=limits) as judge:
        yield judge


@pytest.mark.parametrize("name", HOGS)
def test_whoever_takes_all_memory_is_told_so(cramped: Judge, name: str) -> None:
    """There must be enough left to say it, at whichever byte the memory ends."""
    body = HOGS[name].replace("\n", "\n    ")
    for step in range(4):
        pad = f"pad = [0] * {step * 99}\n"
        solution = f"{pad}def g():\n    kept = []\n    {body}"
        verdict = cramped.verify(YES, solution)
        assert verdict.outcome is Outcome.MEMORY, verdict
        puzzle = f"{pad}def f(x: int):\n    kept = []\n    {body}"
        verdict = cramped.verify(puzzle, "def g(): return 4")
        assert verdict.outcome is Outcome.MEMORY, verdict
