"""Programs with tests: the tests run where the program can't reach them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude.errors import InputError
from etude.judge import BrokenLine, Exam, Judge, Limits, Pair, Program, judge_pairs, read_pairs
from etude.judge.ended import LEFT, Ended
from etude.judge.program import program_plan
from etude.judge.recorded import packed, unpacked
from etude.judge.wire import ASKS, CALLS
from etude.types import Outcome

PROMPT = '''from typing import List


def has_close_elements(numbers: List[float], threshold: float) -> bool:
    """ Check if in given list of numbers, are any two numbers closer to each other than
    given threshold.
    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)
    False
    """
'''
TESTS = """

METADATA = {'author': 'jt', 'dataset': 'test'}


def check(candidate):
    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True
    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False
    assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.95) == True
    assert candidate([1.1, 2.2, 3.1, 4.1, 5.1], 0.5) == False

"""
RIGHT = """    for idx, elem in enumerate(numbers):
        for idx2, elem2 in enumerate(numbers):
            if idx != idx2 and abs(elem - elem2) < threshold:
                return True
    return False
"""


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=0.5, wall_seconds=2)) as judge:
        yield judge


def outcome(judge: Judge, body: str, tests: str, prompt: str = "", entry: str = "g") -> Outcome:
    return judge.verify_program(Program(prompt, body, tests, entry)).outcome


@pytest.mark.parametrize(
    ("completion", "right"),
    [
        (RIGHT, "accepted"),
        ("    return True\n", "wrong"),
        ("    return 1 // 0\n", "raised"),
        ("    return None\n", "wrong"),
        ("    while True: pass\n", "timeout"),
        ("    return open('/etc/passwd').read()\n", "refused"),
        ("    import os; os._exit(0)\n", "crashed"),
        ("    raise SystemExit(0)\n", "raised"),
        ("    return [0] * 10**12\n", "memory"),
        ("    return (\n", "unparsed"),
        ("    return iter([])\n", "mistyped"),
        ("    pass\nhas_close_elements = 5\n", "unparsed"),
    ],
)
def test_a_program_of_humaneval(judge: Judge, completion: str, right: str) -> None:
    program = Program(PROMPT, completion, TESTS, "has_close_elements")
    assert judge.verify_program(program).outcome == right


ATTACKS = {
    "an object that is equal to everything": (
        "class Yes:\n    def __eq__(self, other): return True\ndef g(x): return Yes()"
    ),
    "a float that is equal to everything": (
        "class Yes(float):\n    def __eq__(self, other): return True\n"
        "    def __ne__(self, other): return False\ndef g(x): return Yes(0)"
    ),
    "leaving well": "import sys\ndef g(x): sys.exit(0)",
    "leaving well at once": "import os\nos._exit(0)\ndef g(x): pass",
    "tests by name": "def check(candidate): pass\ndef g(x): return -1",
    "builtins": (
        "import builtins\nbuiltins.AssertionError = type('E', (Exception,), {})\n"
        "builtins.__dict__['abs'] = lambda x: 0\ndef g(x): return -1"
    ),
    "looking for the expected": (
        "import gc\ndef g(x):\n    for thing in gc.get_objects():\n"
        "        for part in gc.get_referents(thing):\n"
        "            if isinstance(part, (bytes, str)):\n"
        "                text = str(part)\n                place = text.find('SEC' + 'RET = ')\n"
        "                if place >= 0: return int(text[place + 9:place + 13])\n    return -1"
    ),
    "frames": (
        "import sys\ndef g(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        for value in list(frame.f_locals.values()):\n"
        "            if type(value).__name__ == 'Exchange':\n"
        "                for code in range(12): value.report(code, b'', b'')\n"
        "                import os; os._exit(0)\n        frame = frame.f_back"
    ),
    "an assertion of its own": "def g(x): raise AssertionError",
    "one that no test expects": "def g(x): raise KeyboardInterrupt",
    "a generator": "def g(x):\n    yield 4711",
    "a coroutine": "async def g(x): return 4711",
}


@pytest.mark.parametrize("body", ATTACKS.values(), ids=ATTACKS.keys())
def test_no_program_gets_past_tests_that_it_does_not_pass(judge: Judge, body: str) -> None:
    tests = "SECRET = 4711\ndef check(candidate):\n    assert candidate(3) == SECRET"
    found = outcome(judge, body, tests)
    assert found not in (Outcome.ACCEPTED, Outcome.FAULT)
    assert outcome(judge, "def g(x): return 4711", tests) is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("tests", "right"),
    [
        ("assert g(2) == 4\nassert g(3) == 9", "accepted"),  # as in MBPP
        ("for n in range(60): assert g(n) == n * n", "accepted"),
        ("import random\nfor _ in range(40):\n n = random.randrange(99)\n assert g(n) == n ** 2",
         "accepted"),
        ("assert abs(g(2) - 4) < 1e-9 and round(g(0.5), 2) == 0.25", "accepted"),
        ("assert str(g(2)) == '4' and len([g(3)] * g(2)) == 4", "accepted"),
        ("assert g(g(g(2))) == 256", "accepted"),
        ("assert sum(g(n) for n in range(4)) == 14", "accepted"),
        ("assert g(x=2) == 4 == g(*[2])", "accepted"),
        ("if g(2) == 4: assert g(3) == 9\nelse: assert g('a')", "accepted"),
        ("assert [g(2), g(3)] == [4, 9], 'told'", "accepted"),
        ("assert g(2) != 4", "wrong"),
        ("assert not g(2)", "wrong"),
        ("assert g(2) == 5, 'told'", "wrong"),
        ("assert g('a') == 1", "raised"),
        ("try: g('a')\nexcept TypeError: pass\nelse: assert False", "accepted"),
        ("try: g('a')\nexcept ValueError: pass", "raised"),
        ("assert True", "unparsed"),
        ("assert g(object()) == 1", "unparsed"),
        ("assert g(2 == 4", "unparsed"),
        ("while g(2): pass", "unparsed"),
        ("assert undefined == g(2)", "raised"),
    ],
)  # fmt: skip
def test_tests_of_every_kind(judge: Judge, tests: str, right: str) -> None:
    assert outcome(judge, "def g(x): return x ** 2", tests) == right


def test_a_program_does_not_end_what_the_tests_go_through(judge: Judge) -> None:
    tests = "assert all(map(lambda t: g(*t) == sum(t), [(1, 2), (3, 4)]))"
    assert outcome(judge, "def g(a, b): raise StopIteration", tests) is Outcome.RAISED
    assert outcome(judge, "def g(a, b): return a + b", tests) is Outcome.ACCEPTED


def test_all_steps_together_have_a_bound_on_their_cpu_time(judge: Judge) -> None:
    slow = "import time\ndef g(x):\n    end = time.process_time() + 0.3\n"
    slow += "    while time.process_time() < end: pass\n    return x"
    tests = "n = 0\nwhile n < 60: n = int(g(n)) + 1"
    assert outcome(judge, slow, tests) is Outcome.TIMEOUT


def test_what_a_program_does_to_its_arguments_is_seen(judge: Judge) -> None:
    tests = "x = [3, 1, 2]\nassert g(x) is None\nassert x == [1, 2, 3]"
    assert outcome(judge, "def g(x): x.sort()", tests) is Outcome.ACCEPTED
    assert outcome(judge, "def g(x): sorted(x)", tests) is Outcome.WRONG


@pytest.mark.parametrize(
    ("body", "tests", "right"),
    [
        ("x.append(object())", "try: g([1])\nexcept TypeError: pass\nelse: assert 0", "mistyped"),
        ("x[0] = True", "x = [1]\ng(x)\nassert x[0] is True", "accepted"),
        ("x[0] = 1.0", "x = [1]\ng(x)\nassert type(x[0]) is int", "wrong"),
        ("x['a'] = x.pop('a')", "x = {'a': 1, 'b': 2}\ng(x)\nassert list(x) == ['b', 'a']",
         "accepted"),
        ("x.clear(); 1 // 0", "x = [1]\ntry: g(x)\nexcept ArithmeticError: pass\nassert x == [1]",
         "wrong"),
        ("x.sort()", "x = [3, 1]\ng(x=x)\nassert x == [3, 1]", "wrong"),
        ("x.sort()", "x = [3, 1]\ng(x, x)\nassert x == [1, 3]", "accepted"),
        ("return x is y[0]", "x = [1]\nassert g(x, [x]) and not g(x, [[1]])", "accepted"),
        ("return x", "x = [1]\nassert g(x) is x", "accepted"),
        ("return x", "x = [1]\nassert g(x) is not x", "wrong"),
        ("return x[:]", "x = [1]\nassert g(x) is not x", "accepted"),
        ("return x[:]", "x = [[1]]\ng(x)[0].append(2)\nassert x == [[1]]", "wrong"),
        ("x[0].append(2)", "x = [1]\ng((x,))\nassert x == [1, 2]", "accepted"),
        ("x.sort()", "a = [2]\nx = [a, [1]]\ng(x)\na.append(3)\nassert x == [[1], [2, 3]]",
         "accepted"),
        ("x.add((1, (2,)))", "x = {3}\ng(x)\nassert x == {3, (1, (2,))}", "accepted"),
        ("x.append(x)", "x = [1]\ng(x)\nassert x[1] is x", "accepted"),
        ("x = y = [x]; return x, y", "a, b = g(1)\nassert a is b", "accepted"),
    ],
)  # fmt: skip
def test_which_container_is_which_is_seen(judge: Judge, body: str, tests: str, right: str) -> None:
    assert outcome(judge, f"def g(x, y=None): {body}", tests) == right


@pytest.mark.parametrize(
    ("body", "expected", "holds"),
    [
        ("return {}[x]", "KeyError", "error.args == ('é',) and str(error) == repr('é')"),
        ("return x.encode('ascii')", "UnicodeEncodeError", "error.start == 0 and error.end == 1"),
        ("return b'\\xff'.decode()", "UnicodeDecodeError", "'invalid start' in error.args[0]"),
        ("raise ValueError(x, [1])", "ValueError", "error.args == ('é', [1])"),
        ("raise ValueError(x * 400)", "ValueError", "len(str(error)) == 400"),
        ("raise ValueError", "ValueError", "error.args == () and str(error) == ''"),
        ("raise FileNotFoundError(2, 'no', x)", "OSError", "error.errno == 2 and error.filename"),
        ("class E(ValueError): pass\n    raise E(x)", "ValueError", "str(error) == 'é'"),
        ("raise ExceptionGroup(x, [ValueError()])", "Exception", "'é' in str(error)"),
    ],
)
def test_an_exception_is_what_it_was(judge: Judge, body: str, expected: str, holds: str) -> None:
    tests = f"try: g('é')\nexcept {expected} as error: assert {holds}\nelse: assert 0"
    assert outcome(judge, f"def g(x):\n    {body}", tests) is Outcome.ACCEPTED


def test_the_stand_in_is_called_and_named_as_the_function(judge: Judge) -> None:
    assert outcome(judge, "def g(self): return self", "assert g(self=3) == 3") is Outcome.ACCEPTED
    tests = "import functools\nh = functools.wraps(g)(lambda x: g(x))\n"
    tests += "assert h(1) == 1, h.__name__\nassert h.__name__ == 'g'"
    assert outcome(judge, "def g(x): return x", tests) is Outcome.ACCEPTED


def test_a_program_remembers_from_call_to_call(judge: Judge) -> None:
    body = "seen = []\ndef g(x):\n    seen.append(x)\n    return len(seen)"
    tests = "assert g(1) == 1\nassert g(1) + 1 > 2\nassert list(range(g(1))) == [0, 1, 2]"
    assert outcome(judge, body, tests) is Outcome.ACCEPTED


def test_helpers_of_the_prompt_are_the_tests_too(judge: Judge) -> None:
    prompt = "def double(x):\n    return 2 * x\n\ndef g(x):\n"
    tests = "def check(candidate):\n    assert candidate(double(2)) == 16"
    assert outcome(judge, "    return double(x) * 2", tests, prompt) is Outcome.ACCEPTED
    body = "    return 1\ndef double(x): return 0"
    assert outcome(judge, body, tests, prompt) is Outcome.WRONG


def test_a_helper_named_check_is_no_test(judge: Judge) -> None:
    prompt = "def check(n):\n    return n % 2 == 0\n\ndef g(x):\n"
    assert outcome(judge, "    return check(x)", "assert g(2)", prompt) is Outcome.ACCEPTED
    tests = "def check(candidate):\n    assert candidate(3) is True"
    assert outcome(judge, "    return x % 2 == 0", tests, prompt) is Outcome.WRONG


def test_a_call_that_was_only_guessed_decides_nothing(judge: Judge) -> None:
    """Before a result is known, both sides of the comparison may be tried."""
    body = "def g(x):\n    while x == 99: pass\n    return x"
    tests = "if g(1) > 1: g(99)\nassert g(2) == 2"
    assert outcome(judge, body, tests) is Outcome.ACCEPTED


def test_an_assertion_that_fails_before_any_call_is_not_the_programs(judge: Judge) -> None:
    """As with a wrong entry_point: what the tests call is the prompt's own stub."""
    tests = "assert add(1, 1) == 2, 'a sum'"
    verdict = judge.verify_program(Program("def add(a, b):\n", "    return a + b\n", tests, "plus"))
    assert verdict.outcome is Outcome.UNPARSED
    assert verdict.detail == "tests: they never call plus: AssertionError: a sum"


