"""Tracking: real trackers hear of every stage, offline, and none of them can stop a run."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import reader_run
from etude import store, tracking
from etude.cli.ending import app
from etude.errors import InputError
from etude.tracking import Tracker, check_tracker
from etude.tracking.child import Told
from etude.tracking.measures import Measures, measures
from etude.types import Event

TESTS = Path(__file__).parent
STAGES = ("propose", "vet", "solve", "judge", "select", "train", "evaluate")
Values = dict[tuple[str, int], float]
"""What a tracker holds: the value of each name at each place of its axis."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return reader_run.whole(tmp_path / "run").folder


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No tracker may ask another machine: what tries to is written down, and refused."""
    heard = tmp_path / "connected"
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "def hook(event, args):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        to = args[1] if event == 'socket.connect' else args[0]\n"
        "        host = to[0] if isinstance(to, tuple) else to\n"
        "        if not str(host).startswith(('/', '127.', 'localhost', '::1')):\n"
        f"            open({str(heard)!r}, 'a').write(f'{{event}} {{to}}\\n')\n"
        "            raise OSError('no network here')\n"
        "sys.addaudithook(hook)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "wandb-cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield site
    assert not heard.exists(), heard.read_text()


def ended(stage: str, number: int | None = 1, arm: str = "verified") -> Event:
    return Event(arm, number, stage, 3, 3, "", 1.5)


def told_of(folder: Path, name: str, events: list[Event]) -> None:
    tracker = Tracker(name, folder)
    for event in events:
        tracker.hear(event)
    tracker.close()


def in_tensorboard(folder: Path) -> Values:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    read = EventAccumulator(str(folder / "track" / "tensorboard"))
    read.Reload()
    found = {}
    for tag in read.Tags()["tensors"]:
        for event in read.Tensors(tag):
            key = tag, event.step
            assert key not in found, f"{key} was told twice"
            found[key] = float(make_ndarray(event.tensor_proto))
    return found


def in_trackio(folder: Path) -> Values:
    (path,) = (folder.parent / "trackio").glob("*.db")
    with sqlite3.connect(path) as base:
        rows = base.execute("select run_name, step, metrics from metrics").fetchall()
    assert len({name for name, _, _ in rows}) == 1, "a continued run goes on in the same"
    found: Values = {}
    for _, step, text in rows:
        for name, value in json.loads(text).items():
            assert (name, step) not in found, f"{name} was told twice"
            found[name, step] = value
    return found


def records_of(path: Path) -> Iterator[bytes]:
    """The records of a wandb file: LevelDB's log format, after a head of 7 bytes."""
    data, at, kept = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if at % 32768 > 32768 - 7:  # no head fits the rest of a block
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        kept += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # the whole of one, or its last part
            yield kept
            kept = b""


def in_wandb(folder: Path) -> Values:
    from wandb.proto import wandb_internal_pb2

    found: Values = {}
    ids = set()
    for path in sorted((folder / "track" / "wandb").glob("offline-run-*/*.wandb")):
        ids.add(path.stem)
        for data in records_of(path):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            row = {i.key or ".".join(i.nested_key): json.loads(i.value_json)
                   for i in record.history.item}  # fmt: skip
            at = row["step"] if "step" in row else row.get("round")
            assert not {"step", "round"} <= row.keys()
            for name, value in row.items():
                if "/" in name:
                    assert (name, at) not in found, f"{name} was told twice"
                    found[name, at] = value
    assert len(ids) == 1, "a continued run goes on in the same"
    return found


READ: dict[str, Callable[[Path], Values]] = {
    "tensorboard": in_tensorboard, "trackio": in_trackio, "wandb": in_wandb
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_real_tracker_is_told_of_each_stage_once_over_two_starts(
    folder: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(name)
    first = [ended(stage) for stage in STAGES[:5]]
    told_of(folder, name, first)
    told_of(folder, name, [*first, *map(ended, STAGES[5:]), ended("evaluate", None)])
    found = READ[name](folder)
    run = store.Run.read(folder)
    expected = {
        (key, one.at): value
        for event in [*map(ended, STAGES), ended("evaluate", None)]
        for one in measures(run, event.arm, event.round, event.stage, 1.5)
        for key, value in one.values.items()
    }
    assert found.keys() == expected.keys()
    assert [found[key] for key in expected] == pytest.approx(list(expected.values()))
    assert capfd.readouterr() == ("", ""), "what a tracker says is kept in its log"


@pytest.mark.slow
@pytest.mark.skipif(
    subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode != 0,
    reason="this machine lets nobody make a network of its own",
)
@pytest.mark.parametrize("name", READ)
def test_no_tracker_needs_a_network(folder: Path, name: str) -> None:
    pytest.importorskip(name)
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[3])\n"
        "from test_tracking import told_of, ended\n"
        "told_of(Path(sys.argv[1]), sys.argv[2], [ended('propose'), ended('train')])"
    )
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", code, str(folder), name, str(TESTS)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert ("verified/propose/asked", 1) in READ[name](folder)


# What is told


def told(
    run: store.Run, stage: str, number: int | None = 1, arm: str = "verified"
) -> dict[str, float]:
    (first, *_) = measures(run, arm, number, stage, 2.0)
    return {name.removeprefix(f"{arm}/{stage}/"): value for name, value in first.values.items()}


