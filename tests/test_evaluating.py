"""The verbs `evaluate` and `solve` on recorded samples: suites with tests, puzzles, two models."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import llm_server
import reader_run
import suite_files
from etude import config, evaluating, readings, solving, store, tables
from etude.again import judge_again
from etude.arm import Arm
from etude.console import Console
from etude.engines.replay import ReplayEngine
from etude.errors import InputError
from etude.exposure import trained_on
from etude.prompts import exercise_prompt, solving_prompt
from etude.puzzle import parse
from etude.show import show
from etude.suites import load
from etude.types import Prompt

PUZZLE = "def f(x: int, a=7): return x + a == 9"
HARD = "def f(x: int, a=7): return x * a == 9"


def recording(path: Path, samples: Sequence[tuple[Prompt, Sequence[str]]]) -> list[str]:
    """Record samples of prompts; the settings that serve them."""
    lines = [json.dumps({"prompt": p.text, "samples": list(texts)}) for p, texts in samples]
    path.write_text("\n".join(lines))
    ReplayEngine(path)
    return [
        "engine.kind=replay",
        f"engine.recordings={json.dumps(str(path))}",
        "judge.cpu_seconds=0.2",
        "judge.wall_seconds=2",
    ]


@pytest.fixture
def humaneval(tmp_path: Path) -> tuple[Path, list[str]]:
    """A file of two problems, and recorded attempts: 2 and 1 of 3 are right."""
    file = suite_files.write(tmp_path / "HumanEval.jsonl", suite_files.HUMANEVAL)
    written = {
        "HumanEval/0": ["    return True\n", *[suite_files.HAS_CLOSE["canonical_solution"]] * 2],
        "HumanEval/32": [suite_files.FIND_ZERO["canonical_solution"], "    while True: pass\n"] * 2,
    }
    problems = load("humaneval", folder=file)
    prompts = [
        (exercise_prompt(one.exercise), written[one.name][:3]) for one in problems if one.exercise
    ]
    return file, recording(tmp_path / "recorded.jsonl", prompts)


def evaluate(file: Path, out: Path, settings: Sequence[str], against: str | None = None) -> None:
    evaluating.evaluate_model(
        "recorded", "humaneval", file, samples=3, layout=None, out=out, settings=settings,
        json_lines=True, against=against,
    )  # fmt: skip


def test_exercises_are_attempted_and_judged_by_their_tests(
    humaneval: tuple[Path, list[str]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    evaluate(*humaneval[:1], out, humaneval[1])
    table = {row["problem"]: row for row in readings.problems(out / "evaluate")}
    assert {name: row["accepted"] for name, row in table.items()} == {
        "HumanEval/0": 2,
        "HumanEval/32": 2,
    }
    assert (table["HumanEval/0"]["wrong"], table["HumanEval/32"]["timeout"]) == (1, 1)
    assert [score.k for score in readings.curve(out / "evaluate")] == [1, 2, 3]
    assert [score.k for score in readings.scores(out / "evaluate")] == [1]
    assert pq.read_table(out / "evaluate" / "scores.parquet")["error_attempts"][0].as_py() > 0
    assert readings.contamination(out / "evaluate") is None


def test_an_evaluation_is_shown_with_its_problems(
    humaneval: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    evaluate(humaneval[0], out, humaneval[1])
    capsys.readouterr()
    show(out, Console())
    said = capsys.readouterr().out
    assert "    2 of 3  HumanEval/0   1 wrong\n    2 of 3  HumanEval/32  1 timeout\n" in said
    assert "in the training examples: not known" in said
    show(out, Console(json_lines=True))
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["problem"] for one in records if one["kind"] == "problem"] == [
        "HumanEval/0",
        "HumanEval/32",
    ]


def test_a_model_is_compared_with_an_evaluation_and_with_a_model(
    humaneval: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    evaluate(humaneval[0], out, humaneval[1])
    capsys.readouterr()
    evaluate(humaneval[0], tmp_path / "again", humaneval[1], against=str(out))
    evaluate(humaneval[0], tmp_path / "again", humaneval[1], against="other")
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [one for one in records if one["kind"] == "comparison"]
    assert [Path(one["against"]).name for one in found] == ["out", "again-against"]
    assert {row["p"] for one in found for row in one["rows"]} == {1.0}
    before = [one for one in records if one["kind"] == "detectable"]
    assert before[0]["samples"] == 3
    assert 0 < before[0]["best"] < before[0]["worst"]


def test_other_problems_are_refused_before_anything_is_made(
    humaneval: tuple[Path, list[str]], tmp_path: Path
) -> None:
    out, new = tmp_path / "out", tmp_path / "new"
    evaluate(humaneval[0], out, humaneval[1])
    changed = dict(suite_files.FIND_ZERO, test="def check(candidate): assert candidate([1]) == 1")
    file = suite_files.write(tmp_path / "Other.jsonl", [suite_files.HAS_CLOSE, changed])
    with pytest.raises(InputError, match=r"same problems .* for example HumanEval/32"):
        evaluate(file, new, humaneval[1], against=str(out))
    assert not new.exists()


def test_a_suites_own_solutions_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = suite_files.write(tmp_path / "good.jsonl", suite_files.HUMANEVAL)
    evaluating.check_suite("humaneval", good, [], json_lines=False)
    assert "accepts 2 of 2 reference solutions (100.0 %)" in capsys.readouterr().out
    broken = dict(suite_files.HAS_CLOSE, canonical_solution="    return None\n")
    bad = suite_files.write(tmp_path / "bad.jsonl", [broken])
    with pytest.raises(SystemExit, match="1"):
        evaluating.check_suite("humaneval", bad, [], json_lines=False)
    assert "HumanEval/0  wrong" in capsys.readouterr().out


# What a model was trained on


def test_a_checkpoint_knows_its_seeds_and_examples(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    seeds = list(trained_on(run.folder / "round-00" / "train") or ())
    first = list(trained_on(run.folder / "round-01" / "train") or ())
    student = list(trained_on(run.folder / "final" / "train") or ())
    assert [len(first) - len(seeds), len(student) - len(seeds)] == [1, 2]
    assert student[-1].text.startswith(PUZZLE)
    assert student[-1].puzzle
    control = trained_on(run.folder / "controls" / "more-epochs" / "final" / "train")
    assert list(control or ()) == seeds != []
    assert trained_on(run.folder / "round-00" / "pretrain") is None
    assert trained_on("EleutherAI/gpt-neo-125m") is None


def test_a_checkpoint_is_known_from_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path within the run has no recipe.toml above it, and was taken for a stranger's model."""
    run = reader_run.whole(tmp_path / "run")
    student = run.folder / "final" / "train"
    known, asked = (
        list(trained_on(student) or ()),
        evaluating.Asked("tiny", None, 2, None, ()).recipe,
    )
    student.mkdir(parents=True, exist_ok=True)
    layout = asked(str(student)).prompt.layout
    assert layout == "line"
    for inside, name in ((student.parent, "train"), (student, ".")):
        monkeypatch.chdir(inside)
        assert list(trained_on(name) or ()) == known
        assert asked(name).prompt.layout == layout
    monkeypatch.chdir(run.folder)
    assert asked("org/name-on-the-hub").prompt.layout == "paper"
    assert trained_on("mine/train") is None


