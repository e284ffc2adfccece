"""The reward is what the judge says, in the form that TRL's trainers ask for."""

from __future__ import annotations

import doctest
import importlib.util
import logging
import os
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude import rewards
from etude.errors import Fault, InputError
from etude.judge import Judge
from etude.rewards import MOST_FAULTS, SolverReward
from judge_stage import descendants

EXAMPLE = Path(__file__).parents[1] / "examples" / "grpo.py"
PUZZLE = "def f(x: int, n={}):\n    return x == n"
PREFIX = "def g(): return "


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(workers=2) as judge:
        yield judge


def test_the_examples_hold() -> None:
    assert doctest.testmod(rewards).failed == 0


def test_each_completion_gets_what_the_judge_says_of_its_own_puzzle(judge: Judge) -> None:
    """As TRL calls it: each puzzle as often as there are completions of its prompt."""
    reward = SolverReward(judge, prefix=PREFIX)
    found = reward(
        prompts=["unused"] * 6,
        completions=["1", "2\nassert f(g())", "2", "3", "1 / 0", ") ("],
        completion_ids=[[5], [6], [6], [7], [8], [9]],
        puzzle=[PUZZLE.format(1)] * 2 + [PUZZLE.format(2)] * 2 + [PUZZLE.format(1)] * 2,
        trainer_state=object(),
    )
    assert found == [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    assert reward([], [], puzzle=[]) == []


def test_plain_and_conversational_completions_are_read(judge: Judge) -> None:
    code = "def g():\n    return 4"
    said = f"So:\n```python\n{code}\n```"
    completions = [code, said, [{"role": "assistant", "content": said}], "no code", []]
    found = SolverReward(judge)([], completions, puzzle=[PUZZLE.format(4)] * 5)
    assert found == [1.0, 1.0, 1.0, 0.0, 0.0]


def test_the_prefix_may_differ_from_prompt_to_prompt(judge: Judge) -> None:
    reward = SolverReward(judge, puzzle_column="f", prefix_column="opening")
    columns = {"f": [PUZZLE.format(3)] * 2, "opening": ["def g(", "def g(n=3):"]}
    assert reward([], ["): return 3", " return n"], **columns) == [1.0, 1.0]


def test_hostile_completions_are_only_judged(judge: Judge, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    hostile = f"__import__('pathlib').Path({str(touched)!r}).touch() or 1"
    assert SolverReward(judge, prefix=PREFIX)([], [hostile], puzzle=[PUZZLE.format(1)]) == [0.0]
    assert not touched.exists()


def test_what_trl_logs_is_told(judge: Judge) -> None:
    reward = SolverReward(judge, prefix=PREFIX)
    extra: dict[str, list[str]] = {}
    metrics: dict[str, float] = {}
    reward(
        [],
        ["1", "2", "1 / 0", "1"],
        puzzle=[PUZZLE.format(1)] * 4,
        log_extra=extra.__setitem__,
        log_metric=metrics.__setitem__,
    )
    assert reward.__name__ == "solver_reward"
    assert extra == {"outcome": ["accepted", "wrong", "raised", "accepted"]}
    assert metrics["etude/accepted"] == 0.5
    assert metrics["etude/timeout"] == 0
    assert sum(metrics.values()) == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"answer": ["1"]}, "must have a column 'puzzle', but its columns are: answer"),
        ({}, "but its columns are: none"),
        ({"puzzle": ["a", "b"]}, "a text for each of 1 completions, but has 2"),
        ({"puzzle": "abc"}, "a text for each of 1 completions, but is of type str"),
        ({"puzzle": 7}, "a text for each of 1 completions, but is of type int"),
        ({"puzzle": [7]}, "the column 'puzzle' must hold text, but holds something of type int"),
        ({"puzzle": [None]}, "'puzzle' must hold text, but holds something of type NoneType"),
    ],
)
def test_a_dataset_without_puzzles_is_named(
    judge: Judge, columns: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        SolverReward(judge)([], ["1"], **columns)


def test_the_prefix_is_given_once(judge: Judge) -> None:
    with pytest.raises(InputError, match="the prefix must be given once"):
        SolverReward(judge, prefix="def g(", prefix_column="opening")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_fault_gives_none_and_is_loud_when_it_repeats(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The sandboxes are killed, and no new one can be started: no program is there."""
    before = descendants(os.getpid())
    with Judge(workers=1) as judge:
        reward = SolverReward(judge, prefix=PREFIX)
        assert reward([], ["1"], puzzle=[PUZZLE.format(1)]) == [1.0]
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        for pid in descendants(os.getpid()) - before:
            os.kill(pid, signal.SIGKILL)
        with caplog.at_level(logging.WARNING):
            assert reward([], ["1", "2"], puzzle=[PUZZLE.format(1)] * 2) == [None, None]
        assert "the sandbox failed on 2 of 2 completions" in caplog.text
        assert "/nowhere/python" in caplog.text
        with pytest.raises(Fault, match=f"on {MOST_FAULTS} completions in a row"):
            reward([], ["1"] * MOST_FAULTS, puzzle=[PUZZLE.format(n) for n in range(MOST_FAULTS)])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the rl extra")
def test_trl_learns_from_the_reward() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE, "24"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    means = [float(mean) for mean in re.findall(r"mean reward (\S+)", done.stdout)]
    assert len(means) == 24
    assert statistics.mean(means[-4:]) > statistics.mean(means[:4]) + 0.2
