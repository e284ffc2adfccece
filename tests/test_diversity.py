"""Diversity: formulas by their properties, hostile sources, and a run's puzzles by hand."""

from __future__ import annotations

import math
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etude import config, store, tables
from etude.arm import load_problems
from etude.diversity import Diversity, Group, clusters, measure
from etude.diversity.features import MOST_FEATURES, ast_vectors, features, unit
from etude.diversity.scores import Subsets, at_size, coverage, distinct_at, nearest, vendi
from etude.errors import InputError
from reader_run import HOSTILE, start

Floats = npt.NDArray[np.float64]
few = settings(max_examples=40, deadline=None)


def directions(rows: int, columns: int, seed: int) -> Floats:
    return unit(np.random.default_rng(seed).standard_normal((rows, columns)))


@few
@given(st.integers(1, 30), st.integers(1, 10), st.integers(0, 9))
def test_equal_vectors_have_the_vendi_score_1(rows: int, columns: int, seed: int) -> None:
    one = directions(1, columns, seed)
    assert vendi(np.repeat(one, rows, axis=0)) == pytest.approx(1)


@few
@given(st.integers(1, 30), st.integers(0, 9))
def test_orthogonal_vectors_have_their_number_as_vendi_score(rows: int, seed: int) -> None:
    turned, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((rows, rows)))
    assert vendi(turned) == pytest.approx(rows)


@few
@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 99))
def test_a_vendi_score_does_not_change_with_order_nor_with_copies_of_all(
    rows: int, columns: int, seed: int
) -> None:
    made = directions(rows, columns, seed)
    shuffled = np.random.default_rng(seed).permutation(made)
    assert vendi(shuffled) == pytest.approx(vendi(made))
    assert vendi(np.concatenate([made, made])) == pytest.approx(vendi(made))
    assert 1 - 1e-9 <= vendi(made) <= min(rows, columns) + 1e-9


def test_a_vendi_score_by_hand() -> None:
    """Similarity s of two: eigenvalues (1 + s) / 2 and (1 - s) / 2."""
    s = 0.6
    pair = np.array([[1.0, 0.0], [s, math.sqrt(1 - s * s)]])
    assert vendi(pair) == pytest.approx(math.exp(-0.8 * math.log(0.8) - 0.2 * math.log(0.2)))


@pytest.mark.parametrize("vectors", [np.empty((0, 3)), np.array([[2.0, 0.0]])])
def test_a_vendi_score_is_refused_where_it_is_undefined(vectors: Floats) -> None:
    with pytest.raises(ValueError, match="Vendi score needs"):
        vendi(vectors)


@few
@given(st.lists(st.integers(0, 6), min_size=1, max_size=7), st.data())
def test_distinct_names_at_a_size_are_the_mean_over_all_subsets(
    names: list[int], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(names)))
    every = [len(set(subset)) for subset in combinations(names, size)]
    assert distinct_at([str(name) for name in names], size) == pytest.approx(
        sum(every) / len(every)
    )


def test_the_nearest_of_a_set_to_itself_leaves_each_one_out() -> None:
    made = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    assert nearest(made, made) == pytest.approx([0, 0, 0])
    assert nearest(made, made, own=True) == pytest.approx([0.4, 0.2, 0.2])
    assert np.isnan(nearest(made[:1], made[:1], own=True)).all()
    assert np.isnan(nearest(made, made[:0])).all()


def test_an_interval_narrows_with_the_set_and_not_with_the_draws() -> None:
    """The standard error of a mean is sigma / sqrt(N), whatever the size of the subsets."""
    values = np.random.default_rng(1).standard_normal(400)
    found = at_size(Subsets(400, 40, 0), lambda places: float(values[places].mean()))
    error = (found.high - found.low) / 2 / 1.96
    assert error == pytest.approx(values.std() / 20, rel=0.25)
    assert found.value == pytest.approx(values.mean(), abs=0.05)
    with pytest.raises(ValueError, match="at most half"):
        at_size(Subsets(10, 6, 0), lambda places: 0.0)


def test_an_interval_holds_the_chance_of_the_draws() -> None:
    """A hundred subsets of 5 are but 500 of the values: their mean differs from that of all."""
    values = np.random.default_rng(2).standard_normal(400)
    found = at_size(Subsets(400, 5, 0), lambda places: float(values[places].mean()))
    error = (found.high - found.low) / 2 / 1.96
    assert error == pytest.approx(values.std() * math.sqrt(1 / 400 + 1 / 500), rel=0.15)


def test_coverage_is_of_clusters_with_a_human_puzzle() -> None:
    human = np.arange(40) % 4
    every, half = np.arange(400) % 4, np.arange(400) % 2
    assert coverage(every, human, Subsets(400, 20, 0), 0).value == pytest.approx(1, abs=0.02)
    assert coverage(half, human, Subsets(400, 20, 0), 0).value == pytest.approx(0.5, abs=0.02)
    assert coverage(every + 4, human, Subsets(400, 20, 0), 0).value == 0
    unique = np.arange(40)
    assert coverage(unique, unique, Subsets(40, 20, 0), 0, own=True).value == 0


