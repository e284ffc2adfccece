"""Does the judge hold? Many checks with hostile candidates among them, every verdict compared.

    python benchmarks/soak.py [CHECKS]

CHECKS is 20,000 unless given; the long form is 1,000,000. One candidate in ten is hostile; those
that cost their whole CPU limit are rare. Every few seconds a line: checks done, checks a second,
resident memory of this process and of everything below it, how many processes that is, and open
descriptors of this process. At the end the first and the last tenth are compared. Exit code 1 when
a verdict was wrong, memory or descriptors grew, or a process stayed behind. For Linux, with the
isolation `filtered` or `full`.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from etude.judge import Judge, Limits, usable_cores
from etude.types import Verdict

CHECKS = 20_000
SECONDS = 5.0
"""Between two lines."""
HOSTILE_ONE_IN = 10
COSTLY_ONE_IN = 40
"""Of the hostile ones."""
LIMITS = Limits(cpu_seconds=0.5, wall_seconds=5.0, memory_bytes=256 << 20)
GROWTH = 1.10
"""The last tenth may have this much more memory than the first: a zygote touches its heap late."""
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Case:
    """One candidate and the outcomes that are right. `@` is a number, another each time."""

    name: str
    puzzle: str
    body: str
    right: frozenset[str]

    def pair(self, number: int) -> tuple[str, str]:
        solution = "def g(n=@):\n    " + self.body.replace("\n", "\n    ")
        return self.puzzle.replace("@", str(number)), solution.replace("@", str(number))


PLUS = "def f(x: int, n=@):\n    return x == n + 3"
TEXT = "def f(s: str, n=@):\n    return s == 'a' * (n % 50)"
LISTS = "def f(x: List[int], n=@):\n    return sum(x) == n and len(x) == 2"
IMPOSSIBLE = "def f(x: int, n=@):\n    return x > n and x < n"


def _case(name: str, puzzle: str, body: str, *right: str) -> Case:
    return Case(name, puzzle, body, frozenset(right))


HARMLESS = (
    _case("right int", PLUS, "return n + 3", "accepted"),
    _case("wrong int", PLUS, "return n + 4", "wrong"),
    _case("right str", TEXT, "return 'a' * (n % 50)", "accepted"),
    _case("right list", LISTS, "import math\nreturn [n - math.gcd(2, 4), 2]", "accepted"),
    _case("mistyped", LISTS, "return (n, 0)", "mistyped"),
    _case("raises", PLUS, "return n // (n - n)", "raised"),
    _case("no Python", PLUS, "return n +", "unparsed"),
)
HOSTILE = (
    _case("fork bomb", PLUS, "import os\nwhile True: os.fork()", "refused"),
    _case("thread bomb", PLUS, "import threading\nwhile True:\n"
          "    threading.Thread(target=print).start()", "refused", "raised", "memory"),
    _case("memory bomb", PLUS, "return len(bytearray(10**12))", "memory"),
    _case("huge answer", TEXT, "return 'x' * 10**7", "memory"),
    _case("huge number", PLUS, "return 1 << (64 << 20)", "memory"),
    _case("deep answer", LISTS, "x = []\nfor _ in range(10**5): x = [x]\nreturn x", "mistyped",
          "memory", "raised"),
    _case("leaves", PLUS, "import os\nos._exit(0)", "crashed"),
    _case("exits", PLUS, "raise SystemExit(0)", "raised"),
    _case("overflows the stack", PLUS, "import sys\nsys.setrecursionlimit(10**9)\n"
          "def h(x): return max([x], key=h)\nreturn h(n)", "crashed", "memory"),
    _case("signals everybody", PLUS, "import os\nos.kill(-1, 9)\nreturn n + 3", "refused"),
    _case("stops its parent", PLUS, "import os\nos.kill(os.getppid(), 19)", "refused"),
    _case("writes to all descriptors", IMPOSSIBLE, "import os\nfor fd in range(64):\n"
          "    try: os.write(fd, b'\\x01' * 64)\n    except OSError: pass\nreturn 5", "wrong"),
    _case("closes all descriptors", PLUS, "import os\nos.closerange(0, 64)\nreturn n + 3",
          "accepted"),
    _case("opens a socket", PLUS, "import socket\nsocket.socket()\nreturn n + 3", "refused"),
    _case("opens a file", PLUS, "open('/tmp/soak', 'w')\nreturn n + 3", "refused"),
    _case("liar", IMPOSSIBLE, "class I(int):\n    __lt__ = __gt__ = lambda *_: True\nreturn I(5)",
          "mistyped"),
)  # fmt: skip
COSTLY = (
    _case("spins", PLUS, "while True: pass", "timeout"),
    _case("floods its output", PLUS, "while True: print('x' * 10**5)", "timeout"),
    _case("eats memory slowly", PLUS, "x = []\nwhile True: x.append(bytearray(1 << 20))",
          "memory", "timeout"),
)  # fmt: skip


def case(number: int) -> Case:
    """The candidate with this number: a hostile one in every ten, a costly one among forty."""
    place, hostile = number % HOSTILE_ONE_IN, number // HOSTILE_ONE_IN
    if place != HOSTILE_ONE_IN - 1:
        return HARMLESS[(number + hostile) % len(HARMLESS)]
    if hostile % COSTLY_ONE_IN == COSTLY_ONE_IN - 1:
        return COSTLY[hostile // COSTLY_ONE_IN % len(COSTLY)]
    return HOSTILE[hostile % len(HOSTILE)]


@dataclass(frozen=True)
class State:
    """What is in use at one moment."""

    seconds: float
    checks: int
    resident: int
    processes: int
    descriptors: int


def descendants(root: int) -> set[int]:
    """The processes below one process, itself left out."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:  # it has ended
                continue
            parents[int(entry.name)] = int(text.rpartition(")")[2].split()[1])
    found, new = {root}, {root}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= new
    return found - {root}


