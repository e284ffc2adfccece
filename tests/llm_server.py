"""A server that speaks OpenAI's API as far as the tests need it, and can fail in many ways.

    python tests/llm_server.py [MODEL FOLDER]

Prints its port. Without a model its texts depend on prompt, seed and place among the choices alone.
`POST /plan` says how it behaves, `GET /log` what it was asked.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

MODEL = "teacher"
KEY = "sk-the-right-key"


class State:
    """What all threads share."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.engine: Any = None
        self.reset({})

    def reset(self, plan: dict[str, Any]) -> None:
        self.faults: list[str] = plan.get("faults", [])
        self.always: str = plan.get("always", "")
        self.most_choices: int = plan.get("most_choices", 100)
        self.delay: float = plan.get("delay", 0.0)
        self.text: str | None = plan.get("text")
        self.teaches: bool = plan.get("teaches", False)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answered = 0
        self.now = self.peak = 0


STATE = State()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        log = {"asked": STATE.asked, "answered": STATE.answered, "peak": STATE.peak}
        self.answer(200, log | {"keys": STATE.keys})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/fail":
            STATE.always = asked["always"]
            self.answer(200, {})
            return
        if self.path == "/plan":
            STATE.reset(asked)
            self.answer(200, {})
            return
        with STATE.lock:
            STATE.asked.append(asked)
            STATE.keys.append(self.headers.get("Authorization", ""))
            fault = STATE.faults.pop(0) if STATE.faults else STATE.always
            STATE.now += 1
            STATE.peak = max(STATE.peak, STATE.now)
        time.sleep(STATE.delay)
        try:
            self.respond(asked, fault)
        finally:
            with STATE.lock:
                STATE.now -= 1

    def respond(self, asked: dict[str, Any], fault: str) -> None:
        kind, _, size = fault.partition(":")
        if asked["model"] != MODEL:
            self.answer(404, {"error": {"message": f"no model \x1b[31m{asked['model']}"}})
        elif kind.isdigit():
            headers = {"Retry-After": size} if size else {}
            said = {"error": {"message": f"no: {self.headers.get('Authorization')}"}}
            self.answer(int(kind), said, headers)
        elif kind == "stall":
            time.sleep(float(size))
        elif kind == "half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"choices": [')
            self.close_connection = True
        elif kind == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(int(size)):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            self.close_connection = True
        elif kind == "headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(int(size)):
                self.wfile.write(b"x")
                time.sleep(0.1)
            self.close_connection = True
        elif kind == "huge":
            self.raw(200, b'{"choices": [{"text": "' + b"x" * int(size) + b'"}]}')
        elif kind == "endless":
            self.send_response(int(size))
            self.end_headers()
            for _ in range(300):
                self.wfile.write(b"x" * 100_000)
            self.close_connection = True
        elif kind == "bomb":
            said = {"Content-Encoding": "gzip"}
            self.raw(int(size), gzip.compress(b"x" * 30_000_000), said)
        elif kind == "raw":
            self.raw(200, size.encode())
        else:
            self.complete(asked)

    def complete(self, asked: dict[str, Any]) -> None:
        chat = "messages" in asked
        prompt = asked["messages"][0]["content"] if chat else asked["prompt"]
        wanted = min(asked.get("n", 1), STATE.most_choices)
        limit = asked.get("max_tokens") or asked["max_completion_tokens"]
        choices = []
        for text, reason in texts(prompt, asked["seed"], wanted, asked["temperature"], limit):
            for stop in asked.get("stop") or ():
                if stop in text:
                    text, reason = text[: text.index(stop)], "stop"
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choices.append(said | {"finish_reason": reason, "index": len(choices)})
        usage = {"prompt_tokens": 100, "completion_tokens": 10 * len(choices)}
        self.answer(200, {"id": "x", "choices": choices, "usage": usage})
        STATE.answered += 1

    def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.raw(status, json.dumps(body).encode(), headers)

    def raw(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def texts(
    prompt: str, seed: int, n: int, temperature: float, limit: int
) -> Iterator[tuple[str, str]]:
    """`n` continuations and why each ended: the model's, or made up."""
    if STATE.engine is not None:
        yield from modelled(prompt, seed, n, temperature, limit)
        return
    for index in range(n):
        if STATE.text is not None or STATE.teaches:
            yield STATE.text or taught(prompt, seed + index), "stop"
            continue
        chance = (seed, index) if temperature else ()
        number = int(sha256(f"{prompt} {chance}".encode()).hexdigest()[:6], 16)
        if number % 4 == 0:
            yield " return (" + "1 + " * limit, "length"
        else:
            yield f" return {number}\ndef h(x): return x\n", "stop"


SENTENCES = (
    "Return twenty times b, and a more than that.",
    "Return the sum of the two numbers.",  # no solution of the puzzle
    "Return an x for which x - a == b * 20 holds.",  # code
)
"""What the puzzle of `taught` is told in."""


def taught(prompt: str, chance: int) -> str:
    """A puzzle with constants of its own, or a solution of one, right in two of three."""
    wrong = "" if chance % 3 else " + 1"
    if "Write one new puzzle" in prompt:
        made = f"def f(x: int, a={chance % 997}, b=7):\n    return x - a == b * 20"
        return f"Sure:\n```python\n{made}\n```"
    if prompt.endswith("# Return"):
        return SENTENCES[chance % len(SENTENCES)].removeprefix("Return") + "\n"
    if match := re.search(r"\"\"\"(.*)\"\"\"\n$", prompt):  # all that it is told
        right = "b * 20 + a" if match[1] == SENTENCES[0] else "a + b"
        return f"    return {right}{wrong}\n\nassert"
    if match := re.search(r"begins `(def g\(.*?\):)`", prompt):
        return f"Add.\n\n```python\n{match[1]}\n    return b * 20 + a{wrong}\n```\nDone."
    if prompt == "def f(":
        return f"x: int, a={chance % 997}, b=7): return x - a == b * 20\n"
    return f" return b * 20 + a{wrong}\n"


def modelled(
    prompt: str, seed: int, n: int, temperature: float, limit: int
) -> Iterator[tuple[str, str]]:
    from etude.types import Prompt

    opening = "def " + prompt.rpartition("def ")[2]
    with STATE.lock:
        [samples] = STATE.engine.sample(
            [Prompt(prompt, opening)], n, seed=seed, temperature=temperature, max_new_tokens=limit
        )
    for sample in samples:
        yield sample.text, "stop" if sample.finished else "length"


class Running:
    """A server in another process, from the side of a test."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"

    def plan(self, **plan: Any) -> None:
        """How it behaves from now on; what it was asked is forgotten."""
        self._post("plan", plan)

    def fail(self, always: str) -> None:
        """Every request from now on fails in this way; with "" none. Nothing is forgotten."""
        self._post("fail", {"always": always})

    def _post(self, path: str, said: Any) -> None:
        data = json.dumps(said).encode()
        with urlopen(Request(f"{self.root}/{path}", data=data, method="POST"), timeout=10):
            pass

    def log(self) -> dict[str, Any]:
        with urlopen(f"{self.root}/log", timeout=10) as response:
            found: dict[str, Any] = json.load(response)
        return found


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Running(int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    if len(sys.argv) > 1:
        from etude.engines import open_engine

        STATE.engine = open_engine("transformers", sys.argv[1], threads=1)
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
