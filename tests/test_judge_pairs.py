"""Files of pairs: what is read, what is reported as broken, what is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etude.errors import InputError
from etude.judge import BrokenLine, Judge, Pair, judge_file, read_pairs
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
