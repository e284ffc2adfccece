import errno
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etude import config, store
from etude.errors import InputError, RecipeError

SCHEMA = pa.schema([("n", pa.int32()), ("text", pa.string())])


def test_a_segment_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [{"n": 1, "text": "a\x00b"}, {"n": 2, "text": None}]
    store.write_table(tmp_path / "00000.parquet", rows, SCHEMA)
    assert store.read_stage(tmp_path) == rows


def test_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    rows = [{"n": i, "text": str(i)} for i in range(1000)]
    paths = [store.unit_path(tmp_path / run / "round-01" / "solve", 0) for run in ("a", "b")]
    for path in paths:
        store.write_table(path, rows, SCHEMA)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_notes_are_kept_beside_the_rows(tmp_path: Path) -> None:
    path = store.unit_path(tmp_path, 0)
    store.write_table(path, [{"n": 1, "text": "a"}], SCHEMA, {"maker": "é"})
    assert pq.read_schema(path).metadata == {b"maker": "é".encode()}
    assert store.read_table(path) == [{"n": 1, "text": "a"}]


def test_a_lone_surrogate_is_escaped_and_not_lost(tmp_path: Path) -> None:
    store.write_table(tmp_path / "00000.parquet", [{"n": 1, "text": "a\ud800"}], SCHEMA)
    assert store.read_stage(tmp_path)[0]["text"] == "a\\ud800"


def test_segments_are_read_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    for unit in (11, 2, 0):
        row = {"n": unit, "text": ""}
        store.write_table(store.unit_path(tmp_path, unit), [row], SCHEMA)
    (tmp_path / ".00003.parquet.99").write_bytes(b"half")
    assert [row["n"] for row in store.read_stage(tmp_path)] == [0, 2, 11]
    assert store.owed(tmp_path, 4) == [1, 3]


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"No space left .* same command again"):
        store.write_table(tmp_path / "00000.parquet", [], SCHEMA)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    (tmp_path / "00000.parquet").write_bytes(b"PAR1junk")
    with pytest.raises(InputError, match=r"00000\.parquet must be a Parquet segment"):
        store.read_stage(tmp_path)


def test_seeds_depend_on_every_part() -> None:
    base = store.seed_for(0, "verified", 1, "solve", 2)
    assert base == store.seed_for(0, "verified", 1, "solve", 2)
    others = [
        store.seed_for(1, "verified", 1, "solve", 2),
        store.seed_for(0, "unverified", 1, "solve", 2),
        store.seed_for(0, "verified", 11, "solve", 2),
        store.seed_for(0, "verified", 1, "judge", 2),
        store.seed_for(0, "verified", 1, "solve", 3),
    ]
    assert base not in others
    assert all(0 <= seed < 2**31 for seed in [base, *others])


def test_another_recipe_is_refused_with_what_differs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    store.Run.open(run, config.load("smoke"), {})
    store.Run.open(run, config.load("smoke"), {})
    with pytest.raises(RecipeError, match=r"run\.seed: 0 -> 1.*--out"):
        store.Run.open(run, config.load("smoke", ["run.seed=1"]), {})


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds other files"):
        store.Run.open(tmp_path, config.load("smoke"), {})
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]


def test_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a run folder with a recipe\.toml"):
        store.Run.read(tmp_path)


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\nfrom etude import store\n"
        "with store.only_writer(pathlib.Path(sys.argv[1])): pass\n"
    )
    with store.only_writer(tmp_path):
        other = subprocess.run(
            [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False
        )
    assert "is being written by another process" in other.stderr
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True)


def test_settings_of_time_alone_are_taken_when_a_run_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    store.Run.open(run, config.load("smoke"), {})
    opened = store.Run.open(run, config.load("smoke", ["run.processes=1"]), {})
    assert opened.recipe.run.processes == 1
    assert store.Run.read(run).recipe.run.processes == 1


def test_a_start_that_was_killed_at_once_is_started_again(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".recipe.toml.123").write_text("na")
    opened = store.Run.open(tmp_path, config.load("smoke"), {"machine": "x"})
    (tmp_path / "record.json").unlink()
    store.Run.open(tmp_path, opened.recipe, {"machine": "x"})
    assert json.loads((tmp_path / "record.json").read_text())["machine"] == "x"


def test_a_recipe_that_was_edited_by_hand_is_refused(tmp_path: Path) -> None:
    store.Run.open(tmp_path, config.load("smoke"), {})
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("rounds = 2", "rounds = 3"))
    with pytest.raises(RecipeError, match=r"changed after the start \(run\.rounds: 2 -> 3\)"):
        store.Run.open(tmp_path, store.read_recipe(tmp_path), {})
    recipe.write_bytes(b"name = '\xff'")
    with pytest.raises(InputError, match=r"recipe\.toml must be text"):
        store.Run.read(tmp_path)


@pytest.mark.parametrize("name", ["file", "file/below", "x" * 300])
def test_what_can_be_no_folder_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="must be a folder that can be written"):
        store.Run.open(tmp_path / name, config.load("smoke"), {})
    with pytest.raises(InputError), store.only_writer(tmp_path / name):
        pass


def test_round_100_comes_after_round_99(tmp_path: Path) -> None:
    for number in (100, 11, 2, 99):
        store.round_folder(tmp_path, number).mkdir()
    (tmp_path / "round-03-of-somebody").mkdir()
    (tmp_path / "round-04").write_text("no folder")
    assert [number for number, _ in store.round_folders(tmp_path)] == [2, 11, 99, 100]
    places = [folder.name for _, folder in store.round_folders(tmp_path)]
    assert places == ["round-02", "round-11", "round-99", "round-100"]