def test_the_numbers_are_those_of_the_tables(folder: Path) -> None:
    run = store.Run.read(folder)
    assert told(run, "propose") == {
        "seconds": 2.0, "asked": 3, "finished": 3, "finished_share": 1.0
    }  # fmt: skip
    assert told(run, "vet")["kept_share"] == pytest.approx(1 / 3)
    judged = told(run, "judge")
    assert (judged["accepted"], judged["timeout"], judged["puzzles_solved"]) == (1, 1, 1)
    assert told(run, "select") == {"seconds": 2.0, "puzzles": 1, "examples": 1}
    assert told(run, "train")["last_loss"] == 1.0
    scores = told(run, "evaluate")
    assert scores["constants/pass@1_low"] < scores["constants/pass@1"]
    assert scores["constants/pass@1"] < scores["constants/pass@1_high"]


def test_losses_have_an_axis_of_their_own(folder: Path) -> None:
    found = list(measures(store.Run.read(folder), "verified", 2, "train", 1.0))
    assert found[1:] == [
        Measures("step", step, {"loss/verified/round-02/train": loss})
        for step, loss in ((10, 2.0), (20, 1.5), (30, 1.0))
    ]


def test_controls_and_the_student_have_their_places(folder: Path) -> None:
    run = store.Run.read(folder)
    assert told(run, "select", 2, "unverified")["examples"] == 1
    assert "families/pass@4" in told(run, "evaluate", None, "pretrained")
    assert "families/pass@4" in told(run, "evaluate", 0, "seeds")
    (found, *_) = measures(run, "verified", None, "evaluate", 1.0)
    assert found.at == run.recipe.run.rounds + 1


# What goes wrong


def test_a_stage_in_progress_is_not_told(folder: Path) -> None:
    told_of(folder, "tensorboard", [Event("verified", 1, "vet", 1, 3)])
    assert in_tensorboard(folder) == {}


def broken(site: Path, name: str, code: str) -> None:
    """Another package of this name, which is found first."""
    (site / name).mkdir()
    (site / name / "__init__.py").write_text(code)


def test_a_tracker_that_raises_is_told_once_and_the_run_goes_on(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real one, whose folder is a file."""
    (folder / "track").mkdir()
    (folder / "track" / "tensorboard").write_text("mine")
    tracker = Tracker("tensorboard", folder)
    assert tracker._process is not None
    tracker._process.wait(60)
    for stage in STAGES:
        tracker.hear(ended(stage))
    tracker.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("--track tensorboard failed (FileExistsError: ")
    assert line.endswith("tensorboard.log")
    assert "Traceback" in (folder / "track" / "tensorboard.log").read_text()


def test_a_tracker_that_hangs_is_given_up(
    folder: Path, offline: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(offline, "trackio", "import time\ntime.sleep(600)\n")
    monkeypatch.setattr(tracking, "PATIENCE", 0.5)
    start = time.monotonic()
    told_of(folder, "trackio", [ended("vet")])
    assert time.monotonic() - start < 10
    (line,) = capfd.readouterr().err.splitlines()
    assert "did not end within 0 seconds: the run goes on without it" in line


def test_a_tracker_that_hangs_holds_nothing_up(
    folder: Path, offline: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """More than a pipe holds: the run is never blocked by writing."""
    broken(offline, "trackio", "import time\ntime.sleep(600)\n")
    tracker = Tracker("trackio", folder)
    for number in range(3000):
        tracker.hear(ended("vet", number))
    tracker.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert "takes nothing more: the run goes on without it" in line


def test_a_tracker_that_dies_is_told_once(
    folder: Path, offline: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken(offline, "wandb", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    told_of(folder, "wandb", [])
    (line,) = capfd.readouterr().err.splitlines()
    assert "failed (exit code -11)" in line


def test_the_tracker_does_not_outlive_a_run_that_was_killed(folder: Path, offline: Path) -> None:
    broken(offline, "trackio", "import time\ntime.sleep(600)\n")
    code = (
        "import sys, os, time; from pathlib import Path\n"
        "from etude.tracking import child, Tracker\n"
        "print(Tracker('trackio', Path(sys.argv[1]))._process.pid, flush=True); time.sleep(600)"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert run.stdout is not None
    pid = int(run.stdout.readline())
    run.kill()
    run.wait()
    run.stdout.close()
    for _ in range(300):
        if not Path(f"/proc/{pid}/stat").exists():
            return
        time.sleep(0.1)
    os.kill(pid, 9)
    pytest.fail("the tracker went on without its run")


@pytest.mark.parametrize("verb", [["run", "smoke"], ["evaluate", "--model", "x"]])
def test_an_unknown_or_missing_tracker_is_refused_before_anything_is_made(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new"
    for name, words in (
        ("notebook", "must be trackio, tensorboard or wandb, but got notebook"),
        ("trackio", r"needs the Python package trackio.* pip install 'etude\[track\]'"),
    ):
        monkeypatch.setitem(sys.modules, "trackio", None)
        ran = CliRunner().invoke(app, [*verb, "--track", name, "--out", str(out)])
        with pytest.raises(InputError, match=words):
            raise ran.exception or AssertionError(ran.output)
    assert not out.exists()


def test_the_trackers_that_are_installed_are_accepted() -> None:
    for name in READ:
        pytest.importorskip(name)
        check_tracker(name)


def test_a_line_that_a_kill_cut_off_is_no_end_of_tracking(tmp_path: Path) -> None:
    path = tmp_path / "tensorboard.told"
    path.write_text('["verified", 1, "vet"]\n["verified", 1, "so')
    told = Told(path)
    assert ("verified", 1, "vet") in told
    told.add(("verified", 1, "solve"))
    assert ("verified", 1, "solve") in Told(path)
