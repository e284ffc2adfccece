"""What a verdict rests on is kept, exactly, and readable by people."""

from __future__ import annotations

import json
import platform

from etude.judge import JUDGE_VERSION, Conditions, Judge, Limits
from etude.judge.record import described


def test_a_judge_says_what_its_verdicts_rest_on() -> None:
    limits = Limits(cpu_seconds=0.25, memory_bytes=(100 << 20) + 1)
    with Judge(workers=1, limits=limits, isolation="process") as judge:
        found, level = judge.conditions, judge.isolation
    assert found.version == JUDGE_VERSION
    assert found.isolation == level
    assert found.limits == limits
    assert found.python == platform.python_version()
    assert str(found).startswith(f"judge-{JUDGE_VERSION} {level} python-")
    assert str(found).endswith(" cpu=0.25s wall=10s memory=104857601B answer=4MiB source=1MiB")


def test_conditions_are_json_and_equal_ones_equal_text() -> None:
    made = [Conditions(3, "full", "3.11.9", "linux-x86_64", Limits()) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].as_json() == made[1].as_json()
    read = json.loads(made[0].as_json())
    assert read["limits"]["cpu_seconds"] == 1.0
    assert described(read) == str(made[0])


def test_conditions_of_another_version_are_described_too() -> None:
    assert described({}) == "judge-? ?"
    assert described({"version": 9, "isolation": "vm", "limits": {"tries": 2}}) == (
        "judge-9 vm tries=2"
    )
