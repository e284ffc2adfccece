"""Diff: what entered, what left, and changes beside what noise alone would make."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import reader_run
from etude import config, store, tables
from etude.cli.ending import app
from etude.console import Console
from etude.diff import diff_runs
from etude.diff.problems import Change, _beside_noise
from etude.errors import InputError
from etude.stats import chance_of
from reader_run import HOSTILE

OTHER = "def f(x: int, a=8): return x + a == 10"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reader_run.whole(tmp_path_factory.mktemp("runs") / "run").folder


def records(*asked: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed(*asked, json_lines=True)]


def printed(
    before: Path,
    after: Path | None = None,
    rounds: tuple[int, int] | None = None,
    *,
    json_lines: bool = False,
) -> list[str]:
    out = io.StringIO()
    diff_runs(Console(json_lines=json_lines, file=out), before, after, rounds)
    return out.getvalue().splitlines()


def one(found: list[dict[str, Any]], **keys: Any) -> dict[str, Any]:
    (row,) = [row for row in found if keys.items() <= row.items()]
    return row


def other_run(folder: Path) -> Path:
    """Another recipe, another second round: the first one's is the same."""
    run = store.Run.open(
        folder, config.load("smoke", ["solve.samples=9"]), {"versions": {"etude": "0.2.0"}}
    )
    for step in reader_run.steps(folder):
        step()
    for arm in (folder, folder / "controls" / "unverified"):
        for step in reader_run.stages(arm / "round-02", OTHER, "def g(a=8): return 10 - a"):
            step()
    place = store.unit_path(folder / "round-02" / "vet", 0)
    rows = store.read_table(place)
    renamed = [row | {"puzzle_id": row["puzzle_id"] and "f00d"} for row in rows]
    store.write_table(place, renamed, tables.VET)
    return run.folder


def test_what_entered_and_what_left_is_named(folder: Path, tmp_path: Path) -> None:
    found = records(folder, other_run(tmp_path / "other"))
    puzzles = one(found, kind="contents", what="puzzles")
    assert (puzzles["both"], list(puzzles["left"]), list(puzzles["entered"])) == (
        1, ["aaaaaaaaaaaaaa02"], ["f00d"]
    )  # fmt: skip
    assert puzzles["entered"]["f00d"] == OTHER
    forms = one(found, kind="contents", what="forms")
    assert (forms["both"], forms["left"], list(forms["entered"])) == (1, {}, [OTHER])
    examples = one(found, kind="contents", what="examples")
    assert (examples["both"], examples["left"]) == (2, {})


def test_examples_made_from_pairs_enter_too(folder: Path, tmp_path: Path) -> None:
    other = other_run(tmp_path / "other")
    row = dict.fromkeys(tables.DERIVE.names, "x") | {"origin": "repair", "example_id": "beef"}
    store.write_table(store.unit_path(other / "round-01" / "derive", 0), [row], tables.DERIVE)
    found = records(folder, other)
    assert one(found, kind="contents", what="examples")["entered"]["beef"] == "x"
    made = one(found, kind="funnel", stage="derive")
    assert (made["name"], made["before"], made["after"]) == ("repair", 0, 1)


def test_settings_and_versions_that_differ_are_said(folder: Path, tmp_path: Path) -> None:
    (head, *_) = records(folder, other_run(tmp_path / "other"))
    assert "solve.samples: 8 -> 9" in head["settings"]
    assert "version of etude: 0.1.0 -> 0.2.0" in head["settings"]
    (head, *_) = records(folder, None, (1, 2))
    assert head["settings"] == []


def test_the_funnels_stand_beside_each_other(folder: Path, tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "other")
    path = store.unit_path(run.folder / "round-01" / "judge", 0)
    rows = [row | {"outcome": "wrong"} for row in store.read_table(path)]
    store.write_table(path, rows, tables.JUDGE)
    found = records(folder, run.folder)
    accepted = one(found, kind="funnel", stage="judge", name="accepted")
    assert (accepted["before"], accepted["after"], accepted["of_before"]) == (2, 1, 6)
    assert accepted["share_after"] == pytest.approx(1 / 6)
    assert one(found, kind="funnel", name="wrong")["before"] == 0
    assert one(found, kind="funnel", name="puzzles solved")["after"] == 1
    rounds = records(folder, run.folder, (1, 1))
    assert one(rounds, kind="funnel", stage="judge", name="accepted")["after"] == 0


