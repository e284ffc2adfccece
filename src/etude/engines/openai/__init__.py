"""Any server that speaks OpenAI's API as an engine: completions, and chat for chat prompts.

    engine = OpenAIEngine("gpt-x", url="http://127.0.0.1:8000/v1", journal=folder / "journal.jsonl")
    [[sample]] = engine.sample([prompt], 1, seed=7, temperature=0.8, max_new_tokens=64)

Covered: several requests at a time, limits a minute, failures that pass (the client library tries
again, with growing pauses or as the server's Retry-After says), servers that give fewer samples
than asked, tokens and cost, a journal so that nothing is paid twice, hostile replies.
Not covered: streams, tools. The same seed gives the same samples as far as the server keeps to it;
what is in the journal stays as it is.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import openai

from etude.engines.openai.asking import Asking, Server, Stopped, guessed_tokens
from etude.engines.openai.capped import CappedClient
from etude.engines.openai.journal import Journal
from etude.engines.openai.pace import Pace
from etude.engines.openai.wire import ENDED, Choice, body_limit, key_of, payload
from etude.engines.samples import STOPS, check_range, derived_seed, sample_of
from etude.errors import InputError
from etude.types import Prompt, Sample, Usage

__all__ = ["OpenAIEngine", "Server"]

_Job = tuple[Prompt, int, range]
"""A prompt, its place, and the draws that one request is to give."""


@dataclass(frozen=True, slots=True)
class Call:
    """What holds for every request of one call of `sample`."""

    seed: int
    temperature: float
    max_new_tokens: int


class OpenAIEngine:
    """Samples from a server's model. The key comes from the environment and stays in memory."""

    def __init__(self, model: str | Path, *, journal: Path | None = None, **server: Any) -> None:
        """`server` are fields of `Server`. Nothing is sent yet.

        Raises:
            InputError: no name of a model, or a journal that can't be read.
        """
        self._model = str(model)
        if not self._model:
            raise InputError("An openai engine needs the server's name of a model, but got none.")
        self._server = Server(**server)
        self.name = f"openai:{self._model}"
        self.usage = Usage()
        self._journal = Journal(journal)
        self._requests = Pace(self._server.requests_per_minute)
        self._tokens = Pace(self._server.tokens_per_minute)
        self._closed = False

    def fits(self, prompt: Prompt, max_new_tokens: int) -> bool:
        """By a guess of the prompt's tokens, if the recipe says the model's context; else True."""
        context = self._server.context
        return not context or guessed_tokens(prompt) + max_new_tokens <= context

    def check(self, *, chat: bool) -> None:
        """Asks for one token: whether the server is there, takes the key and knows the model.

        Raises:
            InputError: it does not.
        """
        prompt = Prompt("def f(", "" if chat else "def f(", chat)
        asyncio.run(self._check(self._payload(prompt, 1, 0, Call(0, 1.0, 1))))

    def sample(
        self,
        prompts: Sequence[Prompt],
        n: int,
        *,
        seed: int,
        temperature: float,
        max_new_tokens: int,
    ) -> list[list[Sample]]:
        """See `Engine.sample`. Every reply is in the journal before the next is waited for.

        Raises:
            InputError: the server can't be reached, refuses, or fails for longer than is tried.
        """
        check_range(n, temperature, max_new_tokens)
        if self._closed:
            raise InputError(f"The engine {self.name} is closed: open it again.")
        for number, prompt in enumerate(prompts):
            if not self.fits(prompt, max_new_tokens):
                raise InputError(
                    f"A prompt and its continuation must fit engine.context = "
                    f"{self._server.context} tokens, but prompt {number} has about "
                    f"{guessed_tokens(prompt)} and {max_new_tokens} new ones are asked for: leave "
                    "out the prompts for which fits() is False."
                )
        self.usage = Usage()
        size = self._server.choices
        jobs = [
            (prompt, place, range(first, min(first + size, n)))
            for place, prompt in enumerate(prompts)
            for first in range(0, n, size)
        ]
        drawn = asyncio.run(self._all(jobs, Call(seed, temperature, max_new_tokens)))
        out: list[list[Sample]] = [[] for _ in prompts]
        for (prompt, place, _), choices in zip(jobs, drawn, strict=True):
            out[place] += [
                sample_of(prompt, choice.text, stopped=choice.reason in ENDED) for choice in choices
            ]
        return out

    def forget(self) -> None:
        """See `Metered.forget`: the journal goes."""
        self._journal.forget()

    def close(self) -> None:
        """Closes the journal, and leaves it to whoever continues."""
        self._closed = True
        self._journal.close()

    async def _all(self, jobs: Sequence[_Job], call: Call) -> list[list[Choice]]:
        most = body_limit(self._server.choices, call.max_new_tokens)
        async with self._client(self._server.retries, most) as client:
            asking = Asking(client, self._server, self._model, self._requests, self._tokens)
            # Where one fails, nothing new is asked, but what is under way was paid: wait for it.
            tasks = [self._job(asking, job, call) for job in jobs]
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [one for one in ended if isinstance(one, BaseException)]
        if failed:
            raise next((one for one in failed if not isinstance(one, Stopped)), failed[0])
        return [one for one in ended if not isinstance(one, BaseException)]

    async def _job(self, asking: Asking, job: _Job, call: Call) -> list[Choice]:
        try:
            return await self._fill(asking, job, call)
        except BaseException:
            asking.stop = True
            raise

    async def _fill(self, asking: Asking, job: _Job, call: Call) -> list[Choice]:
        """The choices of a job's draws, asked on where the server gave fewer."""
        prompt, place, draws = job
        choices: list[Choice] = []
        while left := draws[len(choices) :]:
            seed = derived_seed(call.seed, place, left[0])
            asked = self._payload(prompt, len(left), seed, call)
            key = key_of(asked)
            reply = self._journal.get(key)
            if reply is None:
                reply = await asking.reply(asked, len(left), call.max_new_tokens)
                self._journal.put(key, reply)
            self.usage += reply.usage(self._server.input_price, self._server.output_price)
            choices += reply.choices[: len(left)]
        return choices

    def _payload(self, prompt: Prompt, n: int, seed: int, call: Call) -> dict[str, Any]:
        limit = (self._server.token_limit, call.max_new_tokens)
        return payload(
            self._model,
            prompt,
            n=n,
            seed=seed,
            temperature=call.temperature,
            limit=limit,
            stops=STOPS,
        )

    def _client(self, retries: int, most: int) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=self._server.key() or "none",  # a server at home wants no key, the library does
            base_url=self._server.url,
            timeout=self._server.timeout,
            max_retries=retries,
            http_client=CappedClient(
                most=most,
                seconds=self._server.timeout,
                base_url=self._server.url,
                verify=_certificates(),
                limits=httpx2.Limits(max_connections=self._server.concurrency),
            ),
        )

    async def _check(self, asked: dict[str, Any]) -> None:
        few = replace(self._server, retries=min(self._server.retries, 2))
        async with self._client(few.retries, body_limit(1, 1)) as client:
            asking = Asking(client, few, self._model, self._requests, self._tokens)
            await asking.reply(asked, 1, 1)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than many a request."""
    made: ssl.SSLContext = httpx2.create_ssl_context()
    return made
