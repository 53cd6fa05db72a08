"""A session that survives lost streams: it reconnects, resumes from a checkpoint, and yields each answer once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from client.connection.retry import ServerPatience
from client.connection.session import CONNECT_SECONDS, DanceClient, TransferSession
from client.connection.types import Accepted, Answer, SentFrame, TransferOptions
from client.errors import ServerDraining, ServerError

CHECKPOINT_FIELD: Final = "config.checkpoint"
"""`ServerError.field` if a server cannot go on from a checkpoint, such as one with another key."""
_CHECKPOINTS_LATE: Final = 2
"""How many intervals late a checkpoint may be before the session fails."""
_LEAST_CONNECT_SECONDS: Final = 1.0


class Reel:
    """A source's frames; each is kept until it is forgotten, so that it can be sent again.

    One stream at a time iterates over it. If a stream dies while a frame is being taken from the source, the next
    stream gets that frame.
    """

    def __init__(self, frames: AsyncIterator[SentFrame]) -> None:
        self.ended = False
        self._frames = frames
        self._kept: deque[SentFrame] = deque()
        self._position = 0
        self._taking: asyncio.Task[SentFrame | None] | None = None
        self._failure: Exception | None = None

    def __aiter__(self) -> Reel:
        return self

    def __len__(self) -> int:
        return len(self._kept)

    async def __anext__(self) -> SentFrame:
        if self._position == len(self._kept):
            self._kept.append(await self._taken())
        self._position += 1
        return self._kept[self._position - 1]

    @property
    def newest(self) -> int | None:
        """Sequence of the last kept frame."""
        return self._kept[-1].sequence if self._kept else None

    def forget_before(self, sequence: int) -> None:
        """Forget the frames before `sequence`, which are not needed again."""
        while self._kept and self._kept[0].sequence < sequence:
            self._kept.popleft()
            self._position = max(0, self._position - 1)

    def rewind(self) -> None:
        """Make the next stream begin with the first kept frame."""
        self._position = 0

    def give_up(self) -> int:
        """Forget all frames, including one that was taken but never sent. Returns how many there were."""
        given_up = len(self._kept)
        self._kept.clear()
        self._position = 0
        if self._taking is not None and self._taking.done() and self._taking.exception() is None:
            given_up += self._taking.result() is not None
            self.ended = self._taking.result() is None
            self._taking = None
        return given_up

    async def close(self) -> None:
        """Take no more frames."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)

    async def _taken(self) -> SentFrame:
        if self._failure is not None:
            raise self._failure
        if self.ended:
            raise StopAsyncIteration
        if self._taking is None:
            self._taking = asyncio.create_task(self._take(), name="transfer source")
        try:
            frame = await asyncio.shield(self._taking)
        except Exception as error:
            self._failure = error
            raise
        self._taking = None
        if frame is None:
            self.ended = True
            raise StopAsyncIteration
        return frame

    async def _take(self) -> SentFrame | None:
        return await anext(self._frames, None)


