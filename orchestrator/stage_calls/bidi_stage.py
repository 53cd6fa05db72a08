"""A stage called through a bidi stream: the config first, then one answer per frame, in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar, Generic, TypeVar

from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.link import Link, LinkEnded, run_together
from orchestrator.pipeline.play import Inbox
from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.failures import StageRetries, stage_errors
from serving.errors import BadInput, DanceError, StageBroken, StageError, StageUnavailable
from serving.rpc.client_stream import ClientStream

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class StreamStage(ABC, Generic[RequestT, ResponseT]):
    """Base class of such stages. Call `run`, then `close`; call `open` first if the stage is certainly needed.

    Without `open`, the stream opens at the first frame for the stage. Frames that were sent and not yet answered are
    kept. When the stream breaks or is silent for too long, a new one is opened, on any replica, and they are
    resent. If an idle stage ends its stream while it owes no answer, a new one is opened at the next frame.

    method: the stub's method. in_flight: frames sent and not answered, in addition to `look_ahead`. look_ahead: how
    many later frames the stage needs before it answers a frame. answer_seconds: how long the stage may be silent.
    """

    name: ClassVar[str]

    def __init__(
        self,
        method: Any,
        settings: OrchestratorSettings,
        *,
        in_flight: int,
        look_ahead: int,
        answer_seconds: float,
    ) -> None:
        self._method = method
        self._look_ahead = look_ahead
        self._open_seconds = settings.open_seconds
        self._answer_seconds = answer_seconds
        self._retries = StageRetries(settings.away_seconds)
        self._max_unanswered = in_flight + look_ahead
        self._room = asyncio.Semaphore(self._max_unanswered)
        self._unanswered: deque[InFlightFrame] = deque()
        self._stream: ClientStream[RequestT, ResponseT] | None = None
        self._sending = asyncio.Lock()  # held while requests are sent or the stream is replaced
        self._no_more = False

    @abstractmethod
    def _opening(self) -> RequestT:
        """Return the config that a stream begins with."""

    def _begins_anew(self, frame: InFlightFrame) -> bool:
        """Return whether the frame needs a stream with another config, which `_opening` returns from now on.

        The new stream opens once every frame sent before has been answered.
        """
        return False

    @abstractmethod
    def _accept(self, response: ResponseT) -> None:
        """Check the stage's first response."""

    @abstractmethod
    def _request(self, frame: InFlightFrame) -> RequestT | None:
        """Return the frame's request, or None for a frame that skips the stage."""

    @abstractmethod
    def _take_answer(self, frame: InFlightFrame, response: ResponseT) -> None:
        """Write the answer into the frame. Raises StageError or BadInput if it is invalid."""

    async def open(self) -> None:
        """Open the stream and wait until its config is accepted. Raises StageError."""
        async with self._sending:
            await self._restore(None, None)
        self._retries.over()  # the client may take long to send its first frame

    async def _restore(self, sequence: int | None, failure: StageError | None) -> None:
        """Open a new stream for the frame `sequence`, and retry as long as patience lasts. Raises StageError.

        failure: of the last stream, if there was one.
        """
        while True:
            if failure is not None:
                await self._retries.again(failure)
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
                # There is room for all answers, so resending frames never waits until answers are taken.
                self._stream = ClientStream(self._method(), depth=self._max_unanswered + 1, name=self.name)
                await self._stream.send(self._opening())
                accepted = await self._stream.receive()
                if accepted is None:
                    raise StageUnavailable(self.name, sequence, "it ended the stream without accepting it")
                self._accept(accepted)
        for frame in self._unanswered:
            frame.retried()
            request = self._request(frame)
            assert request is not None
            await self._write(request)
        if self._no_more:
            await self._write(None)

    async def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()

    async def run(self, inbox: Inbox, outbox: Link[InFlightFrame]) -> None:
        """See `orchestrator.pipeline.play.Stage`."""
        # Holds frames that were sent, which `_room` bounds, and dropped ones, which take almost no memory.
        due: Link[InFlightFrame] = Link(self._max_unanswered + 64)
        await run_together(self._send_all(inbox, due), self._collect(due, outbox))

    async def _send_all(self, inbox: Inbox, due: Link[InFlightFrame]) -> None:
        # An answer is due only once `look_ahead` more frames were sent; before that, no time limit applies.
        not_due: deque[InFlightFrame] = deque()
        failure: Exception = LinkEnded()
        while True:
            # Wait for room first: a waiting frame stays in the link, where a LIVE session can still drop it.
            await self._room.acquire()
            try:
                frame, waited_seconds = await inbox.take()
            except (LinkEnded, DanceError) as ending:
                failure = ending
                break
            try:
                sent = await self._send(frame, waited_seconds)
            except StageError as error:
                failure = error
                break
            if not sent:
                self._room.release()
            not_due.append(frame)
            while len(not_due) > self._look_ahead:
                await due.put(not_due.popleft())
        # After a stage's failure the client continues on another server, so frames that wait for their look-ahead must
        # not be answered without it. A silent client has no more frames to send.
        if not isinstance(failure, StageError) or failure.stage == "client":
            async with self._sending:
                self._no_more = True
                await self._write(None)
            while not_due:
                await due.put(not_due.popleft())
        due.fail(failure)

    async def _send(self, frame: InFlightFrame, waited_seconds: float) -> bool:
        request = self._request(frame)
        if request is None:
            return False
        frame.enter(waited_seconds)
        async with self._sending:
            is_idle = not self._unanswered
            begins_anew = is_idle and self._begins_anew(frame)
            if self._stream is None or begins_anew or (is_idle and self._stream.ended):
                await self._restore(frame.sequence, None)
            self._unanswered.append(frame)
            await self._write(request)
        return True

    async def _write(self, request: RequestT | None) -> None:
        """Send a request, or half-close for None. A stream that accepts no data in time is abandoned."""
        if self._stream is None:
            return
        try:
            async with asyncio.timeout(self._answer_seconds):
                await (self._stream.half_close() if request is None else self._stream.send(request))
        except TimeoutError:
            self._stream.fail(TimeoutError(f"it accepted no data for {self._answer_seconds:g} s"))
            self._stream.call.cancel()

    async def _collect(self, due: Link[InFlightFrame], outbox: Link[InFlightFrame]) -> None:
        async for frame, _ in due:
            if self._unanswered and self._unanswered[0] is frame:
                response = await self._answered(frame)
                try:
                    self._take_answer(frame, response)
                except BadInput as error:  # the stage is at fault, not the client
                    raise StageBroken(self.name, frame.sequence, str(error)) from error
                self._unanswered.popleft()
                self._room.release()
            self._leaves(frame)
            await outbox.put(frame)

    def _leaves(self, frame: InFlightFrame) -> None:
        """Called when a frame leaves, whether it went to the stage or skipped it."""

    async def _answered(self, frame: InFlightFrame) -> ResponseT:
        while True:
            try:
                with stage_errors(self.name, frame.sequence, self._answer_seconds):
                    assert self._stream is not None
                    response = await self._stream.receive(self._answer_seconds)
                    if response is None:
                        raise StageUnavailable(self.name, frame.sequence, "it ended the stream too early")
            except StageError as error:
                async with self._sending:
                    await self._restore(frame.sequence, error)
            else:
                self._retries.over()
                return response
