"""Lineage: every link to its end, by the tables that were written, and no text that acts."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import reader_run
from etude import config, store, tables
from etude.cli.ending import app
from etude.console import Console
from etude.decontaminate import shown_text
from etude.errors import InputError
from etude.judge import Limits
from etude.judge.record import METADATA_KEY, Conditions
from etude.lineage import Chain, run_of, trace
from etude.lineage.filters import passed
from etude.lineage.words import show_chain
from etude.prompts import example_text
from etude.puzzle import parse
from etude.query import VIEWS
from etude.roles import NOTE_KEY
from etude.seeds import load_seeds
from etude.suites import load
from etude.types import content_id
from reader_run import HOSTILE

EXAMPLE, PUZZLE = "dddddddddddddd01", "aaaaaaaaaaaaaa01"
JUDGED = Conditions(7, "full", "3.11.9", "linux-x86_64", Limits())


def noted(folder: Path, stage: str, **notes: str) -> None:
    """Write the segment of a stage again, with notes in its metadata."""
    path = store.unit_path(folder / stage, 0)
    schema = {
        "propose": tables.PROPOSE, "vet": tables.VET, "solve": tables.SOLVE, "judge": tables.JUDGE
    }[stage]  # fmt: skip
    store.write_table(path, store.read_table(path), schema, notes)


def trained_on(place: Path, shown: dict[str, tuple[int, int]], **report: Any) -> None:
    rows = [
        {"example_id": name, "documents": given, "shown": times}
        for name, (given, times) in shown.items()
    ]
    store.write_table(place / "examples.parquet", rows, tables.TRAINED)
    path = place / "training.json"
    told = json.loads(path.read_text()) | {"seed": 5, "precision": "fp32", "method": "full"}
    store.write_atomically(path, json.dumps(told | report).encode())


def seed_example(run: store.Run) -> str:
    pair = load_seeds(run.recipe)[0]
    return content_id(example_text(pair.puzzle.source, pair.solution, layout="line"))


def traced_run(folder: Path, **texts: str) -> Path:
    """The readers' run with what a real one notes: engines, judges, texts, weights."""
    run = reader_run.whole(folder, **texts)
    seed = seed_example(run)
    for number, model in ((1, "round-00/train"), (2, "round-01/train")):
        place = store.round_folder(folder, number)
        engine = json.dumps({"engine": f"transformers:{model}"})
        for stage in ("propose", "solve"):
            noted(place, stage, **{NOTE_KEY: engine})
        for stage in ("vet", "judge"):
            noted(place, stage, **{METADATA_KEY: JUDGED.as_json()})
    started = {"start": "round-00/pretrain", "start_id": "sha256:aa", "weights": "sha256:bb"}
    trained_on(folder / "round-00" / "train", {seed: (2, 20)}, **started)
    trained_on(
        folder / "round-01" / "train", {seed: (3, 6), EXAMPLE: (1, 2)}, start="round-00/train"
    )
    trained_on(folder / "round-02" / "train", {seed: (3, 6), "dddddddddddddd02": (1, 2)})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return traced_run(tmp_path_factory.mktemp("runs") / "run")


def kinds(chain: Chain) -> list[str]:
    return list(dict.fromkeys(link.kind for link in chain.links))


def only(chain: Chain, kind: str) -> dict[str, Any]:
    (link,) = chain.of_kind(kind)
    return link.content


def test_no_column_is_called_as_what_is_told_of_every_link() -> None:
    """A link's content is a row, beside these in one object."""
    for view, (_, _, schema) in VIEWS.items():
        assert not {"kind", "of"} & set(schema.names), view


def printed(folder: Path, row_id: str, *, json_lines: bool = False) -> list[str]:
    out = io.StringIO()
    show_chain(Console(json_lines=json_lines, file=out), trace(folder, row_id))
    return out.getvalue().splitlines()


def test_an_example_is_followed_to_its_model_and_its_trainings(folder: Path) -> None:
    chain = trace(folder, EXAMPLE)
    assert kinds(chain) == [
        "example", "candidate", "verdict", "puzzle", "filters", "proposal", "parent", "training",
        "checkpoint",
    ]  # fmt: skip
    assert (chain.kind, chain.arm, chain.round, chain.copies) == ("example", "verified", 1, 1)
    verdict = only(chain, "verdict")
    assert verdict["outcome"] == "accepted"
    assert verdict["judge"] == json.loads(JUDGED.as_json())
    assert only(chain, "filters")["judge"]["version"] == 7


