"""Suites as tasks for inspect_ai, with its mock model: right answers are correct, others not."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import suite_files

INSTALLED = importlib.util.find_spec("inspect_ai") is not None
# A program of its own for each: inspect_ai changes event loops and logging, and warns at import.
NEEDS = pytest.mark.skipif(not INSTALLED, reason="needs the inspect extra")
P3 = Path(__file__).parents[1].parent / "shared" / "p3"
HEAD = """
import json, sys
from inspect_ai import eval
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from etude import inspect_tasks

def run(task, wrong=()):
    '''Each sample is answered with its own solution, but those in `wrong`.'''
    answers = {sample.input: sample.target for sample in task.dataset}
    bad = {sample.input for sample in task.dataset if sample.id in wrong}
    def reply(messages, *_):
        asked = messages[-1].text
        code = 'def g(*_): return None' if asked in bad else answers[asked]
        output = ModelOutput.from_content('mockllm/model', f'So:\\n```python\\n{code}\\n```')
        output.usage = ModelUsage()  # else inspect_ai downloads a tokenizer to count
        return output
    (log,) = eval(task, model=get_model('mockllm/model', custom_outputs=reply),
                  log_dir=sys.argv[1], display='none')
    found = {}
    for sample in log.samples:
        (score,) = sample.scores.values()
        found[sample.id] = score.value
    return [log.status, found]
"""


def run(script: str, folder: Path) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + script, folder / "logs"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


@NEEDS
def test_suites_and_own_puzzles_are_tasks(tmp_path: Path) -> None:
    """In one program, for inspect_ai takes seconds to be imported."""
    puzzle = "def f(x: int, a=7): return x + a == 9"
    for name, rows in {
        "HumanEval": suite_files.HUMANEVAL,
        "HumanEvalPlus": suite_files.HUMANEVAL_PLUS,
        "mbpp": suite_files.MBPP,
        "mine": [{"puzzle": puzzle, "name": "sum"}],
    }.items():
        suite_files.write(tmp_path / f"{name}.jsonl", rows)
    script = f"""
folder = {str(tmp_path)!r}
own = inspect_tasks.puzzles(f'{{folder}}/mine.jsonl')
own.dataset[0].target = 'def g(a=7): return 9 - a'
assert 'g(a=7)' in own.dataset[0].input, own.dataset[0].input
found = [
    run(inspect_tasks.humaneval(f'{{folder}}/HumanEval.jsonl'), wrong=['HumanEval/32']),
    run(inspect_tasks.humaneval(f'{{folder}}/HumanEvalPlus.jsonl', plus=True)),
    run(inspect_tasks.mbpp(f'{{folder}}/mbpp.jsonl')),
    run(own),
]
print(json.dumps(found))
"""
    assert run(script, tmp_path) == [
        ["success", {"HumanEval/0": "C", "HumanEval/32": "I"}],
        ["success", {"HumanEval/0": "C", "HumanEval/32": "C"}],
        ["success", {"12": "C", "510": "C"}],
        ["success", {"sum": "C"}],
    ]


@NEEDS
@pytest.mark.skipif(not P3.is_dir(), reason="P3's files are not there: ../shared/p3")
def test_p3_is_a_task(tmp_path: Path) -> None:
    script = f"""
task = inspect_tasks.p3({str(P3)!r}, half='train')
assert len(task.dataset) == 155
task.dataset = task.dataset[:4]
print(json.dumps(run(task, wrong=[task.dataset[3].id])))
"""
    status, found = run(script, tmp_path)
    assert status == "success"
    assert isinstance(found, dict)
    assert list(found.values()) == ["C", "C", "C", "I"]


@NEEDS
def test_they_are_found_by_inspect(tmp_path: Path) -> None:
    """By the entry point: `inspect eval etude/p3`."""
    (point,) = [one for one in metadata.entry_points(group="inspect_ai") if one.name == "etude"]
    if point.value != "etude.inspect_tasks":
        pytest.skip("installed before inspect_tasks was there: pip install -e . again")
    script = """
from inspect_ai._util.registry import registry_lookup
for name in ("p3", "puzzles", "humaneval", "mbpp"):
    assert registry_lookup("task", f"etude/{name}"), name
for name in ("etude_scorer", "etude_program_scorer"):
    assert registry_lookup("scorer", f"etude/{name}"), name
print("[]")
"""
    assert run(script, tmp_path) == []
