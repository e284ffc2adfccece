"""Which puzzles may be asked about several answers in one process, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.judge import Judge, Limits
from etude.judge.carry import leaves_nothing
from etude.judge.ended import LEFT, Ended
from etude.judge.plans import Verification
from etude.judge.wire import MAX_FRAME, ORDER
from etude.types import Outcome

P3 = Path(__file__).parents[2] / "shared" / "p3" / "puzzles.json"

QUIET = {
    "arithmetic": "return x * x == 49",
    "comprehensions": "return sorted(i for i in range(x) if i % 2) == [1, 3]",
    "containers of its own": "seen = {}\n    seen[x] = [x]\n    return x in seen",
    "functions of its own": "def h(y): return y + 1\n    return h(x) == 4",
    "pure modules": "import math, re\n    from collections import Counter\n"
    "    return Counter(str(x))['1'] == 1 and re.sub('a', 'b', 'a') == 'b' and math.gcd(x, 4) == 4",
    "a handler": "try: return 1 // x == 1\n    except ArithmeticError as error: return False",
    "a type is compared": "return type(x) == int and int is type(x)",
    "plain formats": "return '{:.2f} {} {a!r}'.format(x, x, a=x) == f'{x:.2f}'",
    "types": "y: Dict[str, Optional[List['int']]] = {}\n    return y == {}",
    "match": "match x:\n        case [1, *rest]: return True\n        case _: return False",
}
LOUD = {
    "an attribute is set": "import math\n    math.pi = x\n    return True",
    "an attribute is deleted": "import math\n    del math.pi",
    "another module": "import random\n    return random.random() < x",
    "a module's module": "import re\n    re.copyreg.dispatch_table[1] = x",
    "a module is passed on": "import math\n    return h(math)",
    "a module under another name": "import random as math\n    return True",
    "a name from a module": "from re import copyreg\n    return True",
    "relative": "from . import math\n    return True",
    "dunder": "return x.__class__ is int",
    "dunder of a name": "return __builtins__",
    "a frame": "g = (i for i in [x])\n    return g.gi_frame.f_back",
    "getattr": "return getattr(x, 'real')",
    "hasattr": "return hasattr(x, 'real')",
    "eval": "return eval('x')",
    "globals": "return globals()",
    "overloads": "overload(x)\n    return get_overloads(x)",
    "a name bound in one scope, meant in another": "def h(vars): pass\n    return vars(x)",
    "a module's name as an argument": "import math\n    def h(math): return math.tau",
    "registered": "from collections.abc import Sequence\n    Sequence.register(x)",
    "a method that registers": "return List.register(x)",
    "a class": "class A:\n        def __eq__(self, other): return True\n    return A() == x",
    "a pattern that reads attributes": "match x:\n        case int(real=y): return y",
    "a class by a call": "return type('A', (), {})() == x",
    "a class by two calls": "return type(type(x))('A', (), {})() == x",
    "a class by a map": "return list(map(type, ['A'], [()], [{}])) == x",
    "a format that reads attributes": "return '{0.__class__}'.format(x)",
    "a format that reads items": "return '{a[0]}'.format(a=x)",
    "a format in a format": "return '{:{0.x}}'.format(x)",
    "a format of its own": "return x.format(x)",
    "a format that is passed on": "return list(map(str.format, x))",
    "what typing keeps": "return str(List[x])",
    "what typing keeps, in a module": "import typing\n    return str(typing.List[x])",
    "what typing keeps, in an annotation": "def h(y: List[True][0]): pass",
    "an annotation that is kept": "def h(y: (z := List[int])): pass",
    "an annotation that rests on x": "def h(y: List[x]): pass",
    "all is caught": "try: y = [0] * x\n    except: return False",
    "nearly all is caught": "try: y = [0] * x\n    except (KeyError, Exception): return False",
    "what is caught is computed": "try: y = [0] * x\n    except [ValueError][0]: return False",
    "what is caught is renamed": "KeyError = x\n    try: y = 1\n    except KeyError: return y",
    "all is forgotten": "try: y = [0] * x\n    finally: return False",
    "the interpreter's name": "def h(__annotations__): pass\n    return __annotations__",
    "async": "async def h(): pass\n    return h()",
    "a file": "return open('/etc/passwd')",
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET.keys())
def test_plain_puzzles_leave_nothing(body: str) -> None:
    assert leaves_nothing(f"def f(x: int):\n    {body}")


@pytest.mark.parametrize("body", LOUD.values(), ids=LOUD.keys())
def test_whoever_could_leave_something_is_found(body: str) -> None:
    assert not leaves_nothing(f"def f(x: int):\n    {body}")


def test_nearly_all_of_p3_leaves_nothing() -> None:
    if not P3.exists():
        pytest.skip(f"{P3} is absent")
    sources = [p["sat"] for p in json.loads(P3.read_text()) if len(p["sat"]) < 4000]
    quiet = sum(map(leaves_nothing, sources))
    assert quiet > 0.98 * len(sources)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5)) as judge:
        yield judge


PUZZLES = {
    "quiet": "def f(x: int):\n    return x % 3 == 0",
    "slow on one": "def f(x: int):\n    while x == 4: pass\n    return x % 3 == 0",
    "large on one": "def f(x: int):\n    return len('a' * (x == 4) * 10**11) + x % 3 == 0",
    "raises": "def f(x: int):\n    return 12 % (x - 3) == 0 and x % 2 == 0",
    "returns something else": "def f(x: int):\n    return [None, 1, 'a', True][x % 4]",
    "deep": "def f(x: int):\n    def h(n): return n and h(n - 1)\n    return h(x * 700) == 0",
    "counts": "import math\ndef f(x: int):\n    math.pi += 1\n    return math.pi > 5",
    "counts in its own": "seen = []\ndef f(x: int):\n    seen.append(x)\n    return seen == [x]",
    "reads the judge's frames": "def f(x: int):\n    h = []\n    def gen():\n"
    "        yield '{0.gi_frame.f_back.f_back.f_back.f_back.f_code.co_name}'.format(h[0])\n"
    "    h.append(gen())\n    for name in h[0]: return name == 'run_puzzle'",
    "what typing keeps": "def f(x: int):\n    if x == 0: return List[1] == x\n"
    "    return str(List[True]) == 'typing.List[True]'",
    "what re keeps": "import re\ndef f(x: int):\n    if x == 0: return not re.compile('a', 2)\n"
    "    try: return not re.compile('a', 2.0)\n    except TypeError: return True",
    "reads what re keeps": "import re\ndef f(x: int):\n"
    "    seen = str(x - 1) * 9 in '{0.__globals__[_cache]}'.format(re.compile)\n"
    "    return not seen and re.match(str(x) * 9, '') is None",
    "memory that is gone": "def f(x: int):\n    if x == 0:\n        y = [bytes(600 << 20)]\n"
    "        return y.append(y)\n    try: return len(bytes(600 << 20)) > x\n"
    "    except Exception: return False",
    "a class that is equal": "import re\ndef f(x: int):\n"
    "    if x: return re.match('a', 'a') is not None\n"
    "    yes = lambda *_: True\n"
    "    M = type('M', (type,), {'__eq__': yes, '__hash__': lambda _: hash(str)})\n"
    "    S = M('S', (str,), {'__eq__': yes, '__hash__': lambda _: hash('a')})\n"
    "    return not re.compile(S('b'))",
    "no puzzle": "def f(x: int:\n    return True",
    "no function": "x = 1",
    "no type": "def f(x: Widget):\n    return True",
}


@pytest.mark.parametrize("puzzle", PUZZLES.values(), ids=PUZZLES.keys())
def test_in_company_the_verdict_is_the_same_as_alone(judge: Judge, puzzle: str) -> None:
    solutions = [f"def g(): return {n}" for n in range(8)]
    solutions += ["def g(): return 'x'", "def g(): return 1 // 0", "def g(: "]
    together = judge.verify_many(puzzle, solutions)
    alone = [judge.verify(puzzle, solution) for solution in solutions]
    assert [(v.outcome, v.answer, v.detail) for v in together] == [
        (v.outcome, v.answer, v.detail) for v in alone
    ]


def test_what_is_accepted_in_company_is_asked_about_once_more(judge: Judge) -> None:
    """A puzzle can't tell that it is asked alone, but its process is another: five children for
    five accepted answers beside the shared one."""
    puzzle = "def f(x: int):\n    return sum(range(300000)) > 0"
    verdicts = judge.verify_many(puzzle, [f"def g(): return {n}" for n in range(5)])
    assert {v.outcome for v in verdicts} == {Outcome.ACCEPTED}
    alone = judge.verify(puzzle, "def g(): return 7").cpu_seconds
    assert all(v.cpu_seconds > alone / 3 for v in verdicts)


def test_large_answers_do_not_make_a_frame_that_no_zygote_takes() -> None:
    plan = Verification([b"", b"", b"def f(x: str): return True"], Limits()).plan([b""] * 24)
    steps = next(plan)
    ends = [
        Ended(LEFT, 0, 0.0, 0, bytes([ORDER.index(Outcome.ACCEPTED)]), b"", bytes([n]) * (4 << 20))
        for n, _ in enumerate(steps)
    ]
    assert all(sum(map(len, step.parts)) < MAX_FRAME for step in plan.send(ends))