def test_the_trainings_say_how_often_an_example_was_shown(folder: Path) -> None:
    found = {
        link.content["model"]: link.content for link in trace(folder, EXAMPLE).of_kind("training")
    }
    told = {name: (row["recorded"], row["documents"], row["shown"]) for name, row in found.items()}
    assert told == {
        "round-00/train": (True, 0, 0),
        "round-01/train": (True, 1, 2),
        "round-02/train": (True, 0, 0),
        "final/train": (False, None, None),
    }


@pytest.mark.parametrize(
    ("shown", "too_long", "told"),
    [
        (0, 0, "no: not reached before the training's end"),
        (0, 2, "no: longer than the model's context, or not reached before the training's end"),
        (1, 2, "yes, shown once"),
        (3, 0, "yes, shown 3 times"),
    ],
)
def test_why_an_example_was_not_shown_is_not_guessed(
    tmp_path: Path, shown: int, too_long: int, told: str
) -> None:
    folder = traced_run(tmp_path / "run")
    trained_on(folder / "round-01" / "train", {EXAMPLE: (1, shown)}, too_long=too_long)
    (line,) = (one for one in printed(folder, EXAMPLE) if "round-01/train  " in one)
    assert line.split(maxsplit=1)[1] == told


def test_the_model_is_followed_to_the_base_with_its_weights(folder: Path) -> None:
    found = [link.content for link in trace(folder, "dddddddddddddd02").of_kind("checkpoint")]
    assert [row["model"] for row in found] == [
        "round-01/train", "round-00/train", "round-00/pretrain"
    ]  # fmt: skip
    assert found[0]["sources"] == {"seeds": 1, "round 1": 1}
    assert found[0]["engine"] == "transformers"
    assert (found[1]["weights"], found[1]["start_id"]) == ("sha256:bb", "sha256:aa")
    assert found[1]["sources"] == {"seeds": 1}
    assert found[2]["weights"] is None


def test_a_base_that_is_called_as_a_folder_of_the_run_is_outside_of_it(tmp_path: Path) -> None:
    folder = traced_run(tmp_path / "run")
    started = {"start": "round-02/train", "start_id": "sha256:cc", "weights": "sha256:bb"}
    trained_on(folder / "round-00" / "train", {EXAMPLE: (2, 20)}, **started)
    told = {"start": "round-00/train", "start_id": "sha256:bb", "weights": "sha256:dd"}
    elsewhere = {"start": "x", "start_id": "sha256:ee", "weights": "sha256:ff"}
    trained_on(folder / "round-02" / "train", {"dddddddddddddd02": (1, 2)}, **elsewhere)
    trained_on(folder / "round-01" / "train", {EXAMPLE: (1, 2)}, **told)
    chain = trace(folder, "dddddddddddddd02").of_kind("checkpoint")
    assert [link.content["model"] for link in chain] == ["round-01/train", "round-00/train"]


def test_the_seed_of_a_unit_is_the_stages_own(folder: Path) -> None:
    recipe = store.read_recipe(folder)
    chain = trace(folder, EXAMPLE)
    for kind, stage in (("candidate", "solve"), ("proposal", "propose")):
        seed = store.seed_for(recipe.run.seed, "verified", 1, stage, 0)
        found = only(chain, kind)
        assert (found["unit"], found["seed"]) == (0, seed)
        assert found["temperature"] == getattr(recipe, stage).temperature
    assert only(chain, "candidate")["draw"] == 1


@pytest.mark.parametrize(
    ("row_id", "kind", "also"),
    [
        ("bbbbbbbbbbbb0002", "candidate", "selection"),
        ("aaaaaaaaaaaaaa02", "puzzle", "attempts"),
        ("cccccccccccc0102", "proposal", "puzzle"),
    ],
)
def test_every_kind_of_id_is_found(folder: Path, row_id: str, kind: str, also: str) -> None:
    chain = trace(folder, row_id)
    assert (chain.kind, chain.links[0].kind, chain.round) == (kind, kind, 2)
    assert also in kinds(chain)


