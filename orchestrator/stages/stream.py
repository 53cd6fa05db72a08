"""A stage behind a bidi stream: config first, then one answer per frame, in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from typing import Any, ClassVar, Final, Generic, TypeVar

import grpc.aio
from grpc import StatusCode

from orchestrator.link import Link, LinkClosed, LinkEnded, run_together
from orchestrator.passage import Passage
from orchestrator.pipeline import Inbox
from orchestrator.stages.failures import CallFailed, stage_errors
from serving.errors import DanceError, StageUnavailable

_REFUSED: Final = StatusCode.INVALID_ARGUMENT
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
        self._write_failed = False
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
                return CallFailed(code, details or "", answers_lost=self._write_failed)
            await asyncio.sleep(_STATUS_POLL_SECONDS)
        reason = "it ended the stream while a frame was being sent"
        return CallFailed(StatusCode.UNAVAILABLE, reason, answers_lost=True, status_lost=True)

    async def send(self, request: RequestT) -> None:
        """Does nothing on a call that has ended: `answer` says why it did."""
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            self._write_failed = True

    async def finish(self) -> None:
        """No more requests."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.done_writing()

    async def answer(self) -> ResponseT:
        """The next answer. Raises LinkEnded at the end, CallFailed when the call failed."""
        answer, _ = await self._answers.take()
        return answer

    async def close(self) -> None:
        """Ends the call, whatever its state, and waits for its reader."""
        self._answers.close()
        self._call.cancel()
        await asyncio.wait({self._reader})


class StreamStage(ABC, Generic[RequestT, ResponseT]):
    """What stages behind a bidi stream share: `open`, then `run`, then `close`.

    Frames that were sent and not yet answered are kept, so that the stream can be opened anew and they be sent again;
    a subclass says which config a new stream begins with (`_opening`). That is done where a stage refuses one frame.

    method: the stub's method. in_flight: frames sent and not answered, beside `look_ahead`. look_ahead: the answer to
    a frame comes after so many more were sent. open_seconds, answer_seconds: how long the stage may be silent.
    """

    name: ClassVar[str]
    may_refuse_frames: ClassVar[bool] = False
    """The stage ends its stream with INVALID_ARGUMENT at a frame that it can do nothing with."""

    def __init__(
        self, method: Any, *, in_flight: int, look_ahead: int, open_seconds: float, answer_seconds: float
    ) -> None:
        self._method = method
        self._look_ahead = look_ahead
        self._open_seconds = open_seconds
        self._answer_seconds = answer_seconds
        self._max_unanswered = in_flight + look_ahead
        self._room = asyncio.Semaphore(self._max_unanswered)
        self._unanswered: deque[Passage] = deque()
        self._order = asyncio.Lock()  # who writes: the sender, or the one who opens the stream anew
        self._stream: Stream[RequestT, ResponseT] | None = None
        self._finished = False

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

    def _give_up_on(self, passage: Passage, failure: CallFailed) -> None:
        """Notes that the stage can do nothing with this frame."""

    async def open(self, sequence: int | None = None) -> None:
        """Opens the stream and waits until its config is accepted. Raises StageError, about the frame `sequence`."""
        with stage_errors(self.name, sequence, self._open_seconds):
            async with asyncio.timeout(self._open_seconds):
                # Sending a frame again must not wait for answers to be taken: there is room for all of them.
                self._stream = Stream(self._method(), depth=self._max_unanswered + 1)
                await self._stream.send(self._opening())
                try:
                    self._accept(await self._stream.answer())
                except LinkEnded:
                    raise StageUnavailable(self.name, sequence, "it ended the stream without accepting it") from None

    async def close(self) -> None:
        """Ends the stream."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """See `orchestrator.pipeline.Stage`."""
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
            if not await self._send(passage, waited_seconds):
                self._room.release()
            not_owed.append(passage)
            while len(not_owed) > self._look_ahead:
                await asked.put(not_owed.popleft())
        async with self._order:
            self._finished = True
            await self._limited_finish()
        while not_owed:
            await asked.put(not_owed.popleft())
        asked.fail(failure)

    async def _send(self, passage: Passage, waited_seconds: float) -> bool:
        async with self._order:
            request = self._request(passage)
            if request is None:
                return False
            passage.enter(waited_seconds)
            self._unanswered.append(passage)
            await self._write(passage, request)
        return True

    async def _write(self, passage: Passage, request: RequestT | None = None) -> None:
        request = request or self._request(passage)
        assert request is not None
        with stage_errors(self.name, passage.sequence, self._answer_seconds):
            async with asyncio.timeout(self._answer_seconds):
                assert self._stream is not None
                await self._stream.send(request)

    async def _limited_finish(self) -> None:
        with stage_errors(self.name, None, self._answer_seconds):
            async with asyncio.timeout(self._answer_seconds):
                assert self._stream is not None
                await self._stream.finish()

    async def _collect(self, asked: Link[Passage], outbox: Link[Passage]) -> None:
        async for passage, _ in asked:
            if self._unanswered and self._unanswered[0] is passage:
                response = await self._answer(passage)
                if response is not None:
                    self._take_answer(passage, response)
                self._unanswered.popleft()
                self._room.release()
            await outbox.put(passage)

    async def _answer(self, passage: Passage) -> ResponseT | None:
        """The answer to the oldest unanswered frame, or None where the stage could not do anything with that frame."""
        failure: CallFailed
        with stage_errors(self.name, passage.sequence, self._answer_seconds):
            try:
                return await self._next_answer()
            except CallFailed as ended:
                if not (self.may_refuse_frames and (ended.code is _REFUSED or ended.status_lost)):
                    raise
                failure = ended
        return await self._open_again(passage, failure)

    async def _next_answer(self) -> ResponseT:
        assert self._stream is not None
        async with asyncio.timeout(self._answer_seconds):
            try:
                return await self._stream.answer()
            except LinkEnded:
                raise CallFailed(StatusCode.UNAVAILABLE, "it ended the stream too early") from None

    async def _open_again(self, oldest: Passage, failure: CallFailed) -> ResponseT | None:
        """Opens a new stream behind the refused frame and sends all frames there again.

        All answers before a refusal come first, so it is the oldest unanswered frame that was refused; unless answers
        were lost: then that frame is asked for by itself.
        """
        async with self._order:
            response: ResponseT | None = None
            if failure.answers_lost:
                await self._reopen(oldest, at=oldest)
                with stage_errors(self.name, oldest.sequence, self._answer_seconds):
                    try:
                        response = await self._next_answer()
                    except CallFailed as ended:
                        if ended.code is not _REFUSED:
                            raise
                        failure = ended
            behind = list(self._unanswered)[1:]
            if response is not None:
                for passage in behind:
                    await self._write(passage)
            else:
                self._give_up_on(oldest, failure)
                await self._reopen(*behind, at=oldest)
            if self._finished:
                await self._limited_finish()
        return response

    async def _reopen(self, *passages: Passage, at: Passage) -> None:
        await self.close()
        await self.open(at.sequence)
        for passage in passages:
            await self._write(passage)
