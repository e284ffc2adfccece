"""What parts of the examples are worth: the statistics, the parts, and real trainings."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import engines_models
import suite_files
from etude import config, store, tables
from etude.arm import Arm
from etude.engines.replay import ReplayEngine
from etude.errors import InputError, RecipeError
from etude.prompts import example_text, exercise_prompt
from etude.suites import load
from etude.value import value
from etude.value.examples import parts_of, read_examples
from etude.value.findings import AGAIN, CONTROL, _quantile, _tails, values_of
from etude.value.trainings import Asked, selection, without

RNG = np.random.default_rng


def comparison(
    rng: np.random.Generator,
    worth: dict[str, float],
    *,
    training: float = 0.05,
    seeds: int = 4,
    problems: int = 120,
) -> dict[str, list[np.ndarray]]:
    """Rates as they come: each training is better or worse as a whole, each problem for itself."""
    drawn: dict[str, list[np.ndarray]] = {}
    level = rng.uniform(0.2, 0.8, problems)
    for name, gain in ({CONTROL: 0.0, AGAIN: 0.0} | worth).items():
        for _ in range(seeds):
            whole = rng.normal(0, training)
            drawn.setdefault(name, []).append(level - gain + whole + rng.normal(0, 0.1, problems))
    return drawn


def test_a_part_that_is_worth_something_is_found_and_chance_is_not() -> None:
    values = values_of(comparison(RNG(0), {"good": 0.2, "none": 0.0, "bad": -0.2}, training=0.01))
    assert values["good"].low > 0 > values["bad"].high
    assert values["good"].p < 0.01
    assert values["bad"].p < 0.01
    assert values["none"].p > 0.05
    assert values["none"].low < 0 < values["none"].high
    assert values[AGAIN].low < 0 < values[AGAIN].high
    assert values["good"].difference == pytest.approx(np.mean(values["good"].seeds))


@pytest.mark.parametrize("seeds", [2, 4])
def test_intervals_hold_the_chance_of_training_which_all_parts_share(seeds: int) -> None:
    """Nothing is worth anything: 1 interval in 20 may leave out 0, and 1 comparison in 20 may show
    a part; by the problems alone nearly all would."""
    rng, count = RNG(1), 300
    missed = shown = 0
    for _ in range(count):
        found = values_of(comparison(rng, dict.fromkeys("abcdef", 0.0), seeds=seeds))
        missed += sum(not found[name].low < 0 < found[name].high for name in "abcdef")
        shown += any(found[name].p < 0.05 for name in "abcdef")
    assert 0.02 < missed / (6 * count) < 0.07
    assert shown / count < 0.08


def test_what_could_be_shown_is_shown_4_times_in_5() -> None:
    rng, count = RNG(3), 200
    reach = np.mean([values_of(comparison(rng, {"a": 0.0}))["a"].detectable for _ in range(50)])
    found = [values_of(comparison(rng, {"a": float(reach)}))["a"].low > 0 for _ in range(count)]
    assert 0.7 < np.mean(found) < 0.92


@pytest.mark.parametrize("freedom", [1.0, 3.0, 5.4, 16.0, 200.0, math.inf])
def test_students_t_is_that_of_scipy(freedom: float) -> None:
    from scipy.stats import t

    for share in (0.8, 0.975):
        assert _quantile(share, freedom) == pytest.approx(t.ppf(share, freedom), rel=1e-4)
    for at in (0.0, 0.5, 2.0, 4.0):
        assert _tails(at, freedom) == pytest.approx(2 * t.sf(at, freedom), rel=1e-3)


def test_no_difference_at_all_is_none_and_one_problem_is_no_interval() -> None:
    nothing = {name: [np.zeros(10)] * 2 for name in ("a", "b", CONTROL, AGAIN)}
    one = values_of(nothing)["a"]
    assert (one.difference, one.p, one.detectable) == (0, 1, 0)
    with pytest.raises(ValueError, match="two of them"):
        values_of({name: [np.zeros(1)] for name in ("a", CONTROL, AGAIN)})
    single = values_of(comparison(RNG(2), {"a": 0.0}, seeds=1))["a"]
    assert math.isfinite(single.high)


RECIPE = """
name = "valued"
run.rounds = 2
prompt = {{ layout = "line", few_shot = false }}
model.base = {model}
seeds = {{ per_family = 1, begin = "base", epochs = 1, learning_rate = 1e-3 }}
propose.samples = 1
vet.max_puzzles = 100
solve.samples = 4
judge = {{ cpu_seconds = 0.2, wall_seconds = 2 }}
final = {{ epochs = 1, learning_rate = 1e-3, seed_repeat = 0, batch_tokens = 256 }}
evaluate = {{ suite = "humaneval", folder = {suite}, samples = 2, final_samples = 2, ks = [1] }}
engine = {{ kind = "replay", recordings = {recordings} }}
"""
SOURCES = {
    "int": "def f(x: int, a={}): return x + a == 9",
    "str": "def f(x: str, s='{}'): return s in x and len(x) == 4",
    "List[int]": "def f(x: List[int], a={}): return len(x) == a",
}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds of examples, 14 int, 6 str and 4 lists; two problems with recorded attempts."""
    at = tmp_path_factory.mktemp("value")
    suite = suite_files.write(at / "HumanEval.jsonl", suite_files.HUMANEVAL)
    right = suite_files.HAS_CLOSE["canonical_solution"]
    lines = []
    for problem in load("humaneval", folder=suite):
        assert problem.exercise is not None
        prompt = exercise_prompt(problem.exercise).text
        lines.append(json.dumps({"prompt": prompt, "samples": [right, "    return 0\n"]}))
    (at / "recorded.jsonl").write_text("\n".join(lines))
    ReplayEngine(at / "recorded.jsonl")
    model = engines_models.build("llama", at / "model")
    names = {"model": model, "suite": suite, "recordings": at / "recorded.jsonl"}
    text = RECIPE.format(**{name: json.dumps(str(path)) for name, path in names.items()})
    folder = at / "run"
    store.Run.open(folder, config.parse(text, "test"), {"versions": {}})
    for number, counts in ((1, (9, 4, 1)), (2, (5, 2, 3))):
        _examples(folder, number, dict(zip(SOURCES, counts, strict=True)))
    return folder