def test_a_candidate_says_why_it_is_no_example(folder: Path) -> None:
    assert only(trace(folder, "bbbbbbbbbbbb0001"), "selection")["reason"] == "it is raised"
    found = only(trace(folder, "bbbbbbbbbbbb0101"), "selection")
    assert (found["reason"], found["example_id"]) == ("selected", EXAMPLE)
    assert (found["attempts"], found["accepted"]) == (3, 1)


def test_a_puzzle_too_easy_is_called_so(tmp_path: Path) -> None:
    run = reader_run.start(tmp_path / "run", max_solve_rate=0.2)
    for step in reader_run.steps(run.folder):
        step()
    place = store.unit_path(run.folder / "round-01" / "select", 0)
    store.write_table(place, [], tables.SELECT)
    reason = only(trace(run.folder, "bbbbbbbbbbbb0101"), "selection")["reason"]
    assert reason == "the puzzle is too easy: solved 33% of the time"


def test_all_attempts_at_a_puzzle_are_counted(folder: Path) -> None:
    found = only(trace(folder, PUZZLE), "attempts")
    assert found["outcomes"] == {"raised": 1, "accepted": 1, "timeout": 1}
    assert found["solve_rate"] == pytest.approx(1 / 3)
    assert found["low"] < found["solve_rate"] < found["high"]


def row_of(fate: str, detail: str = "") -> store.Row:
    return {"fate": fate, "detail": detail, "answer_type": "Dict[str, int]", "puzzle_id": "a"}


@pytest.mark.parametrize(
    ("fate", "detail", "name"),
    [
        ("unparsed", "no function", "a puzzle"),
        ("broken rule", "the answer is unused", "by the rules"),
        ("broken rule", "can't be defined: raised", "defined"),
        ("duplicate", "", "new"),
        ("something new", "why", "something new"),
    ],
)
def test_a_filter_that_stopped_a_proposal_is_the_last_one_reached(
    fate: str, detail: str, name: str
) -> None:
    steps = passed(config.load("paper-125m"), row_of(fate, detail))
    (at,) = [place for place, step in enumerate(steps) if step["passed"] is False]
    assert (steps[at]["filter"], steps[at]["detail"]) == (name, detail)
    assert all(step["passed"] is True for step in steps[:at])
    assert all(step["passed"] is None for step in steps[at + 1 :])


def test_parents_are_seeds_by_name_or_puzzles_of_earlier_rounds(tmp_path: Path) -> None:
    folder = traced_run(tmp_path / "run")
    seed = load_seeds(store.read_recipe(folder))[0]
    for number, parents in ((1, [seed.puzzle.id, "unheard of"]), (2, [PUZZLE, seed.puzzle.id])):
        path = store.unit_path(store.round_folder(folder, number) / "propose", 0)
        rows = [row | {"parents": parents} for row in store.read_table(path)]
        store.write_table(path, rows, tables.PROPOSE)
    chain = trace(folder, "dddddddddddddd02")
    told = [
        (link.content["depth"], link.content["origin"], link.content["name"])
        for link in chain.of_kind("parent")
    ]
    assert told == [
        (1, "round", ""), (2, "seed", seed.name), (2, "unknown", ""), (1, "seed", seed.name)
    ]  # fmt: skip
    assert seed.name
    assert [link.of for link in chain.of_kind("proposal")] == [
        "cccccccccccc0002", "cccccccccccc0001"
    ]  # fmt: skip


def test_a_parent_that_a_person_edited_is_followed_to_the_puzzle_that_was_reviewed(
    tmp_path: Path,
) -> None:
    folder = traced_run(tmp_path / "run")
    anchor = {"review_id": "r", "puzzle_id": PUZZLE, "decision": "edit", "shown_id": "edited",
              "source": "def f(x: int): return x == 8", "reviewer": "ada"}  # fmt: skip
    place = folder / "round-02"
    store.write_table(store.unit_path(place / "anchors", 0), [anchor], tables.ANCHORS)
    path = store.unit_path(place / "propose", 0)
    rows = [row | {"parents": ["edited"]} for row in store.read_table(path)]
    store.write_table(path, rows, tables.PROPOSE)
    chain = trace(folder, "dddddddddddddd02")
    told = [(link.of, link.content["origin"]) for link in chain.of_kind("parent")]
    assert told[:2] == [("cccccccccccc0002", "anchor"), ("edited", "round")]
    assert chain.of_kind("parent")[0].content["name"] == "edit by ada"
    (found,) = trace(folder, PUZZLE).of_kind("anchors")
    assert (found.content["round"], found.content["decision"]) == (2, "edit")


