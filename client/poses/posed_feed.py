"""Estimates poses on this machine and sends them in place of the pictures, which stay here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor

from client.connection.types import PosedFrame, SentFrame
from client.media.frame_feed import FileFeed
from client.poses.dancer_estimator import DancerEstimator
from motion.frame import Frame, FrameSize, StageTime
from motion.pose_choice import PoseDetail

StartEstimator = Callable[[PoseDetail], DancerEstimator]
"""Creates the estimator of one pass over a source."""


class EstimatorThread:
    """One estimator, and the thread that creates, uses and closes it. It starts at once.

    on_time: called after every frame with the time it took here, as the stage "pose" of a server reports it.
    """

    def __init__(
        self, start: Callable[[], DancerEstimator], on_time: Callable[[StageTime], None] = lambda time: None
    ) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pose")
        self._estimator: Future[DancerEstimator] = self._thread.submit(start)
        self._on_time = on_time

    async def started(self) -> None:
        """Wait until it is ready for its first frame. Raises what its start raised."""
        await asyncio.shield(asyncio.wrap_future(self._estimator))

    async def posed(self, frame: Frame) -> PosedFrame:
        """Return the frame's pose in place of its picture."""
        asked_at_s = time.perf_counter()
        posed, compute_seconds = await asyncio.get_running_loop().run_in_executor(self._thread, self._posed, frame)
        total_seconds = time.perf_counter() - asked_at_s
        self._on_time(StageTime("pose", compute_seconds, 0.0, total_seconds))
        return posed

    def close(self) -> None:
        """End the estimator after the current frame, and wait for it."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _posed(self, frame: Frame) -> tuple[PosedFrame, float]:
        began_s = time.perf_counter()
        picture, estimate = self._estimator.result().estimate(frame.picture, frame.captured_at_s or 0.0)
        posed = PosedFrame(
            frame.sequence,
            estimate.dancer,
            FrameSize(picture.shape[1], picture.shape[0]),
            frame.captured_at_s,
            face_and_hands_carried=estimate.face_and_hands_carried,
            dancer_lost=estimate.dancer_lost,
            dancer_changed=estimate.dancer_changed,
        )
        return posed, time.perf_counter() - began_s

    def _close(self) -> None:
        if self._estimator.exception() is None:
            self._estimator.result().close()


class PosedFeed:
    """The frames of a feed with poses in place of pictures, as an async iterator of `PosedFrame`.

    prepares_ahead: the feed decodes the next frame while this one's pose is estimated. Not for live feeds: a frame that
    waits here would not be the newest.
    """

    def __init__(self, feed: FileFeed, thread: EstimatorThread, *, prepares_ahead: bool) -> None:
        self._feed = feed
        self._estimating = thread
        self._prepares_ahead = prepares_ahead
        self._next: asyncio.Task[SentFrame | None] | None = None

    def __aiter__(self) -> AsyncIterator[SentFrame]:
        return self

    async def __anext__(self) -> SentFrame:
        frame = await self._prepared()
        if frame is None:
            raise StopAsyncIteration
        assert isinstance(frame, Frame)
        if self._prepares_ahead:
            self._next = asyncio.create_task(self._take(), name="prepare frame")
        return await self._estimating.posed(frame)

    def close(self) -> None:
        """Take no more frames. Close the feed and the thread afterwards."""
        if self._next is not None and not self._next.cancel() and not self._next.cancelled():
            self._next.exception()  # or asyncio would report it as never retrieved

    async def _prepared(self) -> SentFrame | None:
        if self._next is None:
            return await self._take()
        preparing, self._next = self._next, None
        return await preparing

    async def _take(self) -> SentFrame | None:
        return await anext(self._feed, None)
