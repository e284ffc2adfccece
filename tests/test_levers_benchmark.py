"""The comparison of levers: what is measured is kept, said once, and paired by seed."""

import importlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etude import config
from etude.errors import InputError
from etude.store import Run

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = """
settings = [
    "run.rounds=1", "run.processes=1", "model.hidden=32", "model.layers=1", "model.ffn=64",
    "pretrain.documents=200", "seeds.epochs=1", "propose.samples=64", "vet.max_puzzles=4",
    "train.tokens=1000", "final.tokens=1000", "evaluate.samples=10", "evaluate.final_samples=100",
    "evaluate.ks=[1, 10, 100]", "controls.arms=[]",
]
[screen]
plain = []
[claim]
"""


@pytest.fixture(scope="module")
def levers() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("levers")
    sys.path.remove(str(BENCHMARKS))


def reading(levers: Any, lever: str, seed: int, value: float, arm: str = "verified") -> Any:
    columns = [(part, k) for part in ("constants", "families") for k in levers.KS]
    scores = {f"{part}@{k}": value for part, k in columns}
    for number in (levers.EARLY, 10):
        scores |= {f"{part}@{k} round {number}": value + number for part, k in columns}
    forms = (10, 5) if arm == "verified" else None
    cost = {"sampled": 100 * value, "trained": 50.0, "judged": 1.0}
    settings = ("propose.samples=9",)
    return levers.Reading(
        "screen", seed, lever, settings, arm, 10, scores, value, forms, cost, "abc", "of tiny"
    )


def test_differences_are_paired_by_seed(levers: Any) -> None:
    found = {
        "plain": [reading(levers, "plain", seed, 10.0 * seed) for seed in (1, 2, 3)],
        "other": [reading(levers, "other", seed, 10.0 * seed + 2) for seed in (3, 1, 4)],
    }
    lines = levers.table(found, {})
    (differences,) = [line for line in lines if line.startswith("| other | ")][:1]
    assert differences.count("**+2.0 [+2.0, +2.0]**") == 6
    late = [line for line in lines if line.startswith("| other | ")][1]
    assert late.count("**+7.0 [+7.0, +7.0]**") == 4
    assert "| other | 2,867 | 50 | 1 | 1.43 / 1.00 / 1.00 |" in lines


def test_a_lever_is_held_against_its_own_controls(levers: Any) -> None:
    found = {
        "plain": [reading(levers, "plain", seed, 10.0 * seed) for seed in (1, 2)],
        "other": [reading(levers, "other", seed, 10.0 * seed + 2) for seed in (1, 2)],
        "other: unverified": [
            reading(levers, "other", seed, 10.0 * seed - 3, "unverified") for seed in (2, 1)
        ],
    }
    lines = levers.table(found, {"other": ["short"]})
    (line,) = [one for one in lines if one.startswith("| other minus unverified | ")]
    assert line.count("**+5.0 [+5.0, +5.0]**") == 6
    del found["other: unverified"]
    assert not any("its control" in one for one in levers.table(found, {"other": ["short"]}))


def test_a_lever_is_held_against_those_that_are_its_controls(levers: Any, tmp_path: Path) -> None:
    found = {
        "plain": [reading(levers, "plain", seed, 10.0 * seed) for seed in (1, 2)],
        "other": [reading(levers, "other", seed, 10.0 * seed + 2) for seed in (1, 2)],
        "short": [reading(levers, "short", seed, 10.0 * seed - 1) for seed in (2, 1)],
    }
    path = tmp_path / "levers.toml"
    path.write_text('[screen]\nother = []\nshort = []\n[controls]\nother = ["short"]\n')
    lines = levers.table(found, levers.controls(path))
    (line,) = [one for one in lines if one.startswith("| other minus short | ")]
    assert line.count("**+3.0 [+3.0, +3.0]**") == 6
    late = [one for one in lines if one.startswith("| short | ")]
    found["short"] = [replace(one, rounds=levers.EARLY) for one in found["short"]]
    lines = levers.table(found, levers.controls(path))
    assert [one for one in lines if one.startswith("| short | ")] == [late[0], late[2]]
    path.write_text("settings = []\n")
    lines = levers.table(found, levers.controls(path))
    assert not any("its control" in one for one in lines)


def test_readings_come_back_as_they_were(levers: Any, tmp_path: Path) -> None:
    made = [reading(levers, "plain", 0, 1.5), reading(levers, "plain", 0, 2.5, "more-epochs")]
    assert levers.keep(tmp_path / "readings.jsonl", made) == made
    assert levers.read_all(tmp_path / "readings.jsonl") == made
    assert levers.read_all(tmp_path / "none.jsonl") == []


def test_what_another_process_wrote_stays(levers: Any, tmp_path: Path) -> None:
    path, own = tmp_path / "readings.jsonl", reading(levers, "plain", 0, 1.5)
    levers.keep(path, [own])
    other = replace(own, part="claim")
    levers.keep(path, [other])
    again = replace(own, fresh=2.0)
    assert levers.keep(path, [again]) == levers.read_all(path) == [other, again]


def test_a_reading_counts_once_and_a_damaged_one_is_named(levers: Any, tmp_path: Path) -> None:
    path, own = tmp_path / "readings.jsonl", reading(levers, "plain", 0, 1.5)
    levers.keep(path, [own])
    whole = path.read_text()
    path.write_text(whole * 2)
    assert levers.read_all(path) == [own]
    for damage in (whole[:40], "\n", '{"part": "screen"}\n', "[]\n"):
        path.write_text(whole + damage)
        with pytest.raises(InputError, match=r"readings\.jsonl, line 2, must be a reading"):
            levers.read_all(path)


