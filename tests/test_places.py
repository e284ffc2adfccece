"""A run folder on another file system: in memory here, and on a real S3 server."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etude import config, query, reviews, store, tables
from etude.check.looking import look
from etude.console import Console
from etude.errors import InputError, MissingExtra
from etude.export import Options, export_run
from etude.export.pairs import Choice
from etude.ladder import climb
from etude.lineage import trace
from etude.report import write_report
from etude.show import show
from etude.store import checkpoints
from reader_run import whole
from s3_server import s3_server

pytest.importorskip("upath", reason="needs the extra remote")

SCHEMA = pa.schema([("n", pa.int32())])
SHRUNK = [
    *("run.rounds=1", "pretrain.documents=600", "propose.samples=64", "propose.per_unit=16"),
    *("propose.per_prompt=16", "vet.max_puzzles=4", "solve.samples=2", "solve.puzzles_per_unit=2"),
    *("evaluate.samples=1", "evaluate.final_samples=1", "evaluate.ks=[1]", "train.epochs=1"),
    *("evaluate.problems_per_unit=100", "evaluate.max_new_tokens=8", "final.seed_repeat=1"),
    "run.processes=1",
]
"""Of the recipe smoke: the whole loop in seconds."""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "etude" / "places"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A place in memory that no other test has."""
    folder: Any = store.place(f"memory://{tmp_path.name}/run")
    yield folder
    with contextlib.suppress(FileNotFoundError):
        folder.fs.rm(f"/{tmp_path.name}", recursive=True)


def put(path: Path, data: bytes) -> None:
    store.write_atomically(path, data)


def test_a_text_names_a_place(tmp_path: Path) -> None:
    assert store.place("runs/tiny") == Path("runs/tiny")
    assert store.place(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert store.place(tmp_path) is tmp_path
    there = store.place("memory://bucket/run/")
    assert str(there / "recipe.toml") == "memory://bucket/run/recipe.toml"
    assert not store.is_local(there)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nosuch://x/y", "nosuch:// is none"),
        ("s3://", "must name a folder"),
        ("s3:/bucket/run", "two slashes after the colon, .*folder ./s3:/bucket/run"),
    ],
)
def test_what_is_no_place_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        store.place(text)


