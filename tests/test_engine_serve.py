"""The openai engine against `transformers serve`: a server that others wrote, with its own ways."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="needs the openai extra")
pytest.importorskip("fastapi", reason="transformers serve needs fastapi and uvicorn")

import engines_models
from etude.engines.openai import OpenAIEngine
from etude.errors import InputError
from etude.types import Prompt

pytestmark = pytest.mark.slow

PROMPT = Prompt("def f(x: int, a=3): return x + a == 5\ndef g(a=3):", "def g(a=3):")
SETTINGS: dict[str, Any] = {"seed": 1, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = engines_models.build("llama", tmp_path_factory.mktemp("llama"), context=256, chat=True)
    path = made / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_sample": True}))
    return made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    code = "from transformers.cli.transformers import main; main()"
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    server = subprocess.Popen(
        [sys.executable, "-c", code, "serve", *options],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    yield f"http://127.0.0.1:{port}/v1"
    server.kill()
    server.wait()


def test_it_ignores_n_and_is_asked_on(url: str, folder: Path) -> None:
    engine = OpenAIEngine(str(folder), url=url, retries=1, choices=3, concurrency=1)
    engine.check(chat=True)
    [drawn] = engine.sample([PROMPT], 4, temperature=1.0, **SETTINGS)
    assert len(drawn) == 4
    assert len({one.text for one in drawn}) > 1
    assert engine.usage.requests == 4
    assert engine.usage.completion_tokens > 0
    assert engine.sample([PROMPT], 4, temperature=1.0, **SETTINGS) == [drawn]
    [[first, second]] = engine.sample([PROMPT], 2, temperature=0.0, **SETTINGS)
    assert first == second
    [said] = engine.sample([Prompt("return a", "", chat=True)], 2, temperature=1.0, **SETTINGS)
    assert all(one.text for one in said)


def test_a_model_that_it_does_not_have_is_one_sentence(url: str) -> None:
    with pytest.raises(InputError, match="The server at") as caught:
        OpenAIEngine("no/such-model", url=url, retries=0).check(chat=False)
    assert "\n" not in str(caught.value)