def test_only_the_readings_of_these_settings_count(levers: Any, tmp_path: Path) -> None:
    text = 'settings = []\n[screen]\nplain = ["propose.samples=9"]\n[claim]\n'
    (tmp_path / "levers.toml").write_text(text)
    every = list(levers.members("screen", tmp_path / "levers.toml", tmp_path, 1))
    own = replace(reading(levers, "plain", 0, 1.0), recipe=every[0].recipe)
    control = replace(own, arm="more-epochs")
    others = [replace(own, recipe="of another"), replace(own, seed=1), replace(own, part="claim")]
    found = levers.rows(every, [own, *others, control])
    assert found == {"plain": [own], "plain: more-epochs": [control]}


def test_readings_are_known_however_their_settings_are_said(levers: Any, tmp_path: Path) -> None:
    first, second = (
        levers.Member("screen", 0, "plain", settings, tmp_path)
        for settings in (
            ("propose.samples=9", "vary.tries=5"),
            ("vary.tries=4", "vary.tries=5", "propose.samples=9"),
        )
    )
    assert first.key == second.key


def test_the_recipe_below_is_told_apart(levers: Any, tmp_path: Path) -> None:
    """By what differs from the defaults: of trainings with `tokens` the epochs say nothing."""

    def recipe(*settings: str) -> str:
        member = levers.Member("screen", 0, "plain", settings, tmp_path)
        return str(member.recipe)

    assert recipe() == recipe() != recipe("vary.tries=5")
    assert recipe("retry.puzzles=0") == recipe() != recipe("retry.puzzles=1")
    assert recipe("train.epochs=3") != recipe()
    assert recipe("train.epochs=3", "train.tokens=9") == recipe("train.tokens=9")


def test_the_rounds_of_another_run_are_not_taken(levers: Any, tmp_path: Path) -> None:
    member = levers.Member("screen", 0, "plain", ("propose.samples=9",), tmp_path)
    assert levers.in_rounds(member, 1, 2) is None
    Run.open(member.folder, config.load("tiny", member.every_setting), {})
    assert levers.in_rounds(member, 1, 2) is None
    other = replace(member, settings=("propose.samples=8", "vary.tries=5"))
    with pytest.raises(InputError, match="must be the run of screen, seed 0, plain, but differs"):
        levers.in_rounds(other, 1, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--table"], "no reading of screen"),
        (["--rounds", "9", "3"], "the first one first"),
        (["--rounds", "1", "3", "--plot", "p.html"], "printed alone"),
    ],
)
def test_what_it_cant_do_is_one_sentence(words: list[str], said: str, tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "levers.py"), "screen", "--readings", "none.jsonl"]
    done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "levers.toml must be TOML, but can't be read"),
        ("[other]\n", "and nothing else, but holds other things"),
        ("[screen]\nplain = 'run.rounds=3'\n", "but holds other things"),
        ("screen = [1]\n", "but holds other things"),
        ("[screen]\na = []\n[controls]\na = ['b']\n", "but 'b' is none. There are: a."),
        (None, "levers.toml must be TOML, but can't be read"),
        ("", "has no reading of screen"),
    ],
)
def test_levers_that_are_none_are_one_sentence(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "levers.toml").write_text(text)
    words = ["screen", "--table", "--levers", "levers.toml", "--readings", "none.jsonl"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "levers.py"), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.slow
def test_what_is_measured_is_not_run_again(levers: Any, tmp_path: Path) -> None:
    (tmp_path / "levers.toml").write_text(SMALL)
    words = [sys.executable, str(BENCHMARKS / "levers.py"), "screen", "--seeds", "1"]
    words += ["--levers", "levers.toml", "--readings", "readings.jsonl"]
    subprocess.run([*words, "--runs", "first"], cwd=tmp_path, check=True)
    (row,) = map(json.loads, (tmp_path / "readings.jsonl").read_text().splitlines())
    assert row["scores"].keys() >= {"families@1", "families@10", "families@1 round 1"}
    assert row["cost"]["trained"] == pytest.approx(2000, rel=0.1)
    subprocess.run([*words, "--runs", "second"], cwd=tmp_path, check=True)
    assert not (tmp_path / "second").exists()


@pytest.mark.long
@pytest.mark.slow
def test_an_interrupted_one_says_how_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "levers.toml").write_text(SMALL)
    words = [sys.executable, str(BENCHMARKS / "levers.py"), "screen", "--seeds", "1"]
    words += ["--levers", "levers.toml", "--readings", "readings.jsonl", "--runs", "runs"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=tmp_path, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "screen 0 plain\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert process.returncode == 130
    assert said == "Interrupted. Nothing is lost: the same command goes on.\n"


def test_the_plot_has_every_lever_and_round(levers: Any, tmp_path: Path) -> None:
    found = {
        "plain": [reading(levers, "plain", seed, 10.0 * seed) for seed in (1, 2)],
        "other": [reading(levers, "other", seed, 12.0 * seed) for seed in (1, 2)],
        "plain: more-epochs": [reading(levers, "plain", 1, 5.0, "more-epochs")],
    }
    found["plain: more-epochs"][0].scores.clear()
    found["plain: more-epochs"][0].scores.update(
        {f"{part}@{k}": 5.0 for part in ("constants", "families") for k in levers.KS}
    )
    levers.plot(tmp_path / "plot.html", found, levers.interval)
    text = (tmp_path / "plot.html").read_text("utf-8")
    assert "families pass@10, minus plain" in text
    assert "other (2)" in text
    assert "more-epochs (1)" in text