def test_verdicts_come_in_order(judge: Judge) -> None:
    programs = [
        Program("", f"def g(): return {n}", f"assert g() == {n % 3}", "g") for n in range(9)
    ]
    outcomes = [verdict.outcome.value for (verdict,) in judge.verify_all(programs)]
    assert outcomes == ["accepted"] * 3 + ["wrong"] * 6


def test_files_hold_programs_under_the_names_of_humaneval(judge: Judge, tmp_path: Path) -> None:
    task = {"task_id": "HumanEval/0", "prompt": PROMPT, "test": TESTS}
    task |= {"entry_point": "has_close_elements", "canonical_solution": RIGHT}
    pair = {"puzzle": "def f(x: int): return x == 1", "solution": "def g(): return 1"}
    rows = [
        *(pair, task, task | {"completion": "    return True\n"}, pair),
        *(task | {"test": 5}, task | {"completion": "    return 1 // 0\n"}),
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = list(judge_pairs(read_pairs(path), judge))
    assert found.pop(4) == BrokenLine(5, "test must be text, but is of type int")
    told = [(item.line, item.name, verdict.outcome.value) for item, verdict in found]
    assert told == [
        (1, "", "accepted"),
        (2, "HumanEval/0", "accepted"),
        (3, "HumanEval/0", "wrong"),
        (4, "", "accepted"),
        (6, "HumanEval/0", "raised"),
    ]


def test_what_is_no_program_is_named(judge: Judge) -> None:
    task = {"prompt": PROMPT, "completion": RIGHT, "test": TESTS, "entry_point": "g"}
    with pytest.raises(InputError, match=r"must be an etude\.judge\.Program, but is of type dict"):
        judge.verify_program(task)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="completion of a program must be text, but is of type N"):
        Program(PROMPT, None, TESTS, "g")  # type: ignore[arg-type]