def _examples(folder: Path, number: int, counts: dict[str, int]) -> None:
    place, vetted, chosen = store.round_folder(folder, number), [], []
    for kind, count in counts.items():
        for n in range(count):
            name = f"{number}{len(vetted):015d}"
            source = SOURCES[kind].format(10 * number + n)
            row = {"proposal_id": name, "fate": "kept", "puzzle_id": name, "source": source}
            vetted.append(row | {"answer_type": kind, "inputs": "", "form": kind})
            example = {"example_id": name, "puzzle_id": name, "candidate_id": name}
            chosen.append(example | {"text": f"{source}\ndef g(): return {n}\n\n"})
    store.write_table(store.unit_path(place / "vet", 0), vetted, tables.VET)
    store.write_table(store.unit_path(place / "select", 0), chosen, tables.SELECT)


@pytest.fixture
def arm(run_folder: Path) -> Iterator[Arm]:
    with Arm(store.Run.read(run_folder), "verified", lambda _: None) as opened:
        yield opened


@pytest.mark.parametrize(
    ("by", "sizes"),
    [("type", [14, 6, 4]), ("form", [14, 6, 4]), ("round", [14, 10]), ("cluster", [14, 6, 4])],
)
def test_parts_are_the_largest_first_and_share_nothing(arm: Arm, by: str, sizes: list[int]) -> None:
    parts = parts_of(arm, read_examples(arm), by, 3)
    assert [len(part.members) for part in parts] == sizes
    assert all(not set(a.members) & set(b.members) for a, b in combinations(parts, 2))


def test_a_family_is_that_of_the_nearest_seed(arm: Arm) -> None:
    examples = read_examples(arm)
    parts = parts_of(arm, examples, "family", 10)
    families = {pair.name for pair in arm.seeds}
    assert {part.name for part in parts} <= families
    assert sum(len(part.members) for part in parts) == len(examples)
    added = next(part for part in parts if "x + a == 9" in part.shown)
    assert added.name == "add"


def test_what_people_withdrew_is_no_example(arm: Arm) -> None:
    anchors = store.unit_path(arm.run.folder / "final" / "anchors", 0)
    gone = read_examples(arm)[0]
    rejected = {"review_id": "r", "puzzle_id": gone.id, "decision": "reject", "reviewer": "me"}
    store.write_table(anchors, [rejected], tables.ANCHORS)
    try:
        left = read_examples(arm)
    finally:
        shutil.rmtree(anchors.parent.parent)  # other tests share the run
    assert [one.id for one in left] == [one.id for one in read_examples(arm)[1:]]


