"""Show: counts that are the tables', lineage to the end, and no text that acts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

import reader_run
from etude import readings, store, tables
from etude.cluster import Made, Stage, set_aside
from etude.console import Console
from etude.errors import InputError
from etude.readings import words
from etude.report import write_report
from etude.show import show
from reader_run import HOSTILE


def shown(folder: Path, row_id: str | None = None, json_lines: bool = False) -> list[str]:
    out = io.StringIO()
    show(folder, Console(json_lines=json_lines, file=out), row_id)
    return out.getvalue().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reader_run.whole(tmp_path_factory.mktemp("runs") / "run").folder


def test_the_funnel_counts_the_tables(folder: Path) -> None:
    counts = readings.funnel(folder, 1)
    assert (counts.arm, counts.round, counts.asked) == ("verified", 1, 3)
    assert (counts.well_formed, counts.kept, counts.fates["duplicate"]) == (2, 1, 1)
    assert (counts.candidates, counts.solved, counts.taught, counts.examples) == (3, 1, 1, 1)
    assert counts.outcomes == {"accepted": 1, "raised": 1, "timeout": 1}
    assert readings.funnel(folder / "controls" / "unverified", 2).arm == "unverified"


def test_counts_of_every_round_and_arm_are_shown(folder: Path) -> None:
    lines = shown(folder)
    headings = [line for line in lines if line.startswith("round ")]
    assert headings == [
        "round 0", "round 1", "round 2", "round 1  [unverified]", "round 2  [unverified]"
    ]  # fmt: skip
    text = "\n".join(lines)
    for part in ("3 asked", "1 kept  1 unparsed  1 duplicate", "3 candidates", "2.00 -> 1.00"):
        assert part in text
    assert lines[-1].startswith("next:   etude report ")
    assert max(map(len, lines)) <= max(100, len(lines[-1]))


def test_scores_of_a_round_have_their_intervals(folder: Path) -> None:
    text = "\n".join(shown(folder))
    for score in readings.scores(folder / "round-02" / "evaluate"):
        assert f"pass@{score.k} {words.percent(score)}" in text


def test_a_row_is_shown_with_its_lineage(folder: Path) -> None:
    lines = shown(folder, "dddddddddddddd01")
    assert lines[0] == "example dddddddddddddd01, round 1"
    kinds = ["example", "candidate", "verdict", "puzzle", "proposal"]
    assert [line for line in lines if line in kinds] == kinds
    text = "\n".join(lines)
    assert "bbbbbbbbbbbb0101" in text
    assert "cccccccccccc0001" in text
    assert "cccccccccccc0201" not in text, "the duplicate is not where the puzzle came from"


def test_the_loop_goes_before_its_controls(folder: Path) -> None:
    assert "unverified" not in shown(folder, "dddddddddddddd01")[0]


def test_an_unknown_id_is_refused_naming_one_that_is_known(folder: Path) -> None:
    with pytest.raises(InputError, match=r"'nope\\x1b' must be .* example dddddddddddddd02"):
        shown(folder, "nope\x1b")


def test_an_empty_id_names_nothing(folder: Path) -> None:
    with pytest.raises(InputError, match="must be the id"):
        shown(folder, "")


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a run folder"):
        shown(tmp_path)


def test_json_is_one_object_a_line(folder: Path) -> None:
    records = [json.loads(line) for line in shown(folder, json_lines=True)]
    kinds = [record["kind"] for record in records]
    assert kinds.count("round") == 5
    assert kinds.count("training") == 8
    assert {"ladder", "pair"} <= set(kinds)
    assert kinds[-1] == "next"
    first = next(r for r in records if r["kind"] == "round" and r["round"] == 1)
    assert first["fates"] == {"kept": 1, "unparsed": 1, "duplicate": 1}
    lineage = [json.loads(line) for line in shown(folder, "dddddddddddddd01", json_lines=True)]
    assert lineage[1]["solve_rate"] == pytest.approx(1 / 3)


def test_an_unfinished_run_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    reader_run.start(folder)
    lengths = [len(shown(folder))]
    assert shown(folder)[-1] == f"next:   etude run {folder}"
    for step in reader_run.steps(folder):
        step()
        lengths.append(len(shown(folder)))
    assert lengths[0] < lengths[-1]
    assert shown(folder)[-1] == f"next:   etude report {folder}"
    with pytest.raises(InputError, match="no rows yet"):
        shown(reader_run.start(tmp_path / "other").folder, "x")


def test_a_broken_segment_is_named(tmp_path: Path) -> None:
    folder = reader_run.whole(tmp_path / "run").folder
    broken = store.unit_path(folder / "round-01" / "vet", 0)
    broken.write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(InputError, match=r"round-01/vet/00000\.parquet must be a Parquet segment"):
        shown(folder)


def test_hostile_text_only_prints(tmp_path: Path) -> None:
    hostile = {"puzzle": HOSTILE, "solution": HOSTILE, "detail": HOSTILE}
    folder = reader_run.whole(tmp_path / "run", **hostile).folder
    for row_id in (None, "dddddddddddddd01", "aaaaaaaaaaaaaa01", "cccccccccccc0101"):
        lines = shown(folder, row_id)
        assert all(line.isprintable() for line in lines)
        assert sum(map(len, lines)) < 30_000
        assert any("<img src=x" in line for line in lines)
        assert all(line.isascii() for line in shown(folder, row_id, json_lines=True))


def test_showing_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shown(folder)
    shown(folder, "dddddddddddddd01")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_units_that_were_set_aside_are_told(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    assert "set aside" not in "\n".join(shown(run.folder))
    judged = Stage(run.folder / "round-02" / "judge", 2, none, tables.JUDGE, "judge")
    scored = Stage(run.folder / "final" / "evaluate", 2, none, tables.EVALUATE, "judge")
    for stage in (judged, scored):
        set_aside(stage, 1, ["killed by SIGKILL", "killed by SIGKILL", "exit code 9\x1b[2J"])
    lines = shown(run.folder)
    start = lines.index("set aside, as they killed their workers")
    assert lines[start + 1 : start + 3] == [
        r"  round 2 judge unit 1: 3 times exit code 9\x1b[2J",
        r"  the student evaluate unit 1: 3 times exit code 9\x1b[2J"
        "  (its problems count as unsolved)",
    ]
    told = [json.loads(line) for line in shown(run.folder, json_lines=True)]
    assert [one["unit"] for one in told if one["kind"] == "set_aside"] == [1, 1]
    text = write_report([run.folder]).read_text("utf-8")
    assert "round 2 judge unit 1: 3 times exit code 9" in text


@pytest.mark.parametrize("stage", ["repair", "describe", "retell"])
def test_units_of_a_lever_that_were_set_aside_are_told(tmp_path: Path, stage: str) -> None:
    run = reader_run.whole(tmp_path / "run")
    schema = {"repair": tables.REPAIR, "describe": tables.DESCRIBE, "retell": tables.RETELL}[stage]
    set_aside(Stage(run.folder / "round-02" / stage, 2, none, schema, "judge"), 1, ["exit code 9"])
    assert f"  round 2 {stage} unit 1: 1 times exit code 9" in shown(run.folder)


def test_what_no_round_repaired_is_not_told(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    assert not any("unsolved puzzles" in line for line in shown(run.folder))
    row = dict.fromkeys(tables.REPAIR.names) | {"puzzle_id": "one", "tried": 7}
    place = store.unit_path(run.folder / "round-01" / "repair", 0)
    store.write_table(place, [row], tables.REPAIR)
    (line,) = [line for line in shown(run.folder) if "unsolved puzzles" in line]
    assert line.split()[1:] == ["1", "unsolved", "puzzles", "7", "solutions", "tried"]


def test_what_derive_dropped_is_told(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    place = store.unit_path(run.folder / "round-01" / "derive", 0)
    note = {tables.DROPPED: '{"known by its text": 3}'}
    store.write_table(place, [], tables.DERIVE, note)
    assert any("3 known by its text" in line for line in shown(run.folder))


def none(desk: object, unit: int) -> Made:
    raise AssertionError(desk, unit)
