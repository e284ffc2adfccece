"""Seed pairs from a file: what is taken, and what is refused by its line."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude import config, store
from etude.arm import Arm
from etude.errors import InputError
from etude.seeds import load_seeds, load_shown
from etude.vouch import vouch

F, G = "def f(x: int, a=3): return x == a", "def g(a=3): return a"


def load(tmp_path: Path, *pairs: tuple[str, str]) -> int:
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps({"puzzle": f, "solution": g}) + "\n" for f, g in pairs))
    return len(load_seeds(config.load("smoke", [f"seeds.source={json.dumps(str(path))}"])))


def test_pairs_are_taken_as_they_are(tmp_path: Path) -> None:
    assert load(tmp_path, (F, G), (F, G)) == 2


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (F, "def g(a=3): return '\ud800'"),
        (F, "not python ]["),
        (F, "return a"),
        (F, G.replace("g", "sol")),
        (F.replace("def f", "def sat"), G),
        ("def f(x): return x", G),
    ],
)
def test_what_could_not_be_learned_from_is_named(tmp_path: Path, f: str, g: str) -> None:
    with pytest.raises(InputError, match="line 2: a pair must be one function"):
        load(tmp_path, (F, G), (f, g))


SHARED = Path(__file__).parents[1].parent / "shared" / "p3"


@pytest.fixture
def p3() -> str:
    if not SHARED.is_dir():
        pytest.skip("P3's files are not there: ../shared/p3 beside the repository")
    return json.dumps(str(SHARED))


def opened(folder: Path, *settings: str) -> Iterator[Arm]:
    recipe = config.load("smoke", ["model.precision=fp32", *settings])
    with Arm(store.Run.open(folder / "run", recipe, {}), "verified", lambda _: None) as arm:
        yield arm


def test_p3_gives_155_puzzles_and_a_pair_for_each_that_has_a_solution(p3: str) -> None:
    recipe = config.load("smoke", ["seeds.source=p3-train", f"seeds.folder={p3}"])
    pairs, shown = load_seeds(recipe), load_shown(recipe)
    assert (len(pairs), len(shown)) == (145, 155)
    assert {pair.puzzle.id for pair in pairs} < {puzzle.id for puzzle in shown}
    assert {puzzle.name for puzzle in shown} == {"f"}
    solutions = [ast.parse(pair.solution).body for pair in pairs]
    assert all([function.name for function in body] == ["g"] for body in solutions)


def test_every_reference_solution_of_p3_is_vouched_for_by_the_judge(
    p3: str, tmp_path: Path
) -> None:
    limit = "judge.cpu_seconds=3"  # the slowest takes half a second on a quiet machine
    for arm in opened(tmp_path, "seeds.source=p3-train", f"seeds.folder={p3}", limit):
        rows = store.read_stage(vouch(arm))
        assert len(rows) == len(arm.seeds) == 145
        assert {row["outcome"] for row in rows} == {"accepted"}


def test_p3_solutions_over_a_limit_teach_nothing_and_are_counted(p3: str, tmp_path: Path) -> None:
    told = []
    slow = "judge.cpu_seconds=0.1"  # a fifth of what the slowest takes
    for arm in opened(tmp_path, "seeds.source=p3-train", f"seeds.folder={p3}", slow):
        arm.tell = told.append
        rows = store.read_stage(vouch(arm))
        left_out = {row["name"] for row in rows if row["outcome"] != "accepted"}
        assert "Kirkman:0" in left_out
        assert len(arm.seeds) == 145 - len(left_out)
        assert len(arm.shown) == 155
        assert f"{len(left_out)} over the judge's limits, left out" in told[-1].summary


def test_a_pair_that_is_wrong_is_refused_by_its_line_and_nothing_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    pairs = [(F, G), (F.replace("3", "4"), G), (F.replace("3", "5"), "def g(a=5): return 1 / 0")]
    path.write_text("".join(json.dumps({"puzzle": f, "solution": g}) + "\n" for f, g in pairs))
    for arm in opened(tmp_path, f"seeds.source={json.dumps(str(path))}"):
        with pytest.raises(InputError, match=r"2 of 3 are not: line 2 is wrong; line 3 is raised"):
            vouch(arm)
        assert not (arm.round(0) / "seeds").exists()


def test_pairs_are_judged_once(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text(json.dumps({"puzzle": F, "solution": G}))
    for arm in opened(tmp_path, f"seeds.source={json.dumps(str(path))}"):
        kept = next((vouch(arm)).glob("*.parquet")).read_bytes()
        assert next((vouch(arm)).glob("*.parquet")).read_bytes() == kept
        assert [pair.name for pair in arm.seeds] == ["line 1"]
