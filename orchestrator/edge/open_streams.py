"""The two halves of a client's stream. Reads and writes are never cancelled; waiting for them is limited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError
from grpc._cython import cygrpc

from orchestrator.pipeline.link import Link, LinkClosed
from serving.errors import BadInput, StageTimeout

_log = logging.getLogger(__name__)

_CANCELLED_WITHIN_SECONDS: Final = 1.0

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class RequestReader(Generic[RequestT]):
    """Reads a client's requests ahead by one, in a task that is never cancelled.

    A `read` that is cancelled leaks memory in grpcio; one that is left alone ends with its call. So `task` may live a
    moment longer than the call's handler. Between `stop` and `read_out` nothing more is read, and the client waits.
    """

    def __init__(self, requests: AsyncIterator[RequestT]) -> None:
        self._link: Link[RequestT] = Link(1)
        self._reads_out = False
        self._decided = asyncio.Event()
        self.task = asyncio.create_task(self._read(requests), name="requests of a client")

    async def _read(self, requests: AsyncIterator[RequestT]) -> None:
        try:
            async for request in requests:
                try:
                    await self._link.put(request)
                except LinkClosed:
                    await self._decided.wait()
                    if not self._reads_out:
                        return
                del request  # it may be large, and the next one far
        except DecodeError:
            self._link.fail(BadInput("request", "is no message of this contract"))
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

    def stop(self) -> None:
        """Nobody takes requests any more; `read_out` or `close` has to follow."""
        self._link.close()

    async def read_out(self, seconds: float) -> None:
        """Reads the client's requests for nobody until their end, at most so long. `close` has to follow.

        A client of grpcio that writes to a stream which has ended is told INTERNAL, and neither the status nor the
        last messages that are on their way to it.
        """
        self._go_on(reads_out=True)
        await asyncio.wait({self.task}, timeout=seconds)

    def close(self) -> None:
        """Nothing more is read, but what a `read` waits for already."""
        self._go_on(reads_out=False)

    def _go_on(self, *, reads_out: bool) -> None:
        self._link.close()
        self._reads_out = reads_out
        self._decided.set()


class ResponseWriter(Generic[ResponseT]):
    """Writes responses to a client, one at a time.

    While grpcio has a message to send, it can send no status: a call whose write was cancelled would never end for its
    client. So a session that gives up on a slow client leaves the write alone, and its status waits for `idle`.

    write: sends one response. seconds: how long the client may take for one.
    """

    def __init__(self, write: Callable[[ResponseT], Awaitable[Any]], seconds: float) -> None:
        self._write = write
        self._seconds = seconds
        self._writing: asyncio.Future[Any] | None = None

    async def send(self, response: ResponseT, sequence: int | None) -> None:
        """Raises StageTimeout, about the frame `sequence`, when the client does not take it in time."""
        self._writing = asyncio.ensure_future(self._write(response))
        self._writing.add_done_callback(_looked_at)
        done, _ = await asyncio.wait({self._writing}, timeout=self._seconds)
        if not done:
            raise StageTimeout("client", sequence, f"it did not take an answer within {self._seconds:g} s")
        try:
            self._writing.result()
        except cygrpc.ExecuteBatchError:
            # The call is over for grpcio, which cancels its handler in a moment: that is how this session ends.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CANCELLED_WITHIN_SECONDS):
                    await asyncio.Event().wait()
            raise

    async def idle(self) -> bool:
        """Waits until the last response is sent or the client has gone. False where neither happened in time.

        Then the write is given up, and with it the call: no status can be sent any more.
        """
        if self._writing is None or self._writing.done():
            return True
        done, _ = await asyncio.wait({self._writing}, timeout=self._seconds)
        if not done:
            self._writing.cancel()
            await asyncio.wait({self._writing})
            return False
        return True


def _looked_at(writing: asyncio.Future[Any]) -> None:
    """A write that fails with its client ends the session by a cancellation too, which then asks for no result.

    asyncio would log a failure that is never asked for as an error. `send` raises it wherever it still waits.
    """
    failure = None if writing.cancelled() else writing.exception()
    if failure is not None:
        _log.debug("an answer was not sent: %s", failure)
