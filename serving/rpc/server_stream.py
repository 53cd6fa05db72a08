"""A server's half of a stream. Neither a read nor a write is ever cancelled.

grpcio leaks memory when a read is cancelled (see `ReadAhead`), and can send no status after a cancelled write. So reads
and writes run in tasks of their own, and time limits apply to the queues between them and the service's work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError
from grpc._cython import cygrpc

from serving.errors import AtCapacity, BadInput, DanceError, StageTimeout
from serving.observability import metrics
from serving.process.memory import Sweeper
from serving.rpc.read_ahead import ReadAhead

_log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT")
ItemT = TypeVar("ItemT")
ResponseT = TypeVar("ResponseT")

_CONFIG_SECONDS: Final = 1.0
_CANCELLED_WITHIN_SECONDS: Final = 1.0


class RequestReader(ReadAhead[RequestT]):
    """A client's requests, read ahead by one."""

    def __init__(self, requests: AsyncIterator[RequestT]) -> None:
        remaining = aiter(requests)

        async def read() -> RequestT:
            try:
                return await anext(remaining)
            except DecodeError:
                raise BadInput("request", "is not a message of this contract") from None

        super().__init__(read, depth=1, name="requests of a client")

    async def take(self, within_seconds: float | None = None) -> RequestT | None:
        """Return the next request; None after the last one. Raises StageTimeout when none comes in time."""
        try:
            return await super().take(within_seconds)
        except TimeoutError as error:
            raise StageTimeout("client", None, f"it sent nothing for {within_seconds:g} s") from error


class ResponseWriter(Generic[ResponseT]):
    """Writes responses to a client, one at a time.

    grpcio cannot send a status before its pending message, and after a cancelled write the call would never end for its
    client. So a session that gives up on a slow client lets the write continue, and its status waits for `idle`.

    write: sends one response. seconds: how long the client may take for one.
    """

    def __init__(self, write: Callable[[ResponseT], Awaitable[Any]], seconds: float) -> None:
        self._write = write
        self._seconds = seconds
        self._writing: asyncio.Future[Any] | None = None

    async def send(self, response: ResponseT, sequence: int | None) -> None:
        """Send a response. Raises StageTimeout, for the frame `sequence`, when the client does not take it in time."""
        self._writing = asyncio.ensure_future(self._write(response))
        self._writing.add_done_callback(_retrieve)
        done, _ = await asyncio.wait({self._writing}, timeout=self._seconds)
        if not done:
            raise StageTimeout("client", sequence, f"it did not take an answer within {self._seconds:g} s")
        try:
            self._writing.result()
        except cygrpc.ExecuteBatchError:
            # grpcio considers the call ended and is about to cancel the handler, which ends this session.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CANCELLED_WITHIN_SECONDS):
                    await asyncio.Event().wait()
            raise

    async def idle(self) -> bool:
        """Wait until the last response is sent or the client has gone. False if neither happened in time.

        The write is then cancelled, and with it the call: no status can be sent any more.
        """
        if self._writing is None or self._writing.done():
            return True
        done, _ = await asyncio.wait({self._writing}, timeout=self._seconds)
        if not done:
            self._writing.cancel()
            await asyncio.wait({self._writing})
            return False
        return True


