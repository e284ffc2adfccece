"""Chance, hashes and the clock are fixed; whose outcome still changes is found by a second look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.judge import Judge, Limits
from etude.types import Outcome

P3 = Path(__file__).parents[2] / "shared" / "p3" / "puzzles.json"
ANYTHING = "def f(x):\n    return True"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5)) as judge:
        yield judge


@pytest.fixture(scope="module")
def careful() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5), twice=True) as judge:
        yield judge


FIXED = {
    "random": "import random\ndef g(): return [random.random(), random.gauss(0, 1)]",
    "hashes": "def g(): return [hash('a'), hash(b'a'), hash('abc')]",
    "the order of sets": "def g(): return list({str(n) for n in range(50)})",
    "time": "import time\ndef g(): return [time.time(), time.time_ns(), time.clock_gettime(0)]",
    "other clocks": "import time\ndef g(): return [time.clock_gettime(time.CLOCK_TAI), "
    "time.clock_gettime(5), time.clock_gettime_ns(time.CLOCK_TAI)]",
    "text": "import time\ndef g(): return time.ctime() + time.asctime() + time.strftime('%c %Z')",
    "parts of the time": "import time\ndef g(): return [*time.localtime()] + [*time.gmtime(None)]",
    "dates": "import datetime as d\n"
    "def g(): return [str(m) for m in (d.date.today(), d.datetime.now(), d.datetime.today(), "
    "d.datetime.utcnow(), d.datetime.now(d.timezone.utc))]",
}


@pytest.mark.parametrize("source", FIXED.values(), ids=FIXED.keys())
def test_what_is_fixed_is_the_same_in_every_judge(judge: Judge, source: str) -> None:
    first = judge.verify(ANYTHING, source)
    with Judge(workers=1) as other:
        second = other.verify(ANYTHING, source)
    assert first.outcome is Outcome.ACCEPTED, first
    assert first.answer == second.answer


def test_the_clock_says_the_first_of_january_2020_and_goes_on(judge: Judge) -> None:
    source = (
        "import time\ndef g():\n start = time.time()\n while time.time() < start + 0.01: pass\n"
    )
    verdict = judge.verify(
        "def f(x: str): return x == '2020-01-01'", source + " return time.strftime('%Y-%m-%d')"
    )
    assert verdict.outcome is Outcome.ACCEPTED, verdict


def test_classes_of_dates_stay_what_they_are(judge: Judge) -> None:
    source = (
        "import datetime as d\ndef g():\n now = d.datetime.now()\n"
        " assert type(now) is d.datetime and isinstance(now, d.date)\n"
        " class Mine(d.datetime): pass\n assert type(Mine.now()) is Mine\n"
        " return repr(now.replace(microsecond=0) - d.timedelta(days=1))"
    )
    verdict = judge.verify(ANYTHING, source)
    assert verdict.answer == repr("datetime.datetime(2019, 12, 31, 0, 0)"), verdict


def test_durations_are_real(judge: Judge) -> None:
    source = (
        "import time\ndef g():\n start = time.perf_counter(), time.monotonic()\n time.sleep(0.05)\n"
        " return [time.perf_counter() - start[0], time.monotonic() - start[1]]"
    )
    verdict = judge.verify("def f(x: List[float]): return min(x) > 0.04", source)
    assert verdict.outcome is Outcome.ACCEPTED, verdict


SOLVED = "def g():\n    return 4"
UNSTABLE_PUZZLES = {
    "chance": "import random\ndef f(x: int):\n    return random.random() > 0.5",
    "the date": "import time\ndef f(x: int):\n    return time.gmtime().tm_mon == 1",
    "hashes": "def f(x: int):\n    return hash('a') % 2 == HASH",
    "the order of a set": "def f(x: int): return list({str(n) for n in range(99)})[0] == FIRST",
}


def told(judge: Judge, expression: str) -> str:
    """What an expression is in the first look."""
    answer = judge.verify(ANYTHING, f"def g():\n    return {expression}").answer
    assert answer is not None
    return answer


@pytest.mark.parametrize("name", UNSTABLE_PUZZLES)
def test_a_puzzle_that_rests_on_them_is_marked(judge: Judge, careful: Judge, name: str) -> None:
    puzzle = UNSTABLE_PUZZLES[name]
    puzzle = puzzle.replace("HASH", told(judge, "hash('a') % 2"))
    puzzle = puzzle.replace("FIRST", told(judge, "list({str(n) for n in range(99)})[0]"))
    verdict = careful.verify(puzzle, SOLVED)
    assert verdict.outcome is Outcome.ACCEPTED
    assert verdict.stable is False


def test_a_rejection_that_would_be_an_acceptance_is_marked_too(careful: Judge) -> None:
    puzzle = "import time\ndef f(x: int):\n    return time.gmtime().tm_mon != 1"
    verdict = careful.verify(puzzle, SOLVED)
    assert (verdict.outcome, verdict.stable) == (Outcome.WRONG, False)


def test_a_solution_that_rests_on_chance_is_marked(careful: Judge) -> None:
    puzzle = "def f(x: float):\n    return x < 0.85 and x > 0.84"
    verdict = careful.verify(puzzle, "import random\ndef g():\n    return random.random()")
    assert (verdict.outcome, verdict.stable) == (Outcome.ACCEPTED, False)


def test_another_answer_that_is_accepted_as_well_is_stable(careful: Judge) -> None:
    puzzle = "def f(x: float):\n    return 0 <= x < 1"
    verdict = careful.verify(puzzle, "import random\ndef g():\n    return random.random()")
    assert (verdict.outcome, verdict.stable) == (Outcome.ACCEPTED, True)


def test_plain_pairs_are_stable(careful: Judge) -> None:
    puzzle = "def f(x: int):\n    return 12 % (x - 3) == 0"
    solutions = [f"def g(): return {n}" for n in (4, 5, 3, 100)] + ["def g(): return 'a'"]
    verdicts = careful.verify_many(puzzle, solutions)
    assert [v.outcome.value for v in verdicts] == [
        *("accepted", "accepted", "raised", "wrong", "mistyped")
    ]
    assert [v.stable for v in verdicts] == [True] * 5


def test_what_gave_no_answer_has_no_second_look(careful: Judge) -> None:
    assert careful.verify(ANYTHING, "def g(): return 1 // 0").stable is None
    assert careful.verify("def f(x: int):\n    while True: pass", SOLVED).stable is None


def test_without_asking_there_is_no_second_look(judge: Judge) -> None:
    assert judge.verify(ANYTHING, SOLVED).stable is None


@pytest.mark.slow
def test_the_pairs_of_p3_are_stable(careful: Judge) -> None:
    if not P3.exists():
        pytest.skip(f"{P3} is absent")
    puzzles = [puzzle for puzzle in json.loads(P3.read_text()) if puzzle["sol_bodies"]][::7]
    jobs = [(p["sat"], [p["sol_header"] + "\n" + p["sol_bodies"][0]]) for p in puzzles]
    with Judge(limits=Limits(cpu_seconds=3), twice=True) as judge:
        found = [verdict for (verdict,) in judge.verify_all(jobs)]
    accepted = [verdict for verdict in found if verdict.outcome is Outcome.ACCEPTED]
    assert len(accepted) > 220
    assert [verdict for verdict in accepted if not verdict.stable] == []
