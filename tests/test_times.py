"""The seconds of stages: measured where work is done, kept apart from the tables."""

import json
from pathlib import Path

import pytest

from etude import times
from etude.errors import InputError
from etude.times import Clock


def lines(arm: Path) -> list[dict[str, object]]:
    path = arm / times.NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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


def test_a_line_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    whole = '{"round": 1, "stage": "judge", "seconds": 2.5}\n'
    (tmp_path / times.NAME).write_text(whole * 2 + whole[:20])
    assert times.spent(tmp_path) == {(1, "judge"): 5.0}


@pytest.mark.parametrize("text", ["[]\n", "no JSON\n", '{"round": "x"}\n', "\udcff\n"])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / times.NAME).write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match=r"times\.jsonl must be the times of a run"):
        times.spent(tmp_path)