def _retrieve(writing: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a write, so that asyncio does not log it as an error.

    When a client goes away, its session may be cancelled and not wait for the write; otherwise `send` raises it.
    """
    failure = None if writing.cancelled() else writing.exception()
    if failure is not None:
        _log.debug("an answer was not sent: %s", failure)


class ServerStream(Generic[ItemT, ResponseT]):
    """Both directions of a client's stream at a stage; `StreamPlaces.taken` opens and ends it.

    stage: its name, for errors. requests, write: as grpcio passes them. prepare: turns a request into what `take`
    returns, while earlier ones are worked on; if it raises, the requests end. read_ahead: how many prepared items may
    wait before the client has to. idle_seconds: how long the client may be silent, or leave responses unread.
    """

    def __init__(
        self,
        stage: str,
        requests: AsyncIterator[RequestT],
        write: Callable[[ResponseT], Awaitable[Any]],
        prepare: Callable[[RequestT], Awaitable[ItemT]],
        *,
        read_ahead: int,
        idle_seconds: float,
    ) -> None:
        async def read() -> ItemT:
            return await prepare(await anext(requests))

        self._stage = stage
        self._idle_seconds = idle_seconds
        self._sequence: int | None = None
        self._items = ReadAhead(read, depth=read_ahead, name=f"{stage} requests")
        self._responses: asyncio.Queue[ResponseT | None] = asyncio.Queue(1)
        self._write_failure: Exception | None = None
        self._writer = asyncio.create_task(self._write(write), name=f"{stage} responses")

    async def take(self, within_seconds: float | None = None) -> ItemT | None:
        """Return the next request, prepared; None after the last one.

        Raises the error of `prepare` once the requests before it were taken, and StageTimeout when nothing comes for
        `within_seconds`, by default `idle_seconds`.
        """
        seconds = self._idle_seconds if within_seconds is None else within_seconds
        try:
            return await self._items.take(seconds)
        except TimeoutError as error:
            reason = f"the sender was silent for {seconds:g} s"
            raise StageTimeout(self._stage, self._sequence, reason) from error

    async def send(self, response: ResponseT, sequence: int | None) -> None:
        """Hand over the response to the frame `sequence`. At most one response waits while another is being sent.

        Raises StageTimeout when the client takes none for `idle_seconds`, and the error of an earlier write.
        """
        self._sequence = sequence
        if self._responses.full():
            await self._limited(self._responses.put(response))
        else:
            self._responses.put_nowait(response)
        if self._write_failure is not None:
            raise self._write_failure

    async def flush(self) -> None:
        """Wait until all responses were sent. Raises as `send` does."""
        await self._limited(self._responses.join())
        if self._write_failure is not None:
            raise self._write_failure

    async def end(self) -> None:
        """Stop taking requests; wait, without a limit, until all responses were sent or the client has gone."""
        self._items.close()
        await self._responses.put(None)
        await asyncio.wait({self._writer})

    async def _limited(self, waiting: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._idle_seconds):
                await waiting
        except TimeoutError as error:
            reason = f"the receiver took no answer for {self._idle_seconds:g} s"
            raise StageTimeout(self._stage, self._sequence, reason) from error

    async def _write(self, write: Callable[[ResponseT], Awaitable[Any]]) -> None:
        while (response := await self._responses.get()) is not None:
            # After a failure the rest is dropped, so that nothing waits for it.
            if self._write_failure is None:
                try:
                    await write(response)
                except Exception as error:
                    self._write_failure = error
            self._responses.task_done()


class StreamPlaces:
    """The limit on a stage's concurrent streams. `dance_streams{stage}` counts them."""

    def __init__(self, stage: str, *, max_streams: int, idle_seconds: float) -> None:
        self._stage = stage
        self._max_streams = max_streams
        self._idle_seconds = idle_seconds
        self._open = 0
        self._sweeper = Sweeper()

    @asynccontextmanager
    async def taken(
        self,
        requests: AsyncIterator[RequestT],
        write: Callable[[ResponseT], Awaitable[Any]],
        prepare: Callable[[RequestT], Awaitable[ItemT]],
        *,
        read_ahead: int,
    ) -> AsyncIterator[ServerStream[ItemT, ResponseT]]:
        """Open a stream that has a place while the context lasts. Raises AtCapacity when all places are taken.

        On leaving, all responses are sent, or StageTimeout is raised. The place is then free; only the status waits for
        a client that is slow to read.
        """
        stream: ServerStream[ItemT, ResponseT] = ServerStream(
            self._stage, requests, write, prepare, read_ahead=read_ahead, idle_seconds=self._idle_seconds
        )
        try:
            if self._open >= self._max_streams:
                # If the config were still on its way, grpc would report INTERNAL to the client and hide the refusal.
                with suppress(DanceError):
                    await stream.take(_CONFIG_SECONDS)
                raise AtCapacity(f"{self._stage}: all {self._max_streams} streams are in use")
            self._open += 1
            metrics.STREAMS.labels(self._stage).inc()
            try:
                yield stream
                await stream.flush()
            finally:
                self._open -= 1
                metrics.STREAMS.labels(self._stage).dec()
                self._sweeper.call_ended()
        finally:
            await stream.end()
