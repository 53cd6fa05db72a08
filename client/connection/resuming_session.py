"""A session that outlives its stream: it connects again, goes on from a checkpoint, and gives each answer once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Final

from client.connection.retry import Patience
from client.connection.session import CONNECT_SECONDS, DanceClient, TransferSession
from client.connection.types import Accepted, Answer, SentFrame, TransferOptions
from client.errors import ServerDraining, ServerError

_CHECKPOINT_FIELD: Final = "config.checkpoint"
_CHECKPOINTS_LATE: Final = 2
"""A checkpoint that is late by as much as this many intervals will not come any more."""
_LEAST_CONNECT_SECONDS: Final = 1.0


class Reel:
    """A source's frames on their way; each is kept until it is forgotten, so that it can be sent again.

    One stream at a time iterates over it. A frame that is being taken from the source when its stream dies is not
    lost: the next stream gets it.
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
        """Sequence of the last frame that is kept."""
        return self._kept[-1].sequence if self._kept else None

    def forget_before(self, sequence: int) -> None:
        """Frames before `sequence` are not needed again."""
        while self._kept and self._kept[0].sequence < sequence:
            self._kept.popleft()
            self._position = max(0, self._position - 1)

    def rewind(self) -> None:
        """The next stream begins with the first frame that is kept."""
        self._position = 0

    def give_up(self) -> int:
        """Forgets all frames, also one that was taken and never sent. Says how many they were."""
        given_up = len(self._kept)
        self._kept.clear()
        self._position = 0
        if self._taking is not None and self._taking.done() and self._taking.exception() is None:
            given_up += self._taking.result() is not None
            self.ended = self._taking.result() is None
            self._taking = None
        return given_up

    async def close(self) -> None:
        """Takes no more frames."""
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
    """One dance, over as many `Transfer` streams as it takes.

        async with ResumingSession(client, options, patience) as session:
            async for answer in session.answers(frames):
                ...

    LOSSLESS: every frame is answered once and in order. The frames behind the last checkpoint are kept, at most two
    intervals of checkpoints and what is under way, and sent again to the next stream; answers that were given already
    are passed over. Where no checkpoints are made (`options.checkpoint_every_frames` 0), a lost stream is the end, and
    only a server that drains is left for another one. LIVE: the frames under way when a stream is lost are given up
    and counted in `lost_frames`; the next stream begins with the newest, and with the last checkpoint, if the server
    takes it.

    told: called with the reason when the stream is lost, and with None when there is one again.
    reconnects: how many streams there were after the first.
    """

    def __init__(
        self,
        client: DanceClient,
        options: TransferOptions,
        patience: Patience,
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
        await self._open(None)
        self._tell_connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._stream is not None:
            await self._stream.close()

    @property
    def accepted(self) -> Accepted:
        """The session as the server of the newest stream honours it."""
        assert self._stream is not None
        return self._stream.accepted

    def stop(self) -> None:
        """The source has ended: a stream that is lost, now or later, is not worth another one. For LIVE sessions."""
        self._stopped.set()
        if self._opening is not None:
            self._opening.cancel()

    async def answers(self, frames: AsyncIterator[SentFrame]) -> AsyncGenerator[Answer, None]:
        """Sends `frames` and gives their answers. Call it once.

        Raises ServerError when patience has run out or cannot help, and whatever `frames` raises.
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
        """Whether there is a new stream; False when all is done that there was to do. Raises ServerError."""
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
        self._opening = asyncio.create_task(self._open(failure), name="transfer reconnecting")
        try:
            await self._opening
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if not self._stopped.is_set() or (me is not None and me.cancelling()):
                raise
            self.lost_frames += reel.give_up()
            return False
        finally:
            self._opening = None
        self.reconnects += 1
        self._without_checkpoint = 0
        if live:
            self.lost_frames += reel.give_up()
        else:
            reel.rewind()
        self._tell_connected()
        return True

    async def _open(self, failure: ServerError | None) -> None:
        """Makes a new stream. failure: why there is none, None for the first. Raises ServerError."""
        while True:
            connect_seconds = CONNECT_SECONDS
            if failure is not None:
                wait_seconds = self._patience.wait_after(failure)
                self._told(failure)
                self._told_failure = True
                await asyncio.sleep(wait_seconds)
                await self._client.reconnect()
                connect_seconds = max(self._patience.left_seconds, _LEAST_CONNECT_SECONDS)
            stream = self._client.transfer(self._next_options(), connect_seconds=connect_seconds)
            try:
                self._stream = await stream.__aenter__()
                break
            except ServerError as error:
                failure = error
                if error.field == _CHECKPOINT_FIELD and self._checkpoint:
                    if not self._options.live:
                        message = f"{self._client.address} cannot go on where the connection was lost: {error}"
                        raise ServerError(message, error.status) from error
                    # All that is lost with it is what the source's body looks like.
                    self._checkpoint, failure = b"", None
        self._patience.connected()

    def _tell_connected(self) -> None:
        if self._told_failure:
            self._told(None)
        self._told_failure = False

    def _next_options(self) -> TransferOptions:
        if self._stream is None:
            return self._options
        # "The newest" may be another actor's version by now, which no checkpoint fits.
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
            broken = f"no checkpoint in {self._without_checkpoint} answers, one in {every_frames} was agreed"
            raise ServerError(f"{self._client.address} broke the contract: {broken}")
