"""Pushing an export: the real client against a small server that speaks the hub's few words."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from etude.errors import InputError
from etude.export.hub import push as send
from reader_run import whole

pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")


class Hub(BaseHTTPRequestHandler):
    """Takes every file as text of a commit, as the hub does with small ones."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        if self.server.status != 200:
            self._answer(self.server.status, {"error": "no"})
        elif self.path == "/api/repos/create":
            self.server.created = json.loads(body)
            self._answer(200, {"url": f"{self.server.url}/datasets/me/pairs"})
        elif self.path == "/api/validate-yaml":  # of the card's first lines
            good = 'license: "no-' not in json.loads(body)["content"]
            errors = [] if good else [{"message": "license must be one of the known"}]
            self._answer(200 if good else 400, {"errors": errors, "warnings": []})
        elif "/preupload/" in self.path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                said = json.loads(line)
                if said["key"] == "file":
                    data = base64.b64decode(said["value"]["content"])
                    self.server.files[said["value"]["path"]] = data
            url = f"{self.server.url}/datasets/me/pairs/commit/abc"
            self._answer(200, {"commitUrl": url, "commitOid": "abc", "pullRequestUrl": None})
        else:
            self._answer(404, {"error": f"unknown {self.path}"})

    def do_GET(self) -> None:
        found = {"id": "me/pairs", "sha": "abc", "siblings": [], "private": True}
        self._answer(self.server.status, found)

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """A hub on this machine, and what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.status = 200
        self.asked: list[tuple[str, str]] = []
        self.created: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def hub() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def push(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    whole(folder / "run")
    return subprocess.run(
        [sys.executable, "-m", "etude", "export", "run", "--out", "pairs", "--push", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=os.environ
        | {"HF_ENDPOINT": url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": "hf_test"}
        | {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    )


def test_the_folder_arrives_as_it_is(tmp_path: Path, hub: Server) -> None:
    ended = push(tmp_path, hub.url, "me/pairs")
    assert ended.returncode == 0, ended.stderr
    out = tmp_path / "pairs"
    sent = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert hub.files == {name: path.read_bytes() for name, path in sent.items()}
    assert hub.created["visibility"] == "private"
    assert {token for _, token in hub.asked} == {"Bearer hf_test"}
    assert f"pushed: {hub.url}/datasets/me/pairs" in ended.stdout
    assert 'load_dataset("me/pairs", split="train")' in hub.files["README.md"].decode()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """What stands for an exported folder."""
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "README.md").write_text('---\nlicense: "no-such"\n---\n')
    return tmp_path / "pairs"


def test_public_has_to_be_said(
    exported: Path, hub: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (exported / "README.md").write_text("---\nlicense: mit\n---\n")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    send(exported, "me/pairs", public=True)
    assert hub.created.get("visibility") != "private"


@pytest.mark.parametrize(
    ("status", "repo", "token", "said"),
    [
        (401, "me/pairs", "hf_test", r"the token must be valid, but the hub does not know it"),
        (403, "me/pairs", "hf_test", r"must have the right to write there"),
        (200, "me/pairs", "hf_test", r"license must be one of the known"),
        (200, "me/pairs", "", r"needs a token .* there is none: set HF_TOKEN"),
        (200, "me/pairs/too", "hf_test", r"needs NAME or OWNER/NAME of a dataset"),
        (200, "a--b..c/--", "hf_test", r"must take it, but says"),
        (0, "me/pairs", "hf_test", r"must be reached, but is not .*Connect to the network"),
    ],
)
def test_a_refusal_is_one_sentence(
    exported: Path,
    hub: Server,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    repo: str,
    token: str,
    said: str,
) -> None:
    hub.status = status
    url = hub.url if status else "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(exported / "no-token"))
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(InputError, match=said):
        send(exported, repo)