def test_puzzles_of_one_form_are_alike_and_others_are_not() -> None:
    made = ast_vectors(
        [
            "def f(x: int, a=7): return x + a == 9",
            "def f(answer: int, n=73): return answer + n == 21",
            "def f(x: List[str], s='ab'): return ''.join(sorted(x)) == s.upper()",
        ]
    )
    assert made[0] @ made[1] == pytest.approx(1)
    assert made[0] @ made[2] < 0.6


HOSTILE_SOURCES = (
    "", "def f(", "\x00", "\ud800", HOSTILE, "def f(x: int): return " + "(" * 5_000,
    "def f(x: int): return " + "-" * 30_000 + "1", "def f(x: int): return x" + " + x" * 20_000,
    "def f(x: 1 + 1j): return " + "9" * 10_000, "x = 1", "def f(): pass",
    "def f(x: 'List[' * 99): return x." + "a" * 90_000,
)  # fmt: skip


def test_no_source_breaks_the_vectors() -> None:
    made = ast_vectors([*HOSTILE_SOURCES, "def f(x: int): return x == 1"])
    assert np.isfinite(made).all()
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.ones(len(made)))
    assert all(len(name) < 100 for source in HOSTILE_SOURCES for name in features(source))


@few
@given(st.text(max_size=200))
def test_no_text_breaks_the_features(text: str) -> None:
    assert features(text)
    assert features(f"def f(x: {text}): return {text}")


def test_there_are_only_so_many_features() -> None:
    names = [node for node in dir(str) if not node.startswith("_")]
    sources = [f"def f(x: str): return {'~' * n}x.{name}()" for n in range(60) for name in names]
    assert ast_vectors(sources).shape[1] <= MOST_FEATURES


def test_clusters_are_found_and_numbered_by_size() -> None:
    middles = np.eye(8)[:5]
    sizes = [40, 30, 20, 10, 8]
    rng = np.random.default_rng(0)
    made = np.concatenate([middles[[n]] + rng.normal(0, 0.02, (k, 8)) for n, k in enumerate(sizes)])
    labels, quality = clusters.clustered(unit(made), unit(made), 0)
    assert quality > 0.5
    assert labels[0] == 0
    assert len({int(label) for label in labels[:40]} & {int(label) for label in labels[40:]}) == 0


@pytest.mark.parametrize("rows", [1, 2, 15, 40])
def test_equal_vectors_are_one_cluster_and_one_place(rows: int) -> None:
    made = np.repeat(directions(1, 4, 0), rows, axis=0)
    labels, quality = clusters.clustered(made, made, 0)
    assert labels.tolist() == [0] * rows
    assert math.isnan(quality)
    assert np.ptp(clusters.flat(made, "pca", 0), axis=0).tolist() == [0, 0]


@few
@given(st.lists(st.integers(0, 9), max_size=6), st.integers(0, 40))
def test_as_many_are_taken_as_there_are_and_evenly(parts: list[int], total: int) -> None:
    taken = clusters.spread_evenly(parts, total)
    assert sum(taken) == min(total, sum(parts))
    assert all(count <= size for count, size in zip(taken, parts, strict=True))
    assert all(n >= max(taken) - 1 for n, size in zip(taken, parts, strict=True) if n < size)


def kept(number: int, sources: list[str]) -> list[store.Row]:
    """Rows of a `vet` table, all kept; a source that is no puzzle has itself as its form."""
    rows = []
    for draw, source in enumerate(sources):
        name = f"{number:02d}{draw:014d}"
        row = {"proposal_id": name, "fate": "kept", "detail": "", "puzzle_id": name}
        rows.append(row | {"source": source, "answer_type": "int", "form": source[:40]})
    return rows


