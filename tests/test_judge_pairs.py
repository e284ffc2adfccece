"""Files of pairs: what is read, what is reported as broken, what is judged."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from etude.errors import InputError
from etude.judge import BrokenLine, Judge, Pair, judge_file, read_lines, read_pairs, read_sources
from etude.types import Verdict

F, G = "def f(x: int):\n    return x == 1", "def g():\n    return 1"


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        json.dumps({"puzzle": F, "solution": G}),
        json.dumps({"f": F, "g": G, "other": 1}),
        "",
        json.dumps({"sat": F, "sol": G}),
        "{",
        "[1]",
        json.dumps({"puzzle": F}),
        json.dumps({"puzzle": 1, "solution": G}),
        "[" * 10**5,
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found = list(read_pairs(path))
    assert found[:3] == [Pair(1, F, G), Pair(2, F, G), Pair(4, F, G)]
    assert all(isinstance(item, BrokenLine) for item in found[3:])
    assert [item.line for item in found[3:]] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"Puzzle": F, "code": G}, "must have puzzle, f or sat, but has 'Puzzle', 'code'"),
        ({"puzzle": F, "answer": G}, "must have solution, g or sol, but has 'puzzle', 'answer'"),
        ({"puzzle": F, "solution": None}, "must have solution, g or sol, but has 'puzzle'"),
        ({"puzzle": F, "solution": [G]}, "solution must be text, but is of type list"),
        ({"k" * 9999: F}, f"must have puzzle, f or sat, but has '{'k' * 12}...{'k' * 13}'"),
        ({}, "must have puzzle, f or sat, but has none"),
        (
            {"prompt": F, "test": G, "completion": G},
            "must have entry_point, but has 'prompt', 'test', 'completion'",
        ),
    ],
)
def test_a_broken_line_says_what_it_holds_instead(row: dict[str, Any], reason: str) -> None:
    (broken,) = read_lines([json.dumps(row).encode()])
    assert broken == BrokenLine(1, reason)


def test_a_list_in_a_line_is_told_where_it_belongs() -> None:
    (broken,) = read_lines([json.dumps([{"puzzle": F, "solution": G}]).encode()])
    assert broken == BrokenLine(1, "must be an object but is a list (of pairs: name it .json)")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\xff\xfe\n" + json.dumps({"f": F, "g": G}).encode() + b"\n")
    broken, pair = read_pairs(path)
    assert isinstance(broken, BrokenLine)
    assert pair == Pair(2, F, G)


def test_parquet(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    table = pa.table({"sat": [F, None, F], "sol": [G, G, G], "more": [1, 2, 3]})
    pq.write_table(table, path)
    first, second, third = read_pairs(path)
    assert (first, third) == (Pair(1, F, G), Pair(3, F, G))
    assert isinstance(second, BrokenLine)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"broken\.parquet"):
        list(read_pairs(broken))


@pytest.mark.parametrize(("name", "match"), [("a.csv", "or .parquet"), ("a.jsonl", "no file")])
def test_a_file_that_cannot_be_read_is_named_at_once(tmp_path: Path, name: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_pairs(tmp_path / name)


def test_a_parquet_row_that_is_no_text_is_broken_alone(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    solutions = pa.array([b"\xff", G.encode()]).view(pa.string())
    pq.write_table(pa.table({"puzzle": [F, F], "solution": solutions}), path)
    broken, pair = read_pairs(path)
    assert isinstance(broken, BrokenLine)
    assert pair == Pair(2, F, G)


def test_good_lines_are_judged_though_others_are_broken(tmp_path: Path) -> None:
    rows = ["{"]
    for number in range(30):
        rows.append(
            json.dumps({"f": F if number < 20 else F + " + 1", "g": G + f" + {number % 2}"})
        )
        rows.append("nonsense")
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(rows))
    with Judge(workers=2) as judge:
        found = list(judge_file(path, judge))
    assert [line for line, _ in found] == list(range(1, 62))
    verdicts = [v for _, v in found if isinstance(v, Verdict)]
    assert len(verdicts) == 30
    right = ["accepted" if (n % 2 == 0) == (n < 20) else "wrong" for n in range(30)]
    assert [verdict.outcome.value for verdict in verdicts] == right


def test_the_puzzles_of_p3_give_a_pair_for_each_of_their_solutions(tmp_path: Path) -> None:
    path = tmp_path / "puzzles.json"
    header = "def sol(a=7):"
    rows = [
        {"name": "A:0", "sat": F, "sol_header": header, "sol_bodies": ["    return 1", "    r"]},
        {"name": "A:1", "sat": F, "sol_header": header, "sol_bodies": []},
        {"name": "A:2", "sat": F, "sol_header": None, "sol_bodies": ["    return 1"]},
        {"name": "A:3", "sat": F, "sol_header": header, "sol_bodies": "    return 1"},
        {"puzzle": F, "solution": G},
        "nonsense",
    ]
    path.write_text(json.dumps(rows))
    first, second, third, fourth, plain, last = read_pairs(path)
    assert first == Pair(1, F, "def sol(a=7):\n    return 1", "A:0#1")
    assert second == Pair(1, F, "def sol(a=7):\n    r", "A:0#2")
    assert [item.line for item in (third, fourth, last)] == [3, 4, 6]
    assert all(isinstance(item, BrokenLine) for item in (third, fourth, last))
    assert plain == Pair(5, F, G)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"puzzle": 1}\n{"puzzle": 2}', r"one object a line is named \.jsonl"),
        (
            '{"puzzle": 1}',
            r"must be a JSON list of objects, but is a dict\. One .* is a line of a \.jsonl file",
        ),
        ("", "must be one JSON list"),
        ("[" * 10**5, "must be one JSON list"),
    ],
)
def test_json_that_is_no_list_is_one_sentence(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "pairs.json").write_text(text)
    with pytest.raises(InputError, match=match):
        read_pairs(tmp_path / "pairs.json")


def test_parquet_without_the_columns_is_one_sentence(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({"puzzle": [F] * 9, "answer": [G] * 9}), path)
    with pytest.raises(InputError, match=r"column solution, g or sol, but has 'puzzle', 'answer'"):
        read_pairs(path)
    pq.write_table(pa.table({f"c{n:02}": [1] for n in range(30)}), path)
    with pytest.raises(InputError, match=r"column puzzle, f or sat, .* 'c19' and 10 more\.$"):
        read_pairs(path)


def test_a_folder_is_named_and_a_run_is_shown_its_verb(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"but \. is a folder\.$"):
        read_pairs(".")
    (tmp_path / "recipe.toml").touch()
    with pytest.raises(InputError, match=rf"etude judge --again {tmp_path}"):
        read_pairs(tmp_path)


def test_a_pipe_is_read_as_json_lines_and_parquet_refused_there(tmp_path: Path) -> None:
    for name in ("pipe", "pipe.jsonl"):
        os.mkfifo(tmp_path / name)
        line = json.dumps({"f": F, "g": G})
        writer = threading.Thread(target=(tmp_path / name).write_text, args=(line,))
        writer.start()
        assert list(read_pairs(tmp_path / name)) == [Pair(1, F, G)]
        writer.join()
    os.mkfifo(tmp_path / "pipe.parquet")
    with pytest.raises(InputError, match="Parquet can't be read from a pipe"):
        read_pairs(tmp_path / "pipe.parquet")


def test_two_files_of_python_are_a_pair(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("\ufeff" + F)
    (tmp_path / "g.py").write_text(G)
    assert read_sources(tmp_path / "f.py", tmp_path / "g.py") == Pair(1, F, G)
    (tmp_path / "g.py").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"g\.py must be text in UTF-8"):
        read_sources(tmp_path / "f.py", tmp_path / "g.py")
    with pytest.raises(InputError, match=r"no file .*h\.py"):
        read_sources(tmp_path / "h.py", tmp_path / "g.py")
    with pytest.raises(InputError, match="but is a folder"):
        read_sources(tmp_path, tmp_path / "f.py")


def test_a_parquet_file_with_broken_pages_is_told_in_one_line(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "pairs.parquet"
    pq.write_table(
        pa.table({"puzzle": ["def f(x: int): return True"] * 3, "solution": ["x"] * 3}), path
    )
    data = bytearray(path.read_bytes())
    data[10:40] = b"\xff" * 30
    path.write_bytes(data)
    with pytest.raises(InputError, match="can't be read after row 0") as caught:
        list(read_pairs(path))
    assert "\n" not in str(caught.value)
