"""What puzzles can teach and what solutions look like: formulas, tables by hand, and the verbs."""

from __future__ import annotations

import ast
import io
import json
import math
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etude import store, tables
from etude.console import Console
from etude.diversity.learning import BANDS, band, learnability, learning
from etude.diversity.words import show_diversity
from etude.errors import InputError
from etude.quality import quality, show_quality
from etude.quality.measures import complexity, measured
from reader_run import HOSTILE, start, whole


@given(st.integers(2, 20), st.floats(0, 1))
def test_learnability_is_right_on_average(attempts: int, chance: float) -> None:
    expected = math.fsum(
        math.comb(attempts, c) * chance**c * (1 - chance) ** (attempts - c) * value
        for c in range(attempts + 1)
        if (value := learnability(attempts, c)) is not None
    )
    assert expected == pytest.approx(chance * (1 - chance), abs=1e-9)


@pytest.mark.parametrize(("attempts", "accepted"), [(1, 0), (4, 5), (4, -1)])
def test_learnability_is_refused_where_it_is_undefined(attempts: int, accepted: int) -> None:
    with pytest.raises(ValueError, match="learnability needs"):
        learnability(attempts, accepted)


def test_every_solve_rate_has_its_band() -> None:
    found = {BANDS[band(8, accepted)]: accepted for accepted in range(9)}
    assert found == {
        "never": 0, "to 1/4": 2, "to 1/2": 4, "to 3/4": 6, "below 1": 7, "always": 8
    }  # fmt: skip


def test_learnability_by_round_counts_what_was_accepted_by_chance_as_missed(tmp_path: Path) -> None:
    whole(tmp_path)
    first = learning(tmp_path)[0]
    assert (first.round, first.puzzles, first.taught_puzzles) == (1, 1, 1)
    assert first.learnability.value == pytest.approx(1 / 3)  # 1 of 3
    assert first.bands == (0, 0, 1, 0, 0, 0)
    path = store.unit_path(tmp_path / "round-01" / "judge", 0)
    rows = [row | {"stable": row["outcome"] != "accepted"} for row in store.read_table(path)]
    path.unlink()
    store.write_table(path, rows, tables.JUDGE)
    assert learning(tmp_path)[0].bands == (1, 0, 0, 0, 0, 0)


def told(folder: Path, *, json_lines: bool = False, out: Path | None = None) -> str:
    heard = io.StringIO()
    show_diversity(folder, Console(json_lines=json_lines, file=heard), out)
    return heard.getvalue()


def test_the_verb_diversity_shows_hostile_text_harmless(tmp_path: Path) -> None:
    whole(tmp_path, puzzle=HOSTILE, solution=HOSTILE, detail=HOSTILE)
    text = told(tmp_path)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert len(text) < 10_000
    assert "too few puzzles" in " ".join(text.split()).lower()
    assert "round 2" in text


def test_machines_hear_no_nan_and_the_map_is_a_table(tmp_path: Path) -> None:
    whole(tmp_path / "run")
    lines = told(tmp_path / "run", json_lines=True, out=tmp_path / "map.parquet").splitlines()
    read = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    kinds = [one["kind"] for one in read]
    assert kinds[0] == "diversity"
    assert {"group", "cluster", "learning", "map"} <= set(kinds)
    small = next(one for one in read if one.get("name") == "round 1")
    assert small["vendi"] is None
    written = pq.read_table(tmp_path / "map.parquet").to_pylist()
    assert {row["group"] for row in written} == {"human", "held out", "round 1", "round 2"}
    again = tmp_path / "again.parquet"
    told(tmp_path / "run", out=again)
    assert pq.read_table(again).to_pylist() == written


def test_a_run_without_puzzles_says_so(tmp_path: Path) -> None:
    start(tmp_path)
    with pytest.raises(InputError, match="no round has kept one"):
        told(tmp_path)
    with pytest.raises(InputError, match="accepted solutions"):
        quality(tmp_path)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return 1", 1),
        ("return 1 if a else 2", 2),
        ("return a and b or c", 3),
        ("return [i for i in a if i if i > 2]", 4),
        ("for i in a:\n        if i:\n            pass\n        elif b:\n            pass", 4),
        ("while a:\n        try:\n            b()\n        except E:\n            pass", 3),
        ("match a:\n        case 1: pass\n        case _: pass", 3),
    ],
)
def test_complexity_counts_decisions(body: str, expected: int) -> None:
    assert complexity(ast.parse(f"def g(a):\n    {body}")) == expected


@pytest.mark.skipif(find_spec("pyflakes") is None, reason="needs pyflakes, of the extra data")
def test_lint_finds_what_is_wrong() -> None:
    clean, dirty = measured("def g(a=7): return a"), measured("def g(a=7):\n  b = 1\n  return c")
    assert clean is not None
    assert dirty is not None
    assert (clean.findings, dirty.findings) == (0, 2)


@pytest.mark.parametrize(
    "source",
    ["", "def g(", "\x00", "\ud800", HOSTILE, "x" + " + x" * 20_000, "-" * 30_000 + "1"],
    ids=range(7),
)
def test_no_solution_breaks_the_measures(source: str) -> None:
    found = measured(source)
    assert found is None or found.complexity >= 1


def test_quality_sets_a_run_beside_its_seeds(tmp_path: Path) -> None:
    whole(tmp_path)
    human, first, second = quality(tmp_path, limit=5)
    assert [one.name for one in (human, first, second)] == ["human", "round 1", "round 2"]
    assert (human.solutions, human.measured, human.timed) == (83, 5, 5)
    assert (first.solutions, first.timed) == (1, 1)
    assert first.characters is not None
    assert first.complexity is not None
    assert first.characters.value == len("def g(a=7): return 9 - a")
    assert first.complexity.value == 1
    assert first.cpu_seconds is not None
    assert first.cpu_seconds > 0
    heard = io.StringIO()
    show_quality(tmp_path, Console(file=heard), limit=5, seed=0, time=False)
    assert "5 of 83 of human" in heard.getvalue()


def test_quality_takes_hostile_solutions(tmp_path: Path) -> None:
    whole(tmp_path, puzzle=HOSTILE, solution=HOSTILE)
    _, first, _ = quality(tmp_path, limit=2)
    assert first.timed == 0
    assert first.cpu_seconds is None
    assert first.characters is None
    heard = io.StringIO()
    show_quality(tmp_path, Console(file=heard), limit=2, seed=0, time=False)
    assert len(heard.getvalue()) < 2_000
