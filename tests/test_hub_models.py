"""Models as they come from the hub, through the whole loop on P3's real puzzles.

The models are small and random, so that what they write is no Python: every stage must go on with
nothing. What a good model would write comes from a recording.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import engines_models
from etude import config, store
from etude.arm import Arm
from etude.loop import begin, teach_itself
from etude.prompts import PAPER_EXAMPLES, proposal_prompt, renamed, solving_prompt
from etude.puzzle import parse, without_docstring
from etude.seeds import load_seeds
from etude.suites import load
from etude.types import Event

P3 = Path(__file__).parents[1].parent / "shared" / "p3"
needs_p3 = pytest.mark.skipif(not P3.is_dir(), reason="P3's data is not beside the repository")

RECIPE = """
name = "hub"
run.rounds = 1
run.processes = 1
model.precision = "fp32"
prompt = {layout = "paper", few_shot = true}
seeds.epochs = 1
propose = {samples = 12, per_unit = 8, per_prompt = 4, max_new_tokens = 60}
vet.max_puzzles = 4
vet.max_per_form = 100
solve = {samples = 4, max_new_tokens = 30}
judge.memory_mib = 256
train.epochs = 1
final.epochs = 1
evaluate = {suite = "p3", samples = 1, final_samples = 1, ks = [1], max_new_tokens = 2}
"""


def p3_pairs(count: int, half: str = "train", instance: str = ":0") -> list[dict[str, str]]:
    """The shortest of P3's puzzles of one half, with their reference solutions."""
    names = {name + instance for name in json.loads((P3 / "split.json").read_text())[half]}
    records = json.loads((P3 / "puzzles.json").read_text())
    usable = [record for record in records if record["name"] in names and record["sol_bodies"]]
    usable.sort(key=lambda record: len(record["sat"]))
    return [
        {
            "puzzle": renamed(without_docstring(record["sat"]), "f"),
            "solution": renamed(record["sol_header"] + "\n" + record["sol_bodies"][0], "g"),
        }
        for record in usable[:count]
    ]


def write_pairs(pairs: list[dict[str, str]], path: Path) -> Path:
    path.write_text("\n".join(map(json.dumps, pairs)))
    return path


def settings(model: Path, seeds: Path, *more: str) -> list[str]:
    return [
        f"model.base={json.dumps(str(model))}",
        f"seeds.source={json.dumps(str(seeds))}",
        f"evaluate.folder={json.dumps(str(P3))}",
        *more,
    ]


@needs_p3
@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", ["gpt_neo", "llama", "qwen2"])
def test_a_model_that_writes_no_python_reaches_the_end(kind: str, tmp_path: Path) -> None:
    model = engines_models.build(kind, tmp_path / "model", context=2048)
    seeds = write_pairs(p3_pairs(8), tmp_path / "seeds.jsonl")
    recipe = config.parse(RECIPE, "recipe", settings(model, seeds))
    told: list[Event] = []
    with Arm(store.Run.open(tmp_path / "run", recipe, {}), "verified", told.append) as arm:
        begin(arm)
        teach_itself(arm)
    ended = {
        event.stage: event.summary
        for event in told
        if event.round == 1 and event.done == event.total
    }
    proposed = store.read_stage(tmp_path / "run/round-01/propose")
    assert len(proposed) == 12
    assert all(len(row["parents"]) == 8 for row in proposed)
    assert ended["vet"].startswith("0 kept  ")
    assert ended["solve"] == "0 x 4  0 candidates"
    assert ended["judge"] == "0 accepted"
    assert ended["select"] == "0 puzzles  0 examples"
    assert "32 examples" in ended["train"]
    rows = store.read_stage(tmp_path / "run/final/evaluate")
    assert len(rows) > 200
    assert (tmp_path / "run/final/train/training.json").is_file()


def recordings(recipe: config.Recipe, path: Path) -> Path:
    """What a good model would write: other instances of P3's puzzles, and P3's solutions."""
    seeds = load_seeds(recipe)
    rng = random.Random(store.seed_for(recipe.run.seed, "verified", 1, "propose", 0))
    sources = [seed.puzzle.source for seed in seeds]
    prompt, _ = proposal_prompt(sources, rng, fits=lambda _: True)
    others = [one for one in p3_pairs(1000, "train", ":1") if "def f(" in one["puzzle"]][:12]
    texts = [one["puzzle"].removeprefix("def f(") for one in others]
    lines = [{"prompt": prompt.text, "samples": texts}]
    lines += [solved(one) for one in others + p3_pairs(1000, "test", ":0")]
    for problem in load("p3", folder=P3):
        text = solving_prompt(problem.puzzle, PAPER_EXAMPLES).text
        if text not in {line["prompt"] for line in lines}:
            lines.append({"prompt": text, "samples": ["\n    return None"]})
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def solved(one: dict[str, str]) -> dict[str, object]:
    """A recording of one reference solution, and of one that raises."""
    prompt = solving_prompt(parse(one["puzzle"]), PAPER_EXAMPLES)
    body = one["solution"].split(":\n", 1)[1]
    return {"prompt": prompt.text, "samples": ["\n" + body, "\n    return 1 // 0"]}


@needs_p3
@pytest.mark.long
@pytest.mark.slow
def test_a_gpt_neo_is_trained_on_what_was_proved_right(tmp_path: Path) -> None:
    """Recorded samples, so that there is something to prove; the rest is the real thing."""
    model = engines_models.build("gpt_neo", tmp_path / "model", context=2048)
    seeds = write_pairs(p3_pairs(8), tmp_path / "seeds.jsonl")
    recorded = tmp_path / "recorded.jsonl"
    given = settings(
        model,
        seeds,
        "engine.kind=replay",
        f"engine.recordings={json.dumps(str(recorded))}",
        "propose.samples=12",
        "propose.per_unit=12",
        "propose.per_prompt=12",
        "vet.max_puzzles=12",
        "solve.samples=2",
    )
    recordings(config.parse(RECIPE, "recipe", given), recorded)
    (tmp_path / "hub.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "etude", "run", str(tmp_path / "hub.toml"), "--no-controls"]
    command += ["--out", str(tmp_path / "run"), *(w for text in given for w in ("--set", text))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first = tmp_path / "run/round-01"
    fates = Counter(row["fate"] for row in store.read_stage(first / "vet"))
    outcomes = Counter(row["outcome"] for row in store.read_stage(first / "judge"))
    assert fates["kept"] >= 4, fates
    assert outcomes["accepted"] == outcomes["raised"] == fates["kept"], outcomes
    examples = store.read_stage(first / "select")
    assert len(examples) == fates["kept"]
    training = json.loads((first / "train/training.json").read_text())
    assert training["documents"] + training["too_long"] == 4 * 8 + len(examples)
    held_out = store.read_stage(tmp_path / "run/final/evaluate")
    assert len(held_out) == 228
    assert sum(row["outcome"] == "accepted" for row in held_out) >= 220
