"""The judge needs nothing but Python: in an interpreter without any installed package it works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
START = f"import sys\nsys.path.insert(0, {str(SOURCE)!r})\n"
REPORT = """
import json
print(json.dumps({"path": sys.path, "modules": list(sys.modules), "found": found}))
"""
PLAIN = """
from etude import Judge
from etude.judge import Limits
with Judge(workers=1, limits=Limits(cpu_seconds=2)) as judge:
    verdict = judge.verify("def f(x: int, n=7): return x * n == 42", "def g(n=7): return 42 // n")
    found = [str(verdict.outcome), verdict.answer, judge.isolation, judge.conditions.as_json()]
"""
AWAITED = """
import asyncio
from etude import AsyncJudge, Judge
PAIR = ("def f(x: int): return x > 3", "def g(): return 4")
with Judge(workers=1) as judge:
    verdict = asyncio.run(AsyncJudge(judge).verify(*PAIR))
    found = [str(verdict.outcome), verdict.answer]
"""


@pytest.mark.parametrize(("script", "answer"), [(PLAIN, "6"), (AWAITED, "4")])
def test_the_judge_works_without_any_installed_package(script: str, answer: str) -> None:
    """-I and -S: neither site-packages, nor the user's, nor the environment, nor this folder."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", START + script + REPORT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["found"][:2] == ["accepted", answer]
    assert not [folder for folder in report["path"] if folder.endswith("-packages")]
    loaded = {name.partition(".")[0] for name in report["modules"]}
    assert "etude" in loaded
    assert loaded - sys.stdlib_module_names - {"etude", "__main__"} == set()
