"""Judging a run again: planted flips are found, the rest agrees, and the run stays as it was."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from etude import config, store, tables
from etude.again import near_limit
from etude.errors import InputError
from etude.judge import Conditions, Judge, Limits
from etude.judge.record import JUDGE_VERSION, METADATA_KEY
from etude.puzzle import parse
from etude.suites import load
from etude.types import Outcome, Puzzle, Verdict

PUZZLES = [
    parse("def f(x: int, a=7): return x + a == 9"),
    parse("def f(s: str, t='dog'): return s == t * 2"),
]
CANDIDATES = [
    (0, "def g(a=7): return 9 - a", "accepted", "2"),
    (0, "def g(a=7): return a", "wrong", "7"),
    (0, "def g(a=7): return 1 // 0", "raised", None),
    (1, "def g(t='dog'): return t + t", "accepted", "'dogdog'"),
    (1, "def g(t='dog'): return [t]", "mistyped", "['dog']"),
]
"""Puzzle, source, and the verdict that is right."""
THEN = Conditions(0, "full", "3.11.0", "linux-x86_64", Limits(cpu_seconds=0.5))
PROBLEM = load("tiny")[0]
Outcomes = dict[tuple[str, int], str]


def made_run(folder: Path, planted: Outcomes | None = None, suite: str = "tiny") -> Path:
    """A run of two rounds, a control and an evaluation. `planted` outcomes, by place and number
    of the candidate, stand in place of the right ones."""
    recipe = config.load("smoke", ["judge.cpu_seconds=0.4"])
    recipe = recipe.model_copy(
        update={"evaluate": recipe.evaluate.model_copy(update={"suite": suite})}
    )
    store.Run.open(folder, recipe, {"pace_seconds": 0.0123})
    for place in ("round-01", "round-02", "controls/unverified/round-01"):
        made_round(folder, place, planted or {})
    row = {"problem": PROBLEM.name, "part": "constants", "source": "def g(: pass", "detail": ""}
    row |= {"draw": 3, "outcome": "unparsed", "cpu_seconds": 0.0, "peak_bytes": 0}
    for place in ("final", "round-00"):
        write(folder / place / "evaluate", [row], tables.EVALUATE, noted=place == "final")
    return folder


def made_round(run: Path, place: str, planted: Outcomes) -> None:
    vetted = [vet_row(puzzle) for puzzle in PUZZLES]
    write(run / place / "vet", [*vetted, vet_row(PUZZLES[0]) | {"fate": "duplicate"}], tables.VET)
    solved, judged = [], []
    for number, (which, source, outcome, answer) in enumerate(CANDIDATES):
        ids = {"candidate_id": f"c{number}", "puzzle_id": PUZZLES[which].id}
        solved.append(ids | {"draw": number, "source": source, "finished": True})
        found = {"outcome": planted.get((place, number), outcome), "answer": answer}
        measured = {"detail": "", "cpu_seconds": 0.001, "peak_bytes": 1 << 20}
        judged.append(ids | found | measured)
    for unit, (start, end) in enumerate([(0, 3), (3, 5)]):
        write(run / place / "solve", solved[start:end], tables.SOLVE, unit)
        write(run / place / "judge", judged[start:end], tables.JUDGE, unit, noted=True)


def vet_row(puzzle: Puzzle) -> store.Row:
    row: store.Row = {"proposal_id": "p", "fate": "kept", "detail": "", "puzzle_id": puzzle.id}
    row |= {"source": puzzle.source, "answer_type": puzzle.answer_type, "inputs": puzzle.inputs}
    return row | {"form": puzzle.form}


def write(
    stage: Path, rows: list[store.Row], schema: pa.Schema, unit: int = 0, *, noted: bool = False
) -> None:
    notes = {METADATA_KEY: THEN.as_json()} if noted else None
    store.write_table(store.unit_path(stage, unit), rows, schema, notes)


def again(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "etude", "judge", "--workers", "2", "--again", *words]
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=100
    )


def records(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_run_that_agrees_has_no_flips_and_is_left_alone(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    before = contents(run)
    done = again(run)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *then, now, pace = done.stdout.splitlines()
    assert first == "judged again: 17 candidates of 8 segments"
    assert second == "flips: 0"
    assert then == ["then: not recorded (1 segments)", f"then: {THEN} (7 segments)"]
    assert now.startswith(f"now:  judge-{JUDGE_VERSION} ")
    assert " cpu=0.4s " in now, "the recipe's limit, not the default"
    assert re.fullmatch(
        r"a fixed piece of work: 12\.3 ms of CPU time then, [1-9]\d*\.\d ms now", pace
    )
    assert contents(run) == before


@pytest.mark.parametrize("record", ["", "[]", '{"pace_seconds": "fast"}', '{"versions": {}}'])
def test_a_run_whose_record_says_nothing_of_its_pace(tmp_path: Path, record: str) -> None:
    run = made_run(tmp_path / "run")
    (run / "record.json").write_text(record)
    done = again(run)
    assert (done.returncode, done.stderr) == (0, "")
    assert "a fixed piece of work: not recorded of CPU time then" in done.stdout


def test_flips_are_listed_with_their_places(tmp_path: Path) -> None:
    planted = {
        ("round-01", 0): "wrong",
        ("round-02", 4): "accepted",
        ("controls/unverified/round-01", 2): "timeout",
    }
    run = made_run(tmp_path / "run", planted)
    done = again(run, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    *flips, summary = records(done)
    assert [(f["place"], f["id"], f["then"]["outcome"], f["now"]["outcome"]) for f in flips] == [
        ("round-01/judge/00000", "c0", "wrong", "accepted"),
        ("round-02/judge/00001", "c4", "accepted", "mistyped"),
        ("controls/unverified/round-01/judge/00000", "c2", "timeout", "raised"),
    ]
    assert "ZeroDivisionError" in flips[2]["now"]["detail"]
    assert not any(flip["near_limit"] for flip in flips)
    assert summary["candidates"] == 17
    assert sum(summary["flips"].values()) == 3
    assert summary["flips"]["wrong -> accepted"] == 1
    assert {then["segments"]: then["judge"] for then in summary["then"]} == {
        7: json.loads(THEN.as_json()),
        1: None,
    }
    assert summary["now"]["limits"]["cpu_seconds"] == 0.4
    done = again(run)
    assert done.returncode == 1
    assert "round-01/judge/00000  c0  wrong -> accepted\n" in done.stdout
    assert "flips: 3: 1 wrong -> accepted  1 accepted -> mistyped  1 timeout -> raised" in (
        done.stdout
    )


def test_a_flip_that_a_slower_machine_explains_is_set_apart() -> None:
    limits = Limits(cpu_seconds=1.0, memory_bytes=100 << 20)

    def verdict(outcome: str, cpu: float = 0.0, peak: int = 0) -> Verdict:
        return Verdict(Outcome(outcome), cpu_seconds=cpu, peak_bytes=peak << 20)

    timeout, memory = verdict("timeout", 1.0), verdict("memory", 0.1, 10)
    assert near_limit(timeout, verdict("accepted", 0.9), limits)
    assert near_limit(verdict("accepted", 0.9), timeout, limits)
    assert not near_limit(timeout, verdict("accepted", 0.01), limits)
    assert near_limit(memory, verdict("wrong", 0.01, 60), limits)
    assert not near_limit(memory, verdict("wrong", 0.9, 10), limits)
    assert not near_limit(verdict("wrong", 0.9, 90), verdict("accepted", 0.9, 90), limits)


def test_what_is_given_goes_before_the_recipe(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    done = again(run, "--json", "--cpu-seconds", "0.2", "--isolation", "process")
    (summary,) = records(done)
    assert summary["now"]["limits"]["cpu_seconds"] == 0.2
    assert summary["now"]["isolation"] != "full"


def test_another_answer_is_no_flip_but_counted(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    row = store.read_table(run / "round-01/judge/00001.parquet")[0] | {"answer": "'catcat'"}
    write(run / "round-01" / "judge", [row], tables.JUDGE, 1, noted=True)
    done = again(run)
    assert done.returncode == 0
    assert "same outcome with another answer: 1\n" in done.stdout


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        ("rm solve", r"round-02/solve/00001\.parquet must be a Parquet segment"),
        ("empty solve", r"must hold the candidates of .*round-02/judge/00001\.parquet, but lacks"),
        ("rm vet", r"which is no puzzle of the run any more"),
        ("tear judge", r"round-02/judge/00001\.parquet must be a Parquet segment"),
        ("odd outcome", r"has the outcome 'lost', which is none"),
    ],
)
def test_a_damaged_run_is_one_sentence(tmp_path: Path, break_it: str, said: str) -> None:
    planted = {("round-02", 4): "lost"} if break_it == "odd outcome" else None
    run = made_run(tmp_path / "run", planted)
    place = run / "round-02"
    if break_it == "rm solve":
        (place / "solve" / "00001.parquet").unlink()
    elif break_it == "empty solve":
        write(place / "solve", [], tables.SOLVE, 1)
    elif break_it == "rm vet":
        (place / "vet" / "00000.parquet").unlink()
    elif break_it == "tear judge":
        (place / "judge" / "00001.parquet").write_bytes(b"PAR1junk")
    done = again(run)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    with pytest.raises(InputError, match=said):
        raise InputError(done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{empty}"], "must be a run folder with a recipe.toml"),
        (["{new}"], "must hold verdicts to be judged again, but has none yet"),
        (["{new}", "pairs.jsonl"], "takes a run alone, but got pairs.jsonl as well"),
        (["{new}", "--out", "x.jsonl"], "takes a run alone, but got --out x.jsonl as well"),
        (["{new}", "--twice"], "takes a run alone, but got --twice as well"),
    ],
)
def test_what_cannot_be_judged_again_is_one_sentence(
    words: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    store.Run.open(tmp_path / "new", config.load("smoke"), {})
    places = {"empty": tmp_path / "empty", "new": tmp_path / "new"}
    done = again(*(word.format(**places) for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_right_means_what_the_judge_says_today() -> None:
    with Judge(workers=1) as judge:
        for which, source, outcome, answer in CANDIDATES:
            verdict = judge.verify(PUZZLES[which], source)
            assert (verdict.outcome, verdict.answer) == (outcome, answer)