def test_a_table_of_pairs_and_programs_has_gaps(tmp_path: Path) -> None:
    """As pandas and datasets write it: every row has every column, and null in the others'."""
    program = {"prompt": PROMPT, "completion": RIGHT, "test": TESTS, "entry_point": "has_close"}
    pair = {"puzzle": "def f(x: int): return x == 1", "solution": "def g(): return 1"}
    gaps = dict.fromkeys([*program, *pair, "task_id"])
    rows = [gaps | pair, gaps | program, gaps]
    path = tmp_path / "mixed.json"
    path.write_text(json.dumps(rows))
    first, second, third = read_pairs(path)
    assert first == Pair(1, **pair)
    assert second == Exam(2, Program(PROMPT, RIGHT, TESTS, "has_close"), "")
    assert third == BrokenLine(3, "must have prompt, but has none")


def test_parquet_holds_programs_too(judge: Judge, tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    task = {"task_id": "HumanEval/0", "prompt": PROMPT, "test": TESTS, "more": 1}
    task |= {"entry_point": "has_close_elements", "canonical_solution": RIGHT}
    pair = {"puzzle": "def f(x: int): return x == 1", "solution": "def g(): return 1"}
    path = tmp_path / "tasks.parquet"
    pq.write_table(pa.Table.from_pylist([task, task | {"test": None}]), path)
    (exam, verdict), broken = judge_pairs(read_pairs(path), judge)
    assert (exam.line, exam.name, verdict.outcome.value) == (1, "HumanEval/0", "accepted")
    assert broken.line == 2
    assert broken.reason.startswith("must have test, but has 'task_id', 'prompt', ")
    del task["more"]
    rows = [dict.fromkeys(task) | pair, dict.fromkeys(pair) | task]
    schema = pa.schema([(key, pa.string()) for key in rows[1]])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    outcomes = [verdict.outcome.value for _, verdict in judge_pairs(read_pairs(path), judge)]
    assert outcomes == ["accepted", "accepted"]
    pq.write_table(pa.table({"prompt": [PROMPT], "entry_point": ["g"], "test": [TESTS]}), path)
    with pytest.raises(InputError, match="must have a column completion or canonical_solution"):
        read_pairs(path)


@given(st.lists(st.binary(max_size=40)), st.binary(max_size=40))
def test_pieces_come_back_as_they_were(items: list[bytes], rest: bytes) -> None:
    assert unpacked(packed(items)) == items
    assert packed(unpacked(rest)) == rest[: len(packed(unpacked(rest)))]


@pytest.mark.parametrize("argument", ["object()", "'x' * 5_000_000", "lambda: 0"])
def test_a_call_that_can_not_be_made_is_no_exception_of_the_program(argument: str) -> None:
    tests = f"h(1)\ntry: h({argument})\nexcept Exception: pass\nelse: assert False"
    with Judge(workers=1) as judge:
        verdict = judge.verify_program(Program("def h(x):\n", "    return 1\n", tests, "h"))
    assert verdict.outcome is Outcome.UNPARSED


def test_too_many_calls_are_too_many_though_the_tests_catch_it() -> None:
    tests = "for i in range(30000):\n    try: assert h(i) == i\n    except: pass"
    with Judge(workers=1) as judge:
        verdict = judge.verify_program(Program("def h(x):\n", "    return 0\n", tests, "h"))
    assert verdict.outcome is Outcome.UNPARSED


def test_a_program_can_not_have_its_limit_again_for_each_call() -> None:
    """One that leaves a result more each time, by the clock for example."""
    plan = program_plan(Program("", "", "", "h"), Limits())
    asks = Ended(LEFT, 0, 0.0, 0, bytes([ASKS]), b"", packed([b"call"] * 500))
    next(plan)
    found = []
    for number in range(1, 20):
        (step,) = plan.send([asks])
        assert step.kind == CALLS
        try:
            plan.send([Ended(LEFT, 0, 0.9, 0, b"", b"", packed([b"result"] * number))])
        except StopIteration as stop:
            found = stop.value
            break
    assert [verdict.outcome for verdict in found] == [Outcome.CRASHED]


def test_calls_that_are_too_large_together_are_no_error_of_the_program(judge: Judge) -> None:
    tests = "for n in range(12): assert g([n] * 100_000) == 100_000"
    verdict = judge.verify_program(Program("", "def g(x): return len(x)", tests, "g"))
    assert verdict.outcome is Outcome.UNPARSED
    assert "bytes together" in verdict.detail


def test_each_argument_may_come_from_the_result_before(judge: Judge) -> None:
    tests = "n = 0\nfor _ in range(150): n = g(n)\nassert n == 150"
    assert outcome(judge, "def g(x): return x + 1", tests) is Outcome.ACCEPTED


def test_tests_that_are_never_the_same_come_to_an_end() -> None:
    tests = "import os\nwhile True: assert g(os.urandom(8).hex())"
    with Judge(workers=1, limits=Limits(cpu_seconds=0.1)) as quick:
        found = outcome(quick, "def g(x): return x", tests)
    assert found in (Outcome.UNPARSED, Outcome.TIMEOUT)


@pytest.mark.parametrize(
    "tests",
    [
        "x, n = g(7), 0\nwhile x: x, n = x[0], n + 1\nassert n == 7",
        "seen = []\nwhile not seen:\n if g(2) != [[[]]]: seen.append(1)\n else: seen.append(2)\n"
        " while seen == [1] : pass\nassert seen == [2]",
    ],
    ids=["through what is only guessed", "because of what is only guessed"],
)
def test_a_loop_ends_once_the_result_is_known(judge: Judge, tests: str) -> None:
    body = "def g(n):\n    x = []\n    for _ in range(n): x = [x]\n    return x"
    assert outcome(judge, body, tests) is Outcome.ACCEPTED
