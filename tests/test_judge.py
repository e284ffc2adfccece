"""The judge's promises on ordinary candidates, and how it starts, recovers and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etude.errors import Fault, InputError
from etude.judge import Judge, Limits
from etude.judge.judge import STARTS
from etude.types import Outcome, Puzzle, Solution
from judge_stage import descendants, resident_bytes

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ANY = "def f(x: {}):\n    return True"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5, wall_seconds=2.0)) as judge:
        yield judge


def answer_of(expression: str) -> str:
    return f"def g():\n    return {expression}"


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return holds()


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("True", "accepted"),
        ("False", "wrong"),
        ("1", "wrong"),
        ("[x]", "wrong"),
        ("None", "wrong"),
        ("1 / 0", "raised"),
        ("undefined", "raised"),
    ],
)
def test_only_true_is_accepted(judge: Judge, value: str, outcome: str) -> None:
    puzzle = f"def f(x: int):\n    return {value}"
    assert judge.verify(puzzle, answer_of("1")).outcome == outcome


@pytest.mark.parametrize(
    ("annotation", "expression", "outcome"),
    [
        ("int", "1", "accepted"),
        ("int", "True", "mistyped"),
        ("int", "1.0", "mistyped"),
        ("bool", "True", "accepted"),
        ("bool", "1", "mistyped"),
        ("float", "1", "mistyped"),
        ("float", "1.0", "accepted"),
        ("str", "'a'", "accepted"),
        ("str", "b'a'", "mistyped"),
        ("List[int]", "[]", "accepted"),
        ("List[int]", "[1, 2**70]", "accepted"),
        ("List[int]", "[1, True]", "mistyped"),
        ("List[int]", "(1, 2)", "mistyped"),
        ("List[List[str]]", "[['a'], []]", "accepted"),
        ("List[List[str]]", "[['a'], ['b', 1]]", "mistyped"),
        ("list[int]", "[1]", "accepted"),
        ("Tuple[int, str]", "(1, 'a')", "accepted"),
        ("Tuple[int, str]", "(1, 'a', 2)", "mistyped"),
        ("Tuple[int, ...]", "(1, 2, 3)", "accepted"),
        ("Tuple[()]", "()", "accepted"),
        ("Tuple[()]", "(1, 2)", "mistyped"),
        ("List[Tuple[()]]", "[()]", "accepted"),
        ("List[Tuple[()]]", "[(), (1,)]", "mistyped"),
        ("Union[()]", "1", "unparsed"),
        ("Dict[str, List[int]]", "{'a': [1]}", "accepted"),
        ("Dict[str, List[int]]", "{1: [1]}", "mistyped"),
        ("Set[int]", "{1, 2}", "accepted"),
        ("Set[int]", "frozenset({1})", "mistyped"),
        ("Optional[int]", "None", "accepted"),
        ("int | str", "'a'", "accepted"),
        ("int | str", "1.0", "mistyped"),
        ("object", "[1, 'a', None]", "accepted"),
        ("'List[int]'", "[1]", "accepted"),
        ("numpy.ndarray", "[1]", "unparsed"),
    ],
)
def test_the_answer_has_exactly_the_declared_type(
    judge: Judge, annotation: str, expression: str, outcome: str
) -> None:
    assert judge.verify(ANY.format(annotation), answer_of(expression)).outcome == outcome


@pytest.mark.parametrize(
    ("puzzle", "solution"),
    [
        ("def sat(x: int):\n    return x == 1", "def sol():\n    return 1"),
        ("def check(x: int):\n    return x == 1", "def answer():\n    return 1"),
        ("def h(x):\n    return x\ndef f(x: int):\n    return h(x) == 1", answer_of("1")),
        ("def f(x: List[Dict[str, int]]):\n    return x == [{}]", answer_of("[{}]")),
        ("def f(x: int):\n    return x == 10 ** 5000", answer_of("10 ** 5000")),
    ],
    ids=["sat and sol", "the only function", "a helper beside f", "typing names", "many digits"],
)
def test_ordinary_pairs(judge: Judge, puzzle: str, solution: str) -> None:
    assert judge.verify(puzzle, solution).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("solution", "outcome"),
    [
        ("def g(:", "unparsed"),
        ("x = 1", "unparsed"),
        ("def a(): return 1\ndef b(): return 1", "unparsed"),
        ("\0", "unparsed"),
        ("import numpy\ndef g(): return 1", "refused"),
        ("def g(n): return n", "raised"),
        ("raise KeyError(1)\ndef g(): return 1", "raised"),
        ("def g():\n    def h(k): return h(k + 1)\n    return h(0)", "raised"),
        ("def g(): return object()", "mistyped"),
        ("def g():\n    x = []\n    x.append(x)\n    return x", "mistyped"),
        ("def g():\n    while True: pass", "timeout"),
        ("def g(): return 'x' * 10**7", "memory"),
    ],
)
def test_outcomes_of_bad_solutions(judge: Judge, solution: str, outcome: str) -> None:
    assert judge.verify(ANY.format("int"), solution).outcome == outcome


@pytest.mark.parametrize("puzzle", ["def f(x: int) return x", "x = 1", "def f(): return True", ""])
def test_a_broken_puzzle_is_the_puzzles_fault(judge: Judge, puzzle: str) -> None:
    verdict = judge.verify(puzzle, answer_of("1"))
    assert verdict.outcome is Outcome.UNPARSED
    assert verdict.detail.startswith("puzzle:")
    many = judge.verify_many(puzzle, [answer_of(str(n)) for n in range(9)])
    assert {(v.outcome, v.detail[:7]) for v in many} == {(Outcome.UNPARSED, "puzzle:")}


def test_the_first_step_that_fails_decides(judge: Judge) -> None:
    verdict = judge.verify("def f(x: int) return x", "def g(): raise ValueError")
    assert verdict.outcome is Outcome.RAISED


def test_a_long_source_is_unparsed_without_being_read() -> None:
    with Judge(workers=1, limits=Limits(source_bytes=1000)) as judge:
        long = answer_of("1") + "#" * 1000
        assert judge.verify(ANY.format("int"), long).outcome is Outcome.UNPARSED
        assert judge.verify(long, answer_of("1")).detail.startswith("puzzle:")
        assert judge.satisfied(long, [1]) == [Outcome.UNPARSED]


def test_one_text_is_no_list_of_solutions(judge: Judge) -> None:
    """A string is a sequence of strings: each of its characters would be a solution."""
    puzzle = "def f(x: int): return True"
    with pytest.raises(InputError, match="solutions must be a list, but are one text"):
        judge.verify_many(puzzle, answer_of("1"))
    with pytest.raises(InputError, match="solutions must be a list, but are one text"):
        list(judge.verify_all([(puzzle, answer_of("1"))]))
    with pytest.raises(InputError, match="answers must be a list, but are one text"):
        judge.satisfied(puzzle, "abc")


@pytest.mark.parametrize("wrong", [None, b"def f(x): return True", 3, ["def f(x): return True"]])
def test_what_is_no_text_is_named(judge: Judge, wrong: Any) -> None:
    puzzle, kind = ANY.format("int"), type(wrong).__name__
    with pytest.raises(InputError, match=f"a puzzle must be text, but is of type {kind}"):
        judge.verify(wrong, answer_of("1"))
    with pytest.raises(InputError, match=f"a puzzle must be text, but is of type {kind}"):
        judge.satisfied(wrong, [1])
    with pytest.raises(InputError, match=f"a solution must be text, but is of type {kind}"):
        judge.verify(puzzle, wrong)
    with pytest.raises(InputError, match=f"a solution must be text, but is of type {kind}"):
        list(judge.verify_all([(puzzle, [answer_of("1"), wrong])]))


@pytest.mark.parametrize("wrong", [None, 3, b"def g(): return 1"])
def test_what_is_no_list_is_named(judge: Judge, wrong: Any) -> None:
    with pytest.raises(InputError, match="solutions must be a list, but are"):
        judge.verify_many(ANY.format("int"), wrong)
    with pytest.raises(InputError, match="answers must be a list, but are"):
        judge.satisfied(ANY.format("int"), wrong)


def test_solutions_and_answers_may_come_from_any_iterable(judge: Judge) -> None:
    verdicts = judge.verify_many(ANY.format("int"), (answer_of(str(n)) for n in range(3)))
    assert [verdict.answer for verdict in verdicts] == ["0", "1", "2"]
    assert judge.satisfied(ANY.format("int"), iter([1, "a"])) == ["accepted", "mistyped"]


@pytest.mark.parametrize("wrong", [None, "def f(x): return True", ("puzzle",), {"puzzle": "f"}])
def test_what_is_no_job_is_named(judge: Judge, wrong: Any) -> None:
    """Such as the parts of one job, given in place of a list of jobs."""
    kind = type(wrong).__name__
    with pytest.raises(InputError, match=rf"a job must be \(puzzle, .* but is of type {kind}"):
        list(judge.verify_all([wrong]))
    with pytest.raises(InputError, match=rf"a job must be \(puzzle, .* but is of type {kind}"):
        list(judge.satisfied_all([wrong]))


def test_a_verdict_shows_the_answer(judge: Judge) -> None:
    verdict = judge.verify(ANY.format("object"), answer_of("[1, 'a', (2.5,), {3: None}, set()]"))
    assert verdict.answer == "[1, 'a', (2.5,), {3: None}, set()]"
    assert verdict.cpu_seconds > 0
    assert verdict.peak_bytes > 1 << 20
    assert len(judge.verify(ANY.format("str"), answer_of("'x' * 5000")).answer or "") == 1000


def test_types_that_travel_are_taken(judge: Judge) -> None:
    puzzle = Puzzle("0" * 16, "def f(x: int, n=3):\n    return x == n", "f", "int", "n=3", "")
    assert judge.verify(puzzle, Solution(answer_of("3"))).outcome is Outcome.ACCEPTED
    assert judge.verify(puzzle, Solution(answer_of("'3'"))).outcome is Outcome.MISTYPED


def test_nothing_leaks_from_one_candidate_to_the_next(judge: Judge) -> None:
    counter = (
        "N = [0]\ndef f(x: int, acc=[]):\n    N[0] += 1\n    acc.append(x)\n    return N == [1]"
    )
    assert {
        v.outcome for v in judge.verify_many(counter, [answer_of(str(i)) for i in range(5)])
    } == {Outcome.ACCEPTED}
    poison = "import math, random\nmath.sqrt = None\nrandom.seed(5)\ndef g(): return 1"
    honest = "import math, random\ndef g(): return int(math.sqrt(random.random()))"
    verdicts = judge.verify_many(ANY.format("int"), [poison, honest])
    assert [v.outcome.value for v in verdicts] == ["accepted", "accepted"]


def test_chance_is_the_same_each_time(judge: Judge) -> None:
    chance = (
        "import random\ndef g():\n    return [random.random(), hash('a') % 1e9, {'b', 'a'}.pop()]"
    )
    answers = {judge.verify(ANY.format("object"), chance).answer for _ in range(3)}
    with Judge(workers=1) as other:
        answers.add(other.verify(ANY.format("object"), chance).answer)
    assert len(answers) == 1


def test_identical_answers_are_asked_about_once(judge: Judge) -> None:
    slow = "def f(x: int):\n    for i in range(3 * 10**6): pass\n    return x == 1"
    solutions = [answer_of("1") + " " * i for i in range(6)] + [answer_of("2")]
    verdicts = judge.verify_many(slow, solutions)
    assert [v.outcome.value for v in verdicts] == ["accepted"] * 6 + ["wrong"]
    assert max(v.cpu_seconds for v in verdicts[1:4]) < verdicts[0].cpu_seconds / 2


def test_satisfied_goes_on_after_an_answer_that_kills(judge: Judge) -> None:
    puzzle = (
        "import os\nSEEN = []\ndef f(x: int):\n    SEEN.append(x)\n    if x == 2: os._exit(0)\n"
        "    if x == 4: os._exit(1)\n    if x == 5: raise ValueError\n"
        "    return len(SEEN) == 1 and x % 2 == 1"
    )
    found = [o.value for o in judge.satisfied(puzzle, [1, 2, 3, 4, 5, 6, 7, True, 1, object()])]
    assert found == [
        *("accepted", "crashed", "accepted", "crashed", "raised", "wrong", "accepted"),
        *("mistyped", "accepted", "mistyped"),
    ]
    assert judge.satisfied("def f(x: int) return", [1, 2]) == [Outcome.UNPARSED] * 2
    assert judge.satisfied(puzzle, []) == []


def test_satisfied_tries_nothing_after_an_answer_that_takes_too_long(judge: Judge) -> None:
    """A puzzle that hangs would cost the limit again on each of a hundred answers."""
    puzzle = "def f(x: int):\n    while x > 2: pass\n    return x == 1"
    found = [o.value for o in judge.satisfied(puzzle, [1, 2, 3, 4, 0])]
    assert found == ["accepted", "wrong", "timeout", "timeout", "timeout"]


def test_streams_keep_their_order_and_read_only_a_little_ahead() -> None:
    read = 0

    def jobs() -> Iterator[tuple[str, list[str]]]:
        nonlocal read
        for number in range(1000):
            read += 1
            puzzle = f"def f(x: int):\n    return x == {number}"
            yield puzzle, [answer_of(str(number)), answer_of("-1"), "def g(: "]

    with Judge(workers=2) as judge:
        stream = judge.verify_all(jobs())
        for _ in range(40):
            assert [v.outcome.value for v in next(stream)] == ["accepted", "wrong", "unparsed"]
        assert read < 200
        stream.close()  # type: ignore[attr-defined]
        outcomes = list(judge.satisfied_all((ANY.format("int"), [1, "a"]) for _ in range(30)))
    assert outcomes == [[Outcome.ACCEPTED, Outcome.MISTYPED]] * 30


def test_many_threads_share_a_judge() -> None:
    found: dict[int, list[str]] = {}

    def work(number: int) -> None:
        puzzle = f"def f(x: int):\n    return x == {number}"
        solutions = [answer_of(str(n)) for n in range(4)]
        found[number] = [v.outcome.value for v in judge.verify_many(puzzle, solutions)]

    with Judge(workers=2) as judge:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for number in range(4):
        assert [o == "accepted" for o in found[number]] == [n == number for n in range(4)]


@LINUX
def test_a_zygote_killed_at_work_is_replaced() -> None:
    others = descendants(os.getpid())
    with Judge(workers=2) as judge:
        jobs = [(f"def f(x: int):\n    return x == {n}", [answer_of(str(n))]) for n in range(300)]
        outcomes = []
        for number, verdicts in enumerate(judge.verify_all(jobs)):
            outcomes += [v.outcome for v in verdicts]
            if number in (20, 120, 220):
                os.kill(min(descendants(os.getpid()) - others), signal.SIGKILL)
        assert 1 <= judge.replaced <= 3
    assert outcomes == [Outcome.ACCEPTED] * 300


def kill_first(count: int) -> threading.Thread:
    """A thread that kills so many children of this process, each as soon as it is there."""
    known = descendants(os.getpid())

    def kill() -> None:
        for _ in range(count):
            assert within(30, lambda: bool(descendants(os.getpid()) - known))
            found = min(descendants(os.getpid()) - known)
            known.add(found)
            os.kill(found, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@LINUX
def test_a_zygote_killed_while_it_starts_is_replaced() -> None:
    killing = kill_first(1)
    with Judge(workers=1) as judge:
        killing.join()
        assert judge.verify(ANY.format("int"), answer_of("1")).outcome is Outcome.ACCEPTED


@LINUX
def test_zygotes_that_never_start_are_a_fault() -> None:
    killing = kill_first(STARTS)
    with pytest.raises(Fault, match="did not start"), Judge(workers=1):
        pass
    killing.join()


@LINUX
def test_zygotes_that_die_again_and_again_are_no_verdict_of_accepted() -> None:
    """Killed all the time, a candidate ends as crashed or fault, and nobody hangs."""
    stop = threading.Event()
    others = descendants(os.getpid())  # such as the resource tracker of multiprocessing

    def massacre() -> None:
        while not stop.wait(0.01):
            for pid in descendants(os.getpid()) - others:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    with Judge(workers=1) as judge:
        thread = threading.Thread(target=massacre)
        thread.start()
        try:
            slow = "import time\ndef g():\n    time.sleep(0.5)\n    return 1"
            verdict = judge.verify(ANY.format("int"), slow)
        finally:
            stop.set()
            thread.join()
        assert verdict.outcome in (Outcome.CRASHED, Outcome.FAULT)
        assert judge.verify(ANY.format("int"), answer_of("1")).outcome is Outcome.ACCEPTED


@LINUX
def test_no_process_and_no_descriptor_is_left() -> None:
    before, open_before = descendants(os.getpid()), set(os.listdir("/proc/self/fd"))
    with pytest.raises(ZeroDivisionError), Judge(workers=2) as judge:  # noqa: PT012
        judge.verify(ANY.format("int"), answer_of("1"))
        assert len(descendants(os.getpid()) - before) >= 2
        raise ZeroDivisionError
    assert within(3, lambda: descendants(os.getpid()) <= before)
    assert set(os.listdir("/proc/self/fd")) == open_before
    with pytest.raises(InputError, match="closed"):
        judge.verify(ANY.format("int"), answer_of("1"))


def test_closing_releases_whoever_waits() -> None:
    judge = Judge(workers=1, limits=Limits(wall_seconds=60.0))
    failures: list[Exception] = []

    def wait() -> None:
        try:
            judge.verify(ANY.format("int"), "import time\ndef g(): time.sleep(50)")
        except Fault as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.3)
    judge.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(failures) == 1


@LINUX
@pytest.mark.parametrize("isolation", ["auto", "process"])
def test_killing_the_parent_ends_everything(isolation: str) -> None:
    script = (
        "import sys, threading\nfrom etude.judge import Judge, Limits\n"
        f"judge = Judge(workers=1, limits=Limits(wall_seconds=99.0), isolation={isolation!r})\n"
        "print('ready', flush=True)\n"
        "judge.verify('def f(x: int): return True', 'import time\\ndef g(): time.sleep(90)')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    assert within(5, lambda: len(descendants(parent.pid)) >= 2)
    orphans = descendants(parent.pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert within(5, lambda: not any(os.path.exists(f"/proc/{pid}") for pid in orphans))


@LINUX
def test_memory_stays_bounded() -> None:
    with Judge(workers=1) as judge:
        for _ in range(3):
            judge.verify(ANY.format("str"), answer_of("'x' * 4 * 10**6"))
        before = resident_bytes(descendants(os.getpid()))
        for _ in range(20):
            judge.verify(ANY.format("str"), answer_of("'x' * 4 * 10**6"))
        assert resident_bytes(descendants(os.getpid())) < before + (20 << 20)


def test_the_weaker_level_gives_the_same_verdicts() -> None:
    with Judge(workers=1, isolation="process", limits=Limits(wall_seconds=2.0)) as judge:
        assert judge.isolation in ("filtered", "process")
        assert not judge.layers["namespaces"].on
        assert judge.verify(ANY.format("int"), answer_of("1")).outcome is Outcome.ACCEPTED
        assert judge.verify(ANY.format("int"), "def g():\n while 1: pass").outcome == "timeout"
        sleeper = "import time\ndef g(): time.sleep(9)"
        assert judge.verify(ANY.format("int"), sleeper).outcome is Outcome.TIMEOUT


def test_bad_arguments_are_named() -> None:
    with pytest.raises(InputError, match="isolation must be one of"):
        Judge(isolation="docker")
    with pytest.raises(InputError, match="at least one worker"):
        Judge(workers=0)
    with pytest.raises(InputError, match="workers must be a whole number, but is '2'"):
        Judge(workers="2")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"limits must be etude\.judge\.Limits, but are 5"):
        Judge(limits=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cpu_seconds must be positive"):
        Limits(cpu_seconds=0)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its filter is written for x86-64")
@LINUX
def test_full_isolation_is_refused_where_a_part_is_missing() -> None:
    script = """
