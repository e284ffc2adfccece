"""`etude judge` from outside: what it reads, what it writes, and what ends it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from etude.judge import JUDGE_VERSION
from judge_stage import kill_descendants

F, G = "def f(x: int, a=7): return x + a == 9", "def g(a=7): return 9 - a"
LINE = json.dumps({"puzzle": F, "solution": G}) + "\n"
ETUDE = [sys.executable, "-m", "etude", "judge", "--workers", "1"]


def judge(*words: object, folder: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ETUDE, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        input=stdin,
    )


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run by bash, `etude` in it standing for `etude judge --workers 1`."""
    text = command.replace("etude", " ".join(ETUDE))
    return subprocess.run(
        ["bash", "-c", text], capture_output=True, text=True, check=False, cwd=folder, timeout=60
    )


def test_each_verdict_says_under_which_conditions_it_was_found(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(LINE * 2)
    done = judge("pairs.jsonl", "--out", "out.jsonl", "--cpu-seconds", 0.5, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    (found,) = {row["judge"] for row in rows}
    assert found.startswith(f"judge-{JUDGE_VERSION} ")
    assert " cpu=0.5s wall=10s memory=1GiB " in found


def test_a_second_look_marks_what_rests_on_chance(tmp_path: Path) -> None:
    chance = "import random\ndef f(x: int): return random.random() > 0.5"
    pair = {"puzzle": chance, "solution": "def g(): return 1"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n" + LINE)
    done = judge("pairs.jsonl", "--twice", "--out", "out.jsonl", folder=tmp_path)
    assert done.stdout == "2 pairs: 2 accepted, 1 unstable\n"
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["outcome"], row["stable"]) for row in rows] == [
        ("accepted", False),
        ("accepted", True),
    ]


def test_standard_input_is_json_lines(tmp_path: Path) -> None:
    done = judge("-", folder=tmp_path, stdin=LINE * 3)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 pairs: 3 accepted\n", "")
    done = judge("-", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "etude: standard input must hold at least one pair, but holds none.\n"


def test_two_files_of_python_get_one_verdict(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text(F)
    (tmp_path / "g.py").write_text(G)
    done = judge("f.py", "g.py", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "accepted, answer 2\n")
    (tmp_path / "g.py").write_text("def g(): return 1 // 0")
    assert "raised: " in judge("f.py", "g.py", folder=tmp_path).stdout
    assert "raised: " in judge("f.py", "g.py", "--out", "out.jsonl", folder=tmp_path).stdout
    (row,) = judge("f.py", "g.py", "--json", folder=tmp_path).stdout.splitlines()
    assert json.loads(row)["outcome"] == "raised"


def test_no_byte_of_a_hostile_answer_reaches_the_terminal_raw(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f(s: str): return True")
    (tmp_path / "g.py").write_text("def g(): raise ValueError('\\x1b[2J\\u202e')")
    said = judge("f.py", "g.py", folder=tmp_path).stdout
    assert said.startswith("raised")
    assert "\x1b" not in said
    assert "\u202e" not in said


@pytest.mark.parametrize(
    "words",
    [(), ("f.py",), ("f.py", "f.py", "f.py"), ("pairs.jsonl", "f.py"), ("a.jsonl", "b.jsonl")],
)
def test_arguments_that_are_no_pairs_are_one_sentence(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "f.py").write_text(F)
    done = judge(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pairs must be given as one file, as - for standard input" in done.stderr


def test_the_names_of_p3_are_kept(tmp_path: Path) -> None:
    puzzle = {"name": "A:0", "sat": F, "sol_header": "def sol(a=7):", "sol_bodies": [" return 2"]}
    (tmp_path / "puzzles.json").write_text(json.dumps([puzzle]))
    (row,) = judge("puzzles.json", "--json", folder=tmp_path).stdout.splitlines()
    row = json.loads(row)
    assert (row["line"], row["name"], row["outcome"]) == (1, "A:0#1", "accepted")


def test_a_file_without_pairs_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("\n\n")
    done = judge("pairs.jsonl", "--out", "out.jsonl", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "etude: pairs.jsonl must hold at least one pair, but holds none.\n"
    assert not (tmp_path / "out.jsonl").exists()


def test_a_folder_is_said_so(tmp_path: Path) -> None:
    done = judge(".", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "etude: pairs must be in a file, but . is a folder.\n"


def test_many_broken_lines_are_counted_not_listed(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text('{"prompt": 1}\n' * 5000 + LINE)
    done = judge("pairs.jsonl", folder=tmp_path)
    assert done.returncode == 2
    assert "1 accepted" in done.stdout
    assert "5,000 lines hold no pair (the first 20 named above)" in done.stderr
    assert len(done.stderr.splitlines()) == 21


def test_a_reader_that_has_enough_ends_it_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(LINE * 500)
    done = shell("etude pairs.jsonl --json | head -n 1; echo ${PIPESTATUS[0]}", tmp_path)
    row, code = done.stdout.splitlines()
    assert (json.loads(row)["outcome"], code, done.stderr) == ("accepted", "141", "")
    done = shell("etude pairs.jsonl | true; echo ${PIPESTATUS[0]}", tmp_path)
    assert (done.stdout, done.stderr) == ("141\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_says_how_far_it_came(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(LINE)
    done = judge("pairs.jsonl", "--out", "/dev/full", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "etude: /dev/full could not be written (No space left on device): it holds the verdicts of "
        "the first 0 pairs. Make room or grant access, then give the command again.\n"
    )
    for words in ("", "--json"):
        done = shell(f"etude pairs.jsonl {words} > /dev/full", tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("etude: standard output could not be written (No space")
        assert len(done.stderr.splitlines()) == 1


def test_a_disk_that_fills_up_keeps_whole_lines(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    (tmp_path / "pairs.jsonl").write_text(LINE * 40)
    done = shell("ulimit -f 4; etude pairs.jsonl --out out.jsonl", tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["line"] for row in rows] == list(range(1, len(rows) + 1))
    assert 5 < len(rows) < 40
    assert done.returncode == 2
    assert f"it holds the verdicts of the first {len(rows)} pairs." in done.stderr
    assert "Traceback" not in done.stderr


def judged_without_an_interpreter(folder: Path, more: str) -> tuple[int, list[str], str]:
    """Exit code, outcomes and errors when the interpreter goes away under the judge, after the
    first pair, and with it the means to replace a sandbox."""
    python = folder / "python"
    python.symlink_to(sys.executable)
    path = os.pathsep.join(path for path in sys.path if path)
    slow = {"puzzle": f"import time\n{F} and not time.sleep(2)", "solution": G}
    (folder / "pairs.jsonl").write_text(LINE + json.dumps(slow) + "\n" + more)
    command = [python, *ETUDE[1:], "pairs.jsonl", "--json"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["outcome"] == "accepted"
        python.unlink()
        kill_descendants(process.pid)
        printed, said = process.communicate(timeout=60)
    outcomes = [json.loads(line)["outcome"] for line in printed.splitlines()]
    return process.returncode, outcomes, said


def test_faults_are_counted_and_loud(tmp_path: Path) -> None:
    code, outcomes, said = judged_without_an_interpreter(tmp_path, "{\n")
    assert (code, outcomes) == (1, ["fault"])
    assert "1 line holds no pair" in said
    assert "a fault of etude itself, not of the model: the sandbox failed, so that 1 of 2 " in said
    assert "Traceback" not in said


def test_a_sandbox_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    more = "".join(
        json.dumps({"puzzle": f"{F} # {number}", "solution": G}) + "\n" for number in range(25)
    )
    code, outcomes, said = judged_without_an_interpreter(tmp_path, more)
    assert (code, outcomes) == (1, ["fault"] * 20)
    assert "the sandbox failed on 20 pairs in a row" in said
    assert "Verdicts: 21 pairs: 1 accepted  20 fault." in said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("etude - 0> w", r"standard input can't be read \(Bad file descriptor\)\."),
        ("etude - <&-", r"standard input must hold pairs, but is closed\."),
        ("etude pairs.jsonl >&-", r"standard output must be open .*, but is closed\."),
        ("etude pairs.jsonl --json >&-", r"standard output must be open .*, but is closed\."),
        ("etude " + "x" * 300 + ".jsonl", r"can't be read \(File name too long\)"),
        ("etude " + "x" * 300 + ".py f.py", r"can't be read \(File name too long\)"),
        ("etude --again " + "x" * 300, r"must be a run folder with a recipe\.toml"),
        ("etude f.py/pairs.jsonl", r"there is no file f\.py/pairs\.jsonl"),
        ("etude pairs.jsonl --out " + "x" * 300, r"can't be written \(File name too long\)"),
        ("etude pairs.jsonl --out v.parquet", r"--out is JSON lines, so a \.jsonl file, but got"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_sentence(
    command: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "pairs.jsonl").write_text(LINE)
    (tmp_path / "f.py").write_text(F)
    done = shell(command, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(said, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_of_few_letters_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "f.py").write_text("def f(s: str): return True")
    (tmp_path / "g.py").write_text("def g(): return chr(233)")
    done = shell("PYTHONIOENCODING=ascii etude f.py g.py", tmp_path)
    assert (done.returncode, done.stdout) == (0, "accepted, answer '\\xe9'\n")


def test_programs_are_counted_apart_from_pairs(tmp_path: Path) -> None:
    program = {"prompt": "def g(x):\n", "completion": "    return x\n", "entry_point": "g"}
    line = json.dumps(program | {"test": "assert g(1) == 1"}) + "\n"
    done = judge("-", folder=tmp_path, stdin=line * 2)
    assert (done.stdout, done.stderr) == ("2 programs: 2 accepted\n", "")
    done = judge("-", folder=tmp_path, stdin=line + LINE * 2)
    assert (done.stdout, done.stderr) == ("2 pairs and 1 program: 3 accepted\n", "")


def test_what_is_broken_is_told_of_programs_too(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text(json.dumps({"entry_point": "g", "prompt": F}) + "\n")
    done = judge("tasks.jsonl", folder=tmp_path)
    assert done.returncode == 2
    assert "must have completion or canonical_solution, but has 'entry_point'," in done.stderr
    assert "puzzle and solution, or prompt, completion, test and entry_point, all text" in (
        done.stderr
    )


def test_an_isolation_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(LINE)
    done = judge("pairs.jsonl", "--isolation", "", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "isolation must be one of auto, full, filtered, process, but is ''" in done.stderr


def test_the_waiting_limit_leaves_room_for_the_cpu_time_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text(LINE)
    (row,) = judge(
        "pairs.jsonl", "--cpu-seconds", 20, "--json", folder=tmp_path
    ).stdout.splitlines()
    assert " cpu=20s wall=200s " in json.loads(row)["judge"]
