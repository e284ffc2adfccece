"""Exporting a run: only what was proved leaves, the same each time, and it loads as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etude import reviews, store, tables
from etude.errors import InputError
from etude.export import Choice, Options, export_run
from etude.export.columns import SCHEMA
from etude.puzzle import parse
from etude.roles import NOTE_KEY
from etude.types import content_id
from reader_run import HOSTILE, VARIANT, stages, start, whole, with_made

F, G = "def f(x: int, a=7): return x + a == 9", "def g(a=7): return 9 - a"
WRONG = "def g(a=7): return 8 - a"


def export(run: Path, out: Path, choice: Choice | None = None, **options: Any) -> Path:
    asked = {"format": None, "repo": None, "public": False, "json_lines": False}
    asked |= {name: options.pop(name) for name in list(options) if name in asked}
    export_run(run, out, Options(choice or Choice(), **options), **asked)
    return out


def rows(out: Path, split: str = "train") -> list[dict[str, Any]]:
    if out.suffix == ".jsonl":
        return [json.loads(line) for line in out.read_bytes().splitlines()]
    files = sorted(out.glob(f"data/{split}-*.parquet")) if out.is_dir() else [out]
    found: list[dict[str, Any]] = pa.concat_tables(map(pq.read_table, files)).to_pylist()
    return found


def card(out: Path) -> str:
    return (out / "README.md").read_text("utf-8")


def rejudge(run: Path, number: int, **changed: object) -> None:
    """Change the verdict on the accepted candidate of a round."""
    path = store.unit_path(store.round_folder(run, number) / "judge", 0)
    verdicts = store.read_table(path)
    for row in verdicts:
        if row["outcome"] == "accepted":
            row.update(changed)
    store.write_table(path, verdicts, tables.JUDGE)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two rounds with one pair each, which read the same."""
    return whole(tmp_path / "run").folder


def test_a_row_has_the_pair_and_its_whole_trace(run: Path, tmp_path: Path) -> None:
    (row,) = rows(export(run, tmp_path / "pairs.jsonl"))
    assert list(row) == SCHEMA.names
    assert row["prompt"] + row["completion"] == row["text"] == f"{F}\n{G}\n"
    assert (row["puzzle"], row["solution"], row["answer"]) == (F, G, "2")
    assert (row["answer_type"], row["inputs"], row["parents"]) == ("int", "a=7", ["p"])
    ids = ("puzzle_id", "example_id", "candidate_id", "proposal_id")
    assert [row[name] for name in ids] == [f"{c * 14}01" for c in "ad"] + [
        "bbbbbbbbbbbb0101",
        "cccccccccccc0001",
    ]
    assert (row["attempts"], row["accepted"], row["solve_rate"]) == (3, 1, 1 / 3)
    assert 0 < row["solve_rate_low"] < row["solve_rate"] < row["solve_rate_high"] < 1


