"""Several processes train as one, and end as one."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import engines_models
import training_job
from etude.errors import Fault, InputError, RecipeError
from etude.training import FitSettings, fit

pytestmark = pytest.mark.slow
SETTINGS = training_job.SETTINGS
DOCUMENTS = engines_models.DOCUMENTS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def together(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("together") / "out"
    fit(model, DOCUMENTS, out, SETTINGS, seed=1)
    return out


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "out"
    fit(model, DOCUMENTS, out, dataclasses.replace(SETTINGS, processes=1), seed=1)
    return out


def assert_close(folder: Path, other: Path) -> None:
    ours, theirs = (load_file(one / "model.safetensors") for one in (folder, other))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-4, msg=name)


def test_two_processes_learn_what_one_does(together: Path, alone: Path, model: Path) -> None:
    assert_close(together, alone)
    moved = load_file(model / "model.safetensors"), load_file(together / "model.safetensors")
    assert max(float((moved[1][name] - moved[0][name]).abs().max()) for name in moved[0]) > 0.02


def test_when_one_dies_all_end_and_the_next_goes_on(
    model: Path, together: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if done == 20:
            last = multiprocessing.active_children()[-1]
            assert last.pid is not None
            killed.append(last.pid)
            os.kill(last.pid, signal.SIGKILL)

    with pytest.raises(Fault, match=r"training process \d (died with exit code -9|failed)"):
        fit(model, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1, progress=kill_one)
    assert killed
    assert multiprocessing.active_children() == []
    told: list[int] = []
    fit(
        model, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1, progress=lambda at, _: told.append(at)
    )
    assert told[0] >= 20, "it began again instead of going on"
    weights = [folder / "model.safetensors" for folder in (tmp_path / "out", together)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.long
def test_an_interrupt_ends_all(model: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        signal.raise_signal(signal.SIGINT)

    # Not every shell leaves its background jobs a Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(model, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1, progress=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert multiprocessing.active_children() == []
    assert not (tmp_path / "out").exists()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.long
def test_shards_learn_the_same_and_none_outlives_a_killed_run(
    model: Path, alone: Path, tmp_path: Path
) -> None:
    """FSDP2: killed after a checkpoint, and continued to the end."""
    script = Path(__file__).with_name("training_job.py")
    command = [sys.executable, str(script), str(model), str(tmp_path / "out"), "shards"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            ours, done, *theirs = map(int, line.split())
            if done >= 20:
                os.kill(ours, signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    assert len(theirs) == 2
    end = time.monotonic() + 20
    while not all(map(is_gone, theirs)):
        assert time.monotonic() < end, "a process outlived the run that started it"
        time.sleep(0.05)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    first = int(ended.stdout.splitlines()[0].split()[1])
    assert first >= 20, "it began again instead of going on"
    assert_close(tmp_path / "out", alone)


@pytest.mark.long
def test_out_of_memory_in_one_of_them_cuts_the_batch_for_all(
    model: Path, alone: Path, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("training_job.py")
    command = [sys.executable, str(script), str(model), str(tmp_path / "out"), "small"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "cut into 2 parts on each device" in ended.stderr
    assert_close(tmp_path / "out", alone)


@pytest.mark.long
def test_what_a_user_can_mend_is_told_as_by_one_process(model: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(SETTINGS, learning_rate=1e30, clip=0)
    with pytest.raises(RecipeError, match="loss must be a number, but is nan at step"):
        fit(model, DOCUMENTS, tmp_path / "out", wild, seed=1)
    assert multiprocessing.active_children() == []


@pytest.mark.gpu
def test_shards_on_gpus(model: Path, alone: Path, tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        with pytest.raises(InputError, match="needs a GPU for each, but there are 1"):
            fit(model, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1)
        return
    fit(model, DOCUMENTS, tmp_path / "out", SETTINGS, seed=1)
    assert_close(tmp_path / "out", alone)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_precisions_on_a_gpu(precision: str, model: Path, tmp_path: Path) -> None:
    settings = FitSettings(epochs=2, learning_rate=3e-3, precision=precision)  # type: ignore[arg-type]
    assert fit(model, DOCUMENTS, tmp_path / "out", settings, seed=1).precision == precision
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in weights.values())
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
