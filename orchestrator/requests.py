"""Reading a client's stream: one task, a bounded queue, and time limits on the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from orchestrator.link import Link, LinkClosed
from serving.errors import StageTimeout

RequestT = TypeVar("RequestT")


class RequestReader(Generic[RequestT]):
    """Reads a client's requests ahead by one, in a task that is never cancelled.

    A `read` that is cancelled leaks memory in grpcio; one that is left alone ends with its call. So `task` may live a
    moment longer than the call's handler.
    """

    def __init__(self, requests: AsyncIterator[RequestT]) -> None:
        self._link: Link[RequestT] = Link(1)
        self.task = asyncio.create_task(self._read(requests), name="requests of a client")

    async def _read(self, requests: AsyncIterator[RequestT]) -> None:
        try:
            async for request in requests:
                await self._link.put(request)
        except LinkClosed:
            pass
        except Exception as error:
            # After `close` this is only the end of the call; before it, whoever takes next has to know.
            self._link.fail(error)
        else:
            self._link.end()

    async def take(self, seconds: float) -> RequestT:
        """The next request. Raises LinkEnded after the last one, StageTimeout when none comes within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                request, _ = await self._link.take()
        except TimeoutError as error:
            raise StageTimeout("client", None, f"it sent nothing for {seconds:g} s") from error
        return request

    def close(self) -> None:
        """Nobody takes requests any more."""
        self._link.close()
