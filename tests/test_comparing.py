"""Comparisons: pairing by problem, the right attempts, and refusal of what can't be paired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from etude import config, store, tables
from etude.comparing import compare, read_side, show_comparison
from etude.console import Console
from etude.errors import InputError
from etude.evaluate import write_scores
from etude.puzzle import parse
from etude.stats import mcnemar
from etude.types import Problem

PROBLEMS = [
    Problem(f"{part}/{n}", part, parse(f"def f(x: int, a={n}): return x + a == 9"))
    for part in ("constants", "families")
    for n in range(20)
]


def evaluation(
    folder: Path, accepted: Sequence[int], samples: int = 4, problems: Sequence[Problem] = PROBLEMS
) -> Path:
    """An evaluation in which problem number i has its first `accepted[i % ...]` accepted."""
    recipe = config.load("smoke", ["evaluate.samples=4", "evaluate.ks=[1,2]"])
    store.Run.open(folder, recipe, {})
    rows = [
        {"problem": problem.name, "part": problem.part, "draw": draw, "source": "",
         "outcome": "accepted" if draw < accepted[number % len(accepted)] else "wrong"}
        for number, problem in enumerate(problems)
        for draw in range(samples)
    ]  # fmt: skip
    stage = folder / "evaluate"
    store.write_table(store.unit_path(stage, 0), rows, tables.EVALUATE)
    write_scores(stage, rows, problems, "tiny", [1, 2], samples)
    return folder


def test_differences_are_those_of_each_problem(tmp_path: Path) -> None:
    before = read_side(evaluation(tmp_path / "b", [0, 1, 4, 2]))
    after = read_side(evaluation(tmp_path / "a", [1, 1, 4, 0]))
    found = compare(before, after)
    one = next(row for row in found.rows if (row.part, row.k) == ("constants", 1))
    assert one.difference.value == pytest.approx((1 / 4 - 2 / 4) / 4)
    assert one.before.value == pytest.approx(7 / 16)
    assert one.p < 1
    assert all(row.p_holm >= row.p for row in found.rows)
    assert {(row.part, row.k) for row in found.rows} == {
        (part, k) for part in ("constants", "families") for k in (1, 2)
    }
    solved = found.solved[0]
    assert (solved.both, solved.gained, solved.lost, solved.neither) == (10, 5, 5, 0)
    assert solved.p == mcnemar(5, 5) == 1
    assert list(found.changes.values()) == sorted(found.changes.values(), reverse=True)
    assert set(found.changes.values()) == {0.25, -0.5}
    assert found.detectable["constants"] > 0


def test_a_model_against_itself_differs_nowhere(tmp_path: Path) -> None:
    side = read_side(evaluation(tmp_path / "a", [1, 3, 0]))
    found = compare(side, side)
    assert {row.p for row in found.rows} == {1.0}
    assert {row.difference.value for row in found.rows} == {0.0}
    assert found.changes == {}


def test_of_more_attempts_the_first_are_taken(tmp_path: Path) -> None:
    few = read_side(evaluation(tmp_path / "few", [2], samples=4))
    many = read_side(evaluation(tmp_path / "many", [2], samples=9))
    found = compare(few, many)
    assert found.samples == 4
    assert {row.difference.value for row in found.rows} == {0.0}


def test_fewer_attempts_than_any_k_are_compared_by_pass_at_1(tmp_path: Path) -> None:
    few = read_side(evaluation(tmp_path / "few", [1, 0, 0], samples=1))
    many = replace(read_side(evaluation(tmp_path / "many", [3, 4])), ks=(2, 4))
    rows = compare(few, many).rows
    assert {row.k for row in rows} == {1}
    assert all(row.difference.value > 0.5 for row in rows)


def test_other_problems_are_refused(tmp_path: Path) -> None:
    ours = read_side(evaluation(tmp_path / "a", [1]))
    fewer = read_side(evaluation(tmp_path / "b", [1], problems=PROBLEMS[:-1]))
    with pytest.raises(InputError, match=r"same problems .* 1 are the first's alone and 0 the sec"):
        compare(fewer, ours)
    changed = [*PROBLEMS[:-1], Problem("families/19", "families", parse("def f(x: int): return x"))]
    same_names = read_side(evaluation(tmp_path / "c", [1], problems=changed))
    with pytest.raises(InputError, match="for example families/19"):
        compare(same_names, ours)


def test_an_unfinished_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must hold a finished evaluation"):
        read_side(tmp_path)


def test_only_what_a_problem_is_asked_with_is_said_to_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = [read_side(evaluation(tmp_path / name, [1])) for name in "ab"]
    prompt = sides[0].recipe.prompt.model_copy(update={"shown": 10, "examples": 3})
    other = replace(sides[0], recipe=sides[0].recipe.model_copy(update={"prompt": prompt}))
    show_comparison(Console(), other, sides[1])
    assert "asked differently (B -> A): prompt.examples: 3 -> 5\n" in capsys.readouterr().out


def test_it_is_printed_for_people_and_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_side(evaluation(tmp_path / "b", [0]))
    after = read_side(evaluation(tmp_path / "a", [2]))
    show_comparison(Console(), before, after)
    said = capsys.readouterr().out
    assert "A - B  +50.0 [+50.0, +50.0]" in " ".join(said.split()).replace("A - B ", "A - B  ")
    assert "0 by both, 20 by A alone, 0 by B alone, 0 by neither; exact McNemar p < 0.001" in said
    assert "A is better at 40 problems: constants/0 +50" in said
    assert max(map(len, said.splitlines())) <= 100 or "A  " in said
    show_comparison(Console(json_lines=True), before, after)
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert record["rows"][0]["difference"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert len(record["changes"]) == 40
