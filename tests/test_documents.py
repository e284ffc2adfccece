"""Every command and every Python example of README and docs does what the page says."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documents import (
    DOCUMENTS,
    FILES,
    OF_P3,
    ROOT,
    SHORT,
    Block,
    Command,
    blocks,
    commands,
    smaller,
)

BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
PAGES = [page for page in DOCUMENTS if any(b.language == "console" for b in blocks(page))]
PYTHON = [block for block in BLOCKS if block.language == "python"]
BIN = Path(sys.executable).parent
P3 = ROOT.parent / "shared" / "p3"


def run(command: list[str] | str, folder: Path) -> subprocess.CompletedProcess[str]:
    """In a user's shell: etude on the path, nothing of ours in the folder."""
    return subprocess.run(
        command,
        cwd=folder,
        shell=isinstance(command, str),
        executable="/bin/bash" if isinstance(command, str) else None,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ
        | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100", "TERM": "dumb"},
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished small run, as a reader of the pages has one."""
    folder = tmp_path_factory.mktemp("finished") / "smoke"
    made = run(["etude", "run", "smoke", *SHORT.split(), "--out", str(folder)], folder.parent)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def desk(tmp_path: Path, finished: Path) -> Path:
    """The folder in which a page's commands are given: runs by the names that pages use."""
    for name in ("tiny", "smoke"):
        shutil.copytree(finished, tmp_path / "runs" / name, copy_function=os.link)
    for name in ("examples", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    for name, place in OF_P3.items():
        (tmp_path / name).symlink_to(P3 / place)
    return tmp_path


LONGEST = {
    *("data.md", "diversity.md", "evaluation.md", "recipes.md"),
    *("report.md", "tracking.md", "training.md"),
}
"""Pages whose commands take longest. The README has most of them too."""
TRIED = [
    pytest.param(page, marks=[pytest.mark.long] if page.name in LONGEST else []) for page in PAGES
]


@pytest.mark.slow
@pytest.mark.parametrize("page", TRIED, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_runs(page: Path, desk: Path) -> None:
    left_out: list[str] = []
    for block in blocks(page):
        if block.mark.startswith("file: "):
            (desk / block.mark.removeprefix("file: ")).write_text(block.text, "utf-8")
        if block.language != "console" or block.reason:
            continue
        for command in commands(block):
            if not P3.is_dir() and any(name in smaller(command.line) for name in OF_P3):
                left_out.append(command.line)
            else:
                check(block, command, desk)
    if left_out:
        pytest.skip(f"all but these ran, which need P3 in ../shared: {left_out}")


def check(block: Block, command: Command, desk: Path) -> None:
    """One command: it ends well, and prints what the page says where the page promises that."""
    if shown := re.fullmatch(r"cat (\S+)", command.line):
        (desk / shown[1]).write_text(command.output, "utf-8")
        return
    ended = run(smaller(command.line), desk)
    said = f"{block.name}: {command.line}\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}"
    assert ended.returncode == block.exit_code, said
    if block.mark == "exactly":
        assert ended.stdout.rstrip() == command.output.rstrip(), said


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_every_python_example_runs(block: Block, desk: Path) -> None:
    compile(block.text, block.name, "exec")
    if block.reason or "etude" not in block.text:
        return
    path = desk / "example.py"  # a file, since processes may be started from it
    path.write_text(block.text, "utf-8")
    ended = run([sys.executable, str(path)], desk)
    assert ended.returncode == 0, f"{block.name}\n{ended.stderr}"


def test_what_is_not_run_says_why() -> None:
    marks = {block.mark for block in BLOCKS if block.mark}
    known = ("not run: ", "file: ", "exactly", "exit ", "ladder")
    assert [mark for mark in marks if not mark.startswith(known)] == []
    assert [block.name for block in BLOCKS if block.language in ("bash", "sh")] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="needs the docs extra")
    for name in ("docs", "src"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    built = run([sys.executable, "-m", "zensical", "build", "--strict"], tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in DOCUMENTS[1:]}
    assert [str(page) for page in sorted(pages) if not (tmp_path / "site" / page).is_file()] == []


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8")))
    there = {str(page.relative_to(ROOT / "docs")) for page in DOCUMENTS[1:]}
    assert named == there


MODULES = [
    path
    for path in sorted((ROOT / "src" / "etude").rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_examples_of_docstrings_print_what_they_say(path: Path) -> None:
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    found = doctest.testmod(importlib.import_module(name.removesuffix(".__init__")))
    assert found.attempted > 0
    assert found.failed == 0
