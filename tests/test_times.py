"""The seconds of stages: measured where work is done, kept apart from the tables."""

import json
import shutil
from pathlib import Path

import pytest

from etude import times
from etude.errors import InputError
from etude.times import Clock


def lines(arm: Path) -> list[dict[str, object]]:
    texts = [path.read_text() for path in sorted((arm / times.NAME).glob("*.jsonl"))]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def test_a_stage_that_worked_says_what_it_took(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "arm", 2, "solve")
    clock.tick(3)
    clock.tick(4)
    clock.keep()
    (line,) = lines(tmp_path / "arm")
    assert line.keys() == {"round", "stage", "seconds"}
    assert times.spent(tmp_path / "arm").keys() == {(2, "solve")}


def test_a_stage_with_nothing_left_to_do_says_nothing(tmp_path: Path) -> None:
    clock = Clock(tmp_path, 1, "vet")
    clock.tick(5)
    clock.keep()
    assert lines(tmp_path) == []


def test_long_work_is_written_down_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed leaves what was measured up to then."""
    now = [100.0]
    monkeypatch.setattr("etude.times.time.monotonic", lambda: now[0])
    clock = Clock(tmp_path, None, "train")
    for done in range(4):
        clock.tick(done)
        now[0] += 0.6 * times.EVERY
    assert times.spent(tmp_path)[None, "train"] == pytest.approx(1.2 * times.EVERY)
    clock.keep()
    assert times.spent(tmp_path)[None, "train"] == pytest.approx(2.4 * times.EVERY)


def test_each_process_has_a_file_and_their_sum_counts(tmp_path: Path) -> None:
    """Nothing is appended to: that is impossible on an object store."""
    (tmp_path / times.NAME).mkdir()
    for name in ("a", "b"):
        line = '{"round": 1, "stage": "judge", "seconds": 2.5}\n'
        (tmp_path / times.NAME / f"{name}.jsonl").write_text(line)
    assert times.spent(tmp_path) == {(1, "judge"): 5.0}


def test_the_stages_of_a_process_share_a_file(tmp_path: Path) -> None:
    for stage in ("solve", "judge", "solve"):
        clock = Clock(tmp_path, 1, stage)
        clock.tick(0)
        clock.tick(1)
        clock.keep()
    assert len(list((tmp_path / times.NAME).iterdir())) == 1
    assert [line["stage"] for line in lines(tmp_path)] == ["solve", "judge"]


def test_a_folder_that_is_made_again_has_no_times_of_the_one_before(tmp_path: Path) -> None:
    for _ in range(2):
        clock = Clock(tmp_path, 1, "solve")
        clock.tick(0)
        clock.tick(1)
        clock.keep()
        shutil.rmtree(tmp_path / times.NAME)
    clock.tick(2)
    clock.keep()
    assert len(lines(tmp_path)) == 1


@pytest.mark.parametrize("text", ["[]\n", "no JSON\n", '{"round": "x"}\n', "\udcff\n"])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / times.NAME).mkdir()
    (tmp_path / times.NAME / "a.jsonl").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match=r"a\.jsonl must be the times of a run"):
        times.spent(tmp_path)