def test_it_loads_with_one_line(run: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    out = export(run, tmp_path / "pairs", Choice(dedup="none"))
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == 2
    assert {"prompt", "completion", "puzzle"} <= set(loaded["train"].column_names)
    assert "text" not in loaded["train"].column_names
    texts = datasets.load_dataset(str(out), "text", cache_dir=str(tmp_path / "cache"))["train"]
    assert texts[0]["text"] == f"{F}\n{G}\n"
    assert "completion" not in texts.column_names


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet"])
def test_one_file_holds_the_rows_of_the_folder(run: Path, tmp_path: Path, name: str) -> None:
    folder = rows(export(run, tmp_path / "pairs"))
    assert rows(export(run, tmp_path / name)) == folder


@pytest.mark.parametrize(("typed", "below"), [("run", "."), (".", "run"), ("../run", "run")])
def test_the_place_is_beside_the_run_as_it_was_typed(
    run: Path, typed: str, below: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(run.parent / below)
    asked = {"format": None, "repo": None, "public": False, "json_lines": False}
    export_run(Path(typed), None, Options(Choice()), **asked)
    wrote, load = capsys.readouterr().out.splitlines()[-2:]
    place = {"run": "run-pairs", ".": f"{run}-pairs", "../run": "../run-pairs"}[typed]
    assert wrote == f"wrote: {place}"
    assert load == f'load:  datasets.load_dataset("{place}")'
    assert Path(f"{run}-pairs", "README.md").is_file()


@pytest.mark.parametrize(
    ("base", "model"), [(True, "b.base"), (False, "a.own"), (None, "a.own and b.base")]
)
def test_of_two_models_of_a_round_the_one_that_wrote_it_is_named(
    run: Path, tmp_path: Path, base: bool | None, model: str
) -> None:
    for stage in ("solve", "propose"):
        path = run / "round-01" / stage / "00000.parquet"
        found = store.read_table(path)
        schema = tables.SOLVE if stage == "solve" else store.read_schema(path)
        both = {NOTE_KEY: json.dumps({"engine": "a.own", "base": "b.base"})}
        one = {NOTE_KEY: json.dumps({"engine": "p.own"})}
        other = {NOTE_KEY: json.dumps({"engine": "p.base"})}
        told = [row | {"base": base} for row in found] if stage == "solve" else found
        store.write_table(path, told, schema, both if stage == "solve" else one)
        if stage == "propose":
            more = [row | {"proposal_id": f"{n:016}"} for n, row in enumerate(found)]
            store.write_table(path.with_name("00001.parquet"), more, schema, other)
    (row, *_) = rows(export(run, tmp_path / "pairs.jsonl"))
    assert (row["model"], row["proposer"]) == (model, "p.own")


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    def bytes_of(place: Path) -> dict[str, bytes]:
        out = export(run, place / "pairs", include_seeds=False)
        files = sorted(path for path in out.rglob("*") if path.is_file())
        return {str(path.relative_to(out)): path.read_bytes() for path in files}

    first = bytes_of(tmp_path / "a")
    assert first == bytes_of(tmp_path / "b")
    assert {"README.md", "export.json", "run.toml"} < set(first)
    assert str(tmp_path).encode() not in b"".join(first.values())


@pytest.mark.parametrize(
    "changed", [{"outcome": "wrong"}, {"outcome": "accepted", "stable": False}]
)
def test_only_what_was_proved_leaves(run: Path, tmp_path: Path, changed: dict[str, Any]) -> None:
    rejudge(run, 1, **changed)
    out = export(run, tmp_path / "pairs", Choice(dedup="none"))
    assert [row["round"] for row in rows(out)] == [2]
    assert json.loads((out / "export.json").read_text())["verified"] == 1


def test_all_takes_accepted_pairs_that_taught_nothing(run: Path, tmp_path: Path) -> None:
    store.write_table(run / "round-01" / "select" / "00000.parquet", [], tables.SELECT)
    assert len(rows(export(run, tmp_path / "a.jsonl", Choice(dedup="none")))) == 1
    found = rows(export(run, tmp_path / "b.jsonl", Choice(everything=True, dedup="none")))
    assert [row["example_id"] for row in found] == [None, "dddddddddddddd02"]


def test_pairs_that_the_loop_made_of_others_leave_with_their_trace(
    run: Path, tmp_path: Path, capsys: Any
) -> None:
    with_made(run)
    out = export(run, tmp_path / "pairs", Choice(dedup="none"))
    assert "4 verified pairs\n  2 of them made of others" in capsys.readouterr().out
    by_origin = {row["origin"]: row for row in rows(out) if row["round"] == 1}
    assert sorted(by_origin) == ["attempt", "repair", "variant"]
    variant, mended = by_origin["variant"], by_origin["repair"]
    assert (variant["puzzle"], variant["solution"]) == VARIANT
    assert variant["text"] == "\n".join([*VARIANT, ""])
    assert (variant["answer"], variant["cpu_seconds"], variant["stable"]) == ("1", 0.25, True)
    assert (variant["answer_type"], variant["inputs"]) == ("int", "a=8")
    assert variant["puzzle_id"] == parse(VARIANT[0]).id
    assert variant["form"] == content_id(parse(VARIANT[0]).form) == mended["form"]
    assert variant["made_from"] == mended["made_from"] == by_origin["attempt"]["puzzle_id"]
    names = ("proposal_id", "candidate_id", "parents", "model", "proposer")
    assert all(variant[name] == by_origin["attempt"][name] for name in names)
    assert (variant["attempts"], variant["solve_rate"]) == (None, None)  # nobody tried that
    assert (mended["attempts"], mended["accepted"]) == (3, 1)  # its puzzle was
    assert by_origin["attempt"]["made_from"] is None
    manifest = json.loads((out / "export.json").read_text())
    assert (manifest["derived"], manifest["verified"]) == (2, 4)
    assert "2 of these the loop made of others" in card(out)
    assert "model wrote 2 of them, and the loop made 2 of what it wrote (`origin`)" in card(out)
    left = export(run, tmp_path / "b.jsonl", Choice(derived=False, dedup="none"))
    assert {row["origin"] for row in rows(left)} == {"attempt"}


@pytest.mark.parametrize("changed", [{"outcome": "wrong"}, {"stable": False}])
def test_of_what_was_made_only_what_was_proved_leaves(
    run: Path, tmp_path: Path, changed: dict[str, Any]
) -> None:
    with_made(run, **changed)
    found = rows(export(run, tmp_path / "a.jsonl", Choice(dedup="none")))
    assert [row["origin"] for row in found] == ["attempt", "attempt"]


def test_what_was_made_of_a_rejected_puzzle_stays_behind(run: Path, tmp_path: Path) -> None:
    with_made(run)
    reviews.write(run, "aaaaaaaaaaaaaa01", "reject", F, reviewer="me")
    found = rows(export(run, tmp_path / "a.jsonl", Choice(dedup="none")))
    assert [(row["round"], row["origin"]) for row in found] == [(2, "attempt")]


def test_what_was_made_is_judged_again_too(run: Path, tmp_path: Path) -> None:
    with_made(run)
    path = store.unit_path(store.round_folder(run, 1) / "derive", 0)
    made, broken = store.read_table(path), "def g(a=8): return 3"
    made[0]["solution"] = broken
    store.write_table(path, made, tables.DERIVE)
    tried = store.unit_path(store.round_folder(run, 1) / "vary", 0)
    rows_of = [row | {"solution": broken} for row in store.read_table(tried)[1:]]
    store.write_table(tried, rows_of, tables.VARY)
    out = export(run, tmp_path / "pairs", Choice(dedup="none"), verify=True)
    assert "variant" not in {row["origin"] for row in rows(out)}
    (refused,) = map(json.loads, (out / "refused.jsonl").read_text().splitlines())
    assert (refused["puzzle_id"], refused["outcome"]) == (parse(VARIANT[0]).id, "wrong")


def test_duplicates_are_counted_at_every_level_and_left_out_at_one(
    run: Path, tmp_path: Path
) -> None:
    out = export(run, tmp_path / "pairs")
    counted = json.loads((out / "export.json").read_text())["duplicates"]
    assert counted == {"exact": 1, "canonical": 1, "form": 1}
    assert len(rows(out)) == 1
    assert "| exact | the same puzzle and solution, to the letter | 1 | 1 |" in card(out)


def test_what_a_person_rejected_stays_behind(run: Path, tmp_path: Path) -> None:
    reviews.write(run, "aaaaaaaaaaaaaa01", "reject", F, reviewer="me")
    reviews.write(run, "aaaaaaaaaaaaaa02", "accept", F, reviewer="me")
    out = export(run, tmp_path / "pairs", Choice(dedup="none"))
    assert [row["round"] for row in rows(out)] == [2]
    assert "1 are of puzzles that a person rejected" in card(out)
    reviews.write(run, "aaaaaaaaaaaaaa01", "undo", F, reviewer="me")
    assert len(rows(export(run, out, Choice(dedup="none")))) == 2


def test_what_a_person_edited_into_another_puzzle_stays_behind(run: Path, tmp_path: Path) -> None:
    reviews.write(run, "aaaaaaaaaaaaaa01", "edit", F.replace("9", "11"), reviewer="me")
    assert [row["round"] for row in rows(export(run, tmp_path / "pairs.jsonl"))] == [2]


def test_the_card_has_what_a_round_says_of_itself(run: Path, tmp_path: Path) -> None:
    measured = {"warn": 0.1, "stop": None, "state": "warn"}
    health = [
        {"measure": "kept", "value": 0.25, "warn": None, "stop": None, "state": "ok"},
        {"measure": "learnable", "value": 0.0625, **measured},
        {"measure": "weak", "value": None, **measured, "state": "ok"},
    ]
    path = store.unit_path(store.round_folder(run, 1) / "health", 0)
    store.write_table(path, health, tables.HEALTH)
    lines = card(export(run, tmp_path / "pairs")).splitlines()
    start = lines.index("## Health") + 2
    assert lines[start : start + 6] == [
        "| round | measure | value | limit | state |",
        "| ---: | --- | --- | --- | --- |",
        "| 1 | kept | 0.25 |  | ok |",
        "| 1 | learnable | 0.0625 | 0.1 | warn |",
        "| 1 | weak |  | 0.1 | ok |",
        "",
    ]


def test_rounds_and_arms_are_chosen(run: Path, tmp_path: Path) -> None:
    assert [r["round"] for r in rows(export(run, tmp_path / "a.jsonl", Choice(round=2)))] == [2]
    out = export(run, tmp_path / "b", Choice(arm="unverified", dedup="none"))
    assert len(rows(out)) == 2
    assert "They are of the control `unverified`" in card(out)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(arm="nobody"), r"--arm must be an arm of .*\(unverified, verified\), but is 'nob"),
        (Choice(round=9), r"--round must be a round of .* \(1, 2\), but is 9"),
        (Choice(dedup="fuzzy"), r"--dedup must be one of none, exact, .*, but is 'fuzzy'"),
    ],
)
def test_what_is_not_there_is_named(run: Path, tmp_path: Path, choice: Choice, said: str) -> None:
    with pytest.raises(InputError, match=said):
        export(run, tmp_path / "pairs", choice)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_options_that_contradict_each_other_are_refused(run: Path, tmp_path: Path) -> None:
    for name, options, said in (
        ("a.jsonl", {"format": "parquet"}, r"--format parquet needs a name that ends with"),
        ("a", {"format": "csv"}, r"--format must be one of jsonl, parquet, datasets"),
        ("a.jsonl", {"test_share": 0.1}, r"--split needs a folder"),
        ("a", {"test_share": 1.0}, r"--split must be from 0 to below 1, but is 1"),
        ("a.parquet", {"repo": "me/pairs"}, r"--push needs a folder"),
    ):
        with pytest.raises(InputError, match=said):
            export(run, tmp_path / name, **options)


