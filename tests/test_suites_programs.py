"""HumanEval, MBPP and EvalPlus from files in their formats, and what the judge says of them."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import suite_files
from etude.errors import InputError
from etude.evaluate import verdicts_of
from etude.judge import Judge, Limits
from etude.prompts import completed, exercise_prompt
from etude.suites import files, load, read_puzzles
from etude.types import Problem

FILES = {
    "humaneval": ("HumanEval.jsonl.gz", suite_files.HUMANEVAL),
    "humaneval+": ("HumanEvalPlus.jsonl", suite_files.HUMANEVAL_PLUS),
    "humaneval+ of the hub": ("HumanEvalPlus.jsonl", suite_files.HUMANEVAL_PLUS_HUB),
    "mbpp": ("mbpp.jsonl", suite_files.MBPP),
    "mbpp sanitized": ("sanitized-mbpp.json", suite_files.SANITIZED),
    "mbpp+": ("MbppPlus.jsonl.gz", suite_files.MBPP_PLUS),
    "mbpp+ of the hub": ("MbppPlus.jsonl", suite_files.MBPP_PLUS_HUB),
}


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=1, limits=Limits(cpu_seconds=2.0)) as judge:
        yield judge


def problems_of(name: str, folder: Path) -> list[Problem]:
    file, rows = FILES[name]
    suite_files.write(folder / file, rows)
    return load(name.split()[0], folder=folder)


def outcomes(judge: Judge, problems: Sequence[Problem], sources: Sequence[str]) -> list[str]:
    return [str(v.outcome) for (v,) in verdicts_of(judge, problems, [[one] for one in sources])]


@pytest.mark.parametrize("name", FILES)
def test_reference_solutions_pass_and_empty_ones_fail(
    name: str, judge: Judge, tmp_path: Path
) -> None:
    problems = problems_of(name, tmp_path)
    assert outcomes(judge, problems, [one.solution for one in problems]) == ["accepted"] * len(
        problems
    )
    empty = [f"def {one.exercise.entry_point}(*_): return None" for one in problems if one.exercise]
    assert "accepted" not in outcomes(judge, problems, empty)


@pytest.mark.parametrize("name", FILES)
def test_a_prompt_is_continued_and_cut_at_the_functions_end(
    name: str, judge: Judge, tmp_path: Path
) -> None:
    for problem in problems_of(name, tmp_path):
        assert problem.exercise is not None
        prompt = exercise_prompt(problem.exercise)
        assert prompt.text.endswith(prompt.opening)
        name = problem.exercise.entry_point
        if not problem.solution.startswith(prompt.opening):
            continue  # imports before the function, which a model would write in it
        written = problem.solution[len(prompt.opening) :].rstrip() + "\n\nprint('more')\n"
        source = completed(prompt, written, name)
        assert source.rstrip() == problem.solution.rstrip()
        assert outcomes(judge, [problem], [source]) == ["accepted"]


def test_nothing_written_in_the_function_is_no_solution(tmp_path: Path) -> None:
    problem, _ = problems_of("humaneval", tmp_path)
    assert problem.exercise is not None
    prompt = exercise_prompt(problem.exercise)
    assert completed(prompt, "print('hello')\n", "has_close_elements") == prompt.opening


def test_close_floats_and_other_roots_and_orders_count_where_evalplus_says_so(
    judge: Judge, tmp_path: Path
) -> None:
    _, root = problems_of("humaneval+", tmp_path)
    other = "def find_zero(xs):\n    return 3.0 if len(xs) == 4 else -0.5"
    far = "def find_zero(xs):\n    return 2.5 if len(xs) == 4 else -0.5"
    assert outcomes(judge, [root, root], [other, far]) == ["accepted", "wrong"]
    (shared,) = problems_of("mbpp+", tmp_path)
    backwards = "def similar_elements(a, b):\n    return sorted(set(a) & set(b), reverse=True)"
    lists = (
        "def similar_elements(a, b):\n    return [x for x in a if x in b and isinstance(a, list)]"
    )
    assert outcomes(judge, [shared, shared], [backwards, lists]) == ["accepted", "wrong"]
    (third,) = problems_of("humaneval+ of the hub", tmp_path)
    near, off = (f"def third(a, b): return (a + b) / 3 + {gap}" for gap in ("1e-8", "1e-3"))
    assert outcomes(judge, [third, third], [near, off]) == ["accepted", "wrong"]


def test_mbpp_shows_the_text_and_the_first_assertion(tmp_path: Path) -> None:
    first, second = problems_of("mbpp", tmp_path)
    assert first.exercise is not None
    assert second.exercise is not None
    assert first.name == "12", "task 2 is for prompts"
    assert first.exercise.prompt == (
        '"""\nWrite a function to find the similar elements from the given two tuple lists.\n'
        "assert similar_elements((3, 4, 5, 6),(5, 7, 4, 10)) == (4, 5)\n"
        '"""\ndef similar_elements('
    )
    assert second.exercise.preamble == "TWO = 2\n"


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    suite_files.write(tmp_path / "HumanEval.jsonl", suite_files.HUMANEVAL)
    table = pa.Table.from_pylist([dict(row) for row in suite_files.HUMANEVAL])
    pq.write_table(table, tmp_path / "of-the-hub.parquet")
    assert load("humaneval", folder=tmp_path / "of-the-hub.parquet") == load(
        "humaneval", folder=tmp_path
    )


HAS_CLOSE = suite_files.HAS_CLOSE


