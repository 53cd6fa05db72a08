"""A stage behind a bidi stream: config first, then one answer per frame, in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from typing import Any, ClassVar, Final, Generic, TypeVar

import grpc.aio
from grpc import StatusCode

from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import Link, LinkClosed, LinkEnded, run_together
from orchestrator.pipeline.play import Inbox
from orchestrator.stage_calls.failures import CallFailed, stage_errors
from orchestrator.stage_calls.patience import Patience
from serving.errors import DanceError, StageError, StageUnavailable

_WRITE_FAILED: Final = (StatusCode.INTERNAL, "Internal error from Core")
_STATUS_POLLS: Final = 10
_STATUS_POLL_SECONDS: Final = 0.01

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Stream(Generic[RequestT, ResponseT]):
    """One open call. A task of its own reads it, since a `read` that is cancelled would leak memory in grpcio."""

    def __init__(self, call: Any, depth: int) -> None:
        self._call = call
        self._answers: Link[ResponseT] = Link(depth)
        self._reader = asyncio.create_task(self._read(), name="answers of a stage")

    async def _read(self) -> None:
        try:
            while (answer := await self._call.read()) is not grpc.aio.EOF:
                await self._answers.put(answer)
        except grpc.aio.AioRpcError:
            self._answers.fail(await self._failure())
        except LinkClosed:
            pass
        else:
            self._answers.end()

    async def _failure(self) -> CallFailed:
        """What the stage ended the call with.

        A write that meets a call which the stage has just ended makes grpcio say INTERNAL, "Internal error from Core".
        The stage's own status takes its place a moment later, but never does where answers were not read yet: those
        are lost then, and the status with them.
        """
        for _ in range(_STATUS_POLLS):
            code, details = await self._call.code(), await self._call.details()
            if (code, details) != _WRITE_FAILED:
                return CallFailed(code, details or "")
            await asyncio.sleep(_STATUS_POLL_SECONDS)
        return CallFailed(StatusCode.UNAVAILABLE, "it ended the stream while a frame was being sent")

    @property
    def ended(self) -> bool:
        """Whether the stage has ended the call, well or not."""
        return self._reader.done()

    async def send(self, request: RequestT) -> None:
        """Does nothing on a call that has ended: `answer` says why it did."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.write(request)

    async def finish(self) -> None:
        """No more requests."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def answer(self) -> ResponseT:
        """The next answer. Raises LinkEnded at the end, CallFailed when the call failed."""
        answer, _ = await self._answers.take()
        return answer

    def abandon(self, reason: str) -> None:
        """Ends a call whose peer is silent: `answer` fails with DEADLINE_EXCEEDED and `reason`."""
        self._answers.fail(CallFailed(StatusCode.DEADLINE_EXCEEDED, reason))
        self._call.cancel()

    async def close(self) -> None:
        """Ends the call, whatever its state, and waits for its reader."""
        self._answers.close()
        self._call.cancel()
        await asyncio.wait({self._reader})


class StreamStage(ABC, Generic[RequestT, ResponseT]):
    """What stages behind a bidi stream share: `run`, then `close`, and `open` before where the stage is surely needed.

    Without `open` the stream is opened at the first frame that goes there. Frames that were sent and not yet answered
    are kept. When the stream breaks, or falls silent, a new one is opened, on any replica, and they are sent again. A
    stage that ended its stream while it owed no answer, since nothing came for long, is opened anew at the next frame.

    method: the stub's method. in_flight: frames sent and not answered, beside `look_ahead`. look_ahead: the answer to
    a frame comes after so many more were sent. open_seconds, answer_seconds: how long the stage may be silent.
    away_seconds: how long it may fail again and again.
    """

    name: ClassVar[str]

    def __init__(
        self,
        method: Any,
        *,
        in_flight: int,
        look_ahead: int,
        open_seconds: float,
        answer_seconds: float,
        away_seconds: float,
    ) -> None:
        self._method = method
        self._look_ahead = look_ahead
        self._open_seconds = open_seconds
        self._answer_seconds = answer_seconds
        self._patience = Patience(away_seconds)
        self._max_unanswered = in_flight + look_ahead
        self._room = asyncio.Semaphore(self._max_unanswered)
        self._unanswered: deque[Passage] = deque()
        self._stream: Stream[RequestT, ResponseT] | None = None
        self._sending = asyncio.Lock()  # held while requests are sent, or a stream takes the place of another
        self._no_more = False

    @abstractmethod
    def _opening(self) -> RequestT:
        """The config that a stream begins with."""

    @abstractmethod
    def _accept(self, response: ResponseT) -> None:
        """The stage's first response."""

    @abstractmethod
    def _request(self, passage: Passage) -> RequestT | None:
        """The frame's request, or None for a frame that passes by."""

    @abstractmethod
    def _take_answer(self, passage: Passage, response: ResponseT) -> None:
        """Writes what the stage found into the passage. Raises StageError for nonsense."""

    async def open(self) -> None:
        """Opens the stream and waits until its config is accepted. Raises StageError."""
        async with self._sending:
            await self._restore(None, None)
        self._patience.over()  # a client may take long to send its first frame

    async def _restore(self, sequence: int | None, failure: StageError | None) -> None:
        """Opens a new stream for the sake of the frame `sequence`, as long as there is patience. Raises StageError.

        failure: of the stream before, if there was one.
        """
        while True:
            if failure is not None:
                await self._patience.again(failure)
            try:
                await self._reopen(sequence)
            except StageError as error:
                failure = error
            else:
                return

    async def _reopen(self, sequence: int | None) -> None:
        await self.close()
        with stage_errors(self.name, sequence, self._open_seconds):
            async with asyncio.timeout(self._open_seconds):
                # Sending a frame again must not wait for answers to be taken: there is room for all of them.
                self._stream = Stream(self._method(), depth=self._max_unanswered + 1)
                await self._stream.send(self._opening())
                try:
                    self._accept(await self._stream.answer())
                except LinkEnded:
                    raise StageUnavailable(self.name, sequence, "it ended the stream without accepting it") from None
        for passage in self._unanswered:
            passage.retried()
            request = self._request(passage)
            assert request is not None
            await self._write(request)
        if self._no_more:
            await self._write(None)

    async def close(self) -> None:
        """Ends the stream."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        # Holds frames that are sent, which `_room` bounds, and dropped ones, which nearly nothing is left of.
        asked: Link[Passage] = Link(self._max_unanswered + 64)
        await run_together(self._ask(inbox, asked), self._collect(asked, outbox))

    async def _ask(self, inbox: Inbox, asked: Link[Passage]) -> None:
        # An answer is owed only once `look_ahead` more frames were sent: until then no clock may run against it.
        not_owed: deque[Passage] = deque()
        failure: Exception = LinkEnded()
        while True:
            # Room first: a frame that waits for it is better left in the link, where a LIVE session can still drop it.
            await self._room.acquire()
            try:
                passage, waited_seconds = await inbox.take()
            except (LinkEnded, DanceError) as ending:
                failure = ending
                break
            try:
                sent = await self._send(passage, waited_seconds)
            except StageError as error:
                failure = error
                break
            if not sent:
                self._room.release()
            not_owed.append(passage)
            while len(not_owed) > self._look_ahead:
                await asked.put(not_owed.popleft())
        # After a stage's failure the client goes on elsewhere: what waits for its look-ahead is not to be answered
        # without it. A client that fell silent has no more to send.
        if not isinstance(failure, StageError) or failure.stage == "client":
            async with self._sending:
                self._no_more = True
                await self._write(None)
            while not_owed:
                await asked.put(not_owed.popleft())
        asked.fail(failure)

    async def _send(self, passage: Passage, waited_seconds: float) -> bool:
        request = self._request(passage)
        if request is None:
            return False
        passage.enter(waited_seconds)
        async with self._sending:
            if self._stream is None or (self._stream.ended and not self._unanswered):
                await self._restore(passage.sequence, None)
            self._unanswered.append(passage)
            await self._write(request)
        return True

    async def _write(self, request: RequestT | None) -> None:
        """Sends a request, or for None that there are no more. A stream that takes nothing is given up."""
        if self._stream is None:
            return
        try:
            async with asyncio.timeout(self._answer_seconds):
                await (self._stream.finish() if request is None else self._stream.send(request))
        except TimeoutError:
            self._stream.abandon(f"it took nothing for {self._answer_seconds:g} s")

    async def _collect(self, asked: Link[Passage], outbox: Link[Passage]) -> None:
        async for passage, _ in asked:
            if self._unanswered and self._unanswered[0] is passage:
                self._take_answer(passage, await self._answered(passage))
                self._unanswered.popleft()
                self._room.release()
            self._leaves(passage)
            await outbox.put(passage)

    def _leaves(self, passage: Passage) -> None:
        """The frame, whether it went to the stage or passed by, is handed on."""

    async def _answered(self, passage: Passage) -> ResponseT:
        while True:
            try:
                with stage_errors(self.name, passage.sequence, self._answer_seconds):
                    response = await self._answer()
            except StageError as error:
                async with self._sending:
                    await self._restore(passage.sequence, error)
            else:
                self._patience.over()
                return response

    async def _answer(self) -> ResponseT:
        assert self._stream is not None
        async with asyncio.timeout(self._answer_seconds):
            try:
                return await self._stream.answer()
            except LinkEnded:
                raise CallFailed(StatusCode.UNAVAILABLE, "it ended the stream too early") from None