def test_seed_pairs_are_judged_before_they_leave(run: Path, tmp_path: Path) -> None:
    out = export(run, tmp_path / "pairs", include_seeds=True)
    human = [row for row in rows(out) if row["source"] == "human"]
    assert len(human) == len(rows(out)) - 1 > 50
    assert {row["round"] for row in human} == {0}
    assert {row["judge_version"] is None for row in human} == {False}
    assert f"{len(human):,} are pairs by people" in card(out)


def test_what_flips_when_judged_again_stays_behind(tmp_path: Path) -> None:
    run = start(tmp_path / "run").folder
    for place, solution in ((run / "round-01", WRONG), (run / "round-02", G)):
        for step in stages(place, F, solution):
            step()
    assert len(rows(export(run, tmp_path / "trusting.jsonl"))) == 2
    out = export(run, tmp_path / "pairs", verify=True)
    (row,) = rows(out)
    assert (row["solution"], row["answer"], row["judge_version"] is None) == (G, "2", False)
    (refused,) = [json.loads(line) for line in (out / "refused.jsonl").read_text().splitlines()]
    assert (refused["outcome"], refused["candidate_id"]) == ("wrong", "bbbbbbbbbbbb0101")
    assert "1 were not accepted again and are left out" in card(out)


def test_hostile_text_leaves_as_text(tmp_path: Path) -> None:
    run = whole(tmp_path / "run", puzzle=HOSTILE, solution="def g(): return '\ud800|\n|</script>'")
    for name in ("pairs", "pairs.jsonl"):
        out = export(run.folder, tmp_path / name)
        (row,) = rows(out)
        assert row["puzzle"] == store.escaped(HOSTILE)
        assert "\\ud800" in row["solution"]
    assert "</script>" not in card(tmp_path / "pairs")
    assert (tmp_path / "pairs.jsonl").read_bytes().count(b"\n") == 1


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    run = start(tmp_path / "run").folder
    with pytest.raises(InputError, match=r"none with a round yet"):
        export(run, tmp_path / "pairs")
    for step in stages(run / "round-01", F, G):
        step()
    out = export(run, tmp_path / "pairs")
    assert len(rows(out)) == 1
    assert "**The run was not finished when this was exported**" in card(out)