@pytest.mark.parametrize(
    ("suite", "row", "said"),
    [
        ("humaneval", suite_files.MBPP[0], r"line 1 must have the keys task_id, prompt, entry_poin"
         r"t, canonical_solution, test, but has text, code, task_id"),
        ("mbpp", HAS_CLOSE, r"must have the keys task_id, .*code.* but has task_id, prompt, entry"),
        ("mbpp+", HAS_CLOSE, r"must have the keys task_id, prompt, code, test, but has"),
        ("humaneval+", suite_files.without(HAS_CLOSE, "test"), r"canonical_solution, test, but"),
        ("humaneval", [1], r"line 1 must be an object with keys, but is a list"),
        ("humaneval", dict(HAS_CLOSE, entry_point="other"), r"must have the function other"),
        ("humaneval+", dict(suite_files.HUMANEVAL_PLUS[0], plus_input=3), r"plus_input must be a"),
        ("humaneval+", dict(suite_files.HUMANEVAL_PLUS[0], atol="x"), r"atol must be a number"),
        ("mbpp", suite_files.MBPP[0], r"must hold problems of mbpp, but holds none"),
        ("mbpp", dict(suite_files.MBPP[1], task_id="x"), r"task_id must end with a number"),
        ("mbpp+", dict(suite_files.MBPP_PLUS[0], task_id="Mbpp/722"), r"inputs must be those of"),
        ("mbpp", dict(suite_files.MBPP[1], test_list=["assert f(1)"]), r"must call a function of"),
        ("mbpp", dict(suite_files.MBPP[1], code="def f("), r"must be Python, but are not Python"),
    ],
)  # fmt: skip
def test_another_format_is_one_sentence(suite: str, row: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=said):
        load(suite, folder=path)


def test_files_that_are_none_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none was given.*HumanEval\.jsonl with --folder; it is"):
        load("humaneval")
    with pytest.raises(InputError, match=r"folder with mbpp\.jsonl or sanitized-mbpp\.json, but"):
        load("mbpp", folder=tmp_path)
    for name, data, said in [
        ("a.txt", b"", "must be a file that ends with one of"),
        ("a.jsonl", b"{", "line 1 must be JSON"),
        ("a.json", b"{}", "must be a JSON list, but is a dict"),
        ("a.jsonl.gz", b"no gzip", "must be a file that can be read"),
        ("a.jsonl", b"\xff", "must be text in UTF-8"),
        ("a.parquet", b"none", "must be Parquet"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=said):
            load("humaneval", folder=tmp_path / name)
    twice = suite_files.write(tmp_path / "twice.jsonl", [HAS_CLOSE, HAS_CLOSE])
    with pytest.raises(InputError, match="each problem once, but has HumanEval/0 more often"):
        load("humaneval", folder=twice)


# A person's own puzzles

PUZZLE = "def f(x: int, a=7): return x + a == 9"


def test_many_rows_are_told_apart_at_once(tmp_path: Path) -> None:
    """Each name held against all others takes minutes; a sentence at the end of them helps none."""
    rows = [suite_files.HAS_CLOSE | {"task_id": str(number)} for number in range(20_000)]
    file = suite_files.write(tmp_path / "HumanEval.jsonl", [*rows, rows[7]])
    start = time.process_time()
    with pytest.raises(InputError, match="has 7 more often"):
        load("humaneval", folder=file)
    assert time.process_time() - start < 8


@pytest.mark.parametrize("name", ["P.JSONL", "P.JSONL.GZ", "p.Json.Gz", "P.PARQUET"])
def test_the_case_of_a_files_ending_is_no_matter(name: str, tmp_path: Path) -> None:
    row = {"puzzle": "def f(x: int): return x == 1"}
    said = json.dumps([row] if ".json." in name.lower() else row).encode()
    if name.endswith("PARQUET"):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    else:
        packed = name.lower().endswith(".gz")
        (tmp_path / name).write_bytes(gzip.compress(said) if packed else said)
    assert [one.part for one in read_puzzles(tmp_path / name)] == ["own"]


def test_a_packed_file_of_gigabytes_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 1 << 20)
    unpacked: list[int] = []
    decompress = gzip.decompress
    monkeypatch.setattr(gzip, "decompress", lambda data: unpacked.append(1) or decompress(data))
    row = json.dumps({"puzzle": "def f(x: int): return x == 1  # " + "a" * 5_000_000}).encode()
    for name, data in (("p.jsonl.gz", gzip.compress(row)), ("p.jsonl", row)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=r"at most 1,048,576 bytes, unpacked, .* Split it"):
            read_puzzles(tmp_path / name)
    assert not unpacked, "nothing is unpacked as a whole"


def test_own_puzzles_are_read_from_what_the_judge_reads(tmp_path: Path) -> None:
    lines = suite_files.write(
        tmp_path / "a.jsonl", [{"puzzle": PUZZLE}, {"f": PUZZLE, "name": "sum"}, {"sat": PUZZLE}]
    )
    assert [one.name for one in read_puzzles(lines)] == ["1", "sum", "3"]
    p3 = suite_files.write(
        tmp_path / "a.json", [{"name": "S:0", "sat": PUZZLE, "sol_bodies": []}] * 2
    )
    assert [one.name for one in read_puzzles(p3)] == ["S:0#1", "S:0#2"]
    (tmp_path / "mine.py").write_text(PUZZLE)
    (only,) = read_puzzles(tmp_path / "mine.py")
    assert (only.name, only.puzzle and only.puzzle.answer_type) == ("mine", "int")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"solution": "def g(): 1"}\n', r"under the key puzzle .* the keys solution"),
        ("a.jsonl", '{"puzzle": "def g(): 1"}\n', r"must be a puzzle, .* but is not exactly one"),
        ("a.jsonl", "\n", r"must hold at least one puzzle"),
        ("a.py", "x = 1", r"but is no function"),
        ("a.csv", "", r"must be in a file that ends with \.py or one of"),
    ],
)
def test_what_is_no_puzzle_is_one_sentence(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_puzzles(tmp_path / name)
