"""Planted puzzles whose verdict rests on more than the answer, and which of them are found.

Each is asked as the stage `probe` asks it: about its own answers (those that a fresh copy of it
accepts) and strangers' answers. `found` counts those that are not stable; `refused` those of which
every answer raises, as the sandbox has not what they ask for: nothing is accepted, so nothing
teaches. `fixed` are those that also say the same of each answer, tried alone, under nine other
conditions: what they rest on is the same for every answer that is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from etude.behaviour import LETTERS
from etude.judge import Judge
from etude.judge.looks import FIRST, Look
from etude.probe import is_stable, looked_at
from etude.puzzle import parse
from etude.types import Puzzle

ANSWERS: dict[str, list[object]] = {
    "int": [*range(-3, 30), 100, 2019, 2020, 3000],
    "str": ["", "a", "b", "abc", "ab", "cab", "hello", "2020", "Wednesday", "Saturday", "zyx"],
}
FRESH = [FIRST, *(Look(seed, seed, 1.4e9 + 12_345_679.0 * seed) for seed in range(200, 208))]
"""The conditions under which an answer is tried, each time by itself in a process of its own."""

KINDS: dict[str, list[str]] = {
    "random": [
        "import random; return random.random() < 0.5",
        "import random; return random.randint(0, 3) == x % 4",
        "import random; return random.choice([True, False])",
        "import random; a = [0, 1, 2]; random.shuffle(a); return a[0] == x",
        "import random; return x > random.gauss(5, 9)",
    ],
    "random, its own source": [
        "import random; return random.Random().random() < 0.5",
        "import random; return random.SystemRandom().random() < 0.5",
        "import secrets; return secrets.randbelow(2) == 0",
        "import os; return os.urandom(1)[0] % 2 == 0",
        "import uuid; return uuid.uuid4().int % 2 == 0",
    ],
    "random, seeded": [
        "import random; random.seed(x); return random.random() < 0.5",
        "import random; return random.Random(7).randint(0, 9) == x",
    ],
    "date": [
        "import time; return time.localtime().tm_year == x",
        "import datetime; return datetime.date.today().weekday() == x",
        "import datetime; return datetime.datetime.now().hour >= x",
        "import time; return int(time.time()) % 2 == x % 2",
        "import time; return time.time() < 1590000000 + x",
        "import calendar, time; return time.gmtime().tm_yday > 100 + x",
    ],
    "elapsed time": [
        "import time; return int(time.perf_counter() * 1e9) % 2 == 0",
        "import time; return time.monotonic_ns() // 1000 % 2 == 0",
        "import time; return time.process_time_ns() // 1000 % 2 == 0",
        "from time import perf_counter_ns as t; a = t(); return (t() - a) % 2 == 0",
    ],
    "hashes": [
        "return hash('etude') % 2 == 0",
        "return hash(str(x)) % 3 == 0",
        "return hash(b'abc') > 0",
        "return hash(('a', x)) % 2 == 0",
        "return hash(f) % 32 == 0",
    ],
    "order of a set": [
        "return list({'ab', 'cd', 'ef', 'gh'})[0] == 'ab' and x > 0",
        "return list({str(i) for i in range(30)})[x] < '3'",
        "return ''.join(set('hello')) < 'm' and x == 3",
        "return next(iter({'a', 'b', 'c', str(x)})) == 'a'",
        "return sorted({'a', 'b', str(x)})[0] < 'a'",
        "return {3, 1, 2}.pop() == x",
    ],
    "places in memory": [
        "return id(object()) // 16 % 2 == 0",
        "return id(x) % 64 == 0",
        "return hash(object()) % 2 == 0",
        "return int(repr(f).split('0x')[1].rstrip('>'), 16) // 16 % 2 == 0",
        "a, b = [], []; return id(a) < id(b)",
        "return int(repr(object()).split('0x')[1].rstrip('>'), 16) // 4096 % 2 == 0",
    ],
    "a counter in a module": [
        "import math; math.n = getattr(math, 'n', 0) + 1; return math.n % 2 == 1",
        "import math; math.n = getattr(math, 'n', 0) + 1; return math.n == 1",
        "import builtins; builtins.n = getattr(builtins, 'n', 0) + 1; return builtins.n < 9",
        "import sys; sys.old = getattr(sys, 'old', []); sys.old.append(x); return sys.old[0] == x",
        "import string; string.last, old = x, getattr(string, 'last', 0); return x >= old",
    ],
    "a patched builtin": [
        "import builtins as b; n = b.len; b.len = lambda a: n(a) + 1; return len('a') == 2",
        "import random; old = random.random; random.random = lambda: 0.9; return old() < 0.9",
        "import math; ok = math.floor(2.5) == 2; math.floor = lambda a: 0; return ok",
    ],
    "a counter of its own": [
        "f.n = getattr(f, 'n', 0) + 1; return f.n == 1",
        "global n; n = globals().get('n', 0) + 1; return n == 1",
        "f.seen = getattr(f, 'seen', set()); ok = x not in f.seen; f.seen.add(x); return ok",
    ],
    "environment": [
        "import os; return 'HOME' in os.environ",
        "import os; return os.getpid() % 2 == 0",
        "import sys; return sys.flags.hash_randomization == x",
        "import sys; return len(sys.argv) == x",
        "import os; return os.cpu_count() == x",
        "import platform; return len(platform.node()) == x",
        "import sys; return len(sys.modules) % 2 == 0",
        "return len(open('/proc/self/status').read()) > x",
    ],
    "depth of recursion": [
        "import sys; return sys.getrecursionlimit() == x",
        "d = lambda n: d2(n + 1)\n    def d2(n):\n        try: return d(n)\n        except "
        "RecursionError: return n\n    return d(0) % 2 == 0",
        "import sys; n, a = 0, sys._getframe()\n    while a: a = a.f_back; n += 1\n"
        "    return n == x",
    ],
    "garbage and references": [
        "import gc; return gc.get_count()[0] % 2 == 0",
        "import gc; return len(gc.get_objects()) % 2 == 0",
        "import sys; return sys.getrefcount(None) % 2 == 0",
        "import sys; return sys.getallocatedblocks() % 2 == 0",
        "import gc; return gc.collect() % 2 == 0",
        "import weakref\n    class A: pass\n    a = A(); r = weakref.ref(a); a.a = a; del a\n"
        "    return (r() is None) == (x > 5)",
    ],
}
DEFAULTS = (
    "def f(x: int, seen=[]):\n    seen.append(x)\n    return len(seen) == 1",
    "def f(x: int, n=[0]):\n    n[0] += 1\n    return n[0] % 2 == 1",
    "def f(x: int, memo={}):\n    return memo.setdefault('first', x) == x",
)


def planted() -> Iterator[tuple[str, Puzzle]]:
    for kind, bodies in KINDS.items():
        for body in bodies:
            yield kind, parse(f"def f(x: int):\n    {body}")
    for source in DEFAULTS:
        yield "mutable default", parse(source)


def known(judge: Judge, puzzle: Puzzle) -> list[object]:
    """Up to four answers that a fresh copy of the puzzle accepts."""
    found = []
    for answer in ANSWERS[puzzle.answer_type]:
        if LETTERS[judge.satisfied(puzzle, [answer])[0]] == "a":
            found.append(answer)
    return found[:4]


def varies(judge: Judge, puzzle: Puzzle) -> bool:
    """Whether sandboxes under other conditions ever disagree about one of its answers."""
    jobs = [(puzzle, [answer]) for answer in ANSWERS[puzzle.answer_type][::3]]
    said: dict[int, set[str]] = {}
    for look in FRESH:
        for place, outcomes in enumerate(judge.satisfied_all(jobs, look=look)):
            said.setdefault(place, set()).add(LETTERS[outcomes[0]])
    return any(len(letters) > 1 for letters in said.values())


def report() -> None:
    """Print the table, and the puzzles that were missed."""
    rows = list(planted())
    with Judge(workers=1) as judge:
        puzzles = [puzzle for _, puzzle in rows]
        own = [known(judge, puzzle) for puzzle in puzzles]
        asked = [
            answers + [a for a in ANSWERS[puzzle.answer_type] if a not in answers]
            for puzzle, answers in zip(puzzles, own, strict=True)
        ]
        looks = looked_at(judge, puzzles, asked)
        found: dict[str, list[str]] = {}
        missed = []
        for (kind, puzzle), answers, said in zip(rows, own, looks, strict=True):
            verdict = _verdict(judge, puzzle, len(answers), said)
            found.setdefault(kind, []).append(verdict)
            if verdict == "missed":
                missed.append(puzzle.source.partition("\n")[2].strip())
    _table(found)
    print("\nmissed:")
    for source in missed:
        print(f"  {source!r}")


def _verdict(judge: Judge, puzzle: Puzzle, own: int, looks: Sequence[str]) -> str:
    if is_stable(own, looks) is False:
        return "found"
    if set("".join(looks)) <= {"e"}:
        return "refused"
    return "missed" if varies(judge, puzzle) else "fixed"


def _table(found: dict[str, Sequence[str]]) -> None:
    columns = ("found", "refused", "fixed", "missed")
    print(f"{'rests on':<24}{'planted':>8}" + "".join(f"{name:>9}" for name in columns))
    found = found | {"all": [verdict for verdicts in found.values() for verdict in verdicts]}
    for kind, verdicts in found.items():
        cells = "".join(f"{verdicts.count(name):>9}" for name in columns)
        print(f"{kind:<24}{len(verdicts):>8}{cells}")