def test_nothing_of_others_is_replaced(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(InputError, match=r"pairs is "):
            export(run, out, force=force)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_an_export_replaces_its_own_kind_alone(run: Path, tmp_path: Path) -> None:
    out = export(run, tmp_path / "pairs")
    export(run, out, Choice(dedup="none"))
    assert len(rows(out)) == 2
    other = start(tmp_path / "other", "other").folder
    for step in stages(other / "round-01", F, G):
        step()
    with pytest.raises(InputError, match=r"pairs is an export of something else.*--force"):
        export(other, out)
    export(other, out, force=True)
    assert json.loads((out / "export.json").read_text())["run"] == "other"


def test_an_export_is_no_run(run: Path, tmp_path: Path) -> None:
    out = export(run, tmp_path / "pairs")
    with pytest.raises(InputError, match=r"pairs must be a run folder"):
        store.read_recipe(out)
    with pytest.raises(InputError, match=r"run is a folder and no export: name another") as said:
        export(run, run)
    assert "--force" not in str(said.value)


def test_what_fails_leaves_nothing_half_written(run: Path, tmp_path: Path) -> None:
    out = export(run, tmp_path / "pairs")
    before = card(out)
    (run / "round-02" / "solve" / "00000.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"can't be read"):
        export(run, out)
    assert card(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs", "run"]


def test_near_copies_stay_on_one_side_of_a_split(tmp_path: Path) -> None:
    run = start(tmp_path / "run").folder
    kinds = [f"x + a {sign} 9 and x % {n} == 0" for sign in ("<", ">") for n in (2, 3, 4, 5)]
    for number, kind in enumerate(kinds, 1):
        shape = kind.replace(" 9 ", f" 9 + len('{'x' * number}') ").replace("x %", "abs(x) %" * 1)
        body = f"def f(x: int, a={number}): return {'not ' * number}{shape}"
        for step in stages(run / f"round-{number:02d}", body, G):
            step()
    out = export(run, tmp_path / "pairs", Choice(dedup="none"), test_share=0.5)
    train, test = ({row["form"] for row in rows(out, name)} for name in ("train", "test"))
    assert len(train) + len(test) == len(kinds)
    assert train
    assert test
    assert not train & test


@pytest.mark.parametrize(
    ("settings", "given", "name", "said"),
    [
        ({}, None, "unknown", "trained from nothing in the run itself"),
        ({}, "cc-by-4.0", "cc-by-4.0", "given by whoever exported"),
        ({"base": "BASE"}, None, "apache-2.0", "as the card of the base model"),
        ({"teacher": "some-model"}, None, "unknown", "`some-model` wrote a part"),
    ],
)
def test_the_licence_is_stated_or_unknown_and_never_guessed(
    tmp_path: Path, settings: dict[str, str], given: str | None, name: str, said: str
) -> None:
    from etude import config
    from etude.export.licence import licence_of

    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    recipe = config.load("smoke")
    if "base" in settings:
        model = recipe.model.model_copy(update={"base": str(base)})
        recipe = recipe.model_copy(update={"model": model, "pretrain": None})
    if "teacher" in settings:
        engine = recipe.engine.model_copy(update={"kind": "openai", "model": settings["teacher"]})
        solve = recipe.solve.model_copy(update={"engine": engine})
        recipe = recipe.model_copy(update={"solve": solve})
    found = licence_of(store.Run(tmp_path, recipe), given)
    assert found.name == name
    assert said in found.note


@pytest.mark.slow
@pytest.mark.long
def test_trl_trains_on_the_folder_by_its_command_line(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    pytest.importorskip("datasets")
    from engines_models import build

    model = build("llama", tmp_path / "model", context=256)
    out = export(run, tmp_path / "pairs", include_seeds=True)
    words = ["--dataset_name", str(out), "--model_name_or_path", str(model)]
    words += ["--output_dir", str(tmp_path / "trained"), "--max_steps", "2"]
    words += ["--use_cpu", "--report_to", "none"]
    ended = subprocess.run(
        [sys.executable, "-c", "from trl.cli import main; main()", "sft", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (tmp_path / "trained" / "model.safetensors").is_file()
    assert "not a prefix" not in ended.stderr
