"""Importing pairs: each is judged, everything is accounted for, and a kill loses a unit at most."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from etude import config, store
from etude.errors import InputError
from etude.export.columns import SCHEMA
from etude.importing import Options, import_file
from etude.judge import Limits, Pair, read_pairs
from etude.prompts import example_text
from etude.seeds import load_seeds
from etude.suites import load, read_puzzles

P3 = Path(__file__).parents[1].parent / "shared" / "p3" / "puzzles.json"
F, G = "def f(x: int, a=7): return x + a == 9", "def g(a=7): return 9 - a"
RIGHT = [(f"def f(x: int): return x == {n}", f"def g(): return {n}") for n in range(4)]
WRONG = ("def f(x: int): return x == 5", "def g(): return 6")
SLOW = ("def f(x: int): return x == 7", "def g():\n    while True: pass")
QUICK = Limits.of_cpu(0.2)


def imported(file: Path, out: Path, **options: Any) -> Path:
    asked = {"format": None, "workers": 1, "limits": QUICK, "isolation": "auto"}
    asked |= {name: options.pop(name) for name in list(options) if name in asked}
    import_file(file, out, Options(**options), json_lines=False, **asked)
    return out


def text(path: Path, *pairs: tuple[str, str], more: str = "") -> Path:
    path.write_text("".join(example_text(f, g) + "\n" for f, g in pairs) + more)
    return path


def rows(out: Path) -> list[dict[str, Any]]:
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_bytes().splitlines()]
    path = out if out.is_file() else next(out.glob("data/train-*.parquet"))
    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found


def manifest(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "export.json").read_text("utf-8"))
    return read


def test_everything_in_a_file_is_accounted_for(tmp_path: Path) -> None:
    two = ("def f(x: int): return x == 5", "def g(): return 5\n\ndef h(): return 6")
    file = text(tmp_path / "made.txt", *RIGHT, WRONG, SLOW, two, RIGHT[0], more="and so on\n")
    out = imported(file, tmp_path / "out")
    said = manifest(out)
    assert said["outcomes"] == {"accepted": 5, "unparsed": 2, "timeout": 1, "wrong": 1}
    assert (said["items"], said["puzzles"], said["kept"]) == (9, 4, 4)
    assert said["duplicates"]["exact"] == 1
    assert said["unparsed"] == {"a pair with the functions f, g, h": 1, "text that is no pair": 1}
    assert [(row["puzzle"], row["solution"]) for row in rows(out)] == RIGHT
    rejected = pq.read_table(out / "rejected.parquet").to_pylist()
    assert [(row["line"], row["outcome"]) for row in rejected] == [
        (25, "wrong"),
        (31, "timeout"),
        (38, "unparsed"),
        (52, "unparsed"),
    ]
    assert (rejected[0]["puzzle"], rejected[0]["solution"]) == WRONG
    assert not (tmp_path / "out.unfinished").exists()
    assert "| `wrong` | 1 |" in (out / "README.md").read_text("utf-8")


def test_the_columns_are_those_of_an_export_and_it_loads(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = imported(text(tmp_path / "made.txt", *RIGHT), tmp_path / "out", license="mit")
    (first, *_) = rows(out)
    assert list(first) == SCHEMA.names
    assert (first["source"], first["name"], first["answer"]) == ("file", "line 1", "0")
    assert None not in (first["judge_version"], first["isolation"], first["limits"])
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["solution"][:] == [g for _, g in RIGHT]


@pytest.mark.parametrize("name", ["out.jsonl", "out.parquet"])
def test_what_is_imported_can_be_seeds_and_puzzles(tmp_path: Path, name: str) -> None:
    out = imported(text(tmp_path / "made.txt", *RIGHT, WRONG), tmp_path / name)
    recipe = config.load("smoke", [f"seeds.source={json.dumps(str(out))}"])
    assert [(pair.puzzle.source, pair.solution) for pair in load_seeds(recipe)] == RIGHT
    assert len(read_puzzles(out)) == 4
    assert [one for one in read_pairs(out) if isinstance(one, Pair)] == [
        Pair(number, f, g) for number, (f, g) in enumerate(RIGHT, 1)
    ]
    rejected = pq.read_table(tmp_path / f"{name}.rejected.parquet").to_pylist()
    assert [row["outcome"] for row in rejected] == ["wrong"]


def test_an_import_of_an_import_is_the_same(tmp_path: Path) -> None:
    first = imported(text(tmp_path / "made.txt", *RIGHT), tmp_path / "a.jsonl")
    again = imported(first, tmp_path / "b.jsonl")
    measured = {"cpu_seconds", "name"}
    plain = [[{k: v for k, v in row.items() if k not in measured} for row in rows(out)]
             for out in (first, again)]  # fmt: skip
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    "row",
    [
        {"puzzle": F, "solution": G},
        {"f": F, "g": G},
        {"sat": F.replace("f(", "sat("), "sol": G.replace("g(", "sol(")},
        {"text": example_text(F, G)},
        {"prompt": f"{F}\n\n", "completion": f"{G}\n"},
    ],
)
def test_rows_of_every_kind_become_f_and_g(tmp_path: Path, row: dict[str, str]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row))
    (one,) = rows(imported(file, tmp_path / "out.jsonl"))
    assert (one["puzzle"], one["solution"]) == (F, G)


def test_p3_comes_with_all_its_solutions(tmp_path: Path) -> None:
    if not P3.is_file():
        pytest.skip("P3's files are not there: ../shared/p3 beside the repository")
    records = [one for one in json.loads(P3.read_text("utf-8")) if one["sol_bodies"]][:60]
    file = tmp_path / "puzzles.json"
    file.write_text(json.dumps(records))
    out = imported(file, tmp_path / "out", limits=Limits(), suite="p3-train", folder=P3.parent)
    said = manifest(out)
    wanted = sum(len(one["sol_bodies"]) for one in records)
    assert said["outcomes"] == {"accepted": wanted}
    assert all(row["puzzle"].startswith("def f(") for row in rows(out))
    assert all(row["solution"].startswith("def g(") for row in rows(out))
    assert rows(out)[0]["name"] == f"{records[0]['name']}#1"
    assert said["problems_met"]["exact"] > 10


def test_held_out_problems_are_found_in_it(tmp_path: Path) -> None:
    problem = load("tiny")[0]
    assert problem.puzzle is not None
    held_out = (problem.puzzle.source, problem.solution)
    out = imported(text(tmp_path / "made.txt", *RIGHT, held_out), tmp_path / "out", suite="tiny")
    assert manifest(out)["problems_met"]["canonical"] == 1
    assert "Against the 196 problems of `tiny`" in (out / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda pair: pair.replace(b"\n", b"\r\n"),
        lambda pair: b"\xef\xbb\xbf" + pair,
        lambda pair: pair.rstrip(),
        lambda pair: pair + b"\x00\x00\n\n",
        lambda pair: pair + b"def f(x: int):\n    return '\xff'\n\ndef g(): return 1\n",
        lambda pair: pair + b"def f(x: int):\n    return '\x00'\n\ndef g(): return 1\n",
        lambda pair: pair + b"def f(x: int):\n    return " + b"(" * 5_000 + b"\n\ndef g(): 1\n",
        lambda pair: pair + b"x" * (2 << 20),
    ],
)
def test_hostile_bytes_cost_no_pair_of_others(
    tmp_path: Path, spoiled: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "made.txt"
    file.write_bytes(spoiled(example_text(*RIGHT[1]).encode()))
    out = imported(file, tmp_path / "out")
    assert [(row["puzzle"], row["solution"]) for row in rows(out)] == [RIGHT[1]]
    assert manifest(out)["outcomes"].get("unparsed", 0) <= 1


SMALL = "from etude import cli, importing\nfrom etude.importing import reading\n"
SMALL += "reading.UNIT = importing.UNIT = 3\ncli.main()"
"""The command line with units of three pairs."""


def test_a_kill_loses_a_unit_at_most(tmp_path: Path) -> None:
    work = "for _ in range(200_000): pass\n    return"
    pairs = [(f, g.replace("return", f"\n    {work}")) for f, g in RIGHT * 6]
    file = text(tmp_path / "made.txt", *pairs, WRONG, more="no pair\n")

    def begin(out: str) -> subprocess.Popen[bytes]:
        words = ["import", str(file), "--out", out, "--dedup", "none", "--workers", "1"]
        return subprocess.Popen([sys.executable, "-c", SMALL, *words], cwd=tmp_path)

    assert begin("whole.jsonl").wait() == 0
    killed = begin("out.jsonl")
    first = tmp_path / "out.jsonl.unfinished" / "00000.parquet"
    while not first.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    stamp = first.stat().st_mtime_ns
    again = begin("out.jsonl")
    while again.poll() is None:
        if first.exists():
            with suppress(FileNotFoundError):
                assert first.stat().st_mtime_ns == stamp
        time.sleep(0.01)
    assert again.returncode == 0
    ours, theirs = (
        [{key: value for key, value in row.items() if key != "cpu_seconds"} for row in rows(out)]
        for out in (tmp_path / "out.jsonl", tmp_path / "whole.jsonl")
    )
    assert ours == theirs
    assert len(ours) == len(pairs)
    assert not first.parent.exists()


def test_two_at_once_do_not_take_each_others_units(tmp_path: Path) -> None:
    file = text(tmp_path / "made.txt", *RIGHT)
    with (
        store.only_writer(tmp_path / "out.unfinished"),
        pytest.raises(InputError, match=r"out\.unfinished is being written by another process"),
    ):
        imported(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    imported(file, tmp_path / "out")
    assert len(rows(tmp_path / "out")) == len(RIGHT)


def test_a_pipe_is_refused_since_it_can_be_read_but_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "made.jsonl")
    with pytest.raises(InputError, match=r"made\.jsonl must be a regular file, .* read twice"):
        imported(tmp_path / "made.jsonl", tmp_path / "out")


def test_units_of_another_file_are_not_gone_on_with(tmp_path: Path) -> None:
    file = text(tmp_path / "made.txt", *RIGHT)
    work = tmp_path / "out.unfinished"
    work.mkdir()
    (work / "import.json").write_text('{"sha256": "0", "judge": {}}')
    with pytest.raises(InputError, match=r"out\.unfinished must be of .* under the same judge"):
        imported(file, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"must hold at least one pair, but holds none"),
        ("no pair at all\n", r"accepts, but of its 1 there is none: .*1 unparsed.* line 1: text"),
        (example_text(*WRONG), r"accepts, but of its 1 there is none: .*1 wrong"),
    ],
)
def test_a_file_without_a_pair_is_refused(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "made.txt"
    file.write_text(content)
    with pytest.raises(InputError, match=said):
        imported(file, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["made.txt"]


def test_a_files_text_is_inert_in_the_card(tmp_path: Path) -> None:
    bad = {"<img src=//x>": 1, "[click](//x)|`": 2}
    file = tmp_path / "made.jsonl"
    file.write_text(f"{json.dumps(bad)}\n{json.dumps({'f': F, 'g': G})}\n")
    text = (imported(file, tmp_path / "my pairs") / "README.md").read_text("utf-8")
    (line,) = (line for line in text.splitlines() if "must have" in line)
    assert re.fullmatch(r"\| `[^`|]*<img src=//x>[^`|]*\[click\]\(//x\)[^`|]*` \| 1 \|", line)
    assert "trl sft --dataset_name 'my pairs' --model_name_or_path" in text


def test_bad_arguments_are_one_sentence(tmp_path: Path) -> None:
    file = text(tmp_path / "made.jsonl", *RIGHT)
    for options, said in (
        ({"out": tmp_path / "made.jsonl"}, r"--out must be another file than the pairs"),
        ({"file": tmp_path / "none.txt"}, r"there is no file"),
        ({"file": tmp_path}, r"pairs must be in a file, but .* is a folder"),
        ({"file": tmp_path / "made.csv"}, r"must be in a \.jsonl, \.json, \.txt or \.parquet"),
        ({"layout": "chat"}, r"--layout must be one of paper, line, but is 'chat'"),
        ({"dedup": "fuzzy"}, r"--dedup must be one of none, exact, canonical, form, near"),
    ):
        with pytest.raises(InputError, match=said):
            imported(**({"file": file, "out": tmp_path / "out"} | options))  # type: ignore[arg-type]
