"""Sweeps: every member an ordinary folder, done once, and one table of them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import engines_models
import reader_run
from etude import config, readings, session, store, sweep, tables
from etude.errors import InputError, RecipeError
from etude.readings.members import compared, row_of
from etude.stats import paired_difference
from etude.sweep import Options, forecast_sweep, load, run_sweep, sweep_names

EVALUATE = """
name = "asked"
kind = "evaluate"
model = "nowhere"
suite = "tiny"
samples = 2
layout = "line"
settings = ["evaluate.max_new_tokens=3"]
[members]
plain = []
hot = ["evaluate.temperature=1.5"]
bad = ["evaluate.temperature=-1"]
[grid]
"evaluate.temperature" = [0.5]
"prompt.examples" = [0, 5]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def asked(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The file of a sweep with one bad member, and the folder in which it was done."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "asked.toml").write_text(EVALUATE)
    done(folder, model)
    return folder / "asked.toml", folder / "out"


def done(folder: Path, model: Path) -> None:
    options = Options(base=str(model), out=folder / "out", json_lines=True)
    with pytest.raises(InputError, match=r"1 members could not be done \(bad\)"):
        run_sweep(str(folder / "asked.toml"), options)


def table(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "sweep.json").read_text())
    return found


def test_every_member_is_scored_and_a_bad_one_stops_no_other(asked: tuple[Path, Path]) -> None:
    found = table(asked[1])
    labels = ["plain", "hot", "temperature-0.5+examples-0", "temperature-0.5+examples-5"]
    assert [row["label"] for row in found["rows"]] == labels
    assert list(found["failed"]) == ["bad"]
    assert "evaluate.temperature is -1" in found["failed"]["bad"]
    for row in found["rows"]:
        assert {(s["part"], s["k"], s["samples"]) for s in row["scores"]} == {
            ("constants", 1, 2),
            ("families", 1, 2),
        }
    kept = store.read_recipe(asked[1] / "temperature-0.5+examples-0")
    assert (kept.evaluate.temperature, kept.prompt.examples) == (0.5, 0)
    assert kept.evaluate.max_new_tokens == 3


def test_what_is_finished_is_not_done_again(asked: tuple[Path, Path], model: Path) -> None:
    def units() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in asked[1].rglob("0*.parquet")}

    before = units()
    assert len(before) == 4 * 4
    removed = next(iter(before))
    removed.unlink()
    done(asked[0].parent, model)
    after = units()
    assert {path for path in before if before[path] != after[path]} == {removed}


def test_members_are_compared_to_the_first_on_the_same_problems(tmp_path: Path) -> None:
    reader_run.evaluated(tmp_path / "a", [1, 2, 0, 4])
    reader_run.evaluated(tmp_path / "b", [2, 2, 1, 4])
    first, second = (row_of(name, tmp_path / name, "evaluation") for name in "ab")
    assert first is not None and second is not None  # noqa: PT018
    [gained] = [d for d in compared([first, second]) if (d.part, d.k) == ("families", 1)]
    old, new = [0.25, 0.5, 0.0, 1.0] * 3, [0.5, 0.5, 0.25, 1.0] * 3
    assert gained.difference == paired_difference(old, new)
    assert compared([]) == compared([first]) == []


def test_other_problems_of_the_same_names_are_not_paired(tmp_path: Path) -> None:
    """As with another seeds.split_seed, which holds out others and counts them alike."""
    for name in "ab":
        reader_run.evaluated(tmp_path / name, [1, 2, 0, 4])
    place = tmp_path / "b" / "evaluate"
    asked = readings.problems(place)
    for row in asked:
        row["problem_id"] += "x" if row["part"] == "families" else ""
    store.write_table(place / "problems.parquet", asked, tables.PROBLEMS)
    rows = [row_of(name, tmp_path / name, "evaluation") for name in "ab"]
    assert {d.part for d in compared([row for row in rows if row])} == {"constants"}


RUNS = """
name = "runs"
recipe = "smoke"
settings = ["name=reader"]
[members]
self = ['controls.arms=["pretrained", "unverified"]']
other = ["run.seed=5", "controls.arms=[]"]
bad = ["seeds.source=absent.jsonl"]
[rows]
baseline = "self/pretrained"
human = "self/seeds"
itself = "self/verified"
nobody = "bad/verified"
"""


