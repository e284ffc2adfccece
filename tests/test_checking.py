"""`etude check RUN`: whatever is broken in a run is found, named, and made again when asked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etude import cluster, store, tables
from etude.check.findings import Findings
from etude.check.looking import look
from etude.check.words import check_run
from etude.errors import InputError
from etude.store import checkpoints
from reader_run import whole


def with_sums(run: Path) -> None:
    """The trainings that `reader_run` makes, as trainings are kept."""
    for folder in [*run.glob("**/train"), run / "round-00" / "pretrain"]:
        (folder / "model.safetensors").write_bytes(os.urandom(2000))
        made = folder.with_name("made")
        folder.rename(made)
        store.keep(made, folder)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = whole(tmp_path / "run").folder
    with_sums(folder)
    return folder


def flip(path: Path, at: float = 0.5) -> None:
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 4
    path.write_bytes(bytes(data))


def broken(found: Findings) -> list[str]:
    return [one.path.relative_to(found.folder).as_posix() for one in found.broken]


def owed(found: Findings) -> dict[str, list[int]]:
    return {str(at): units for at, units in found.owed}


def said(folder: Path, capsys: pytest.CaptureFixture[str], *, mend: bool = False) -> str:
    capsys.readouterr()
    code: object = 0
    try:
        check_run(folder, mend=mend, json_lines=False)
    except SystemExit as left:
        code = left.code
    return f"{capsys.readouterr().out}exit {code}"


def test_a_whole_run_is_whole(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = look(run)
    assert found.whole
    assert set(found.segments) == set(found.checkpoints) == {"whole"}
    assert found.segments["whole"] == sum(
        path.parent.name not in ("train", "pretrain") for path in run.rglob("*.parquet")
    )
    assert found.checkpoints["whole"] == 8
    assert said(run, capsys).endswith("exit 0")


@pytest.mark.parametrize("at", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_one_flipped_bit_is_found_wherever_it_is(run: Path, at: float) -> None:
    flip(store.unit_path(run / "round-01" / "judge", 0), at)
    assert broken(look(run)) == ["round-01/judge/00000.parquet"]


def test_every_file_of_a_run_is_looked_at(run: Path) -> None:
    """Each of them, torn: nothing that a stage wrote is beyond the look."""
    shutil.rmtree(run / "controls")
    shutil.rmtree(run / "round-02")
    files = [path for path in run.rglob("*") if path.is_file() and path.name[0] != "."]
    unseen = []
    for path in files:
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        if look(run).whole:
            unseen.append(path.relative_to(run).as_posix())
        path.write_bytes(data)
    assert unseen == []


def test_a_broken_unit_is_owed_and_what_rests_on_it_is_named(run: Path) -> None:
    flip(store.unit_path(run / "round-01" / "solve", 0))
    found = look(run)
    assert owed(found)["round 1 solve"] == [0]
    (one,) = found.broken
    assert "round-01/judge" in one.later
    assert "round-02/propose" in one.later
    assert "final/train" in one.later
    assert "controls/unverified/round-01/select" in one.later
    assert not {"round-01/solve", "round-01/vet", "round-00/train"} & set(one.later)
    assert not any(place.startswith("controls/pretrained") for place in one.later)


def test_scores_teach_nothing(run: Path) -> None:
    flip(run / "round-01" / "evaluate" / "scores.parquet")
    (one,) = look(run).broken
    assert one.later == ()


def test_units_that_a_stage_has_not_are_owed(run: Path) -> None:
    """The recipe asks for two units of proposals; of what is to be solved there is one."""
    found = look(run)
    assert owed(found)["round 1 propose"] == [1]
    assert "round 1 solve" not in owed(found)
    shutil.rmtree(run / "round-02" / "vet")
    assert owed(look(run))["round 2 vet"] == [0]


def test_a_checkpoint_is_checked_file_by_file(run: Path) -> None:
    flip(run / "final" / "train" / "model.safetensors")
    (run / "round-01" / "train" / "loss.parquet").unlink()
    (run / "round-02" / "train" / checkpoints.MARK).write_text("{}[")
    found = look(run)
    assert sorted(broken(found)) == ["final/train", "round-01/train", "round-02/train"]
    flaws = {one.path.parent.name: one.flaw for one in found.broken}
    assert "the bytes of model.safetensors" in flaws["final"]
    assert "loss.parquet is missing" in flaws["round-01"]
    assert [str(at) for at in found.trainings] == ["round 1 train", "round 2 train", "final train"]


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("round-01/judge/00000.parquet", "round-02/judge/00000.parquet"),
        ("round-01/evaluate/scores.parquet", "final/evaluate/scores.parquet"),
        (
            "round-01/solve/00000.parquet",
            "controls/unverified/round-01/solve/00000.parquet",
        ),
    ],
)
def test_a_whole_segment_at_the_wrong_place_is_found(run: Path, one: str, other: str) -> None:
    (run / other).parent.mkdir(parents=True, exist_ok=True)
    if not (run / other).exists():
        store.write_table(run / other, store.read_table(run / one), store.read_schema(run / one))
    assert look(run).whole
    swap(run / one, run / other)
    found = look(run)
    assert {one, other} <= set(broken(found))
    assert f"it was written as {other}" in [flawed.flaw for flawed in found.broken]


def test_a_unit_under_another_number_is_found(run: Path) -> None:
    judged = run / "round-01" / "judge"
    shutil.copy(store.unit_path(judged, 0), store.unit_path(judged, 1))
    assert broken(look(run)) == ["round-01/judge/00001.parquet"]


@pytest.mark.parametrize("name", ["1", "1e3", "000001", "999999999999999", "9" * 200])
def test_what_no_run_writes_is_found_quickly(run: Path, name: str) -> None:
    """Readers take every name that begins with a digit; the number asks for no list so long."""
    judged = run / "round-01" / "judge"
    data = store.unit_path(judged, 0).read_bytes()
    (judged / f"{name}.parquet").write_bytes(data)
    found = look(run)
    assert broken(found) == [f"round-01/judge/{name}.parquet"]
    assert "its name is none" in found.broken[0].flaw
    assert "round 1 judge" not in owed(found)


def test_a_checkpoint_of_another_round_is_found(run: Path) -> None:
    for number in (1, 2):
        made = run / "made"
        (run / f"round-{number:02d}" / "train").rename(made)
        (made / checkpoints.MARK).unlink()
        seed = store.seed_for(store.read_recipe(run).run.seed, "verified", number, "train", 0)
        (made / "training.json").write_text(json.dumps({"seed": seed}))
        store.keep(made, run / f"round-{number:02d}" / "train")
    assert look(run).whole
    swap(run / "round-01" / "train", run / "round-02" / "train")
    assert broken(look(run)) == ["round-01/train", "round-02/train"]


@pytest.mark.parametrize("called", ["moved", "round-03", "final"])
def test_a_run_may_be_moved_and_called_anything(tmp_path: Path, called: str) -> None:
    for number, before in enumerate(("run", "round-07", "controls/one")):
        folder = tmp_path / str(number) / before
        whole(folder)
        folder.rename(tmp_path / str(number) / called)
        assert look(tmp_path / str(number) / called).whole


def test_json_nested_without_end_is_broken_and_no_fault(run: Path) -> None:
    for path in (run / "record.json", run / "final" / "train" / checkpoints.MARK):
        path.write_text("[" * 100_000)
    found = look(run)
    assert broken(found) == ["final/train"]
    assert "record.json" in found.recipe


def test_a_sum_can_lead_nowhere_else(run: Path) -> None:
    (run / "final" / "train" / checkpoints.MARK).write_text(
        json.dumps({"../../record.json": {"bytes": 1, "sha256": "0"}})
    )
    (one,) = look(run).broken
    assert "damaged" in one.flaw


def test_mending_moves_aside_and_deletes_nothing(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = store.unit_path(run / "round-01" / "solve", 0)
    flip(segment)
    flip(run / "final" / "train" / "model.safetensors")
    kept = segment.read_bytes()
    text = said(run, capsys)
    assert text.count("broken       ") == 2
    assert "--mend" in text
    assert segment.exists()
    assert "moved        2" in said(run, capsys, mend=True)
    assert not segment.exists()
    assert not (run / "final" / "train").exists()
    assert (run / "broken" / "round-01" / "solve" / segment.name).read_bytes() == kept
    found = look(run)
    assert found.whole
    assert owed(found)["round 1 solve"] == [0]
    store.write_table(segment, [], tables.SOLVE)
    flip(segment)
    said(run, capsys, mend=True)
    assert (run / "broken" / "round-01" / "solve" / f"{segment.name}.2").exists()


def test_what_people_decided_is_never_moved(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    review = store.unit_path(run / "reviews", 0)
    store.write_table(review, [], tables.REVIEWS)
    flip(review)
    text = said(run, capsys, mend=True)
    assert "bring it back" in text
    assert "exit 1" in text
    assert review.exists()


def test_nothing_is_moved_while_a_process_works_in_the_run(run: Path) -> None:
    flip(store.unit_path(run / "round-01" / "solve", 0))
    with store.only_writer(run), pytest.raises(InputError, match="written by another process"):
        check_run(run, mend=True, json_lines=True)


def test_segments_of_before_checksums_are_read_row_by_row(run: Path) -> None:
    path = store.unit_path(run / "round-01" / "judge", 0)
    table = pq.read_table(path)
    pq.write_table(table, path, write_page_checksum=True)
    found = look(run)
    assert found.whole
    assert found.segments["without"] == 1
    flip(path, 0.1)
    assert broken(look(run)) == ["round-01/judge/00000.parquet"]


def test_a_table_in_the_place_of_another_is_broken(run: Path) -> None:
    path = store.unit_path(run / "round-01" / "judge", 0)
    store.write_table(path, [{"n": "1"}], pa.schema([("n", pa.string())]))
    (one,) = look(run).broken
    assert one.flaw == "it has columns of another table: n"


def test_units_that_were_set_aside_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = {cluster.SET_ASIDE: json.dumps({"tries": 3, "seen": ["exit code 1", "killed\x1b[2J"]})}
    store.write_table(store.unit_path(run / "round-01" / "judge", 1), [], tables.JUDGE, notes)
    text = said(run, capsys)
    assert "set aside    round 1 judge, unit 1: killed" in text
    assert "\x1b" not in text


def test_leftovers_are_counted_and_harmless(run: Path) -> None:
    (run / "round-01" / "solve" / ".00007.parquet.99").write_bytes(b"half")
    (run / "round-02" / "train.partial").mkdir()
    (run / ".recipe.toml.17").write_text("na")
    found = look(run)
    assert found.whole
    assert found.leftovers >= 2


def test_an_edited_recipe_is_told(run: Path) -> None:
    recipe = run / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("rounds = 2", "rounds = 3"))
    found = look(run)
    assert not found.whole
    assert "run.rounds: 2 -> 3" in found.recipe
    recipe.write_bytes(b"name = '\xff'")
    assert "must be text" in look(run).recipe


def test_machines_hear_of_everything(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(store.unit_path(run / "round-01" / "solve", 0))
    capsys.readouterr()
    with pytest.raises(SystemExit):
        check_run(run, mend=False, json_lines=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    whole_run, flaw = lines[0], lines[1]
    assert not whole_run["whole"]
    assert {"stage": "solve", "round": 1, "arm": "verified", "units": [0]} in whole_run["owed"]
    assert flaw["path"] == "round-01/solve/00000.parquet"


def test_what_is_no_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a run folder"):
        look(tmp_path)