def test_rounds_are_counted_not_spelled(tmp_path: Path) -> None:
    run = reader_run.whole(tmp_path / "run")
    first = run.folder / "round-01"
    for number in (99, 100):
        shutil.copytree(first, store.round_folder(run.folder, number))
    seeds = len(list(trained_on(run.folder / "round-00" / "train") or ()))
    folders = [store.round_folder(run.folder, number) for number in (1, 2, 99, 100)]
    found = [list(trained_on(folder / "train") or ()) for folder in folders]
    assert seeds > 0
    assert [len(examples) - seeds for examples in found] == [1, 2, 3, 4]


def test_a_contaminated_suite_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run's seeds stand for its training; its suite is held against them."""
    run = reader_run.start(tmp_path / "run")
    model = run.folder / "final" / "train"
    model.mkdir(parents=True)
    problems = load("tiny", split_seed=run.recipe.seeds.split_seed)
    prompts = [
        (solving_prompt(one.puzzle, layout="line"), [" return 0\n"])
        for one in problems
        if one.puzzle
    ]
    settings = recording(tmp_path / "recorded.jsonl", prompts)
    evaluating.evaluate_model(
        str(model), "tiny", None, samples=1, layout=None, out=tmp_path / "out", settings=settings,
        json_lines=False,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "in the training examples, of 196 problems: 0 exact, 0 canonical, " in said
    rows = readings.contamination(tmp_path / "out" / "evaluate")
    assert rows
    assert {row["level"] for row in rows} <= {"form", "8-gram"}
    formed = {row["problem"] for row in rows if row["level"] == "form" and row["examples"]}
    assert 40 < len(formed) < 196, "new constants of the seeds' own forms"


def test_an_evaluation_does_not_end_without_the_seeds_of_its_run(
    humaneval: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that was copied elsewhere without the file of its seeds can still be evaluated."""
    seeds = f"seeds.source={json.dumps(str(tmp_path / 'gone.jsonl'))}"
    store.Run.open(tmp_path / "run", config.load("smoke", [seeds, "model.precision=fp32"]), {})
    model = tmp_path / "run" / "final" / "train"
    model.mkdir(parents=True)
    file, settings = humaneval
    evaluating.evaluate_model(
        str(model), "humaneval", file, samples=3, layout="paper", out=tmp_path / "out",
        settings=[*settings, "prompt.few_shot=true"], json_lines=False,
    )  # fmt: skip
    said = capsys.readouterr()
    assert "pass@1" in said.out
    assert "in the training examples: not known" in said.out
    assert "gone.jsonl" in said.err


# solve


def solve(file: Path, settings: Sequence[str], **options: object) -> None:
    given = {"samples": 2, "layout": "line", "out": None, "json_lines": False} | options
    solving.solve_file(file, "recorded", settings=settings, **given)  # type: ignore[arg-type]


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, list[str]]:
    """Two puzzles, of which one has no solution, and two attempts at each."""
    rows = [{"puzzle": PUZZLE, "name": "sum"}, {"puzzle": HARD}]
    attempts = [(" return a\n", " return 9 - a\n"), (" return 9 / a\n", " return 9 // 0\n")]
    prompts = [
        (solving_prompt(parse(row["puzzle"]), layout="line"), texts)
        for row, texts in zip(rows, attempts, strict=True)
    ]
    settings = recording(tmp_path / "recorded.jsonl", prompts)
    return suite_files.write(tmp_path / "mine.jsonl", rows), settings


def test_own_puzzles_are_solved_and_shown(
    own: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solve(*own, out=tmp_path / "out.jsonl")
    assert capsys.readouterr().out.splitlines() == [
        "sum  1 accepted  1 wrong",
        "    def g(a=7): return 9 - a",
        "2  0 accepted  1 mistyped  1 raised",
        "1 of 2 puzzles solved; in percent: pass@1 25.0 [0.0, 50.0]",
    ]
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["name"], row["draw"], row["outcome"]) for row in rows] == [
        ("sum", 0, "wrong"),
        ("sum", 1, "accepted"),
        ("2", 0, "mistyped"),
        ("2", 1, "raised"),
    ]
    assert rows[1]["puzzle"] == PUZZLE
    assert list(tmp_path.glob("*.toml")) == []


def test_what_was_paid_is_kept_beside_out_until_the_end(
    own: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the working folder would answer the next command, for another server too."""
    pytest.importorskip("openai", reason="needs the openai extra")
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir()) | {tmp_path / "out.jsonl"}
    with llm_server.running() as server:
        asked = ["engine.kind=openai", f"engine.url={server.url}", "engine.retries=0"]
        solving.solve_file(own[0], llm_server.MODEL, samples=2, layout="line",
                           out=None, settings=asked, json_lines=False)  # fmt: skip
        assert server.log()["answered"] == 5
        server.plan(faults=["", "", "", "400"])
        for _ in range(2):
            with contextlib.suppress(InputError):
                solving.solve_file(own[0], llm_server.MODEL, samples=2, layout="line",
                                   out=Path("out.jsonl"), settings=[*asked, "engine.concurrency=1"],
                                   json_lines=False)  # fmt: skip
        # Of the second time, the question whether the server is there, and what was refused.
        assert len(server.log()["asked"]) == 4 + 3
    assert set(tmp_path.iterdir()) == before


def test_own_puzzles_as_json(
    own: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    solve(*own, json_lines=True)
    first, second, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["solution"] == "def g(a=7): return 9 - a"
    assert second["solution"] is None
    assert (last["solved"], last["pass@1"]) == (1, 0.25)


def test_bad_input_to_solve_is_one_sentence(own: tuple[Path, list[str]], tmp_path: Path) -> None:
    file, settings = own
    with pytest.raises(InputError, match="must name another file than the puzzles"):
        solve(file, settings, out=file)
    with pytest.raises(InputError, match="can be written"):
        solve(file, settings, out=tmp_path / "no" / "out.jsonl")
    with pytest.raises(InputError, match="can't be read"):
        solve(tmp_path / "none.py", settings)
    assert len(file.read_text().splitlines()) == 2


def test_longer_tests_get_room_in_the_judge(tmp_path: Path) -> None:
    """EvalPlus has tests of more than the megabyte that a source may have by default."""
    row = dict(suite_files.HUMANEVAL_PLUS[0])
    row["plus_input"] = [[[float(n), n + 0.25], 0.3] for n in range(60_000)][:100]
    row["base_input"] = [[[0.5] * 400_000, 0.3]]
    row["canonical_solution"] = "    return numbers[0] == numbers[1]\n"
    file = suite_files.write(tmp_path / "HumanEvalPlus.jsonl", [row])
    recipe = config.load(
        "smoke", ["evaluate.suite='humaneval+'", f"evaluate.folder={json.dumps(str(file))}"]
    )
    with Arm(store.Run(tmp_path, recipe), "verified", lambda event: None) as arm:
        assert arm.judge.limits.source_bytes > 1 << 20


def test_an_evaluation_of_exercises_is_judged_again(
    humaneval: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    evaluate(humaneval[0], out, humaneval[1])
    capsys.readouterr()
    judge_again(
        out, [], None, workers=1, cpu_seconds=None, isolation=None, twice=False, json_lines=True
    )
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in records] == ["again"]
    path = store.unit_path(out / "evaluate", 0)
    rows = store.read_table(path)
    planted = next(row for row in rows if row["outcome"] == "wrong")
    table = pq.read_table(path)
    changed = [row | {"outcome": "accepted"} if row == planted else row for row in rows]
    store.write_table(path, changed, tables.EVALUATE, _notes(table.schema.metadata))
    with pytest.raises(SystemExit, match="1"):
        judge_again(
            out, [], None, workers=1, cpu_seconds=None, isolation=None, twice=False, json_lines=True
        )
    flips = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["id"] for one in flips if one["kind"] == "flip"] == ["HumanEval/0#0"]


def _notes(metadata: dict[bytes, bytes]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in metadata.items()}
