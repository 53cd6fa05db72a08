"""A client's stream at a stage: requests are read ahead, responses written behind, and neither is ever cancelled.

grpcio leaks memory for a read that is cancelled, and can send no status after a write that is. So each half has a task
of its own, which is left alone and ends with the call; time limits are on the queues between them and the stage's work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from serving.errors import AtCapacity, DanceError, StageTimeout
from serving.observability import metrics
from serving.process.memory import Sweeper

RequestT = TypeVar("RequestT")
ItemT = TypeVar("ItemT")
ResponseT = TypeVar("ResponseT")

_CONFIG_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _End:
    """Behind the last item: how the requests ended."""

    error: Exception | None


class ClientStream(Generic[ItemT, ResponseT]):
    """The two halves of one open stream; `StreamPlaces.taken` opens and ends it.

    stage: its name, for errors. requests, write: the client's, as grpcio gives them. prepare: makes a request what
    `take` returns, while earlier ones are worked on; what it raises ends the requests. read_ahead: how many prepared
    items may wait; then the client has to. idle_seconds: how long the client may send, or take, nothing.
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
        self._stage = stage
        self._idle_seconds = idle_seconds
        self._sequence: int | None = None
        self._items: asyncio.Queue[ItemT | _End] = asyncio.Queue(read_ahead)
        self._responses: asyncio.Queue[ResponseT | None] = asyncio.Queue(1)
        self._closed = False
        self._write_failure: Exception | None = None
        self._reader = asyncio.create_task(self._read(requests, prepare), name=f"{stage} requests")
        self._writer = asyncio.create_task(self._write(write), name=f"{stage} responses")

    async def take(self, within_seconds: float | None = None) -> ItemT | None:
        """The next request, prepared; None after the last.

        Raises what `prepare` raised, once the requests before it were taken, and StageTimeout when nothing comes for
        `within_seconds` (`idle_seconds` where not given).
        """
        seconds = self._idle_seconds if within_seconds is None else within_seconds
        try:
            item = self._items.get_nowait()
        except asyncio.QueueEmpty:
            try:
                async with asyncio.timeout(seconds):
                    item = await self._items.get()
            except TimeoutError as error:
                reason = f"the sender was silent for {seconds:g} s"
                raise StageTimeout(self._stage, self._sequence, reason) from error
        if not isinstance(item, _End):
            return item
        if item.error is not None:
            raise item.error
        return None

    async def send(self, response: ResponseT, sequence: int | None) -> None:
        """Hands over a response, about the frame `sequence`; one waits at most while another is on its way.

        Raises StageTimeout when the client takes none for `idle_seconds`, and what the write before it raised.
        """
        self._sequence = sequence
        if self._responses.full():
            await self._limited(self._responses.put(response))
        else:
            self._responses.put_nowait(response)
        if self._write_failure is not None:
            raise self._write_failure

    async def flush(self) -> None:
        """Waits until all responses were sent. Raises as `send` does."""
        await self._limited(self._responses.join())
        if self._write_failure is not None:
            raise self._write_failure

    async def end(self) -> None:
        """Nothing more is taken; returns when all responses were sent or the client has gone, however long it takes.

        The reader is left alone: its read ends with the call.
        """
        self._closed = True
        while not self._items.empty():
            self._items.get_nowait()
        await self._responses.put(None)
        await asyncio.wait({self._writer})

    async def _limited(self, waiting: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._idle_seconds):
                await waiting
        except TimeoutError as error:
            reason = f"the receiver took no answer for {self._idle_seconds:g} s"
            raise StageTimeout(self._stage, self._sequence, reason) from error

    async def _read(self, requests: AsyncIterator[RequestT], prepare: Callable[[RequestT], Awaitable[ItemT]]) -> None:
        end = _End(None)
        try:
            async for request in requests:
                await self._items.put(await prepare(request))
                if self._closed:
                    return
        except Exception as error:
            end = _End(error)
        if not self._closed:
            await self._items.put(end)

    async def _write(self, write: Callable[[ResponseT], Awaitable[Any]]) -> None:
        while (response := await self._responses.get()) is not None:
            # After a failure the rest is thrown away, so that nobody waits for it.
            if self._write_failure is None:
                try:
                    await write(response)
                except Exception as error:
                    self._write_failure = error
            self._responses.task_done()


class StreamPlaces:
    """How many streams a stage serves at the same time. `dance_streams{stage}` counts them."""

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
    ) -> AsyncIterator[ClientStream[ItemT, ResponseT]]:
        """A stream that has a place while the context lasts; see `ClientStream`. Raises AtCapacity when all are taken.

        On leaving all responses are sent, or StageTimeout is raised. The place is free then; only the status waits for
        a client that is slow to read.
        """
        stream: ClientStream[ItemT, ResponseT] = ClientStream(
            self._stage, requests, write, prepare, read_ahead=read_ahead, idle_seconds=self._idle_seconds
        )
        try:
            if self._open >= self._max_streams:
                # grpc tells a client whose config is still on its way INTERNAL in place of the refusal.
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