class ResumingSession:
    """One session, over as many `Transfer` streams as necessary.

        async with ResumingSession(client, options, patience) as session:
            async for answer in session.answers(frames):
                ...

    LOSSLESS: every frame is answered once and in order. The frames after the last checkpoint are kept, at most two
    checkpoint intervals and the frames in flight, and sent again to the next stream; repeated answers are skipped.
    Without checkpoints (`options.checkpoint_every_frames` 0), a lost stream ends the session, and it can move to
    another server only if its server drains. LIVE: the frames in flight when a stream is lost are dropped and counted
    in `lost_frames`; the next stream begins with the newest frame, and with the last checkpoint if the server accepts
    it.

    told: called with the reason when the stream is lost, and with None when a new one is open.
    reconnects: the number of streams after the first.
    """

    def __init__(
        self,
        client: DanceClient,
        options: TransferOptions,
        patience: ServerPatience,
        told: Callable[[ServerError | None], None] = lambda failure: None,
    ) -> None:
        self.reconnects = 0
        self.lost_frames = 0
        self._client = client
        self._options = options
        self._patience = patience
        self._told = told
        self._told_failure = False
        self._checkpoint = options.checkpoint
        self._without_checkpoint = 0
        self._gap = False
        self._stream: TransferSession | None = None
        self._opening: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    async def __aenter__(self) -> ResumingSession:
        if not await self._opened(None):
            raise ServerError(f"stopped before {self._client.address} accepted the session")
        self._tell_connected()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._stream is not None:
            await self._stream.close()

    @property
    def accepted(self) -> Accepted:
        """The session as the server of the newest stream accepted it."""
        assert self._stream is not None
        return self._stream.accepted

    def stop(self) -> None:
        """Do not replace a stream that is lost from now on: the source has ended. For LIVE sessions.

        Entering raises ServerError if no stream is open yet.
        """
        self._stopped.set()
        if self._opening is not None:
            self._opening.cancel()

    async def answers(self, frames: AsyncIterator[SentFrame]) -> AsyncGenerator[Answer, None]:
        """Send `frames` and yield their answers. Call it once.

        Raises ServerError when patience has run out or a retry would not help, and any error of `frames`.
        """
        reel = Reel(frames)
        last: int | None = None
        try:
            while True:
                assert self._stream is not None
                try:
                    async with aclosing(self._stream.answers(reel)) as answers:
                        async for answer in answers:
                            self._settle(answer, reel)
                            if last is None or answer.sequence > last:
                                last = answer.sequence
                                self._patience.progress()
                                yield answer
                    return
                except ServerError as error:
                    failure = error
                await self._stream.close()
                if not await self._connected_again(failure, reel, last):
                    return
        finally:
            await reel.close()

    async def _connected_again(self, failure: ServerError, reel: Reel, last: int | None) -> bool:
        """Open a new stream; return False if there is nothing left to do. Raises ServerError."""
        live = self._options.live
        if isinstance(failure, ServerDraining) and failure.checkpoint:
            self._checkpoint, self._gap = failure.checkpoint, False
            reel.forget_before(failure.next_sequence)
        if self._gap or not failure.retryable:
            raise failure
        all_answered = reel.newest is None or (last is not None and reel.newest <= last)
        if (reel.ended and (live or all_answered)) or self._stopped.is_set():
            self.lost_frames += reel.give_up() if live else 0
            return False
        if not await self._opened(failure):
            self.lost_frames += reel.give_up()
            return False
        self.reconnects += 1
        self._without_checkpoint = 0
        if live:
            self.lost_frames += reel.give_up()
        else:
            reel.rewind()
        self._tell_connected()
        return True

    async def _opened(self, failure: ServerError | None) -> bool:
        """Open a stream as `_open`; return False if the session was stopped meanwhile."""
        if self._stopped.is_set():
            return False
        self._opening = asyncio.create_task(self._open(failure), name="transfer opening")
        try:
            await self._opening
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if not self._stopped.is_set() or (me is not None and me.cancelling()):
                raise
            return False
        finally:
            self._opening = None
        return True

    async def _open(self, failure: ServerError | None) -> None:
        """Open a stream. failure: why the last one ended, None for the first. Raises ServerError."""
        while True:
            connect_seconds = CONNECT_SECONDS
            if failure is not None:
                wait_seconds = self._patience.wait_after(failure)
                self._told(failure)
                self._told_failure = True
                await asyncio.sleep(wait_seconds)
                await self._client.reconnect()
                connect_seconds = min(CONNECT_SECONDS, max(self._patience.left_seconds, _LEAST_CONNECT_SECONDS))
            stream = self._client.transfer(self._next_options(), connect_seconds=connect_seconds)
            try:
                self._stream = await stream.__aenter__()
                break
            except ServerError as error:
                failure = error
                if error.field == CHECKPOINT_FIELD and self._checkpoint:
                    if not self._options.live:
                        message = f"{self._client.address} cannot resume where the connection was lost: {error}"
                        raise ServerError(message, error.status, field=error.field) from error
                    # Without it, only the measurements of the source's body are lost.
                    self._checkpoint, failure = b"", None
        self._patience.connected()

    def _tell_connected(self) -> None:
        if self._told_failure:
            self._told(None)
        self._told_failure = False

    def _next_options(self) -> TransferOptions:
        if self._stream is None:
            return self._options
        # The newest version may be another one by now, which would not match the checkpoint.
        return replace(self._options, actor_version=self.accepted.actor_version, checkpoint=self._checkpoint)

    def _settle(self, answer: Answer, reel: Reel) -> None:
        every_frames = self.accepted.checkpoint_every_frames
        self._without_checkpoint += 1
        if answer.checkpoint:
            self._checkpoint, self._gap = answer.checkpoint, False
            self._without_checkpoint = 0
        elif not every_frames:
            self._gap = not self._options.live
        if answer.checkpoint or self._options.live or not every_frames:
            reel.forget_before(answer.sequence + 1)
        elif self._without_checkpoint >= _CHECKPOINTS_LATE * every_frames:
            broken = f"no checkpoint in {self._without_checkpoint} answers, but one in {every_frames} was agreed"
            raise ServerError(f"{self._client.address} broke the contract: {broken}")
