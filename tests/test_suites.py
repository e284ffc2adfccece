"""The suites: the problems are the published ones, and what is wrong is said in a sentence."""

from __future__ import annotations

import collections
import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude import suites
from etude.errors import InputError
from etude.suites import download_p3, load, p3_training
from etude.tiny.families import held_out

SHARED = Path(__file__).parents[1].parent / "shared" / "p3"


@pytest.fixture(scope="session")
def p3() -> Path:
    if not SHARED.is_dir():
        pytest.skip("P3's files are not there: ../shared/p3 beside the repository")
    return SHARED


@pytest.fixture
def server(p3: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine that offers a copy of P3's files: its address, its folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name in suites.P3_FILES:
        shutil.copy(p3 / name, folder / name)
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", folder
        web.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


# tiny


def test_tiny_holds_96_new_constants_and_100_problems_of_held_out_families() -> None:
    problems = load("tiny")
    assert collections.Counter(one.part for one in problems) == {"constants": 96, "families": 100}
    assert len({one.name for one in problems}) == 196
    assert len({one.id for one in problems}) == 196
    assert all(one.puzzle is not None and one.puzzle.name == "f" for one in problems)


def test_tiny_is_what_the_families_hold_out_in_their_order() -> None:
    constants, families = held_out()
    problems = load("tiny")
    assert [one.puzzle.source for one in problems if one.puzzle] == [
        one.puzzle for one in constants + families
    ]
    assert [one.name.split("/")[0] for one in problems] == [
        one.family for one in constants + families
    ]


def test_another_split_gives_other_problems() -> None:
    first, second = load("tiny"), load("tiny", split_seed=8)
    assert load("tiny", split_seed=7) == first
    assert {one.name for one in first} != {one.name for one in second}


# p3


def test_p3_is_the_published_228_in_their_order(p3: Path) -> None:
    published = json.loads((p3 / "test_228.json").read_text())
    assert [one.puzzle.source for one in load("p3", folder=p3) if one.puzzle] == published


def test_p3_is_150_derived_from_humaneval_and_78_others(p3: Path) -> None:
    problems = load("p3", folder=p3)
    assert collections.Counter(one.part for one in problems) == {"humaneval": 150, "other": 78}
    assert len({one.name for one in problems}) == 228
    assert {one.puzzle.name for one in problems if one.puzzle} == {"sat"}
    parts = {one.name: one.part for one in problems}
    assert parts["AllCubicRoots:0"] == "other"
    assert parts["DeepestParens:0"] == "humaneval"


def test_p3_trains_on_155_other_puzzles(p3: Path) -> None:
    training = p3_training(p3)
    assert len({one.id for one in training}) == 155
    assert not {one.id for one in training} & {one.id for one in load("p3", folder=p3)}


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"must hold puzzles\.json and split\.json, but .*/puzzles"
    ):
        load("p3", folder=tmp_path)


def test_a_changed_local_file_is_refused(p3: Path, tmp_path: Path) -> None:
    for name in suites.P3_FILES:
        shutil.copy(p3 / name, tmp_path / name)
    text = (tmp_path / "split.json").read_text()
    (tmp_path / "split.json").write_text(text.replace("AllCubicRoots", "AllCubicRoot"))
    with pytest.raises(InputError, match=r"split\.json must have the SHA-256 1f3d.* but has"):
        load("p3", folder=tmp_path)


def test_an_unknown_suite_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"tiny, regex, p3, .*mbpp\+, but 'p4'"):
        load("p4")


# the download


def test_a_download_is_kept_and_not_repeated(server: tuple[str, Path], tmp_path: Path) -> None:
    url, served = server
    cache = tmp_path / "cache" / "p3"
    first = download_p3(base_url=url, cache=cache)
    assert sorted(path.name for path in cache.iterdir()) == ["puzzles.json", "split.json"]
    shutil.rmtree(served)
    assert download_p3(base_url=url, cache=cache) == first


def test_a_kept_download_is_a_folder_to_load_from(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    download_p3(base_url=server[0])
    assert len(load("p3")) == 228
    assert load("p3") == load("p3", folder=tmp_path / "etude" / "p3")


def test_a_damaged_cache_is_mended(server: tuple[str, Path], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    good = download_p3(base_url=server[0], cache=cache)
    (cache / "puzzles.json").write_bytes(good["puzzles.json"][:1000])
    assert download_p3(base_url=server[0], cache=cache) == good
    assert (cache / "puzzles.json").read_bytes() == good["puzzles.json"]


def test_a_wrong_checksum_is_refused_and_leaves_nothing(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    url, served = server
    with (served / "puzzles.json").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputError, match=r"puzzles\.json must have the SHA-256 .* pass a folder"):
        download_p3(base_url=url, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_missing_file_on_the_server_is_said(server: tuple[str, Path], tmp_path: Path) -> None:
    url, served = server
    (served / "split.json").unlink()
    with pytest.raises(InputError, match=r"split\.json gave HTTP Error 404.* pass a folder"):
        download_p3(base_url=url, cache=tmp_path / "cache")


def test_no_network_is_said_with_what_to_do(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as web:
        port = web.server_port  # closed below, so that nothing listens there
    with pytest.raises(InputError, match=r"downloaded once, but .* pass a folder that holds"):
        download_p3(base_url=f"http://127.0.0.1:{port}", cache=tmp_path)


def test_a_cache_that_cannot_be_written_is_said(server: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="set XDG_CACHE_HOME"):
        download_p3(base_url=server[0], cache=tmp_path / "file" / "p3")
