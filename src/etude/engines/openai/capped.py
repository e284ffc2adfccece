"""An HTTP client that reads no more of an answer than it could honestly hold, and not for ever."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2

from etude.engines.openai.wire import BadReply


class CappedClient(httpx2.AsyncClient):
    """A client with `most` bytes and `seconds` for the body of each answer.

    The bodies of errors count too, which the library reads as a whole. Nothing is unpacked: a
    packed answer of a few bytes may stand for gigabytes, and we ask for plain ones.
    """

    def __init__(self, *, most: int, seconds: float, **options: Any) -> None:
        plain = {"Accept-Encoding": "identity"}
        super().__init__(headers=plain, timeout=seconds, follow_redirects=True, **options)
        self._most, self._seconds = most, seconds

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """As the usual client; the body is still to be read.

        The library's own limit is for each wait: headers that drip in byte by byte never pass it.
        """
        try:
            async with asyncio.timeout(self._seconds):
                response: httpx2.Response = await super().send(
                    request, **options | {"stream": True}
                )
        except TimeoutError:
            raise httpx2.ReadTimeout("headers that do not end", request=request) from None
        response.headers.pop("content-encoding", None)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        deadline = time.monotonic() + self._seconds
        response.stream = _Capped(response.stream, self._most, deadline)
        return response


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int, deadline: float) -> None:
        self._stream, self._most, self._deadline = stream, most, deadline

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for piece in self._stream:
            read += len(piece)
            if read > self._most:
                raise BadReply(f"more than {self._most:,} bytes")
            if time.monotonic() > self._deadline:
                raise BadReply("an answer that does not end in time")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
