"""Segments and checkpoints that are damaged: found, named, and made anew once they are deleted.

Nothing damaged is read, trained on or sampled from in silence. Each run is one that had come to its
last training; what is damaged is what that and the scores rest on.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import runs

SHOWN = None if runs.LONG else 1
MOST = 8
"""Refusals of one run: more than it has damages would be a run that can't be mended."""

pytestmark = pytest.mark.slow


def halved(path: Path) -> None:
    _cut(path, path.stat().st_size // 2)


def without_its_end(path: Path) -> None:
    _cut(path, path.stat().st_size - 1)


def without_its_footer(path: Path) -> None:
    _cut(path, path.stat().st_size - 12)


def emptied(path: Path) -> None:
    _cut(path, 0)


def with_a_bit_flipped(path: Path) -> None:
    """In the first page of its rows, past the name of the format."""
    data = bytearray(path.read_bytes())
    data[60] ^= 4
    path.write_bytes(data)


def with_a_bit_of_its_weights_flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    path.write_bytes(data)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


def no_json(path: Path) -> None:
    path.write_text("{")


def _cut(path: Path, size: int) -> None:
    with path.open("r+b") as file:
        file.truncate(size)


Damage = tuple[str, Callable[[Path], None]]

SEGMENTS: list[list[Damage]] = [
    [
        ("round-01/select/00000.parquet", halved),
        ("round-02/select/00000.parquet", with_a_bit_flipped),
        ("round-02/vet/00000.parquet", a_folder),
        ("round-01/evaluate/00001.parquet", emptied),
    ],
    [
        ("round-02/propose/00001.parquet", without_its_end),
        ("round-02/solve/00002.parquet", without_its_end),
        ("round-02/judge/00001.parquet", without_its_footer),
        ("round-01/probe/00000.parquet", emptied),
    ],
]
CHECKPOINTS: list[list[Damage]] = [
    [
        ("round-02/train/model.safetensors", with_a_bit_of_its_weights_flipped),
        ("round-01/train/training.json", gone),
    ],
    [
        ("round-02/train/model.safetensors", halved),
        ("round-01/train/training.json", no_json),
        ("round-00/train/loss.parquet", emptied),
    ],
]


def mended(run: Path, folder: Path) -> list[str]:
    """Continue a run, each time doing what its refusal says; what was deleted, in turn."""
    deleted: list[str] = []
    for _ in range(MOST):
        code, words = runs.run_to_the_end(
            runs.command(run, "--no-controls", "--cluster", "inline"), folder
        )
        if code == 0:
            return deleted
        assert code == 2, words
        named = re.search(rf"{re.escape(str(run))}/[^\s\"':,]+", words)
        assert named, words
        assert re.search("Delete (it|the broken one) and run again", words), words
        place = Path(named[0])
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        deleted.append(str(place.relative_to(run)))
    raise AssertionError(f"{MOST} refusals, and still none the better: {deleted}")


@pytest.mark.parametrize("damages", [*SEGMENTS[:SHOWN], *CHECKPOINTS[:SHOWN]])
def test_what_is_damaged_is_named_and_made_anew(
    damages: list[Damage], undisturbed: Path, tmp_path: Path
) -> None:
    run = runs.cut(undisturbed, tmp_path / "run", "final")
    leave_strangers(run)
    half = leave_half_a_training(undisturbed, run)
    for name, damage in damages:
        damage(run / name)
    deleted = mended(run, tmp_path)
    assert sorted(deleted) == sorted(whole(name) for name, _ in damages)
    assert not half.exists()
    for stranger in strangers(run):
        stranger.unlink()
    assert runs.differing(run, undisturbed) == []


def whole(name: str) -> str:
    """What is deleted for a file: itself, or the folder of a training."""
    return str(Path(name).parent) if "/train/" in name else name


def strangers(run: Path) -> list[Path]:
    """Files that a killed process, or a person, left where the segments are."""
    stage = run / "round-02" / "select"
    return [stage / ".00001.parquet.4711", stage / "copy.parquet", stage / "00001.parquet.tmp"]


def leave_strangers(run: Path) -> None:
    for stranger in strangers(run):
        stranger.write_bytes(b"PAR1, but no more")


def leave_half_a_training(undisturbed: Path, run: Path) -> Path:
    """As kills leave it: a result without its report, checkpoints that are not complete, or empty,
    and said to be of another training."""
    work = run / "final" / "train.partial"
    shutil.copytree(undisturbed / "final" / "train", work / "result")
    (work / "result" / "training.json").unlink()
    shutil.copytree(undisturbed / "final" / "train", work / "checkpoint-8")
    (work / "checkpoint-16").mkdir()
    (work / "checkpoint-16" / "complete").touch()
    (work / "fingerprint").write_text("0" * 64)
    return work


def test_check_finds_what_no_run_reads_and_a_run_makes_anew_what_it_moved(
    undisturbed: Path, tmp_path: Path
) -> None:
    """Of a finished run: nothing else would look at these again."""
    run = runs.cut(undisturbed, tmp_path / "run")
    damages: list[Damage] = [
        ("round-02/solve/00002.parquet", with_a_bit_flipped),
        ("round-02/train/model.safetensors", with_a_bit_of_its_weights_flipped),
        ("controls/unverified/final/train/training.json", without_its_end),
    ]
    for name, damage in damages:
        damage(run / name)
    check = [sys.executable, "-m", "etude", "check", str(run)]
    said = subprocess.run(check, capture_output=True, text=True, check=False)
    assert said.returncode == 1, said.stderr
    for name, _ in damages:
        assert whole(name) in said.stdout
    mended = subprocess.run([*check, "--mend"], capture_output=True, text=True, check=False)
    assert "Traceback" not in mended.stderr
    runs.finish(runs.command(run, "--cluster", "inline"), tmp_path)
    assert runs.differing(run, undisturbed, but=["broken/"]) == []
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