def test_what_was_made_of_pairs_is_an_example_too(arm: Arm) -> None:
    before, place = read_examples(arm), arm.round(2) / "derive"
    puzzle, solution = SOURCES["int"].format(77), "def g(a=77): return 9 - a"
    row = dict.fromkeys(tables.DERIVE.names, "x") | {"origin": "variant", "source": puzzle}
    row |= {"solution": solution, "text": example_text(puzzle, solution, layout="line")}
    store.write_table(store.unit_path(place, 0), [row], tables.DERIVE)
    try:
        *others, made = read_examples(arm)
    finally:
        shutil.rmtree(place)  # other tests share the run
    assert others == before
    assert (made.id, made.source, made.answer_type, made.round) == ("x", puzzle, "int", 2)
    assert made.document.text == row["text"]


def test_only_so_many_parts_are_left_out(arm: Arm) -> None:
    assert len(parts_of(arm, read_examples(arm), "type", 2)) == 2


def test_what_does_not_cut_the_examples_is_refused(arm: Arm) -> None:
    examples = read_examples(arm)
    with pytest.raises(InputError, match="all are one"):
        parts_of(arm, examples[:9], "type", 3)
    with pytest.raises(InputError, match="--by must be"):
        parts_of(arm, examples, "colour", 3)


def test_every_training_has_as_many_examples_and_none_of_what_is_left_out(arm: Arm) -> None:
    examples = tuple(read_examples(arm))
    parts = tuple(parts_of(arm, examples, "type", 3))
    asked = Asked(arm.run, Path("nowhere"), "type", parts, examples, 2)
    assert asked.size == 10
    chosen = {}
    for seed in (0, 1):
        for name in ("control", AGAIN, without(0), without(1)):
            texts = [document.text for document in selection(asked, seed, name)]
            assert len(set(texts)) == 10
            chosen[seed, name] = texts
    assert all("x: int" not in text for text in chosen[0, without(0)])
    assert all("x: str" not in text for text in chosen[1, without(1)])
    assert chosen[0, "control"] != chosen[0, AGAIN]
    assert chosen[0, "control"] != chosen[1, "control"]


def ask(folder: Path, out: Path, **options: object) -> None:
    given = {"by": "type", "parts": 2, "seeds": 1, "settings": [], "json_lines": True}
    value(folder, out=out, **(given | options))  # type: ignore[arg-type]


def content(folder: Path) -> dict[str, bytes]:
    """Weights and tables, without measured times."""
    names = ("model.safetensors", "value.parquet", "value.json", "scores.parquet")
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.name in names}
    return {name: path.read_bytes() for name, path in sorted(found.items())}


def test_an_interrupted_comparison_ends_the_same(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(run_folder)
    files = {path for path in run_folder.rglob("*") if path.name != ".lock"}
    ask(run_folder, tmp_path / "a")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["part"] for one in told if one["kind"] == "value"] == ["int", "str", AGAIN]
    assert next(one for one in told if one["kind"] == "plan")["trained"] == 10
    whole = content(tmp_path / "a")
    assert len({name for name in whole if name.endswith("model.safetensors")}) == 4
    kept = tmp_path / "a" / "seed-0" / "control" / "train" / "model.safetensors"
    made = kept.stat().st_mtime_ns
    for gone in ("again/evaluate", "without-2"):
        shutil.rmtree(tmp_path / "a" / "seed-0" / gone)
    (tmp_path / "a" / "value.parquet").unlink()
    ask(run_folder, tmp_path / "a")
    assert content(tmp_path / "a") == whole
    assert kept.stat().st_mtime_ns == made
    assert content(run_folder) == before
    assert {path for path in run_folder.rglob("*") if path.name != ".lock"} == files
    with pytest.raises(InputError, match="another question"):
        ask(run_folder, tmp_path / "a", by="round")


def test_what_cannot_be_compared_is_refused(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        ask(run_folder, tmp_path / "other")
    with pytest.raises(RecipeError):
        ask(run_folder, tmp_path / "x", settings=["final.epoch=1"])
    with pytest.raises(InputError, match=r"recipe\.toml"):
        ask(tmp_path / "other", tmp_path / "x")
    recipe = store.read_recipe(run_folder)
    store.Run.open(tmp_path / "begun", recipe, {})
    with pytest.raises(InputError, match="selected examples"):
        ask(tmp_path / "begun", tmp_path / "x")
    assert not (tmp_path / "x").exists()