def test_a_seed_pair_has_its_trainings(folder: Path) -> None:
    run = store.Run.read(folder)
    chain = trace(folder, seed_example(run))
    assert only(chain, "seed")["name"] == load_seeds(run.recipe)[0].name
    assert [link.content["shown"] for link in chain.of_kind("training")] == [20, 6, 6, None]


# Held-out problems


def problem_run(tmp_path: Path, accepted: dict[str, int], attempts: int = 40) -> tuple[Path, str]:
    """A run whose places have so many accepted attempts at one real problem of the suite."""
    folder = reader_run.whole(tmp_path / "run").folder
    recipe = store.read_recipe(folder)
    problem = load("tiny", split_seed=recipe.seeds.split_seed)[0]
    for place in sorted(folder.rglob("problems.parquet")):
        place.unlink()
    for name, count in accepted.items():
        row = dict.fromkeys(tables.OUTCOMES, 0) | {"accepted": count, "wrong": attempts - count}
        row |= {"problem": problem.name, "problem_id": problem.id, "part": problem.part}
        row |= {"attempts": attempts, "pass_at_1": count / attempts}
        other = row | {"problem": "another", "problem_id": "b", "accepted": 7}
        store.write_table(
            folder / name / "evaluate" / "problems.parquet", [row, other], tables.PROBLEMS
        )
    return folder, problem.name


def test_a_problem_that_became_solvable_says_when_and_whether_by_noise(tmp_path: Path) -> None:
    folder, name = problem_run(tmp_path, {"round-00": 0, "round-01": 0, "round-02": 2, "final": 12})
    chain = trace(folder, name)
    assert [link.content["accepted"] for link in chain.of_kind("passes")] == [0, 0, 2, 12]
    found = only(chain, "solvable")
    assert (found["became_solvable"], found["first"], found["last"]) == (True, "round 2", "final")
    assert found["more_than_noise"] is True
    assert found["p"] < found["q"] < 0.05
    assert found["by_noise"] < 0.01


def test_one_lucky_attempt_is_no_more_than_noise(tmp_path: Path) -> None:
    folder, name = problem_run(tmp_path, {"round-00": 0, "final": 1})
    found = only(trace(folder, name), "solvable")
    assert (found["became_solvable"], found["more_than_noise"]) == (True, False)
    assert found["by_noise"] == pytest.approx(0.5)


def test_what_the_reference_solved_did_not_become_solvable(tmp_path: Path) -> None:
    folder, name = problem_run(tmp_path, {"round-00": 1, "final": 40})
    found = only(trace(folder, name), "solvable")
    assert (found["solved_before"], found["became_solvable"], found["first"]) == (True, False, None)


def test_the_nearest_examples_have_the_form_and_words_of_the_problem(tmp_path: Path) -> None:
    folder, name = problem_run(tmp_path, {"round-00": 0, "round-01": 3, "final": 3})
    recipe = store.read_recipe(folder)
    problem = load("tiny", split_seed=recipe.seeds.split_seed)[0]
    puzzle = parse(shown_text(problem).replace("def f", "def f"))
    for number in (1, 2):
        place = store.round_folder(folder, number)
        rows = store.read_table(store.unit_path(place / "vet", 0))
        kept = [row | {"form": puzzle.form, "answer_type": puzzle.answer_type} for row in rows]
        store.write_table(store.unit_path(place / "vet", 0), kept, tables.VET)
        rows = store.read_table(store.unit_path(place / "select", 0))
        text = f"{puzzle.source}\ndef g(): return 1\n"
        kept = [row | {"text": text} for row in rows]
        store.write_table(store.unit_path(place / "select", 0), kept, tables.SELECT)
    found = [link.content for link in trace(folder, name).of_kind("nearest")]
    assert found[0]["example_id"] == EXAMPLE
    assert (found[0]["same_form"], found[0]["same_type"], found[0]["grams"]) == (True, True, 1.0)
    assert "dddddddddddddd02" not in {row["example_id"] for row in found}, "it came later"
    assert any(row["origin"].startswith("seed ") for row in found)


