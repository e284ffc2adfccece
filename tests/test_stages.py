"""The stages on recorded samples and the real judge: what goes in, what must come out."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etude import config, store, tables
from etude.arm import Arm, checked
from etude.errors import Fault, InputError
from etude.evaluate import evaluate, scores
from etude.prompts import Layout, example_end, example_text
from etude.propose import propose
from etude.select import select
from etude.solve import judge, solve
from etude.stats import pass_at_k
from etude.suites import load
from etude.train import (
    _summary,
    document_of,
    documents_of,
    pretrain,
    report,
    seed_documents,
    train,
    train_longer_on_seeds,
    train_student,
)
from etude.types import Event, Outcome, Verdict
from etude.vet import vet

HELD_OUT = load("tiny")[0].puzzle.source

PROPOSALS = [
    ("x: int, a=7, b=12): return x + a == b * 20", "kept"),
    ("x: int, c=7, d=12): return x + c == d * 20", "duplicate"),
    ("x: int, a=8, b=13): return x + a == b * 20", "kept"),
    ("x: int, a=9, b=14): return x + a == b * 20", "same form"),
    ("x: int, a=7): return x > a", "trivial"),
    ("x: int, a=7): return x == x and 0 < a", "trivial"),
    ("x: int, a=7): x + a", "broken rule"),
    ("x: int, a=7): return [0 for i in iter(int, 1)] == x * a", "trivial"),
    ("x: int, a=7): return x == 1000", "broken rule"),
    ("x: bool): return x", "broken rule"),
    ("x: int, a=7: return x", "unparsed"),
    (HELD_OUT.removeprefix("def f("), "held out"),
    ("s: str, t='dog'): return s == t * 2 + 'x'", "kept"),
    ("u: List[int], a=3): return u == [a] * 4", "kept"),
    ("x: int, a=4): return x * a == 4004", "over the limit"),
]

SOLUTIONS = {
    0: [" return b * 20 - a", " return 233", " return a", " return b * 20 - a"],
    2: [" return b * 20 - a", " return 252", " return b * 20 - a + 0", " return 12 * 21"],
    12: [" return t * 3", " return t", " return 7", " return t["],
    13: [" return [a] * 4", " return (a,) * 4", " return [a, a, a, a]", " return [a] * a"],
}


@pytest.fixture
def arm(tmp_path: Path) -> Iterator[Arm]:
    recordings = tmp_path / "recordings.jsonl"
    lines = [{"prompt": "def f(", "samples": [text for text, _ in PROPOSALS]}]
    for index, bodies in SOLUTIONS.items():
        text = "def f(" + PROPOSALS[index][0]
        inputs = text[text.index(", ") + 2 : text.index("):")]
        samples = [*bodies[:3], {"text": bodies[3], "finished": index != 12}]
        lines.append({"prompt": f"{text}\ndef g({inputs}):", "samples": samples})
    recordings.write_text("\n".join(map(json.dumps, lines)))
    settings = [
        "engine.kind=replay",
        f"engine.recordings={json.dumps(str(recordings))}",
        f"propose.samples={len(PROPOSALS)}",
        "propose.per_prompt=15",
        "vet.max_per_form=2",
        "vet.max_puzzles=4",
        "solve.samples=4",
        "solve.puzzles_per_unit=3",
        "judge.cpu_seconds=0.3",
        "select.max_solve_rate=0.8",
        "model.precision=fp32",
    ]
    run = store.Run.open(tmp_path / "run", config.load("smoke", settings), {})
    with Arm(run, "verified", lambda _: None) as arm:
        yield arm


def test_each_proposal_meets_its_fate(arm: Arm) -> None:
    propose(arm, 1, "recorded", "recorded")
    rows = store.read_stage(vet(arm, 1))
    found = [(row["source"] or row["detail"], row["fate"]) for row in rows]
    assert [fate for _, fate in found] == [fate for _, fate in PROPOSALS], found
    assert len({row["proposal_id"] for row in rows}) == len(PROPOSALS)


@pytest.mark.parametrize(("unused", "fate"), [("trim", "kept"), ("drop", "broken rule")])
def test_a_puzzle_goes_on_without_the_inputs_that_it_never_reads(
    arm: Arm, unused: str, fate: str
) -> None:
    section = arm.recipe.vet.model_copy(update={"unused": unused})
    arm.run = store.Run(arm.run.folder, arm.recipe.model_copy(update={"vet": section}))
    asked = [
        {"proposal_id": str(draw), "draw": draw, "parents": [], "prompt": "def f(", "text": text,
         "finished": True}
        for draw, text in enumerate(
            ("x: int, a=7, b=950): return x == b * 2", "x: int, a=7): return x == 1000")
        )
    ]  # fmt: skip
    place = store.unit_path(arm.round(1) / "propose", 0)
    store.write_table(place, asked, tables.FREE)
    one, other = store.read_stage(vet(arm, 1))
    assert one["fate"] == fate
    assert (one["inputs"] == "b=950") == (unused == "trim")
    assert other["fate"] == "broken rule"  # without any input it would ask nothing general


def test_proposals_are_kept_whole(arm: Arm) -> None:
    rows = store.read_stage(propose(arm, 1, "recorded", "recorded"))
    assert [row["text"] for row in rows] == [text for text, _ in PROPOSALS]


def test_verdicts_belong_to_their_candidates_across_units(arm: Arm) -> None:
    made = through_judge(arm)
    assert len(list((arm.round(1) / "solve").glob("*.parquet"))) == 2
    outcomes = {row["candidate_id"]: row["outcome"] for row in store.read_stage(made)}
    assert len(outcomes) == 16
    by_source = [
        (row["source"], outcomes[row["candidate_id"]])
        for row in store.read_stage(arm.round(1) / "solve")
    ]
    assert ("def g(a=7, b=12): return 233", "accepted") in by_source
    assert ("def g(a=7, b=12): return a", "wrong") in by_source
    assert ("def g(a=3): return (a,) * 4", "mistyped") in by_source
    assert ("def g(t='dog'): return t[", "unparsed") in by_source
    assert Counter(outcome for _, outcome in by_source)["accepted"] == 9


def test_what_was_judged_says_under_which_conditions(arm: Arm) -> None:
    through_judge(arm)
    kept = arm.judge.conditions
    assert kept.limits.cpu_seconds == 0.3
    for stage in ("vet", "judge"):
        for path in (arm.round(1) / stage).glob("*.parquet"):
            assert json.loads(pq.read_schema(path).metadata[b"etude.judge"]) == kept.as_dict()
    for stage in ("propose", "solve"):
        notes = pq.read_schema(store.unit_path(arm.round(1) / stage, 0)).metadata
        assert list(notes) == [b"etude.engine"]
        assert json.loads(notes[b"etude.engine"])["engine"].startswith("replay:")


def test_the_shortest_distinct_solutions_of_learnable_puzzles_are_kept(arm: Arm) -> None:
    through_judge(arm)
    rows = store.read_stage(select(arm, 1))
    solutions = [row["text"].splitlines()[1] for row in rows]
    assert solutions == [
        "def g(a=7, b=12): return 233",
        "def g(a=7, b=12): return b * 20 - a",
        "def g(a=3): return [a] * 4",
        "def g(a=3): return [a, a, a, a]",
    ], "the puzzle that was always solved teaches nothing, the one never solved has no solution"
    assert {row["solve_rate"] for row in rows} == {0.75, 0.5}
    candidates = {row["candidate_id"] for row in store.read_stage(arm.round(1) / "solve")}
    assert {row["candidate_id"] for row in rows} <= candidates


def test_what_is_accepted_by_chance_teaches_nothing(arm: Arm) -> None:
    through_judge(arm)
    path = store.unit_path(arm.round(1) / "judge", 0)
    table = pq.read_table(path)
    rows = [row | {"stable": False} for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    taught = {row["puzzle_id"] for row in store.read_stage(select(arm, 1))}
    assert taught
    assert not taught & {row["puzzle_id"] for row in rows}


def test_the_unverified_control_trains_on_as_many_pairs_whatever_their_verdict(arm: Arm) -> None:
    through_judge(arm)
    verified = store.read_stage(select(arm, 1))
    with Arm(arm.run, "unverified", lambda _: None) as control:
        through_judge(control)
        rows = store.read_stage(select(control, 1))
    assert len(rows) == len(verified)
    outcomes = {
        row["candidate_id"]: row["outcome"] for row in store.read_stage(control.round(1) / "judge")
    }
    assert {outcomes[row["candidate_id"]] for row in rows} != {"accepted"}


def test_solutions_that_differ_in_names_alone_can_count_as_one(arm: Arm) -> None:
    through_judge(arm)
    exact = store.read_stage(select(arm, 1))
    path = store.unit_path(arm.round(1) / "solve", 0)
    rows = pq.read_table(path).to_pylist()
    taught = exact[0]["puzzle_id"]
    accepted = {
        row["candidate_id"]
        for row in store.read_stage(arm.round(1) / "judge")
        if row["outcome"] == "accepted" and row["puzzle_id"] == taught
    }
    text = next(row["source"] for row in rows if row["candidate_id"] == exact[0]["candidate_id"])
    header, _, body = text.partition(":")
    for number, row in enumerate(row for row in rows if row["candidate_id"] in accepted):
        row["source"] = f"{header}:\n  z{number} = 1\n  {body.strip()}"
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)
    counts = []
    for level in ("exact", "canonical"):
        section = arm.recipe.select.model_copy(update={"dedup": level})
        recipe = arm.recipe.model_copy(update={"select": section})
        (arm.round(1) / "select" / "00000.parquet").unlink()
        with Arm(store.Run(arm.run.folder, recipe), "verified", lambda _: None) as again:
            made = store.read_stage(select(again, 1))
        counts.append(sum(row["puzzle_id"] == taught for row in made))
    assert counts[0] > counts[1] == 1


def test_an_earlier_round_makes_duplicates_of_its_puzzles(arm: Arm) -> None:
    through_judge(arm)
    select(arm, 1)
    propose(arm, 2, "recorded", "recorded")
    fates = Counter(row["fate"] for row in store.read_stage(vet(arm, 2)))
    assert fates["duplicate"] == 5
    details = Counter(
        row["detail"] for row in store.read_stage(vet(arm, 2)) if row["fate"] == "duplicate"
    )
    assert all(" of round 1" in text or " of this round" in text for text in details)
    assert {text.split(":")[0] for text in details} == {"exact", "canonical"}
    kept = [puzzle.inputs for puzzle in arm.puzzles(2)]
    assert kept == ["a=9, b=14", "a=4"], "only forms that were trained on are used up"


def test_a_round_that_is_over_is_read_once(arm: Arm) -> None:
    """Else a round would take the longer the more rounds there were before it."""
    through_judge(arm)
    select(arm, 1)
    for number in (2, 3):
        propose(arm, number, "recorded", "recorded")
        vet(arm, number)
        store.write_table(store.unit_path(arm.round(number) / "select", 0), [], tables.SELECT)
        shutil.rmtree(arm.round(number - 1))
    fates = Counter(row["fate"] for row in store.read_stage(arm.round(3) / "vet"))
    known = [text for text, fate in PROPOSALS if fate in ("kept", "same form", "over the limit")]
    assert fates["duplicate"] == len(known) + 1, "those of rounds 1 and 2 are known"


def test_events_count_up_and_end_with_a_summary(arm: Arm) -> None:
    heard: list[Event] = []
    arm.tell = heard.append
    through_judge(arm)
    for stage in ("propose", "vet", "solve", "judge"):
        told = [event for event in heard if event.stage == stage]
        assert [event.done for event in told] == sorted(event.done for event in told)
        assert [event.done == event.total for event in told].count(True) == 1
        assert told[-1].summary


def test_a_fault_is_never_a_wrong_answer() -> None:
    with pytest.raises(Fault, match="worker died"):
        checked([Verdict(Outcome.WRONG), Verdict(Outcome.FAULT, detail="worker died")])


def test_a_sandbox_that_fails_lets_no_puzzle_through(
    arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(arm, 1, "recorded", "recorded")
    [worker] = arm.judge._workers
    monkeypatch.setattr("sys.executable", "/bin/false")
    (zygote,) = worker._zygotes.values()
    zygote.kill()
    with pytest.raises(Fault, match="sandbox failed"):
        vet(arm, 1)


def test_scores_are_the_unbiased_estimate_over_each_part() -> None:
    problems = load("tiny")
    first, last = problems[0], problems[-1]
    rows = [{"problem": first.name, "outcome": "accepted"}] * 3
    rows += [{"problem": first.name, "outcome": "wrong"}] * 7
    made = {(s.part, s.k): s for s in scores(rows, problems, "tiny", (1, 5, 100), 10)}
    assert set(made) == {("constants", 1), ("constants", 5), ("families", 1), ("families", 5)}
    assert made["constants", 5].value == pytest.approx(pass_at_k(10, 3, 5) / 96)
    assert made[last.part, 1].value == 0


def test_attempts_at_held_out_problems_are_judged_and_kept(tmp_path: Path) -> None:
    problems = load("tiny")
    lines = [
        {
            "prompt": f"{problem.puzzle.source}\ndef g({problem.puzzle.inputs}):",
            "samples": [" return 1", " return"],
        }
        for problem in problems
    ]
    recordings = tmp_path / "recordings.jsonl"
    recordings.write_text("\n".join(map(json.dumps, lines)))
    settings = [
        "engine.kind=replay",
        f"engine.recordings={json.dumps(str(recordings))}",
        "evaluate.samples=2",
        "evaluate.final_samples=2",
        "evaluate.ks=[1, 2]",
    ]
    run = store.Run.open(tmp_path / "run", config.load("smoke", settings), {})
    with Arm(run, "verified", lambda _: None) as arm:
        made = evaluate(arm, None, tmp_path / "out", "recorded", 2)
        kept = arm.conditions()
    segment = store.unit_path(tmp_path / "out" / "evaluate", 0)
    assert pq.read_schema(segment).metadata[b"etude.judge"].decode() == kept["etude.judge"]
    rows = store.read_stage(tmp_path / "out" / "evaluate")
    assert len(rows) == 2 * len(problems)
    accepted = {row["problem"] for row in rows if row["outcome"] == "accepted"}
    assert sum(score.value * score.problems for score in made if score.k == 2) == pytest.approx(
        len(accepted)
    )


def test_a_suite_of_which_no_problem_fits_is_no_score_of_zero(tmp_path: Path) -> None:
    recordings = tmp_path / "recordings.jsonl"
    prompts = [f"{p.puzzle.source}\ndef g({p.puzzle.inputs}):" for p in load("tiny")]
    recordings.write_text("\n".join(json.dumps({"prompt": p, "fits": False}) for p in prompts))
    settings = ["engine.kind=replay", f"engine.recordings={json.dumps(str(recordings))}"]
    run = store.Run.open(tmp_path / "run", config.load("smoke", settings), {})
    with (
        Arm(run, "verified", lambda _: None) as arm,
        pytest.raises(InputError, match="not one problem fits"),
    ):
        evaluate(arm, None, tmp_path / "out", "recorded", 2)


def test_seed_documents_are_documents_of_the_layout(arm: Arm) -> None:
    made = seed_documents(arm)
    assert len(made) == 83 * arm.recipe.seeds.per_family
    assert all(one.text.count("\n") == 2 and one.text.startswith("def f(") for one in made)


def test_what_is_learned_of_a_seed_pair_is_its_solution(arm: Arm) -> None:
    for one, pair in zip(seed_documents(arm), arm.seeds, strict=True):
        assert one.text[: one.prompt_characters] == f"{pair.puzzle.source}\n"
        assert one.text[one.prompt_characters :] == f"{pair.solution}\n"


def test_what_is_learned_of_an_example_is_its_solution(arm: Arm) -> None:
    through_judge(arm)
    select(arm, 1)
    rows = store.read_stage(arm.round(1) / "select")
    assert rows
    whole, parts = (
        documents_of(arm, [(1, row) for row in rows], loss) for loss in ("text", "solution")
    )
    assert [one.text for one in whole] == [one.text for one in parts] == [r["text"] for r in rows]
    puzzles = {puzzle.id: puzzle.source for puzzle in arm.puzzles(1)}
    for one, row in zip(parts, rows, strict=True):
        assert one.text[: one.prompt_characters] == f"{puzzles[row['puzzle_id']]}\n"
    assert all(one.prompt_characters == 0 for one in whole)


@pytest.mark.parametrize("layout", ["line", "paper", "chat"])
@pytest.mark.parametrize("solution", ["", ")", "f(g())\n", "assert", "def g(a=7): return 9 - a"])
def test_what_is_learned_is_whatever_was_written(solution: str, layout: Layout) -> None:
    """The unverified control trains on anything, which may stand in its frame once more."""
    text = example_text("def f(x: int, a=7): return x + a == 9", solution, layout=layout)
    document = document_of(text, solution + example_end(layout))
    assert text[document.prompt_characters :].startswith(solution)
    assert text[: document.prompt_characters].strip() == "def f(x: int, a=7): return x + a == 9"
    assert document.prompt_characters < len(text), "something is learned"


def through_judge(arm: Arm) -> Path:
    propose(arm, 1, "recorded", "recorded")
    vet(arm, 1)
    return judge(arm, 1, solve(arm, 1, "recorded", "recorded"))


def test_a_training_without_an_example_says_what_would_mend_it(arm: Arm) -> None:
    """As with the paper's settings, and a model that writes no puzzle."""
    store.write_table(store.unit_path(arm.round(1) / "select", 0), [], tables.SELECT)
    sections = {name: getattr(arm.recipe, name) for name in ("train", "final")}
    bare = {name: one.model_copy(update={"seed_repeat": 0}) for name, one in sections.items()}
    arm.run = store.Run(arm.run.folder, arm.recipe.model_copy(update=bare))
    with pytest.raises(InputError, match=r"of round 1 must .* train\.seed_repeat = 1"):
        train(arm, 1, "base", "latest")
    with pytest.raises(InputError, match=r"of the student must .* final\.seed_repeat = 1"):
        train_student(arm, "base", "latest")


