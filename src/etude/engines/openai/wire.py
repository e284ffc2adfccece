"""What goes to a server and what comes back: requests as JSON, replies that trust nobody.

A server's body is hostile text of any size. It is read up to a limit, and what is not a completion
raises `BadReply`, which may pass when it is asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etude.types import Prompt, Usage

BODY_BYTES = 1 << 20
"""How much a reply may hold beside its texts."""
CHARACTERS_A_TOKEN = 64
"""More than this a token is no honest text."""


ENDED = frozenset({"stop", "eos", "eos_token", "stop_sequence", "end_turn"})
"""What servers call the end of a text that the model, or one of the stops, has ended."""


class BadReply(Exception):
    """The server's answer is no completion. The message is a short reason."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One sample as the server gave it."""

    text: str
    reason: str
    """Why it ended: one of ENDED, `length`, or whatever else the server says."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request was answered with, and how many tokens were counted."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "choices": [[choice.text, choice.reason] for choice in self.choices],
            "tokens": [self.prompt_tokens, self.completion_tokens],
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Reply:
        """Back from the journal. Raises ValueError, KeyError or TypeError for anything else."""
        choices = tuple(Choice(str(text), str(reason)) for text, reason in row["choices"])
        prompt, completion = row["tokens"]
        return cls(choices, int(prompt), int(completion))

    def usage(self, input_price: float, output_price: float) -> Usage:
        """The tokens and what they cost, at prices for a million."""
        cost = (self.prompt_tokens * input_price + self.completion_tokens * output_price) / 1e6
        return Usage(1, self.prompt_tokens, self.completion_tokens, cost)


def payload(
    model: str,
    prompt: Prompt,
    *,
    n: int,
    seed: int,
    temperature: float,
    limit: tuple[str, int],
    stops: tuple[str, ...],
) -> dict[str, Any]:
    """The body of a request. `n` is left out when it is 1; `limit` is the limit's name and size."""
    asked: dict[str, Any] = {"model": model, "temperature": temperature, "seed": seed}
    asked[limit[0]] = limit[1]
    if n > 1:
        asked["n"] = n
    if prompt.chat:
        return asked | {"messages": [{"role": "user", "content": prompt.text}]}
    return asked | {"prompt": prompt.text, "stop": list(stops)}


def key_of(asked: Mapping[str, Any]) -> str:
    """A hash of a request: equal requests, equal key."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def body_limit(n: int, max_new_tokens: int) -> int:
    """Bytes that the answer to a request may have."""
    return BODY_BYTES + 12 * n * max_new_tokens * CHARACTERS_A_TOKEN  # 12: "\ud83d\ude00"


def read_reply(body: bytes, *, chat: bool, n: int, max_new_tokens: int) -> Reply:
    """The reply in a server's body; no more than `n` choices. Raises `BadReply`."""
    try:
        said: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"no JSON ({type(error).__name__})") from None
    choices = said.get("choices") if isinstance(said, dict) else None
    if not isinstance(choices, list) or not choices:
        raise BadReply("JSON without choices")
    most = max_new_tokens * CHARACTERS_A_TOKEN
    read = tuple(_choice(choice, chat, most) for choice in choices[:n])
    counts = said.get("usage")
    tokens = counts if isinstance(counts, dict) else {}
    return Reply(read, _count(tokens, "prompt_tokens"), _count(tokens, "completion_tokens"))


def _choice(choice: Any, chat: bool, most: int) -> Choice:
    if not isinstance(choice, dict):
        raise BadReply("a choice that is no object")
    reason = choice.get("finish_reason")
    holder = choice.get("message") if chat else choice
    if not isinstance(holder, dict):
        raise BadReply("a choice without a message")
    text = holder.get("content" if chat else "text")
    if text is None:  # a refusal, or the call of a tool: nothing was written
        text, reason = "", "none"
    if not isinstance(text, str):
        raise BadReply(f"a choice whose text is a {type(text).__name__}")
    if len(text) > most:
        text, reason = text[:most], "length"
    return Choice(text, reason if isinstance(reason, str) else "none")


def _count(tokens: dict[str, Any], name: str) -> int:
    """A count of tokens; what is none counts nothing."""
    value = tokens.get(name)
    return value if type(value) is int and 0 <= value < 1 << 40 else 0
