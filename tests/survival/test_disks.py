"""Disks that are full, or can't be written any more: a sentence, and nothing lost.

The disks are real: a small tmpfs, an ext4 of its own that is forced to be read-only while the run
writes on it, and the kernel's limit on the size of files. Where this user may not mount, the tests
that need it step aside.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import runs

pytestmark = pytest.mark.slow
FILLINGS = 8 if runs.LONG else 1


def privileged(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(words[:3])} is not allowed here: {done.stderr.strip()}")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where a disk is to be mounted. It is not there any more afterwards."""
    made = tmp_path / "disk"
    made.mkdir()
    try:
        yield made
    finally:
        while made.is_mount():
            subprocess.run(["umount", "--lazy", made], check=True)


def sized(place: Path, kilobytes: int) -> None:
    """A disk in memory, or the one that is there made larger or smaller."""
    option = f"{'remount,' * place.is_mount()}size={kilobytes}k"
    privileged("mount", "-t", "tmpfs", "-o", option, "tmpfs", str(place))


def used(place: Path) -> int:
    return shutil.disk_usage(place).used // 1024


def test_a_full_disk_is_said_and_nothing_is_lost(
    undisturbed: Path, tmp_path: Path, place: Path
) -> None:
    """Full at random levels of what is still to be written: of a segment, of a checkpoint."""
    rng = random.Random(5)
    sized(place, 1 << 17)
    run = runs.cut(undisturbed, place / "run", "final", "round-02/train", "round-02/evaluate")
    os.sync()  # what is copied is as safe as what a run has written
    words = runs.command(run, "--no-controls")
    whole = sum(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file()) // 1024
    levels = sorted(rng.uniform(0, 0.9) for _ in range(FILLINGS))
    for level in [0.0, *levels]:
        sized(place, used(place) + round(level * max(0, whole - used(place))) + 4)
        code, said = runs.run_to_the_end(words, tmp_path)
        assert code == 2, said
        runs.sentence(said, "could not be written|can't be written|Make room", "room|space")
    sized(place, 1 << 17)
    runs.finish(words, tmp_path)
    assert runs.differing(run, undisturbed) == []


@pytest.mark.long
def test_a_file_that_may_grow_no_more_is_said(undisturbed: Path, tmp_path: Path) -> None:
    """The weights are the only file beyond the limit."""
    run = runs.cut(undisturbed, tmp_path / "run", "final")
    words = runs.command(run, "--no-controls")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        driver = runs.Driver(words, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    try:
        assert driver.ended()[0] == 2
        runs.sentence(driver.text, "could not be written", "File too large")
    finally:
        driver.strike_all()
    runs.finish(words, tmp_path)
    assert runs.differing(run, undisturbed) == []


def aborted(place: Path, image: Path) -> None:
    """What the kernel does to a file system whose disk fails: no more writing."""
    subprocess.run(["mount", "-o", "remount,abort", place], check=True, capture_output=True)


def repaired(place: Path, image: Path) -> None:
    subprocess.run(["umount", place], check=True)
    subprocess.run(["e2fsck", "-fy", image], check=False, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)


def frozen(place: Path, image: Path) -> None:
    subprocess.run(["chattr", "-R", "+i", place / "run"], check=True, capture_output=True)


def thawed(place: Path, image: Path) -> None:
    subprocess.run(["chattr", "-R", "-i", place / "run"], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("spoil", "mend"), [(aborted, repaired), (frozen, thawed)][: None if runs.LONG else 1]
)
def test_a_disk_that_turns_read_only_is_said_and_nothing_is_lost(
    spoil: Callable[[Path, Path], None],
    mend: Callable[[Path, Path], None],
    undisturbed: Path,
    tmp_path: Path,
    place: Path,
) -> None:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(96 << 20)
    privileged("mkfs.ext4", "-q", "-F", str(image))
    privileged("mount", "-o", "loop", str(image), str(place))
    run = runs.cut(undisturbed, place / "run", "final", "round-02/train", "round-02/evaluate")
    os.sync()  # what is copied is as safe as what a run has written
    words = runs.command(run, "--no-controls")
    driver = runs.Driver(words, tmp_path)
    try:
        assert driver.wait_until((run / "round-02" / "train.partial").exists)
        time.sleep(random.Random(3).uniform(0, 0.5))
        spoil(place, image)
        code, said = driver.ended()
        assert code == 2, driver.text
        runs.sentence(driver.text, "could not be written|can't be written|can be written")
        code, said = runs.run_to_the_end(words, tmp_path)
        assert code == 2, "it is read-only still"
        runs.sentence(said, "must be a folder that can be written|could not be written")
    finally:
        driver.strike_all()
        mend(place, image)
    runs.finish(words, tmp_path)
    assert runs.differing(run, undisturbed) == []