def resident(pids: set[int]) -> int:
    """Bytes resident, shared pages counted in each process."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except OSError:
            continue
    return total


def state(seconds: float, checks: int) -> State:
    pids = descendants(os.getpid())
    descriptors = len(os.listdir("/proc/self/fd"))
    return State(seconds, checks, resident(pids | {os.getpid()}), len(pids), descriptors)


class Soak:
    """The checks under way and what came of them."""

    def __init__(self, checks: int) -> None:
        self.checks = checks
        self.done = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.states: list[State] = []
        self._asked: deque[Case] = deque()
        self._start = self._told = time.monotonic()

    def jobs(self) -> Iterator[tuple[str, list[str]]]:
        for number in range(self.checks):
            asked = case(number)
            self._asked.append(asked)
            puzzle, solution = asked.pair(number)
            yield puzzle, [solution]

    def take(self, verdict: Verdict) -> None:
        asked = self._asked.popleft()
        self.outcomes[verdict.outcome] += 1
        if verdict.outcome not in asked.right:
            self.wrong.append(f"{asked.name}, check {self.done}: {verdict}")
            print(f"WRONG  {self.wrong[-1]}", flush=True)
        self.done += 1
        if time.monotonic() - self._told >= SECONDS:
            self.tell()

    def tell(self) -> None:
        """One line of the table."""
        now = time.monotonic()
        last = self.states[-1].checks if self.states else 0
        rate = (self.done - last) / (now - self._told) if now > self._told else 0.0
        self._told = now
        found = state(now - self._start, self.done)
        self.states.append(found)
        print(
            f"{found.seconds:8.0f} {found.checks:10,} {rate:9.0f} {found.resident / 2**20:9.0f} "
            f"{found.processes:9} {found.descriptors:11}",
            flush=True,
        )

    def tenths(self, name: str) -> tuple[float, float]:
        """Median of a figure in the first and in the last tenth of the lines."""
        size = max(1, len(self.states) // 10)
        figures = [float(getattr(found, name)) for found in self.states]
        return statistics.median(figures[:size]), statistics.median(figures[-size:])


def main() -> None:
    """Print the table and what is off."""
    if len(sys.argv) > 2 or not all(word.isdigit() and int(word) > 0 for word in sys.argv[1:]):
        sys.exit("usage: python benchmarks/soak.py [CHECKS]")
    soak = Soak(int(sys.argv[1]) if len(sys.argv) == 2 else CHECKS)
    before = state(0.0, 0)
    with Judge(usable_cores(), LIMITS, "filtered") as judge:  # less is no place for these
        print(f"{judge.conditions}\n")
        print(" seconds     checks  checks/s       MiB processes descriptors", flush=True)
        for verdicts in judge.verify_all(soak.jobs()):
            soak.take(verdicts[0])
        if not soak.states or soak.states[-1].checks < soak.done:
            soak.tell()
    after = state(soak.states[-1].seconds, soak.done)
    sys.exit(1 if off(soak, before, after) else 0)


def off(soak: Soak, before: State, after: State) -> bool:
    """Print the facts; whether any of them is not as it should be."""
    early, late = soak.tenths("resident")
    opened, open_late = soak.tenths("descriptors")
    strays = after.processes - before.processes
    leaked = after.descriptors - before.descriptors
    rate = soak.done / soak.states[-1].seconds
    print(f"\n{soak.done:,} checks in {soak.states[-1].seconds:,.0f} s, {rate:.0f} a second")
    print("  ".join(f"{count:,} {name}" for name, count in soak.outcomes.most_common()))
    print(f"wrong verdicts: {len(soak.wrong)}")
    print(f"memory, first and last tenth: {early / 2**20:.0f} and {late / 2**20:.0f} MiB")
    print(f"descriptors, first and last tenth: {opened:.0f} and {open_late:.0f}")
    print(f"left behind after the end: {strays} processes, {leaked} descriptors")
    return bool(soak.wrong or strays > 0 or leaked > 0) or (
        late > GROWTH * early or open_late > opened
    )


if __name__ == "__main__":
    main()
