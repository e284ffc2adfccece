"""Asking a server: under limits, again where it may help, and in one sentence where it may not."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from etude.engines.openai.pace import Pace
from etude.engines.openai.wire import BadReply, Reply, read_reply
from etude.errors import InputError
from etude.types import Prompt

BYTES_A_TOKEN = 2.5
"""For guesses of a prompt's tokens, on the safe side: code has three to four."""
SHOWN = 300
"""Characters of a server's message that are worth showing."""
LONGEST_PAUSE = 8.0
"""Seconds between two tries where an answer was none."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and how it is asked; each field is one of the recipe's `[engine]`."""

    url: str = "https://api.openai.com/v1"
    key_variable: str = "OPENAI_API_KEY"
    context: int = 0
    choices: int = 1
    token_limit: str = "max_tokens"
    concurrency: int = 8
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    timeout: float = 120.0
    retries: int = 8
    input_price: float = 0.0
    output_price: float = 0.0

    def key(self) -> str:
        """The key, from the environment; it is asked for when it is needed, and kept nowhere."""
        return os.environ.get(self.key_variable, "")


class Stopped(InputError):
    """Another request failed for good, so this one was not sent."""


class Asking:
    """The requests of one call: how many are under way, and whether to stop."""

    def __init__(
        self, client: openai.AsyncOpenAI, server: Server, model: str, requests: Pace, tokens: Pace
    ) -> None:
        self.stop = False
        self._client: Any = client
        self._server, self._model = server, model
        self._requests, self._tokens = requests, tokens
        self._room = asyncio.Semaphore(server.concurrency)

    async def reply(self, asked: dict[str, Any], n: int, max_new_tokens: int) -> Reply:
        """The reply to one request for at most `n` samples.

        Raises:
            InputError: it failed for good, or another did.
        """
        async with self._room:
            if self.stop:
                raise Stopped("another request failed")
            try:
                return await self._tried(asked, n, max_new_tokens)
            except (openai.APIError, BadReply, httpx2.HTTPError) as error:
                self.stop = True
                raise InputError(_sentence(error, self._server, self._model)) from None

    async def _tried(self, asked: dict[str, Any], n: int, max_new_tokens: int) -> Reply:
        """Again while the answer is none. After refusals and overload the library tries again."""
        guess = len(str(asked)) / BYTES_A_TOKEN + n * max_new_tokens
        for tried in range(self._server.retries):
            try:
                return await self._once(asked, n, max_new_tokens, guess)
            except (BadReply, httpx2.HTTPError):
                await asyncio.sleep(min(0.1 * 2**tried, LONGEST_PAUSE))
        return await self._once(asked, n, max_new_tokens, guess)

    async def _once(
        self, asked: dict[str, Any], n: int, max_new_tokens: int, guess: float
    ) -> Reply:
        await self._requests.wait()
        await self._tokens.wait(guess)
        body = await self._body(asked)
        reply = read_reply(body, chat="messages" in asked, n=n, max_new_tokens=max_new_tokens)
        if counted := reply.prompt_tokens + reply.completion_tokens:
            self._tokens.correct(counted - guess)
        return reply

    async def _body(self, asked: dict[str, Any]) -> bytes:
        chat = "messages" in asked
        resource = self._client.chat.completions if chat else self._client.completions
        async with resource.with_streaming_response.create(**asked) as response:
            body: bytes = await response.read()
        return body


def guessed_tokens(prompt: Prompt) -> int:
    """About how many tokens a prompt has, for a model whose tokenizer is not at hand."""
    return int(len(prompt.text.encode("utf-8", "replace")) / BYTES_A_TOKEN) + 1


def _sentence(error: Exception, server: Server, model: str) -> str:
    """What the caller can mend, in one sentence."""
    said = _shown(getattr(error, "message", "") or str(error) or type(error).__name__, server)
    where, times = f"The server at {server.url}", server.retries + 1
    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        held = "holds another" if server.key() else "is not set"
        return (
            f"{where} must be given a key that it takes, but the environment variable "
            f"{server.key_variable} {held}: {said}. Set it to the server's key."
        )
    if isinstance(error, openai.NotFoundError):
        return (
            f"{where} must know the model {model}, but does not: {said}. Name another, or mend url."
        )
    if isinstance(error, openai.RateLimitError):
        return (
            f"{where} must let requests through, but {times} times refused one as too many: "
            f"{said}. Lower requests_per_minute or concurrency, or continue later."
        )
    if isinstance(error, openai.APIConnectionError):
        late = isinstance(error, openai.APITimeoutError)
        why = f"did not answer within {server.timeout:g} seconds" if late else "can't be reached"
        return f"{where} must answer, but {why}, {times} times. Start it, or mend url."
    if isinstance(error, openai.APIStatusError):
        return f"{where} must answer the request, but refuses it ({error.status_code}): {said}."
    return f"{where} must answer with a completion, but did not, {times} times, lastly: {said}."


def _shown(text: str, server: Server) -> str:
    """A server's words, which may be anything: short, printable, and never the key."""
    key = server.key()
    clean = text.replace(key, "***") if key else text
    clean = "".join(letter if letter.isprintable() else " " for letter in clean[: 4 * SHOWN])
    return clean[:SHOWN].strip().rstrip(".")
