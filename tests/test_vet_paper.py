"""The paper's rules for proposals, against what its released code does on the same puzzles."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import pytest

from etude import config, store
from etude.arm import Arm
from etude.propose import propose
from etude.puzzle import NotAPuzzle, answered_at_once, check_rules, parse
from etude.trivial import trivial_answers
from etude.vet import vet

PROPOSALS = [
    ("x: int, a=7, b=12): return x + a == 240", "kept"),  # an input may lie idle
    ("x: int, *, a=7): return x + a == 240", "broken rule"),  # no argument for keywords only
    ("x: int, a=7): return a == 7", "broken rule"),  # the answer is not used
    ("x: int, a=nowhere): return x + a == 240", "broken rule"),  # f(None) can't be called
    ("x: bool): return x", "broken rule"),
    ("x: int): return x == 100", "trivial"),
    ("s: str): return len(s) == 3 and s[0] == 'd'", "trivial"),  # "dog", which is not in our list
    ("u: List[int]): return sum(u) == -6", "trivial"),  # [-3, -3]
    ("u: List[List[int]]): return u[0][1] == 3", "trivial"),  # [[0, 3]]
    ("x: int): return [0 for i in iter(int, 1)] == x", "kept"),  # too slow is not trivial
]


def vetted(folder: Path, *settings: str) -> list[str]:
    recordings = folder / "recordings.jsonl"
    recordings.write_text(
        json.dumps({"prompt": "def f(", "samples": [text for text, _ in PROPOSALS]})
    )
    fixed = [
        "engine.kind=replay",
        f"engine.recordings={json.dumps(str(recordings))}",
        f"propose.samples={len(PROPOSALS)}",
        f"propose.per_prompt={len(PROPOSALS)}",
        "judge.cpu_seconds=0.3",
        "model.precision=fp32",
    ]
    run = store.Run.open(folder / "run", config.load("smoke", [*fixed, *settings]), {})
    with Arm(run, "verified", lambda _: None) as arm:
        propose(arm, 1, "recorded", "recorded")
        return [row["fate"] for row in store.read_stage(vet(arm, 1))]


def test_each_proposal_meets_the_fate_of_the_paper(tmp_path: Path) -> None:
    assert vetted(tmp_path, "vet.rules=paper") == [fate for _, fate in PROPOSALS]


def test_a_share_of_the_puzzles_skips_the_trivial_answers(tmp_path: Path) -> None:
    fates = vetted(tmp_path, "vet.rules=paper", "vet.skip_triviality=1")
    assert fates == ["kept" if fate == "trivial" else fate for _, fate in PROPOSALS]


def test_our_own_rules_are_the_default_and_stricter() -> None:
    idle = parse("def f(x: int, a=7): return x == 240")
    check_rules(idle, paper=True)
    with pytest.raises(NotAPuzzle, match="argument not used"):
        check_rules(idle)


def test_the_papers_trivial_answers_are_those_of_its_code() -> None:
    assert trivial_answers("int", paper=True) == list(range(-10, 101))
    assert len(trivial_answers("str", paper=True)) == 8
    assert len(trivial_answers("float", paper=True)) == 13
    flat = [list(p) for n in range(3) for p in product(range(-3, 4), repeat=n)]
    assert trivial_answers("List[int]", paper=True) == flat
    assert trivial_answers("List[List[int]]", paper=True) == [*([one] for one in flat), []]
    assert trivial_answers("List[List[List[bool]]]", paper=True)[:2] == [[[[]]], [[[True]]]]


def test_a_puzzle_answered_at_once_keeps_its_header_alone() -> None:
    puzzle = answered_at_once(parse("def f(x: int, a=[1, 2]):\n    'Say.'\n    return x in a"))
    assert puzzle.source.startswith("def f(x: int, a=[1, 2]):\n    return True\n")
