"""The command line: bad input is one sentence and exit code 2, whatever is bad about it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from etude import config

F, G = "def f(x: int, a=7): return x + a == 9", "def g(a=7): return 9 - a"


def etude(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "etude", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_help_is_also_asked_for_by_its_letter(tmp_path: Path) -> None:
    for words in ([], ["judge"]):
        asked = etude(*words, "-h", folder=tmp_path)
        assert (asked.returncode, asked.stderr) == (0, "")
        assert asked.stdout == etude(*words, "--help", folder=tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "missing.toml"], r"missing\.toml must be a recipe's file or one of .*smoke, tiny"),
        (["sweep", "missing.toml"], r"must be a sweep's file or one of ablation, prompts, temper"),
        (["sweep", "torn.toml"], r"torn\.toml must be TOML but is not: .* line 1"),
        (["run", "smoke", "--dry-run", "--set", "seeds.source=no.jsonl"], r"no\.jsonl"),
        (["run", "torn.toml"], r"torn\.toml must be TOML but is not: .* line 1"),
        (["run", "binary.toml"], r"must be a TOML file in UTF-8"),
        (["run", "smoke", "--set", "solve.sample=3"], r"Did you mean samples\?"),
        (["run", "smoke", "--set", "solve.samples=none"], r"solve\.samples is 'none'"),
        (["run", "smoke", "--set", "solve"], r"must be section\.key=value"),
        (["run", "smoke", "--set", "evaluate.ks=[100]"], r"pass@k is undefined for k > n"),
        (["run", "smoke", "--set", "model.heads=5"], r"a multiple of twice model\.heads = 5"),
        (["run", "smoke", "--out", "x" * 300], r"must be a folder that can be written"),
        (
            ["run", "smoke", "--set", "evaluate.suite=poems"],
            r"one of tiny, regex, p3, .*, but 'poems'",
        ),
        (["run", "smoke", "--set", "seeds.source=no.jsonl"], r"no\.jsonl"),
        (["run", "empty"], r"must be a run folder with a recipe\.toml, but has none"),
        (["run", "smoke", "--out", "full"], r"full must be a run folder or not exist"),
        (["run", "smoke", "--out", "s3:/typo"], r"s3:/typo must have two slashes"),
        (["run", "smoke", "--cluster", "processes"], r"--cluster must be here, .*'processes'"),
        (["run", "smoke", "--dry-run", "--cluster", "4"], r"--cluster must be here, .*'4'"),
        (["run", "smoke", "--dry-run", "--track", "paper"], r"--track must be .* got paper"),
        (["evaluate", "--model", "./nowhere"], r"must be a folder or a name on the hub"),
        (["evaluate", "--model", "empty"], r"has no config\.json"),
        (
            ["evaluate", "--model", "empty", "--suite", "poems"],
            r"one of tiny, regex, p3, .*, but 'poems'",
        ),
        (["evaluate", "--model", "x", "--suite", "p3", "--folder", "empty"], r"must hold puzzles"),
        (["evaluate", "--model", "x", "--layout", "verse"], r"prompt\.layout is 'verse'"),
        (["evaluate"], r"takes --model, or --check-suite without one"),
        (["evaluate", "--suite", "mbpp", "--check-suite"], r"none was given\. Give mbpp\.jsonl"),
        (
            ["evaluate", "--model", "./nowhere", "--against", "./gone"],
            r"must be a folder or a name on",
        ),
        (
            ["solve", "pairs.csv", "--model", "x"],
            r"must be in a file that ends with \.py or one of",
        ),
        (
            ["solve", "missing.jsonl", "--model", "x"],
            r"missing\.jsonl must be a file that can be r",
        ),
        (
            ["solve", "pairs.jsonl", "--model", "./nowhere"],
            r"must be a folder or a name on the hub",
        ),
        (["judge", "missing.jsonl"], r"missing\.jsonl"),
        (["judge", "pairs.csv"], r"pairs\.csv"),
        (["judge", "pairs.jsonl", "--isolation", "iron"], r"iron"),
        (["judge", "pairs.jsonl", "--out", "pairs.jsonl"], r"another file than the pairs"),
        (["judge", "pairs.jsonl", "--out", "empty"], r"empty is a folder"),
        (["judge", "pairs.jsonl", "--out", "no/out.jsonl"], r"in no, which is no folder"),
        (["show", "empty"], r"must be a run folder"),
        (["report", "empty"], r"must be a run folder"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    words: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "torn.toml").write_text("name =\n[run]\n")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("mine")
    (tmp_path / "pairs.csv").write_text("f,g\n")
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"puzzle": F, "solution": G}) + "\n")
    before = _contents(tmp_path)
    done = etude(*words, folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert _contents(tmp_path) == before


def _contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_broken_lines_are_named_and_the_good_ones_judged(tmp_path: Path) -> None:
    pair = json.dumps({"puzzle": F, "solution": G})
    (tmp_path / "pairs.jsonl").write_text(f"{pair}\n{{\n{pair}\n[]\n")
    done = etude("judge", "pairs.jsonl", "--workers", 1, folder=tmp_path)
    assert done.returncode == 2
    assert "2 accepted" in done.stdout
    assert "line 2: " in done.stderr
    assert "line 4: " in done.stderr
    assert "2 lines hold no pair" in done.stderr


README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def test_the_readmes_pairs_are_judged_as_it_says(tmp_path: Path) -> None:
    shown = re.search(r"\$ cat pairs\.jsonl\n(.*)\n\$ etude judge pairs\.jsonl\n(.*)\n", README)
    assert shown is not None
    (tmp_path / "pairs.jsonl").write_text(shown[1] + "\n")
    done = etude("judge", "pairs.jsonl", "--workers", 1, folder=tmp_path)
    assert done.stdout == shown[2] + "\n"


def test_the_readmes_recipe_loads(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "mine.toml").write_text(recipe)
    assert config.load(str(tmp_path / "mine.toml")).name == "mine"


def test_judge_as_json_lines(tmp_path: Path) -> None:
    pairs = [{"puzzle": F, "solution": G}, {"puzzle": F, "solution": "def g(a=7): return 9"}]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    done = etude("judge", "pairs.jsonl", "--workers", 1, "--json", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["line"], row["outcome"]) for row in rows] == [(1, "accepted"), (2, "wrong")]


def test_an_interrupted_judge_says_what_is_kept(tmp_path: Path) -> None:
    quick = json.dumps({"puzzle": F, "solution": G})
    sleeper = {"puzzle": F + " ", "solution": "import time\ndef g(a=7): time.sleep(60)"}
    (tmp_path / "pairs.jsonl").write_text(f"{quick}\n{json.dumps(sleeper)}\n")
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-um", "etude", "judge", "pairs.jsonl", "--json", "--out", out]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells ignore it for `&`
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "Interrupted. Judged: 1 pair, with verdicts in" in said
    assert "Traceback" not in said
    assert out.read_text() == first


SMALL_DISK = """
mkdir disk && mount -t tmpfs -o size=3m none disk || exit 77
{python} -m etude run smoke --out disk/run --set pretrain.documents=50
code=$?
mount -o remount,size=100m disk && ls -A disk/run/round-00 && exit $code
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux namespaces")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    script = SMALL_DISK.format(python=sys.executable)
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    if done.returncode not in (0, 1, 2):
        pytest.skip(f"no small disk could be mounted here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 2, done.stderr
    assert "bytes free). What was finished is kept: make room" in done.stderr
    assert "etude run disk/run" in done.stderr
    assert "Traceback" not in done.stderr
