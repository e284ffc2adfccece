"""The openai engine against a server in another process that fails in many ways."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("openai", reason="needs the openai extra")

import llm_server
from etude.engines.openai import OpenAIEngine
from etude.engines.openai.journal import Journal
from etude.engines.openai.wire import BadReply, Choice, Reply, read_reply
from etude.errors import InputError
from etude.types import Prompt, Sample, Usage
from llm_server import Running

PROMPTS = [Prompt(f"def f(x: int, a={a}): return x == a\ndef g():", "def g():") for a in range(4)]
SETTINGS: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 8}
CHAT = Prompt("Write a puzzle.", "", chat=True)


@pytest.fixture(scope="module")
def process() -> Iterator[Running]:
    with llm_server.running() as started:
        yield started


@pytest.fixture
def server(process: Running) -> Running:
    process.plan()
    return process


def engine(server: Running, journal: Path | None = None, **options: Any) -> OpenAIEngine:
    settings = {"url": server.url, "retries": 2, "timeout": 5.0, **options}
    return OpenAIEngine(llm_server.MODEL, journal=journal, **settings)


def sample(opened: OpenAIEngine, n: int = 3, seed: int = 1) -> list[list[Sample]]:
    return opened.sample(PROMPTS, n, seed=seed, **SETTINGS)


@pytest.fixture
def want(server: Running) -> list[list[Sample]]:
    drawn = sample(engine(server))
    server.plan()
    return drawn


def test_samples_end_with_the_function(want: list[list[Sample]]) -> None:
    every = [one for samples in want for one in samples]
    assert {one.finished for one in every} == {True, False}
    assert all(one.text.startswith(" return") and "\n" not in one.text for one in every)


def test_each_draw_has_a_seed_of_its_own_and_n_is_not_sent(server: Running) -> None:
    sample(engine(server))
    asked = server.log()["asked"]
    assert len({one["seed"] for one in asked}) == len(asked) == 12
    assert not any("n" in one for one in asked)


@pytest.mark.parametrize("most_choices", [1, 2, 100])
def test_fewer_choices_than_asked_are_asked_on(server: Running, most_choices: int) -> None:
    server.plan(most_choices=most_choices)
    drawn = sample(engine(server, choices=3), 5)
    assert [len(samples) for samples in drawn] == [5] * 4
    requests = {1: 5, 2: 3, 100: 2}[most_choices]
    assert len(server.log()["asked"]) == 4 * requests


def test_a_message_to_a_chat_model_is_answered_whole(server: Running) -> None:
    server.plan(text="Here:\n```python\ndef f(x: int): return x == 1\n```\ndef g")
    [[one]] = engine(server, token_limit="max_completion_tokens").sample(
        [CHAT], 1, seed=1, **SETTINGS
    )
    assert one == Sample("Here:\n```python\ndef f(x: int): return x == 1\n```\ndef g", True)
    [asked] = server.log()["asked"]
    assert asked["messages"] == [{"role": "user", "content": CHAT.text}]
    assert asked["max_completion_tokens"] == 8
    assert "max_tokens" not in asked
    assert "stop" not in asked


@pytest.mark.parametrize(
    "fault",
    [
        "500",
        "429",
        "429:0.05",
        "raw:nonsense",
        "raw:",
        "raw:[]",
        "raw:{}",
        'raw:{"choices": 7}',
        'raw:{"choices": []}',
        'raw:{"choices": [7]}',
        'raw:{"choices": [{"text": ["x"]}]}',
        "raw:" + "[" * 100_000,
        "half",
        "huge:3000000",
    ],
)
def test_failures_that_pass_change_nothing(
    server: Running, want: list[list[Sample]], fault: str
) -> None:
    server.plan(faults=[fault])
    assert sample(engine(server)) == want
    assert len(server.log()["asked"]) == 13


@pytest.mark.parametrize("fault", ["stall:0.6", "drip:12"])
def test_a_server_that_stalls_is_asked_again(
    server: Running, want: list[list[Sample]], fault: str
) -> None:
    server.plan(faults=[fault])
    assert sample(engine(server, timeout=0.4)) == want


def test_headers_that_never_end_are_an_answer_too_late(
    server: Running, want: list[list[Sample]]
) -> None:
    """Each byte is in time, so no wait for a single one ends it."""
    server.plan(faults=["headers:50"])
    start = time.monotonic()
    assert sample(engine(server, timeout=0.4)) == want
    assert time.monotonic() - start < 3


def test_the_servers_pause_is_kept(server: Running) -> None:
    server.plan(faults=["429:1"])
    start = time.monotonic()
    engine(server).sample(PROMPTS[:1], 1, seed=1, **SETTINGS)
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"text": None, "finish_reason": "content_filter"}, Sample("", False)),
        ({"text": " \x00\ud800", "finish_reason": None}, Sample(" \x00\ud800", False)),
        ({"text": " \x00\ud800", "finish_reason": ["x"]}, Sample(" \x00\ud800", False)),
        ({"text": "x" * 10_000, "finish_reason": "stop"}, Sample("x" * 512, False)),
    ],
)
def test_an_odd_text_is_data(server: Running, body: dict[str, Any], expected: Sample) -> None:
    odd = {"choices": [body], "usage": {"prompt_tokens": -1, "completion_tokens": "many"}}
    server.plan(always="raw:" + json.dumps(odd))
    opened = engine(server)
    assert opened.sample(PROMPTS[:1], 1, seed=1, **SETTINGS) == [[expected]]
    assert opened.usage == Usage(requests=1)


@pytest.mark.parametrize(
    ("fault", "options", "words"),
    [
        ("401", {}, "must be given a key .* OPENAI_API_KEY is not set"),
        ("403", {}, "must be given a key"),
        ("400", {}, r"refuses it \(400\): "),
        ("429", {"retries": 1}, "2 times refused one as too many.*Lower requests_per_minute"),
        ("500", {"retries": 1}, r"refuses it \(500\)"),
        ("raw:x", {"retries": 1}, r"2 times, lastly: no JSON \(JSONDecodeError\)"),
        ("huge:9000000", {"retries": 0}, "more than .* bytes"),
        ("stall:2", {"retries": 0, "timeout": 0.2}, r"did not answer within 0\.2 seconds, 1 times"),
        ("drip:9", {"retries": 0, "timeout": 0.3}, "does not end in time"),
        ("endless:200", {"retries": 0}, "more than .* bytes"),
        ("endless:500", {"retries": 0}, "more than .* bytes"),
        ("endless:401", {"retries": 0}, "more than .* bytes"),
        ("bomb:200", {"retries": 0}, "no JSON"),
        ("bomb:400", {"retries": 0}, "refuses it"),
    ],
)
def test_what_does_not_pass_is_one_sentence(
    server: Running, fault: str, options: dict[str, Any], words: str
) -> None:
    server.plan(always=fault)
    with pytest.raises(InputError, match=words) as caught:
        sample(engine(server, **options))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_an_unknown_model_and_a_server_that_is_not_there(server: Running) -> None:
    other = OpenAIEngine("other", url=server.url, retries=0)
    with pytest.raises(InputError, match="must know the model other, but does not") as caught:
        other.check(chat=False)
    assert "\x1b" not in str(caught.value)
    gone = OpenAIEngine("m", url="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(InputError, match="can't be reached"):
        gone.check(chat=True)


def test_the_key_comes_from_the_environment_and_is_never_shown(
    server: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("THE_KEY", llm_server.KEY)
    opened = engine(server, tmp_path / "paid.jsonl", key_variable="THE_KEY")
    sample(opened)
    opened.close()
    assert set(server.log()["keys"]) == {f"Bearer {llm_server.KEY}"}
    assert llm_server.KEY not in (tmp_path / "paid.jsonl").read_text()
    server.plan(always="401")
    with pytest.raises(InputError, match="THE_KEY holds another") as caught:
        engine(server, key_variable="THE_KEY").check(chat=False)
    assert llm_server.KEY not in str(caught.value)


def test_no_more_requests_at_a_time_than_allowed(server: Running) -> None:
    server.plan(delay=0.05)
    sample(engine(server, concurrency=3))
    assert server.log()["peak"] == 3


@pytest.mark.parametrize("limit", [{"requests_per_minute": 600}, {"tokens_per_minute": 66_000}])
def test_limits_a_minute_are_kept(server: Running, limit: dict[str, int]) -> None:
    """12 requests, or 12 x 110 tokens, take 11 times their share of a minute: 1.1 seconds.

    Tokens are guessed before they are counted, at about 80.
    """
    start = time.monotonic()
    sample(engine(server, **limit))
    assert time.monotonic() - start >= 0.7


def test_what_was_counted_and_what_it_cost(server: Running) -> None:
    opened = engine(server, choices=3, input_price=10.0, output_price=50.0)
    sample(opened)
    assert opened.usage == Usage(4, 400, 120, pytest.approx(400 * 10e-6 + 120 * 50e-6))


def test_nothing_is_paid_twice(server: Running, want: list[list[Sample]], tmp_path: Path) -> None:
    path = tmp_path / "run" / "paid.jsonl"
    server.plan(faults=[""] * 7 + ["400"] * 9)
    with closing(engine(server, path, concurrency=2)) as first, pytest.raises(InputError):
        sample(first)
    paid = server.log()["answered"]
    assert 7 <= paid <= 9
    server.plan()
    again = engine(server, path)
    assert sample(again) == want
    assert len(server.log()["asked"]) == 12 - paid
    assert again.usage.requests == 12, "what was paid before belongs to the unit too"
    again.forget()
    assert not path.exists()


def test_a_killed_process_leaves_what_was_paid(
    server: Running, want: list[list[Sample]], tmp_path: Path
) -> None:
    path = tmp_path / "paid.jsonl"
    server.plan(delay=0.1)
    code = (
        "import sys, test_engine_openai as t; from pathlib import Path\n"
        "opened = t.OpenAIEngine(t.llm_server.MODEL, url=sys.argv[1], concurrency=1,"
        " journal=Path(sys.argv[2]))\n"
        "t.sample(opened)"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, server.url, str(path)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )
    while not path.exists() or path.read_bytes().count(b"\n") < 4:
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    kept = path.read_bytes().count(b"\n")
    with path.open("ab") as torn:
        torn.write(b'{"key": "torn", "cho')
    server.plan()
    with closing(engine(server, path)) as again:
        assert sample(again) == want
    assert len(server.log()["asked"]) == 12 - kept


def test_a_journal_is_not_forgotten_before_it_was_asked(tmp_path: Path) -> None:
    path = tmp_path / "paid.jsonl"
    reply = Reply((Choice("a\ud800\n", "stop"),), 3, 4)
    with closing(Journal(path)) as first:
        first.put("k", reply)
    again = Journal(path)
    again.forget()
    assert path.exists()
    assert again.get("k") == reply
    again.forget()
    assert not path.exists()


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"key": "k"}', '{"key": 1, "choices": [7]}'])
def test_a_damaged_journal_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "paid.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=r"paid\.jsonl, line 1, must be a reply"):
        Journal(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "text", "message", "content", "finish_reason", "usage"]),
            inner,
        )
    ),
    max_leaves=8,
)


@given(JSON, st.booleans())
def test_any_json_is_a_reply_or_a_bad_one(said: Any, chat: bool) -> None:
    try:
        reply = read_reply(json.dumps(said).encode(), chat=chat, n=2, max_new_tokens=4)
    except BadReply:
        return
    assert 1 <= len(reply.choices) <= 2
    assert Reply.from_json(json.loads(json.dumps(reply.as_json()))) == reply


def test_a_context_that_is_told_is_kept(server: Running) -> None:
    long = Prompt("x" * 1000, "")
    assert engine(server).fits(long, 10**6)
    told = engine(server, context=300)
    assert told.fits(PROMPTS[0], 100)
    assert not told.fits(long, 100)
    with pytest.raises(InputError, match=r"engine\.context = 300 tokens"):
        told.sample([long], 1, seed=1, **SETTINGS)
    assert server.log()["asked"] == []