def test_rows_are_places_in_runs_and_a_finished_run_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs.toml").write_text(RUNS)
    kept = reader_run.whole(tmp_path / "out" / "self")
    recipe = config.load("smoke", ["name=reader", 'controls.arms=["pretrained", "unverified"]'])
    for name in (".started.toml", "recipe.toml"):
        (kept.folder / name).write_text(config.dump(session._resolved(recipe, kept.folder)))
    reader_run.whole(tmp_path / "out" / "other")  # made by another recipe: refused, not used
    monkeypatch.setenv("COLUMNS", "90")
    with pytest.raises(InputError, match=r"2 members could not be done \(other, bad\)"):
        run_sweep(str(tmp_path / "runs.toml"), Options(out=tmp_path / "out"))
    assert not (tmp_path / "out" / "bad").exists()
    found = table(tmp_path / "out")
    assert [row["label"] for row in found["rows"]] == ["baseline", "human", "itself"]
    assert "started with another recipe (" in found["failed"]["other"]
    assert "run.seed: 0 -> 5" in found["failed"]["other"]
    said = capsys.readouterr().out
    assert "itself - baseline:" in said
    assert max(map(len, said.splitlines())) <= 90


def test_a_forecast_of_a_sweep_writes_nothing(
    asked: tuple[Path, Path],
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    text = asked[0].read_text().replace('bad = ["evaluate.temperature=-1"]\n', "")
    (tmp_path / "good.toml").write_text(text)
    forecast_sweep("good.toml", Options(base=str(model)))
    assert [path.name for path in tmp_path.iterdir()] == ["good.toml"]
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["hot", "392", "392", "0"] in [line[:4] for line in lines]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("samples", "sample"), "sample: Extra inputs are not permitted"),
        (('model = "nowhere"', ""), "model must be given"),
        (('kind = "evaluate"', 'kind = "dream"'), "kind: Input should be"),
        (("hot =", '"../hot" ='), "a member's name must be letters"),
        (("[grid]", '[rows]\nall = "plain/verified"\n[grid]'), "rows.all must be MEMBER/ARM"),
        (("[grid]", '[grid]\n"run.seed" = ["1", 1]'), "each member must have a name of its own"),
        (("plain = []", "plain = ["), "must be TOML but is not"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "bad.toml").write_text(EVALUATE.replace(*change, 1))
    with pytest.raises(RecipeError) as caught:
        load(str(tmp_path / "bad.toml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["self", "self/", "self/verifed", "self/evaluation"])
def test_a_row_of_no_arm_is_refused_before_hours_are_spent(place: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(RUNS.replace("self/seeds", place))
    with pytest.raises(RecipeError, match=r"rows.human must be MEMBER/ARM"):
        load(str(tmp_path / "bad.toml"))


def test_a_sweep_that_is_not_there_is_named() -> None:
    with pytest.raises(RecipeError, match="one of ablation, prompts, temperature, but could not"):
        load("poems")


@pytest.mark.parametrize("name", sweep_names())
def test_the_sweeps_that_ship_can_be_made_into_recipes(name: str, tmp_path: Path) -> None:
    shipped = load(name)
    assert shipped.name == name
    members = list(sweep._members(shipped, Options(settings=["run.seed=3"]), tmp_path))
    made = [member.recipe() for member in members]
    assert all(recipe.run.seed == 3 for recipe in made)
    assert len({config.dump(recipe) for recipe in made}) == len(made)


def test_a_setting_may_be_one_members_alone(tmp_path: Path) -> None:
    given = ["run.seed=3", "larger/propose.engine.model=a/b", "teacher/run.seed=4"]
    made = sweep._members(load("ablation"), Options(settings=given), tmp_path)
    recipes = {member.name: member.recipe() for member in made}
    engines = {
        name: one.propose.engine.model for name, one in recipes.items() if one.propose.engine
    }
    assert engines == {"larger": "a/b", "teacher": "Qwen/Qwen2.5-Coder-7B"}
    assert [one.run.seed for one in recipes.values()] == [3, 3, 4]


def test_a_setting_for_no_member_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="which are self, larger, teacher, but 'small' is none"):
        list(sweep._members(load("ablation"), Options(settings=["small/run.seed=1"]), tmp_path))


def test_the_ablation_has_the_papers_arms() -> None:
    rows = load("ablation").rows
    assert next(iter(rows)) == "baseline"
    assert {place.partition("/")[2] for place in rows.values()} == {
        *("pretrained", "seeds", "unverified", "verified")
    }
    members = dict(load("ablation").all_members())
    for name in ("larger", "teacher"):
        assert {setting.partition(".model=")[0] for setting in members[name]} == {
            "propose.engine",
            "solve.engine",
        }


@pytest.mark.slow
def test_a_run_of_a_sweep_from_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        'name = "s"\nrecipe = "smoke"\n[members]\na = ["select.per_puzzle=1"]\n'
        "[rows]\nseeds = 'a/seeds'\na = 'a/verified'\n"
    )
    quick = ["run.rounds=1", "controls.arms=[]", "pretrain.documents=200", "seeds.epochs=1"]
    options = Options(settings=quick, out=tmp_path / "out", json_lines=True)
    run_sweep(str(tmp_path / "s.toml"), options)
    assert [row["label"] for row in table(tmp_path / "out")["rows"]] == ["seeds", "a"]
    assert store.read_recipe(tmp_path / "out" / "a").select.per_puzzle == 1