def vetted(folder: Path, number: int, sources: list[str], units: int = 1) -> None:
    rows = kept(number, sources)
    for unit_ in range(units):
        path = store.unit_path(store.round_folder(folder, number) / "vet", unit_)
        store.write_table(path, rows[unit_::units], tables.VET)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Round 1 repeats one puzzle, round 2 has the held-out ones, round 3 is too small."""
    folder = tmp_path_factory.mktemp("diverse") / "run"
    run = start(folder)
    problems = [one.puzzle for one in load_problems(run.recipe) if one.puzzle]
    vetted(folder, 1, [f"def f(x: int, a={n}): return x + a == 9" for n in range(60)])
    vetted(folder, 2, [puzzle.source for puzzle in problems[:60]])
    vetted(folder, 3, list(HOSTILE_SOURCES)[:9])
    return folder


@pytest.fixture(scope="module")
def found(run_folder: Path) -> Diversity:
    measured = measure(run_folder)
    assert measured is not None
    return measured


def group(found: Diversity, name: str) -> Group:
    return next(one for one in found.groups if one.name == name)


def test_the_groups_are_people_then_rounds(found: Diversity) -> None:
    names = [one.name for one in found.groups]
    assert names == ["human", "held out", "round 1", "round 2", "round 3"]
    assert [one.puzzles for one in found.groups][1:] == [196, 60, 60, 9]
    assert {one.group for one in found.points} == set(names)
    assert len(found.points) == sum(one.measured for one in found.groups)


def test_a_round_of_one_puzzle_is_told_from_one_of_many(found: Diversity) -> None:
    narrow, wide, human = (group(found, name) for name in ("round 1", "round 2", "human"))
    assert narrow.vendi == pytest.approx(1, abs=0.01)
    assert 5 < wide.vendi_low < wide.vendi < wide.vendi_high
    assert narrow.coverage < 0.1 < 0.4 < wide.coverage
    assert 0.4 < human.coverage < 1
    assert narrow.matched == wide.matched == human.matched == 30
    assert narrow.forms == 60  # by the table, whatever it says
    assert narrow.matched_forms == 30


def test_what_is_too_small_to_compare_is_not_a_number(found: Diversity) -> None:
    small = group(found, "round 3")
    assert math.isnan(small.vendi)
    assert math.isnan(small.coverage)
    assert small.matched == 0
    assert small.nearest > 0
    assert any("too few" in note and "round 3 (9)" in note for note in found.notes)


def test_clusters_without_a_human_puzzle_show_a_generated_one(found: Diversity) -> None:
    assert sum(count for one in found.clusters for _, count in one.counts) == len(found.points)
    of = {one.puzzle_id: one for one in found.points if one.group.startswith("round")}
    for cluster in found.clusters:
        assert not cluster.generated or of[cluster.puzzle_id].cluster == cluster.number


def test_the_same_folder_gives_the_same_numbers(found: Diversity, run_folder: Path) -> None:
    assert repr(measure(run_folder)) == repr(found)


def test_a_sample_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    sources = [f"def f(x: int, a={n}): return x - {'-' * (n % 7)}a == {n}" for n in range(50)]
    made = []
    for units in (1, 7):
        start(tmp_path / str(units))
        vetted(tmp_path / str(units), 1, sources, units)
        made.append(measure(tmp_path / str(units), limit=20))
    assert repr(made[0]) == repr(made[1])
    assert made[0] is not None
    assert group(made[0], "round 1").measured == 20
    assert group(made[0], "round 1").puzzles == 50
    assert any("20 of 50 of round 1" in note for note in made[0].notes)


def test_a_run_without_puzzles_has_no_diversity(tmp_path: Path) -> None:
    start(tmp_path / "run")
    assert measure(tmp_path / "run") is None


def test_without_the_file_of_seeds_the_rest_is_measured(tmp_path: Path) -> None:
    run = start(tmp_path / "run")
    seeds = run.recipe.seeds.model_copy(update={"source": str(tmp_path / "gone.jsonl")})
    recipe = run.recipe.model_copy(update={"seeds": seeds})
    for name in (".started.toml", "recipe.toml"):
        (tmp_path / "run" / name).write_text(config.dump(recipe), "utf-8")
    vetted(tmp_path / "run", 1, [f"def f(x: int): return x == {n}" for n in range(30)])
    made = measure(tmp_path / "run")
    assert made is not None
    one = group(made, "round 1")
    assert one.vendi == pytest.approx(1, abs=0.01)
    assert math.isnan(one.coverage)
    assert math.isnan(one.nearest)
    assert any("without human puzzles" in note for note in made.notes)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"limit": 0}, "--limit"), ({"map": "tsne"}, "--map"), ({"vectors": "hidden"}, "--model")],
)
def test_what_cannot_be_done_is_refused(
    options: dict[str, Any], said: str, run_folder: Path
) -> None:
    with pytest.raises(InputError, match=said):
        measure(run_folder, **options)


@pytest.mark.parametrize(
    ("gone", "options", "said"),
    [
        ("sklearn", {}, r"etude\[data\]"),
        ("umap", {"map": "umap"}, r"etude\[umap\]"),
        ("torch", {"vectors": "hidden", "model": "x"}, r"etude\[train\]"),
        ("sentence_transformers", {"vectors": "some/model"}, "sentence-transformers"),
    ],
)
def test_what_is_not_installed_is_a_sentence(
    gone: str,
    options: dict[str, Any],
    said: str,
    run_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find(name: str) -> object:
        return None if name == gone else find_spec(name)

    monkeypatch.setattr("etude.diversity.clusters.find_spec", find)
    monkeypatch.setattr("etude.diversity.vectors.find_spec", find)
    with pytest.raises(InputError, match=said):
        measure(run_folder, **options)
