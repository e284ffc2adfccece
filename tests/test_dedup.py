"""The verb `dedup`: counts, files of what is kept and of pairs, and what it says of bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from etude.cli.app import app
from etude.dedup import Wanted, dedup
from etude.errors import InputError
from reader_run import MENDED, VARIANT, start, steps, with_made

ROWS = [
    {"puzzle": "def f(x: int, a=7): return x == a", "solution": "def g(a=7): return a", "n": 1},
    {"puzzle": "def f(x: int, a=7): return x == a", "solution": "def g(a=7): return a", "n": 2},
    {"puzzle": "def f(y: int, b=7): return b == y", "solution": "def g(b=7): return b", "n": 3},
    {"puzzle": "def f(x: int, a=8): return x == a", "solution": "def g(a=8): return a", "n": 4},
    {"puzzle": "def f(x: str): return x > '\ud800'", "solution": "def g(): return", "n": 5},
]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    start(folder)
    for step in steps(folder):
        step()
    return folder


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def levels(capsys: pytest.CaptureFixture[str]) -> dict[object, tuple[object, ...]]:
    return {
        row["level"]: (row["groups"], row["duplicates"], row["left"])
        for row in told(capsys)
        if row["kind"] == "level"
    }


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["n"] for line in path.read_text().splitlines()]


def test_every_level_is_counted(lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dedup(lines, Wanted(per_form=1, json_lines=True))
    assert levels(capsys) == {
        "exact": (1, 1, 4),
        "canonical": (1, 2, 3),
        "form": (1, 3, 2),
        "near": (1, 2, 3),
    }


def test_people_get_one_line_a_level(lines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dedup(lines, Wanted())
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{lines}: 5 rows, 1 no Python"
    assert out[3].split() == ["canonical", "1", "2", "3"]


def test_lines_that_are_kept_are_kept_byte_for_byte(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    dedup(lines, Wanted(out=out))
    before = lines.read_bytes().splitlines()
    assert out.read_bytes().splitlines() == [before[0], before[3], before[4]]


def test_near_ones_are_left_out_only_where_they_are_named(lines: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    dedup(lines, Wanted(out=out, threshold=0.3))
    assert numbers(out) == [1, 4, 5]
    dedup(lines, Wanted(out=out, threshold=0.3, levels=("canonical", "near")))
    assert numbers(out) == [1, 5]


def test_parquet_keeps_its_other_columns(tmp_path: Path) -> None:
    path, out = tmp_path / "rows.parquet", tmp_path / "kept.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS[:4]), path)
    dedup(path, Wanted(out=out))
    assert pq.read_table(out).to_pylist() == [ROWS[0], ROWS[3]]
    assert pq.read_schema(out).equals(pq.read_schema(path))


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_pairs_stand_beside_each_other(lines: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"pairs.{suffix}"
    dedup(lines, Wanted(pairs=path, levels=("exact", "canonical", "near")))
    rows = (
        [json.loads(line) for line in path.read_text().splitlines()]
        if suffix == "jsonl"
        else pq.read_table(path).to_pylist()
    )
    found = [(row["level"], row["id"], row["first"]) for row in rows]
    assert found == [
        ("exact", "2", "1"),
        ("canonical", "2", "1"),
        ("canonical", "3", "1"),
        ("near", "2", "1"),
        ("near", "3", "1"),
    ]
    assert rows[0]["jaccard"] == 1
    assert 0 < rows[2]["jaccard"] < 1
    assert rows[2]["text"].startswith("def f(y: int, b=7)")
    assert rows[2]["first_text"].startswith("def f(x: int, a=7)")


def test_the_same_rows_give_the_same_bytes(lines: Path, tmp_path: Path) -> None:
    made = [tmp_path / f"pairs-{number}.parquet" for number in range(2)]
    for path in made:
        dedup(lines, Wanted(pairs=path))
    assert made[0].read_bytes() == made[1].read_bytes()


def test_a_run_has_puzzles_and_examples(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dedup(run, Wanted(json_lines=True))
    told_of = [row for row in told(capsys) if row["kind"] == "dedup"]
    assert [str(row["source"]).rpartition(", ")[2] for row in told_of] == ["puzzles", "examples"]
    assert all(row["rows"] for row in told_of)


@pytest.mark.parametrize("table", ["puzzles", "examples", "candidates"])
def test_a_table_of_a_run_is_written_without_copies(run: Path, tmp_path: Path, table: str) -> None:
    """The tables of the tests hold the same puzzle in every round, and one solution."""
    out = tmp_path / "kept.parquet"
    dedup(run, Wanted(of=table, out=out))
    (row,) = pq.read_table(out).to_pylist()
    assert row["puzzle"] == "def f(x: int, a=7): return x + a == 9"
    assert row["solution"] == ("" if table == "puzzles" else "def g(a=7): return 9 - a")


def test_examples_that_were_made_of_pairs_are_examples(run: Path, tmp_path: Path) -> None:
    with_made(run)
    out = tmp_path / "kept.parquet"
    dedup(run, Wanted(of="examples", levels=("exact",), out=out))
    kept = {(row["puzzle"], row["solution"]): row["id"] for row in pq.read_table(out).to_pylist()}
    assert kept[VARIANT] == "variant-1"
    assert kept[MENDED] == "repair-1"
    assert len(kept) == 4  # with the attempt, and what was told in English


def test_behaviour_is_compared_when_asked(
    lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = [
        {"puzzle": "def f(x: int): return not x != 7", "solution": "def g(): return 7"},
        {"puzzle": "def f(x: int): return not x != 9", "solution": "def g(): return 9"},
    ]
    lines.write_text("\n".join(json.dumps(row) for row in [*ROWS[:4], *more]))
    out = tmp_path / "kept.jsonl"
    dedup(lines, Wanted(levels=("canonical", "behavioural"), out=out, json_lines=True))
    assert levels(capsys) == {"canonical": (1, 2, 4), "behavioural": (1, 3, 3)}
    kept = [json.loads(line)["solution"] for line in out.read_text().splitlines()]
    assert kept == ["def g(a=7): return a", "def g(a=8): return a", "def g(): return 9"]


BROKEN = {
    "no JSON": ("{", "line 2 must be JSON"),
    "a list": ("[1]", "line 2 must be an object with a puzzle, but is a list"),
    "no puzzle": ('{"text": 1}', "line 2 must be .* its keys are text"),
    "a puzzle that is no text": ('{"puzzle": 5}', "line 2 must be"),
    "a solution that is no text": ('{"puzzle": "", "solution": 5}', "line 2 must .* of type int"),
    "no text at all": ("\udcff", "line 2 must be JSON"),
    "too deep": ("[" * 100_000, "line 2 must be JSON"),
}


@pytest.mark.parametrize(("line", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named_and_nothing_is_written(
    tmp_path: Path, line: str, said: str
) -> None:
    path, out = tmp_path / "rows.jsonl", tmp_path / "kept.jsonl"
    first = json.dumps(ROWS[0]).encode()
    path.write_bytes(first + b"\n" + line.encode("utf-8", "surrogateescape") + b"\n")
    with pytest.raises(InputError, match=said):
        dedup(path, Wanted(out=out))
    assert not out.exists()


def test_bad_wishes_are_refused_before_the_work(lines: Path, run: Path, tmp_path: Path) -> None:
    refused: list[tuple[Path, Wanted, str]] = [
        (lines, Wanted(of="puzzles"), "--of is for a run"),
        (lines, Wanted(levels=("exakt",)), "--level must be one of"),
        (lines, Wanted(out=lines), "another file"),
        (lines, Wanted(out=tmp_path / "kept.csv"), "must end with"),
        (lines, Wanted(out=tmp_path / "no" / "kept.jsonl"), "in a folder that exists"),
        (lines, Wanted(out=tmp_path / "kept.parquet"), "must end with .jsonl"),
        (run, Wanted(of="proposals"), "--of must be one of"),
        (run, Wanted(out=tmp_path / "kept.jsonl"), "need one of them"),
        (tmp_path / "nothing.jsonl", Wanted(), "there is no file"),
        (tmp_path, Wanted(), "recipe.toml"),
    ]
    for path, wanted, said in refused:
        with pytest.raises(InputError, match=said):
            dedup(path, wanted)


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_text("not Parquet")
    with pytest.raises(InputError, match="can be read"):
        dedup(path, Wanted())
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(InputError, match="column puzzle"):
        dedup(path, Wanted())


def test_the_command_line(lines: Path) -> None:
    ended = CliRunner().invoke(app, ["dedup", str(lines), "--level", "exact", "--json"])
    assert ended.exit_code == 0, ended.output
    made = [json.loads(line) for line in ended.output.splitlines()]
    assert [row.get("level") for row in made] == [None, "exact"]
