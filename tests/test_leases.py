"""Two drivers of one run: the second is refused while the first lives, and takes over when not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from etude import store
from etude.errors import InputError
from etude.store import leases

HOLD = """
import sys, time
from etude import store
from etude.errors import InputError
from etude.store import leases
try:
    silence = float(sys.argv[2])
    with leases.leased(store.place(sys.argv[1]), renewed=0.2, silence=silence, settled=0.3):
        print("held", flush=True)
        time.sleep(float(sys.argv[3]))
except InputError as error:
    print(error, flush=True)
    sys.exit(2)
"""


def start(folder: Path, silence: float = 2.0, seconds: float = 60.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), str(silence), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = start(folder)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def said(folder: Path) -> dict[str, object]:
    read: dict[str, object] = json.loads((folder / leases.NAME).read_text())
    return read


def elsewhere(folder: Path) -> None:
    """Make the holder one of another machine, as far as the file says."""
    store.write_atomically(
        folder / leases.NAME, json.dumps(said(folder) | {"of": "another boot"}).encode()
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_a_second_process_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        code, text = ended(start(tmp_path))
        assert code == 2
        assert f"is being written by process {first.pid} on" in text
        assert first.poll() is None


def test_one_that_was_killed_on_this_machine_is_not_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        first.kill()
        first.wait()
    assert (tmp_path / leases.NAME).exists()
    code, text = ended(start(tmp_path, silence=3600, seconds=0))
    assert (code, text) == (0, "held\n")
    assert not (tmp_path / leases.NAME).exists()


def test_a_process_of_another_machine_is_watched_and_refuses_who_comes(tmp_path: Path) -> None:
    """It raises its count again and again; its name is all that is changed here."""
    (tmp_path / leases.NAME).write_text(json.dumps({"nonce": "a", "count": 0, "pid": 7}))
    second = start(tmp_path, silence=20)
    for count in range(1, 200):
        text = json.dumps({"nonce": "a", "count": count, "pid": 7, "host": "node-2"})
        store.write_atomically(tmp_path / leases.NAME, text.encode())
        if second.poll() is not None:
            break
        time.sleep(0.1)
    code, text = ended(second)
    assert code == 2
    assert "is being written by process 7 on node-2" in text
    assert said(tmp_path)["nonce"] == "a"


def test_a_silent_process_of_another_machine_is_taken_over_from(tmp_path: Path) -> None:
    (tmp_path / leases.NAME).write_text(json.dumps({"nonce": "a", "count": 4, "pid": 7}))
    code, text = ended(start(tmp_path, silence=1.0, seconds=0))
    assert code == 0
    assert "waiting 1 seconds" in text
    assert text.startswith("held\n")


def test_a_file_that_cannot_be_read_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / leases.NAME).write_bytes(b"\xff{")
    assert ended(start(tmp_path, silence=1.0, seconds=0))[0] == 0


def test_who_was_thought_dead_stops_when_it_finds_another(tmp_path: Path) -> None:
    """The first is stopped for a while, as a machine that sleeps; nothing compares clocks."""
    with holder(tmp_path) as first:
        os.kill(first.pid, signal.SIGSTOP)
        elsewhere(tmp_path)
        second = start(tmp_path, silence=1.0, seconds=30)
        try:
            assert second.stdout is not None
            assert second.stdout.readline() == "held\n"
            os.kill(first.pid, signal.SIGCONT)
            code, text = ended(first)
            assert code == 2
            assert f"is now written by process {second.pid}" in text
            assert second.poll() is None
            assert said(tmp_path)["pid"] == second.pid
        finally:
            second.kill()
            second.communicate()


def test_of_two_that_take_over_at_once_one_is_left(tmp_path: Path) -> None:
    (tmp_path / leases.NAME).write_text(json.dumps({"nonce": "a", "count": 4, "pid": 7}))
    both = [start(tmp_path, silence=2.0, seconds=4) for _ in range(2)]
    codes = sorted(ended(process)[0] for process in both)
    assert codes == [0, 2]


def test_an_interrupt_of_the_user_is_one(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), leases.leased(tmp_path):
        raise KeyboardInterrupt
    assert not (tmp_path / leases.NAME).exists()


def test_a_run_on_an_object_store_has_a_lease() -> None:
    folder = store.place("memory://leases/run")
    with store.only_writer(folder):
        assert (folder / leases.NAME).exists()
        with (
            pytest.raises(InputError, match="is being written by process"),
            store.only_writer(folder),
        ):
            pass
    assert not (folder / leases.NAME).exists()


def test_a_shared_mount_is_told_from_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not leases.is_shared(Path("/dev/shm"))
    mounts = f"/dev/x / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: mounts)
    assert leases.is_shared(tmp_path / "runs")
    assert not leases.is_shared(tmp_path.parent / "other")
    with store.only_writer(tmp_path / "run"):
        assert (tmp_path / "run" / leases.NAME).exists()
