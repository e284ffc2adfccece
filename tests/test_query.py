"""SQL over a run's tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from etude import store, tables
from etude.errors import InputError
from etude.query import VIEWS, Tables


def seed_row(puzzle: str) -> store.Row:
    row: store.Row = dict.fromkeys(tables.SEEDS.names)
    return row | {"puzzle_id": puzzle, "outcome": "accepted"}


def test_rows_know_their_arm_and_round(tmp_path: Path) -> None:
    row: store.Row = dict.fromkeys(tables.SELECT.names)
    for number, place in enumerate(("round-01", "round-02", "controls/unverified/round-02")):
        stage = tmp_path / place / "select"
        store.write_table(
            stage / "00000.parquet", [row | {"example_id": f"{number}"}], tables.SELECT
        )
    with Tables(str(tmp_path)) as run:
        found = run.rows("select arm, round, example_id from examples order by example_id")
    assert [tuple(row.values()) for row in found] == [
        ("verified", 1, "0"),
        ("verified", 2, "1"),
        ("unverified", 2, "2"),
    ]


@pytest.mark.parametrize("name", VIEWS)
def test_a_stage_that_has_not_begun_is_an_empty_view(tmp_path: Path, name: str) -> None:
    with Tables(tmp_path) as run:
        assert run.rows(f"select * from {name}") == []
        found = run.connection.execute(f"describe {name}").fetchall()
    assert [column[0] for column in found] == ["arm", "round", *VIEWS[name][2].names]


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    run = tmp_path / "it's [1] run"
    store.write_table(run / "round-00/seeds/00000.parquet", [seed_row("a")], tables.SEEDS)
    with Tables(run) as opened:
        assert opened.value("select puzzle_id from seeds where outcome = ?", ["accepted"]) == "a"


def test_a_broken_segment_is_named(tmp_path: Path) -> None:
    path = tmp_path / "round-00/seeds/00000.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match=r"00000\.parquet"), Tables(tmp_path) as run:
        run.rows("select * from seeds")