@pytest.mark.slow
def test_the_longer_training_on_the_seeds_is_as_the_students(tmp_path: Path) -> None:
    """But for what it learns from: the control leaves out the loop alone."""
    settings = ["pretrain.documents=60", "seeds.epochs=1", "final.start=base", "run.rounds=1"]
    settings += ["final.loss=solution", "final.tokens=3_000", "final.batch_tokens=512"]
    settings += ["final.seed_repeat=1"]  # no round has made any: both learn from the seeds
    run = store.Run.open(tmp_path / "run", config.load("smoke", settings), {})
    arm, control = (Arm(run, name, lambda _: None) for name in ("verified", "more-epochs"))
    base = pretrain(arm)
    made = [train_student(arm, base, base), train_longer_on_seeds(control, base, Path(base))]
    arm.close()
    control.close()
    (student, longer) = map(report, made)
    assert longer["steps"] == student["steps"]
    assert longer["loss_tokens"] / longer["tokens"] == pytest.approx(
        student["loss_tokens"] / student["tokens"], rel=0.1
    )
    assert 0 < longer["loss_tokens"] < 0.8 * longer["tokens"]


def test_a_training_that_was_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(InputError, match=r"is damaged .* Delete it and"):
        report(tmp_path)
    (tmp_path / "training.json").write_text('{"documents": 1, "too_long": 0}')
    with pytest.raises(InputError, match=r"is damaged .* Delete it and"):
        _summary(tmp_path)