@pytest.mark.parametrize("missing", ["upath", "s3fs"])
def test_a_missing_extra_is_one_sentence(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    if missing == "s3fs":
        from fsspec import registry

        known = registry._registry if hasattr(registry, "_registry") else {}
        monkeypatch.delitem(known, "s3", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'etude\[remote\]'"):
        store.place("s3://bucket/run")


def test_a_file_is_whole_and_new_ones_are_made_once(memory: Path) -> None:
    path = memory / "a" / "b.json"
    assert store.names(memory / "a") == set()
    put(path, b"1")
    put(path, b"2")
    assert not store.places.write_new(path, b"3")
    assert store.places.write_new(path.with_name("c"), b"4")
    assert path.read_bytes() == b"2"
    assert store.names(memory / "a") == {"b.json", "c"}


def test_segments_are_written_listed_and_read(memory: Path) -> None:
    for unit in (3, 0):
        store.write_table(store.unit_path(memory, unit), [{"n": unit}], SCHEMA, {"who": str(unit)})
    assert store.owed(memory, 5) == [1, 2, 4]
    assert [row["n"] for row in store.read_stage(memory)] == [0, 3]
    assert store.read_notes(memory, "who") == ["0", "3"]
    assert not store.write_new_table(store.unit_path(memory, 3), [], SCHEMA)
    put(store.unit_path(memory, 3), b"PAR1xxxxPAR1")
    with pytest.raises(InputError, match="must be a Parquet segment"):
        store.read_stage(memory)
    store.remove_stage(memory)
    assert store.names(memory) == set()


def checkpoint(folder: Path, text: str = "weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(text)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "config.json").write_text("{}")
    return folder


def test_a_checkpoint_is_there_when_its_sums_are(memory: Path, tmp_path: Path) -> None:
    out = memory / "final" / "train"
    put(out / "model.safetensors", b"half")
    assert not store.finished(out)
    store.keep(checkpoint(tmp_path / "made"), out)
    assert store.finished(out)
    assert (out / "model.safetensors").read_bytes() == b"weights"
    assert list(checkpoints.flaws(out)) == []
    assert not (tmp_path / "made").exists()


def test_a_model_is_read_from_a_checked_copy(memory: Path, tmp_path: Path, scratch: Path) -> None:
    out = memory / "final" / "train"
    store.keep(checkpoint(tmp_path / "made"), out)
    shutil.rmtree(scratch)
    here = store.local(out)
    assert isinstance(here, Path)
    assert here.is_relative_to(scratch)
    assert (here / "adapter" / "config.json").read_text() == "{}"
    (here / "only-here").touch()
    assert (Path(store.local(str(out))) / "only-here").exists()
    put(out / "model.safetensors", b"w-ights")
    shutil.rmtree(scratch)
    with pytest.raises(InputError, match=r"model\.safetensors is not what its sum"):
        store.local(out)
    assert not here.exists()


def test_a_copy_of_another_model_is_not_taken_for_it(memory: Path, tmp_path: Path) -> None:
    out = memory / "final" / "train"
    store.keep(checkpoint(tmp_path / "made"), out)
    here = Path(store.local(out))
    for path in [path for path in out.rglob("*") if path.is_file()]:
        path.unlink()
    other = memory / "other"
    store.keep(checkpoint(tmp_path / "made", "others"), other)
    for path in [path for path in other.rglob("*") if path.is_file()]:
        put(out / path.relative_to(other).as_posix(), path.read_bytes())
    assert (Path(store.local(out)) / "model.safetensors").read_text() == "others"
    assert store.local(out) == here


def test_two_processes_never_mix_a_checkpoint_untold(memory: Path, tmp_path: Path) -> None:
    out = memory / "final" / "train"
    store.keep(checkpoint(tmp_path / "a"), out)
    store.keep(checkpoint(tmp_path / "b"), out)
    with pytest.raises(InputError, match="made by another process too"):
        store.keep(checkpoint(tmp_path / "c", "others"), out)
    assert list(checkpoints.flaws(out)) == []
    with pytest.raises(InputError, match=r"has no whole\.json"):
        store.local(memory / "round-01" / "train")


def test_names_on_the_hub_and_local_folders_are_left_as_they_are(tmp_path: Path) -> None:
    assert store.local("EleutherAI/gpt-neo-125m") == "EleutherAI/gpt-neo-125m"
    assert store.local(tmp_path) is tmp_path


def moved(source: Path, target: Path) -> None:
    """The files of a local run, on another file system."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        put(target / path.relative_to(source).as_posix(), path.read_bytes())


def spoken(capsys: pytest.CaptureFixture[str], folder: Path) -> str:
    return capsys.readouterr().out.replace(str(folder), "RUN")


def test_every_reader_says_the_same_of_a_run_elsewhere(
    memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = whole(tmp_path / "run").folder
    moved(here, memory)
    capsys.readouterr()
    said = []
    for folder in (here, memory):
        show(folder, Console())
        out = folder.with_name("pairs")
        choice = Choice()
        options = Options(choice, False, False, 0.0, None, False)
        export_run(folder, out, options, format=None, repo=None, public=False, json_lines=False)
        page = write_report([folder]).read_text("utf-8")
        with query.Tables(folder) as opened:
            counts = opened.rows(
                "select arm, round, count(*) as n from verdicts group by all order by all"
            )
        found = look(folder)
        chain = trace(folder, "dddddddddddddd01")
        said.append(
            (
                spoken(capsys, folder).replace(str(out), "OUT"),
                len(page),
                counts,
                found.rows,
                found.segments,
                [(link.kind, link.of) for link in chain.links],
                sorted(
                    path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()
                ),
            )
        )
    assert said[0] == said[1]
    assert look(memory).whole


def test_a_broken_segment_elsewhere_is_moved_aside(memory: Path, tmp_path: Path) -> None:
    from etude.check.words import check_run

    moved(whole(tmp_path / "run").folder, memory)
    path = store.unit_path(memory / "round-01" / "judge", 0)
    put(path, path.read_bytes()[:-9])
    with pytest.raises(SystemExit):
        check_run(memory, mend=True, json_lines=True)
    assert not path.exists()
    assert (memory / "broken" / "round-01" / "judge" / path.name).exists()


def test_reviews_are_written_once_each(memory: Path) -> None:
    for n in range(2):
        reviews.write(memory, f"p{n}", "reject", "def f(x: int): return x == 1", reviewer="me")
    assert [one.puzzle_id for one in reviews.read(memory)] == ["p0", "p1"]


def table_of(path: Path) -> pa.Table:
    read = pq.read_table(io.BytesIO(path.read_bytes()))
    return read.select([name for name in read.column_names if name not in tables.MEASURED])


def same_tables(one: Path, other: Path) -> list[str]:
    """The names of the tables of two runs, which must be the same, measured columns aside."""
    found = [
        {path.relative_to(run).as_posix(): path for path in run.rglob("*.parquet")}
        for run in (one, other)
    ]
    assert found[0].keys() == found[1].keys()
    for name, path in found[0].items():
        mine, theirs = table_of(path), table_of(found[1][name])
        assert mine.equals(theirs, check_metadata=True), name
    return sorted(found[0])


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that the others must end as."""
    folder = tmp_path_factory.mktemp("local") / "run"
    climb(store.Run.open(folder, config.load("smoke", SHRUNK), {}), [], lambda _: None, "inline")
    return folder


@pytest.mark.slow
def test_a_run_in_memory_has_the_tables_of_a_local_one(memory: Path, local_run: Path) -> None:
    recipe = config.load("smoke", SHRUNK)
    climb(store.Run.open(memory, recipe, {}), [], lambda _: None, "inline")
    names = same_tables(memory, local_run)
    assert {"final/evaluate/scores.parquet", "round-01/judge/00001.parquet"} <= set(names)
    assert look(memory).whole
    assert not [path for path in memory.rglob("*") if ".partial" in str(path)]
    climb(store.Run.open(memory, recipe, {}), [], lambda _: None, "inline")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    pytest.importorskip("s3fs", reason="needs the extra remote")
    pytest.importorskip("moto", reason="needs the extra dev")
    with s3_server() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        anywhere: Any = store.place("s3://bucket/run")
        anywhere.fs.mkdir("bucket")
        yield variables
        anywhere.fs.clear_instance_cache()


def etude(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "etude", *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | variables,
        timeout=900,
    )


def one_sentence(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_run_on_s3_ends_with_the_tables_of_a_local_one(
    s3: dict[str, str], local_run: Path
) -> None:
    settings = [word for setting in SHRUNK for word in ("--set", setting)]
    words = ["run", "smoke", *settings, "--no-controls", "--out", "s3://bucket/run"]
    run = store.place("s3://bucket/run")
    first = subprocess.Popen([sys.executable, "-m", "etude", *words], start_new_session=True)
    try:
        until = time.monotonic() + 600
        while not store.names(run / "round-01" / "propose") and first.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert (run / "driver.json").exists()
    climb(store.Run.read(run), [], lambda _: None, "inline")
    assert not (run / "driver.json").exists()
    same_tables(run, local_run)
    found = look(run)
    assert (found.whole, found.owed, found.trainings) == (True, [], [])


@pytest.mark.slow
def test_what_an_object_store_refuses_is_one_sentence(s3: dict[str, str]) -> None:
    assert "must be a run folder" in one_sentence(etude("show", "s3://nobucket/run"))
    gone = one_sentence(etude("run", "smoke", "--out", "s3://nobucket/run"))
    assert "bucket does not exist" in gone
    nobody = one_sentence(etude("show", "s3://bucket/run", AWS_ENDPOINT_URL="http://127.0.0.1:1"))
    assert "Could not connect" in nobody
    assert re.search(r"AWS_ACCESS_KEY_ID", nobody)