def test_two_rounds_are_compared_on_their_own_scores(folder: Path) -> None:
    found = one(records(folder, None, (1, 2)), kind="problems")
    assert found["compared"] is True
    changed = [row for row in found["problems"] if row["before"] != row["after"]]
    assert {(row["before"], row["after"], row["attempts_after"]) for row in changed} == {(1, 2, 4)}
    assert len(found["problems"]) == 2 * reader_run.PART_SIZE
    assert len(changed) == 8


def change(name: str, before: int, after: int, tries: int = 20) -> Change:
    return Change(name, "all", before, tries, after, tries, 1.0, 1.0)


def test_noise_alone_is_counted_from_the_same_attempts() -> None:
    found = [change("a", 0, 1), change("b", 10, 10), change("c", 2, 0)]
    changed, gained, lost = _beside_noise(found)
    assert (changed.found, gained.found, lost.found) == (0, 1, 1)
    # All of one accepted attempt falls to either side half the time; both of two, 19/78 each.
    assert gained.expected == lost.expected == pytest.approx(1 / 2 + 19 / 78, abs=1e-4)
    assert changed.expected == pytest.approx(chance_of(20, 20, 20))


def test_a_change_beyond_noise_is_named(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    for number, accepted in ((1, 0), (2, 30)):
        rows = [
            dict.fromkeys(tables.EVALUATE.names)
            | {"problem": problem.name, "part": problem.part, "draw": draw, "source": "",
               "outcome": "accepted" if draw < accepted and place == 3 else "wrong"}
            for place, problem in enumerate(reader_run.PROBLEMS)
            for draw in range(30)
        ]  # fmt: skip
        stage = run.folder / f"round-{number:02d}" / "evaluate"
        store.write_table(store.unit_path(stage, 0), rows, tables.EVALUATE)
        reader_run.write_scores(stage, rows, reader_run.PROBLEMS, "tiny", (1,), 30)
    lines = printed(run.folder, None, (1, 2))
    text = " ".join(" ".join(lines).split())
    assert "1 of 24 changed at p <= 0.05 (exact test of the attempts); expected by noise" in text
    assert "1 changed by more than noise" in text
    assert any("constants/3" in line and "0 of 30  30 of 30" in line for line in lines)


def test_what_is_not_scored_is_said_and_the_rest_is_compared(folder: Path, tmp_path: Path) -> None:
    run = reader_run.start(tmp_path / "run")
    found = records(folder, run.folder)
    assert one(found, kind="problems")["compared"] is False
    assert one(found, kind="contents", what="puzzles")["left"].keys() == {
        "aaaaaaaaaaaaaa01", "aaaaaaaaaaaaaa02"
    }  # fmt: skip
    assert "has no scores yet" in printed(folder, run.folder)[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a second run folder, or --rounds"),
        (["--rounds", "1", "9"], r"must have begun round 9 .*: 0, 1, 2\. Choose"),
        (["--rounds", "1", "1"], "got .*, round 1 twice"),
        (["no-run"], "no-run must be a run folder"),
    ],
)
def test_what_can_not_be_compared_is_refused(
    folder: Path, arguments: list[str], words: str
) -> None:
    ended = CliRunner().invoke(app, ["diff", str(folder), *arguments])
    assert isinstance(ended.exception, InputError)
    with pytest.raises(InputError, match=words):
        raise ended.exception


def test_a_run_is_not_compared_with_itself(folder: Path) -> None:
    with pytest.raises(InputError, match=r"two different things"):
        printed(folder, folder)


def test_hostile_text_only_prints(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run", puzzle=HOSTILE, solution=HOSTILE, detail=HOSTILE)
    lines = printed(run.folder, None, (1, 2))
    assert all(line.isprintable() for line in lines)
    assert sum(map(len, lines)) < 30_000
    assert any("</script>" in line for line in lines)
