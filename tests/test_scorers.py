"""The scorer for inspect_ai: verdicts become scores, faults errors. With its mock model alone."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTALLED = importlib.util.find_spec("inspect_ai") is not None
# A program of its own for each: inspect_ai changes event loops and logging, and warns at import.
NEEDS = pytest.mark.skipif(not INSTALLED, reason="needs the inspect extra")
HEAD = """
import json, os, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.solver import generate
from etude.scorers import etude_scorer

F = "def f(x: int, a=7):\\n    return x + a == 9"

def scored(samples, replies, **settings):
    outputs = [ModelOutput.from_content("mockllm/model", reply) for reply in replies]
    for output in outputs:
        output.usage = ModelUsage()  # else inspect_ai downloads a tokenizer to count
    (log,) = eval(
        Task(dataset=samples, solver=generate(), scorer=etude_scorer(**settings)),
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=sys.argv[1], display="none", max_connections=1, max_samples=1,
        fail_on_error=False,
    )
    found = []
    for sample in log.samples:
        error = sample.error.message if sample.error else None
        score = (sample.scores or {}).get("etude_scorer")
        found.append([error, score and score.model_dump(mode="json")])
    return found, log
"""


def run(script: str, folder: Path) -> object:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@NEEDS
def test_a_verdict_becomes_a_score(tmp_path: Path) -> None:
    script = """
samples = [
    Sample(input="1", metadata={"puzzle": F}),
    Sample(input="2", target=F),
    Sample(input="3", metadata={"puzzle": F}),
    Sample(input="4", metadata={"puzzle": F}, target="unused"),
]
code = "def g(a=7): return 9 - a"
replies = [code, f"So:\\n```python\\n{code}\\n```", "def g(): return 3", "def g(): return 1 / 0"]
found, log = scored(samples, replies, workers=1, cpu_seconds=2.0)
print(json.dumps([found, log.results.scores[0].metrics["accuracy"].value, log.status]))
"""
    found, accuracy, status = run(script, tmp_path)  # type: ignore[misc]
    assert [error for error, _ in found] == [None] * 4
    scores = [score for _, score in found]
    assert [score["value"] for score in scores] == ["C", "C", "I", "I"]
    assert [score["answer"] for score in scores[:3:2]] == [
        "def g(a=7): return 9 - a",
        "def g(): return 3",
    ]
    assert scores[0]["explanation"] == "accepted, answer 2"
    assert scores[3]["explanation"].startswith("raised, ")
    assert "ZeroDivisionError" in scores[3]["explanation"]
    metadata = scores[0]["metadata"]
    assert metadata["outcome"] == "accepted"
    assert metadata["cpu_seconds"] > 0
    assert re.match(r"judge-\d+ \w+ python-.* cpu=2s wall=", metadata["judge"])
    assert (accuracy, status) == (0.5, "success")


@NEEDS
def test_the_prefix_and_the_key_of_the_puzzle_are_settings(tmp_path: Path) -> None:
    script = """
samples = [Sample(input="1", metadata={"f": F})]
reply = "(a=7):\\n    return 9 - a\\n\\nassert f(g())"
found, _ = scored(samples, [reply], puzzle="f", prefix="def g")
print(json.dumps(found))
"""
    ((error, score),) = run(script, tmp_path)  # type: ignore[misc]
    assert error is None
    assert score["value"] == "C"


@NEEDS
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_fault_is_an_error_and_never_incorrect(tmp_path: Path) -> None:
    """The sandboxes are killed, and no new one can be started: no program is there."""
    script = f"""
sys.path.insert(0, {str(ROOT / "tests")!r})
from judge_stage import kill_descendants
samples = [Sample(input="1", metadata={{"puzzle": F}})]
reply = "def g(): return 2"
before, _ = scored(samples, [reply], workers=1)
kill_descendants(os.getpid())
sys.executable = "/nowhere/python"
after, log = scored(samples, [reply], workers=1)
print(json.dumps([before, after, log.results and log.results.completed_samples]))
"""
    before, after, completed = run(script, tmp_path)  # type: ignore[misc]
    assert [score["value"] for _, score in before] == ["C"]
    ((error, score),) = after
    assert "the sandbox failed, so there is no score" in error
    assert score is None
    assert not completed


@NEEDS
def test_a_sample_without_a_puzzle_is_named(tmp_path: Path) -> None:
    script = """
found, _ = scored([Sample(id="empty", input="1")], ["def g(): return 2"])
print(json.dumps(found))
"""
    ((error, score),) = run(script, tmp_path)  # type: ignore[misc]
    assert "sample 'empty' must have a puzzle, as text under 'puzzle'" in error
    assert score is None


@NEEDS
def test_the_example_prints_its_scores(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "inspect_judge.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "success",
        "squares  I  wrong, answer [1, 4, 9]",
        "sum      C  accepted, answer 2",
        "words    C  accepted, answer 'etude'",
        "accuracy 0.67",
    ]


@pytest.mark.skipif(INSTALLED, reason="the inspect extra is there")
def test_without_inspect_ai_the_extra_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import etude.scorers"], capture_output=True, text=True, check=False
    )
    assert "InputError: etude.scorers needs inspect_ai" in done.stderr
    assert "pip install 'etude[inspect]'" in done.stderr
