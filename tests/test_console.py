"""The console: every line fits, says what the tables say, and lets no text act."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reader_run
from etude import readings, stats, store
from etude.console import Console, duration
from etude.errors import InputError
from etude.readings import words
from etude.types import Event
from reader_run import KS, PART_SIZE, SAMPLES


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> store.Run:
    return reader_run.whole(tmp_path_factory.mktemp("runs") / "run")


def told(*events: Event, json_lines: bool = False) -> list[str]:
    out = io.StringIO()
    with Console(json_lines=json_lines, file=out) as console:
        for event in events:
            console.event(event)
    return out.getvalue().splitlines()


def ladder_lines(run: store.Run, json_lines: bool = False) -> list[str]:
    out = io.StringIO()
    Console(json_lines=json_lines, file=out).ladder(run)
    return out.getvalue().splitlines()


def ended(stage: str, summary: str, arm: str = "verified", number: int | None = 1) -> Event:
    return Event(arm, number, stage, 3, 3, summary, 65.4)


@pytest.fixture(autouse=True)
def no_width_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_a_finished_stage_is_one_line_with_its_time_at_the_right() -> None:
    heading, line = told(ended("judge", "2,180 accepted  15,102 wrong"))
    assert heading == "round 1"
    assert line.split() == ["judge", "2,180", "accepted", "15,102", "wrong", "1:05"]
    assert len(line) == 100


def test_a_long_summary_is_broken_between_its_counts_only() -> None:
    counts = [f"{n:,} outcome number {n}" for n in range(900, 912)]
    lines = told(ended("judge", "  ".join(counts)))[1:]
    assert all(len(line) <= 100 for line in lines)
    text = "\n".join(lines)
    assert [count for count in counts if count in text] == counts


@given(st.text(max_size=300), st.sampled_from(["verified", "unverified", "more-epochs"]))
def test_any_summary_fits_or_is_cut_and_cannot_act(summary: str, arm: str) -> None:
    lines = told(ended("judge", summary, arm))
    assert all(line.isprintable() for line in lines)
    assert any(line.rstrip().endswith("1:05") for line in lines)


def test_headings_follow_the_loop_and_controls_carry_their_arm_and_round() -> None:
    lines = told(
        ended("propose", "1 asked", number=1),
        ended("judge", "2 accepted", "unverified", number=2),
        ended("vet", "1 kept", number=1),
        ended("train", "9 examples", number=None),
    )
    assert [line for line in lines if not line.startswith(" ")] == ["round 1", "final"]
    assert lines[2].split()[:5] == ["[unverified]", "round", "2", "judge", "2"]


def test_a_stage_in_progress_and_one_of_no_units_have_no_finished_line() -> None:
    assert told(Event("verified", 1, "solve", 0, 4), Event("verified", 1, "solve", 0, 0)) == [
        "round 1"
    ]


def test_plain_streams_get_no_escape_codes(run: store.Run) -> None:
    assert "\x1b" not in "".join([*told(ended("judge", "1 accepted")), *ladder_lines(run)])


def test_json_is_one_object_a_line_and_keeps_every_end() -> None:
    events = [Event("verified", 1, "solve", n, 4) for n in range(4)]
    ends = [ended("solve", "1 accepted \x1b"), ended("judge", "")]
    lines = [json.loads(line) for line in told(*events, *ends, json_lines=True)]
    assert [line for line in lines if line["done"] == line["total"]] == [
        {"kind": "stage"} | asdict(event) for event in ends
    ]


def everything(main: int) -> str:
    """What was written to the other side of a terminal that is closed now."""
    data = b""
    with contextlib.suppress(OSError):  # how Linux tells the end of a terminal
        while more := os.read(main, 4096):
            data += more
    os.close(main)
    return data.decode()


def test_a_terminal_shows_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    main, side = pty.openpty()
    with os.fdopen(side, "w") as terminal:
        console = Console(file=terminal)
        assert console.width == 90
        with console:
            console.event(Event("verified", 1, "solve", 2, 4))
            console._live.refresh()  # type: ignore[union-attr]
            console.event(ended("solve", "5 candidates"))
    shown = everything(main)
    drawn, _, after = shown.partition("5 candidates")
    assert "2/4" in drawn
    assert "0/100" not in drawn
    assert "/4" not in after
    assert after.count("\x1b[?25h") == 1, "the cursor is given back"


def test_a_stream_that_is_not_unicode_gets_escapes_and_no_error() -> None:
    data = io.BytesIO()
    with io.TextIOWrapper(data, "ascii") as out:
        Console(file=out).say("naïve → 中")
        out.flush()
        assert data.getvalue() == rb"na\xefve \u2192 \u4e2d" + b"\n"


def test_markup_is_text() -> None:
    out = io.StringIO()
    Console(file=out).say("[bold]x[/] [/nothing] :smile: [link=http://x]y[/link]")
    assert out.getvalue() == "[bold]x[/] [/nothing] :smile: [link=http://x]y[/link]\n"


def test_the_ladder_says_what_the_score_tables_say(run: store.Run) -> None:
    text = "\n".join(ladder_lines(run))
    rungs = readings.ladder(run.folder)
    assert [rung.label for rung in rungs] == [label for label, _, _ in readings.RUNGS]
    for rung in rungs:
        asked = [row for row in store.read_table(rung.folder / "scores.parquet") if row["asked"]]
        assert len(asked) == len(rung.scores)
        for score in asked:
            value, low, high = (100 * score[name] for name in ("value", "low", "high"))
            assert f"{value:.1f} [{low:.1f}, {high:.1f}]" in text
    assert [rung.examples for rung in rungs] == [0, 0, 0, 2, 2]


def test_the_paired_lines_are_the_paired_differences(run: store.Run) -> None:
    chance = {n: stats.pass_at_k(SAMPLES, n, 2) for n in range(SAMPLES + 1)}
    loop = [chance[[2, 2, 3][n % 3]] for n in range(PART_SIZE)]
    seeds = [chance[[0, 1, 2][n % 3]] for n in range(PART_SIZE)]
    expected = stats.paired_difference(seeds, loop)
    found = next(
        c
        for c in readings.comparisons(readings.ladder(run.folder))
        if (c.against, c.part, c.k) == ("+ seeds", "constants", 2)
    )
    assert found.difference.value == pytest.approx(expected.value)
    assert found.difference.low == pytest.approx(expected.low, abs=0.02)
    lines = [line for line in ladder_lines(run) if "verified - seeds" in line]
    assert words.signed(found.difference) in lines[0]


def test_a_problem_without_attempts_counts_as_not_solved(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    stage = run.folder / "round-00" / "evaluate"
    rows = [row for row in store.read_stage(stage) if row["problem"] != "constants/2"]
    reader_run.store.write_table(store.unit_path(stage, 0), rows, reader_run.tables.EVALUATE)
    before = {"constants/2": 0.0} | readings.solved_rates(stage, 1)
    after = readings.solved_rates(run.folder / "final" / "evaluate", 1)
    names = [f"constants/{n}" for n in range(PART_SIZE)]
    found = readings.comparisons(readings.ladder(run.folder))
    seeds = next(c for c in found if (c.against, c.part, c.k) == ("+ seeds", "constants", 1))
    gains = [after[name] - before[name] for name in names]
    assert seeds.difference.value == pytest.approx(sum(gains) / PART_SIZE)


@pytest.mark.parametrize("columns", [100, 80, 60])
def test_the_ladder_fits_its_width(
    run: store.Run, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = ladder_lines(run)
    assert max(map(len, lines)) <= columns
    assert any("verified - more epochs" in line for line in lines)


def test_what_did_not_improve_is_said(run: store.Run) -> None:
    text = " ".join(" ".join(ladder_lines(run)).split())
    assert "Worse than more epochs on the seeds: held-out constants at pass@1" in text
    assert "No improvement shown over unverified" in text
    assert "than pretrained" not in text
    assert "over pretrained" not in text


def test_the_ladder_in_json_holds_the_scores_and_differences(run: store.Run) -> None:
    (line,) = ladder_lines(run, json_lines=True)
    ladder = json.loads(line)
    assert len(ladder["rungs"]) == 5
    assert len(ladder["differences"]) == 4 * 2 * len(KS)
    assert {d["improved"] for d in ladder["differences"]} == {True, False}


def test_the_last_line_is_the_next_command() -> None:
    out = io.StringIO()
    console = Console(file=out)
    console.report(Path("runs/tiny/report.html"))
    console.next_command("etude show runs/tiny")
    assert out.getvalue().splitlines()[-1] == "next:   etude show runs/tiny"


def test_an_error_is_one_line_on_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    Console().error(InputError("x must be y but got \x1b[31mz"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "etude: x must be y but got \\x1b[31mz\n"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (754, "12:34"), (10807, "3:00:07")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@given(st.text(st.characters(), max_size=500))
def test_harmless_text_only_prints(text: str) -> None:
    shown = words.harmless(text, lines=5, width=50)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown.split("\n")) <= 6


def test_harmless_text_is_cut_and_says_so() -> None:
    shown = words.harmless("x" * 1_000_000 + "\na\nb\nc", lines=2, width=10).split("\n")
    assert shown == ["xxxxxxxxxx... (1,000,000 characters)", "a", "... 2 more lines"]


@pytest.mark.parametrize("text", ["def f(x):\n    return 'é 中'", "", "a\n\nb"])
def test_harmless_text_leaves_code_alone(text: str) -> None:
    assert words.harmless(text) == text