# The verb


def test_the_run_that_knows_the_id_is_found(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "one").symlink_to(folder)
    reader_run.start(runs / "two")
    assert run_of(EXAMPLE, runs) == runs / "one"
    (runs / "three").symlink_to(folder)
    with pytest.raises(
        InputError, match=r"one run of .*, but 2 know it: .*one, .*three\. Name one"
    ):
        run_of(EXAMPLE, runs)
    with pytest.raises(InputError, match=r"none of the 3 there knows it"):
        run_of("nothing\x1b", runs)
    with pytest.raises(InputError, match=r"there is no run in it\. Name the run's folder"):
        run_of(EXAMPLE, tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    (runs / "three").unlink()
    ended = CliRunner().invoke(app, ["why", EXAMPLE, "--json"])
    assert json.loads(ended.stdout.splitlines()[0])["run"] == "runs/one"


@pytest.mark.parametrize("row_id", ["nope\x1b", "", " "])
def test_an_unknown_id_is_refused_naming_one_that_is_known(folder: Path, row_id: str) -> None:
    with pytest.raises(InputError, match=r"must be the id .* example dddddddddddddd02"):
        trace(folder, row_id)


def test_json_is_one_object_a_link(folder: Path) -> None:
    head, *links = [json.loads(line) for line in printed(folder, EXAMPLE, json_lines=True)]
    assert head["kind"] == "lineage"
    assert head["links"] == len(links)
    assert links[0]["kind"] == "example"
    assert links[0]["solve_rate"] == pytest.approx(1 / 3)
    assert all(link["of"] for link in links)


def test_every_key_is_in_the_documents(folder: Path, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "lineage.md").read_text("utf-8")
    evaluated, name = problem_run(tmp_path, {"round-00": 0, "final": 3})
    seed = seed_example(store.Run.read(folder))
    asked = [(folder, EXAMPLE), (folder, "bbbbbbbbbbbb0001"), (folder, PUZZLE), (folder, seed)]
    for place, row_id in [*asked, (evaluated, name)]:
        for link in trace(place, row_id).links:
            for word in (link.kind, *link.content):
                assert f"`{word}`" in text, f"{link.kind}: {word}"


def test_hostile_text_only_prints(tmp_path: Path) -> None:
    hostile = {"puzzle": HOSTILE, "solution": HOSTILE, "detail": HOSTILE}
    folder = traced_run(tmp_path / "run", **hostile)
    for row_id in (EXAMPLE, "cccccccccccc0101"):
        lines = printed(folder, row_id)
        assert all(line.isprintable() for line in lines)
        assert sum(map(len, lines)) < 30_000
        assert any("<img src=x" in line for line in lines)
        assert all(line.isascii() for line in printed(folder, row_id, json_lines=True))


def test_the_text_of_a_row_is_not_cut_to_the_screen(tmp_path: Path) -> None:
    puzzle = "def f(x: int, a=7):\n" + "".join(f"    # line {n}\n" for n in range(40))
    puzzle += f"    return {' + '.join(['x'] * 80)} == a"
    folder = traced_run(tmp_path / "run", puzzle=puzzle)
    lines = [line.strip() for line in printed(folder, PUZZLE)]
    assert set(map(str.strip, puzzle.split("\n"))) <= set(lines)


def test_tracing_writes_nothing(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    printed(folder, EXAMPLE)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_unfinished_run_is_traced_as_far_as_it_is(tmp_path: Path) -> None:
    run = reader_run.start(tmp_path / "run")
    with pytest.raises(InputError, match="no rows yet"):
        trace(run.folder, "x")
    lengths = []
    for number, step in enumerate(reader_run.steps(run.folder)):
        step()
        if number in (5, 8, 20):
            lengths.append(len(trace(run.folder, "cccccccccccc0001").links))
    assert lengths == sorted(lengths)
    assert lengths[0] < len(trace(run.folder, PUZZLE).links)