import errno, struct
from etude.judge import Judge
from etude.judge.kernel import Kernel
from etude.errors import InputError

# Load the number of the system call; unshare (272) fails with EPERM; everything else goes on.
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 272), (6, 0, 0, 0x50000 | errno.EPERM), (6, 0, 0, 0x7FFF0000)]
kernel = Kernel()
kernel.no_new_privileges()
kernel.install(kernel.program(b"".join(struct.pack("<HBBI", *line) for line in code)))
with Judge(workers=1) as judge:
    print(judge.isolation, judge.layers["namespaces"], all(s.on for s in judge.guarantees.values()))
    print(judge.verify("def f(x: int): return True", "def g(): return 1").outcome)
try:
    Judge(workers=1, isolation="full")
except InputError as error:
    print(error)
"""
    lines = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    assert lines[0].startswith("filtered off (")
    assert lines[0].endswith(" True")
    assert lines[1] == "accepted"
    assert "namespaces off (unshare: Operation not permitted)" in lines[2]
    assert "To get it: " in lines[2]
    assert "'filtered' or 'auto'" in lines[2]


def test_importing_the_judge_loads_nothing_heavy() -> None:
    script = (
        "import sys, etude.judge\n"
        "heavy = {'torch', 'transformers', 'pyarrow', 'pydantic', 'numpy', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert output.strip() == "[]"
