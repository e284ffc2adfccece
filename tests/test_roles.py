"""A teacher proposes and solves, the student learns: roles of engines, what they cost, resuming."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytest.importorskip("openai", reason="needs the openai extra")

import engines_models
import llm_server
from etude import config, roles, session, store
from etude.arm import Arm
from etude.attempts import attempts
from etude.engines.openai import OpenAIEngine
from etude.engines.transformers import TransformersEngine
from etude.errors import InputError, RecipeError
from etude.propose import propose
from etude.select import select
from etude.solve import judge, solve
from etude.train import train
from etude.types import Event
from etude.vet import vet
from llm_server import Running


@pytest.fixture(scope="module")
def process() -> Iterator[Running]:
    with llm_server.running() as started:
        yield started


@pytest.fixture
def server(process: Running) -> Running:
    process.plan(teaches=True)
    return process


def teacher(url: str, *stages: str) -> list[str]:
    """Settings that let the server propose, or solve, or both."""
    return [
        setting
        for stage in stages or ("propose", "solve")
        for setting in (
            f"{stage}.engine.kind=openai",
            f"{stage}.engine.model={llm_server.MODEL}",
            f"{stage}.engine.url={json.dumps(url)}",
            f"{stage}.engine.retries=1",
            f"{stage}.engine.input_price=1000",
            f"{stage}.engine.choices=4",
        )
    ]


SMALL = [
    *("propose.samples=24", "propose.per_unit=12", "propose.per_prompt=4", "vet.max_puzzles=6"),
    *("solve.samples=6", "solve.puzzles_per_unit=3", "model.precision=fp32"),
    *("judge.cpu_seconds=0.3", "select.max_solve_rate=1.0"),
]


def arm_of(folder: Path, settings: list[str]) -> Arm:
    told: list[Event] = []
    run = store.Run.open(folder, config.load("smoke", [*SMALL, *settings]), {})
    return Arm(run, "verified", told.append)


def to_the_end(arm: Arm) -> list[store.Row]:
    propose(arm, 1, "student", "student")
    vet(arm, 1)
    judge(arm, 1, solve(arm, 1, "student", "student"))
    return store.read_stage(select(arm, 1))


def test_a_server_proposes_and_solves(server: Running, tmp_path: Path) -> None:
    with arm_of(tmp_path / "run", teacher(server.url)) as arm:
        told: list[Event] = []
        arm.tell = told.append
        examples = to_the_end(arm)
        outcomes = Counter(row["outcome"] for row in store.read_stage(arm.round(1) / "judge"))
    assert len(examples) >= 6
    assert set(outcomes) == {"accepted", "wrong"}
    summaries = {event.stage: event.summary for event in told if event.summary}
    assert "6 requests  600 + 240 tokens  cost 0.60" in summaries["propose"]
    assert "12 requests  1,200 + 360 tokens  cost 1.20" in summaries["solve"]
    notes = store.read_notes(arm.round(1) / "solve", roles.NOTE_KEY)
    assert [json.loads(note)["engine"] for note in notes] == ["openai:teacher"] * 2
    assert not (tmp_path / "run" / "paid.jsonl").exists(), "finished units need no journal"
    assert llm_server.KEY not in (tmp_path / "run" / "recipe.toml").read_text()


def test_no_puzzle_is_paid_for_and_thrown_away(server: Running, tmp_path: Path) -> None:
    """The last prompt of a unit needs fewer samples than the others."""
    odd = ["propose.samples=10", "propose.per_unit=10", "propose.per_prompt=8"]
    with arm_of(tmp_path / "run", teacher(server.url) + odd) as arm:
        rows = store.read_stage(propose(arm, 1, "student", "student"))
    assert len({row["proposal_id"] for row in rows}) == 10
    assert sum(asked.get("n", 1) for asked in server.log()["asked"]) == 10


def test_a_stage_that_failed_goes_on_and_nothing_is_paid_twice(
    server: Running, tmp_path: Path
) -> None:
    undisturbed = tmp_path / "undisturbed"
    with arm_of(undisturbed, teacher(server.url)) as arm:
        want = to_the_end(arm)
    server.plan(teaches=True, faults=[""] * 4 + ["400"] * 9)
    run = tmp_path / "run"
    with arm_of(run, teacher(server.url)) as arm, pytest.raises(InputError, match="refuses it"):
        to_the_end(arm)
    paid = server.log()["answered"]
    server.plan(teaches=True)
    with arm_of(run, teacher(server.url)) as arm:
        assert to_the_end(arm) == want
    assert server.log()["answered"] + paid == 18
    for stage in ("propose", "solve"):
        for path in (undisturbed / "round-01" / stage).glob("*.parquet"):
            twin = run / path.relative_to(undisturbed)
            assert pq.read_schema(path).metadata == pq.read_schema(twin).metadata


def test_each_role_has_its_engine(server: Running, tmp_path: Path) -> None:
    student = engines_models.build("llama", tmp_path / "student")
    with arm_of(tmp_path / "run", teacher(server.url, "solve")) as arm:
        assert isinstance(arm.engine(student, "propose"), TransformersEngine)
        assert isinstance(arm.engine(student, "solve"), OpenAIEngine)
        evaluated = arm.engine(student, "evaluate")
        assert isinstance(evaluated, TransformersEngine)
        assert arm.engine(student) is evaluated
        named = arm.engine_note()[roles.NOTE_KEY]
        assert json.loads(named) == {"engine": f"transformers:{student}"}


def test_a_model_by_name_stands_in_for_the_student(tmp_path: Path) -> None:
    larger = engines_models.build("llama", tmp_path / "larger")
    student = engines_models.build("qwen2", tmp_path / "student")
    with arm_of(tmp_path / "run", [f"propose.engine.model={json.dumps(str(larger))}"]) as arm:
        assert arm.engine(student, "propose").name == f"transformers:{larger}"
        assert arm.engine(student, "solve").name == f"transformers:{student}"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["engine.kind=openai"], "engine.kind must be .* in a run with rounds"),
        (["solve.engine.kind=openai"], "solve.engine.model must name the server's model"),
        (["prompt.layout=chat"], "needs a chat model"),
        (["engine.key_variable=sk-123"], "engine.key_variable is 'sk-123'"),
        (["engine.url='http://me:secret@x/v1'"], "engine.url is"),
        (["propose.engine.kindd=vllm"], "Did you mean kind"),
    ],
)
def test_recipes_that_can_not_be(settings: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        config.load("smoke", settings)


def test_what_changes_time_and_money_alone_may_change() -> None:
    before = config.load("smoke", teacher("http://a/v1"))
    faster = ["solve.engine.concurrency=64", "propose.engine.requests_per_minute=7"]
    after = config.load("smoke", [*teacher("http://b/v1"), *faster])
    assert config.differences(before, after) == []
    other = config.load("smoke", [*teacher("http://a/v1"), "solve.engine.model=x"])
    assert config.differences(before, other) == ["solve.engine.model: 'teacher' -> 'x'"]


def test_servers_are_looked_at_before_hours_are_spent(server: Running, tmp_path: Path) -> None:
    roles.check(config.load("smoke", teacher(server.url)))
    assert [one["max_tokens"] for one in server.log()["asked"]] == [1]
    gone = teacher("http://127.0.0.1:9/v1", "propose")
    with pytest.raises(InputError, match="can't be reached"):
        session.run(
            "smoke", tmp_path / "run", [*gone, "propose.engine.retries=0"],
            controls=False, json_lines=True,
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_a_chat_layout_needs_a_template(tmp_path: Path) -> None:
    base = engines_models.build("llama", tmp_path / "base")
    settings = [f"model.base={json.dumps(str(base))}", "prompt.layout=chat"]
    recipe = tmp_path / "r.toml"
    text = 'name="r"\npropose.samples=1\nvet.max_puzzles=1\nsolve.samples=1\n'
    recipe.write_text(text)
    with pytest.raises(InputError, match="needs a model with a chat template"):
        roles.check(config.load(recipe, settings))


def test_a_chat_model_learns_from_a_teacher(server: Running, tmp_path: Path) -> None:
    """A server proposes and solves in chat, a chat model is trained on it and then asked itself."""
    base = engines_models.build("llama", tmp_path / "base", context=1024, chat=True)
    recipe = tmp_path / "distil.toml"
    recipe.write_text(
        f"""
name = "distil"
model.base = {json.dumps(str(base))}
prompt = {{ layout = "chat", few_shot = false }}
propose.samples = 1
vet.max_puzzles = 1
solve.samples = 1
seeds.per_family = 1
train = {{ epochs = 0.1, seed_repeat = 0 }}
"""
    )
    loaded = config.load(recipe, [*SMALL, *teacher(server.url)])
    roles.check(loaded)
    with Arm(store.Run.open(tmp_path / "run", loaded, {}), "verified", lambda _: None) as arm:
        examples = to_the_end(arm)
        student = train(arm, 1, base, base)
        puzzles = [problem.puzzle for problem in arm.problems[:3]]
        written = attempts(
            arm, student, puzzles, samples=2, seed=1, temperature=1.0, max_new_tokens=4
        )
    assert {row["text"].split("a=")[0] for row in examples} == {"def f(x: int, "}
    assert [len(functions) for functions in written] == [2] * 3
    chats = [one for one in server.log()["asked"] if "messages" in one]
    assert len(chats) == len(server.log()["asked"])
