"""A run killed anywhere and resumed ends as an undisturbed one: on the smoke recipe, for real."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etude import propose, store
from etude.arm import Arm
from etude.lineage import trace
from etude.query import Tables
from etude.tables import MEASURED

KILLS = 10
COMMAND = [sys.executable, "-m", "etude", "run", "smoke"]


def tables(run: Path) -> dict[str, bytes]:
    """Every table of a run as bytes, without the measured columns, by its path."""
    found = {}
    for path in sorted(run.rglob("*.parquet")):
        table = pq.read_table(path)
        table = table.drop_columns([name for name in table.column_names if name in MEASURED])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.combine_chunks())
        found[str(path.relative_to(run))] = sink.getvalue().to_pybytes()
    return found


def weights(run: Path) -> dict[str, bytes]:
    paths = sorted(run.rglob("*.safetensors"))
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    done = subprocess.run([*COMMAND, "--out", run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return run


def finished(run: Path) -> int:
    """How far a run is: its files that are whole."""
    return sum(1 for path in run.rglob("*") if path.suffix in (".parquet", ".safetensors"))


def killed_at(run: Path, files: int, seconds: float) -> bool:
    """Run on, and kill it `seconds` after it has so many files. False when it ended before."""
    process = subprocess.Popen(
        [*COMMAND, "--out", run], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and finished(run) < files:
        time.sleep(0.05)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_ten_kills_change_no_byte(undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    rng = random.Random(20)
    moments = sorted(rng.sample(range(finished(undisturbed) - 5), KILLS))
    kills = [killed_at(run, files, rng.uniform(0, 1)) for files in moments]
    assert kills == [True] * KILLS
    done = subprocess.run([*COMMAND, "--out", run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected, found = tables(undisturbed), tables(run)
    assert found.keys() == expected.keys()
    assert [path for path in found if found[path] != expected[path]] == []
    assert weights(run) == weights(undisturbed)


@pytest.mark.slow
def test_a_finished_run_does_nothing_again(undisturbed: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("[0-9]*.parquet")}
    done = subprocess.run(
        [*COMMAND, "--out", undisturbed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.slow
def test_a_changed_recipe_is_refused(undisturbed: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--out", undisturbed, "--set", "solve.samples=9"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "solve.samples: 8 -> 9" in done.stderr
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_longer_training_on_the_seeds_has_the_budget_of_the_loop(undisturbed: Path) -> None:
    def tokens(folder: str) -> int:
        return int(json.loads((undisturbed / folder / "training.json").read_text())["tokens"])

    loop = sum(tokens(f"{made}/train") for made in ("round-01", "round-02", "final"))
    assert tokens("controls/more-epochs/final/train") == pytest.approx(loop, rel=0.02)


@pytest.mark.slow
def test_an_example_is_traced_to_a_sample_that_can_be_drawn_again(undisturbed: Path) -> None:
    """By what the chain says alone: the model of that sum, the seed of the unit, the draw."""
    with Tables(undisturbed) as tables:
        rows = tables.rows("select example_id from examples where arm = 'verified' order by 1")
    for row in rows[:2]:
        chain = trace(undisturbed, row["example_id"])
        (proposal,) = [link.content for link in chain.of_kind("proposal")]
        model = chain.of_kind("checkpoint")[0].content
        weights = (undisturbed / model["model"] / "model.safetensors").read_bytes()
        assert model["weights"] == f"sha256:{hashlib.sha256(weights).hexdigest()}"
        with Arm(store.Run.read(undisturbed), "verified", lambda event: None) as arm:
            section, place = arm.recipe.propose, undisturbed / model["model"]
            size = min(section.per_unit, section.samples - proposal["unit"] * section.per_unit)
            shown = arm.shown_in(proposal["round"])
            made = propose._unit(arm, place, shown, proposal["seed"], size)
        assert made[proposal["draw"]]["proposal_id"] == proposal["proposal_id"]
        assert made[proposal["draw"]]["text"] == proposal["text"]
        taught = {link.content["model"]: link.content for link in chain.of_kind("training")}
        assert taught[f"round-{proposal['round']:02d}/train"]["documents"] == 1
        assert taught["final/train"]["shown"] > 0
        assert all(link["recorded"] for link in taught.values())
