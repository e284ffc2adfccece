"""What recordings are. What every engine promises is in test_engine_contract."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import engines_models
from etude.engines import open_engine
from etude.engines.replay import ReplayEngine, record
from etude.errors import InputError
from etude.types import Prompt, Sample

PROMPTS = [
    Prompt("def f(x: int, a=3): return x + a == 5\ndef g(a=3):", "def g(a=3):"),
    Prompt("def f(", "def f("),
    Prompt("def f(", "def f("),
    Prompt("def g(a=1): return", "def g(a=1): return"),
]
TOO_LONG = Prompt("def f(x):" + " return" * 100, "def f(x):")
SETTINGS: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engines_models.build("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def recording(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "samples.jsonl"
    with closing(record(open_engine("transformers", folder, threads=1), path)) as recorder:
        for seed in (1, 2):
            recorder.sample(PROMPTS, 5, seed=seed, **SETTINGS)
        assert not recorder.fits(TOO_LONG, 20)
    return path


def test_a_recording_replays_what_the_engine_said(folder: Path, recording: Path) -> None:
    with closing(open_engine("transformers", folder, threads=1)) as engine:
        for seed in (1, 2):
            want = engine.sample(PROMPTS, 5, seed=seed, **SETTINGS)
            assert ReplayEngine(recording).sample(PROMPTS, 5, seed=seed, **SETTINGS) == want


def test_a_mapping_is_a_recording() -> None:
    engine = ReplayEngine({"def f(": [" x): return x", Sample("y", finished=False)]})
    drawn = engine.sample([PROMPTS[1]], 2, seed=9, **SETTINGS)
    assert drawn == [[Sample(" x): return x", finished=True), Sample("y", finished=False)]]


def test_what_was_not_recorded_is_refused_by_name(recording: Path) -> None:
    engine = ReplayEngine(recording)
    with pytest.raises(InputError, match=r"'def h\(' with seed 1, .* recorded not at all"):
        engine.sample([Prompt("def h(", "def h(")], 1, seed=1, **SETTINGS)
    with pytest.raises(InputError, match="recorded only with seeds 1, 2"):
        engine.sample(PROMPTS, 1, seed=3, **SETTINGS)
    with pytest.raises(InputError, match=r"at least 6 samples .* but has 5"):
        engine.sample(PROMPTS[:1], 6, seed=1, **SETTINGS)
    with pytest.raises(InputError, match=r"at least 12 samples of the prompt 'def f\(' but has 10"):
        engine.sample(PROMPTS[1:3], 6, seed=1, **SETTINGS)


def test_a_line_without_a_seed_serves_every_seed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    rows = [
        {"prompt": "p", "samples": ["any"]},
        {"prompt": "p", "seed": 4, "samples": ["four"]},
        {"prompt": "p", "samples": ["more"]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    engine = ReplayEngine(path)
    [drawn] = engine.sample([Prompt("p", "")], 2, seed=1, **SETTINGS)
    assert [sample.text for sample in drawn] == ["any", "more"]
    assert engine.sample([Prompt("p", "")], 1, seed=4, **SETTINGS)[0][0].text == "four"


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "7",
        '{"prompt": "p"}',
        '{"samples": []}',
        '{"prompt": 3, "samples": []}',
        '{"prompt": "p", "samples": [3]}',
        '{"prompt": "p", "samples": [{"text": "t"}]}',
        '{"prompt": "p", "samples": [{"text": 1, "finished": true}]}',
        '{"prompt": "p", "samples": "text"}',
        '{"prompt": "p", "samples": [], "seed": "x"}',
        '{"prompt": ["p"], "fits": false}',
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"prompt": "p", "samples": ["s"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"r\.jsonl, line 2 must be"):
        ReplayEngine(path)


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="readable UTF-8 file"):
        ReplayEngine(tmp_path / "none.jsonl")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="readable UTF-8 file"):
        ReplayEngine(tmp_path / "binary")
    with pytest.raises(InputError, match="file that can be written"):
        record(ReplayEngine({}), tmp_path / "no" / "where.jsonl")


def test_any_text_survives_recording(tmp_path: Path) -> None:
    text = 'a"\\\n\u2028\x00\ud800ü'
    engine = ReplayEngine({text: [text, Sample(text, finished=False)]})
    with closing(record(engine, tmp_path / "r.jsonl")) as recorder:
        want = recorder.sample([Prompt(text, "")], 2, seed=0, **SETTINGS)
    again = ReplayEngine(tmp_path / "r.jsonl")
    assert again.sample([Prompt(text, "")], 2, seed=0, **SETTINGS) == want
