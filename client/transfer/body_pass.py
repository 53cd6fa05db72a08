"""The pass before the dance: measures the dancer's body in a whole clip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

import grpc

from client.connection.retry import PATIENCE_SECONDS, ServerPatience
from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import BodyFit, PoseChoice, SentFrame
from client.errors import NoBodyFound, ServerError
from client.media.frame_feed import FeedOptions
from client.media.source import Source, opened
from client.poses.posed_feed import EstimatorThread, PosedFeed, StartEstimator
from client.terminal.display import Display
from client.transfer.job import TransferJob
from motion.body import BodyStats
from motion.pose_choice import PoseDetail


class CountedFrames(Protocol):
    """What sees the frames of a pass; `ProgressLine` is one."""

    def advance(self) -> None:
        """Count one more frame."""

    def restart(self) -> None:
        """Count from the first frame again."""

    def interrupted(self, reason: Exception | None) -> None:
        """The server is lost for this reason; None: it is there."""


async def fit(
    source: Source,
    server: ServerAccess | str,
    display: Display,
    max_side_px: int,
    pose: PoseChoice = PoseChoice(),
    patience: ServerPatience | None = None,
    on_notes: Callable[[Sequence[str]], None] = lambda notes: None,
    estimator: StartEstimator | None = None,
) -> tuple[BodyFit, int]:
    """Measure the body stats of a whole clip. Also returns how many of its frames cannot be decoded.

    on_notes: called with `Reader.notes`. estimator: finds the poses here; None for the server. There are no
    checkpoints: if the server goes away, the clip starts over.
    Raises CommandError, and NoBodyFound if the clip never shows a whole body.
    """
    async with opened(source) as reader:
        expected_frames = reader.expected_frames
    patience = patience or ServerPatience(PATIENCE_SECONDS)
    with display.progress("measuring the body", expected_frames) as line:
        return await fit_counted(source, server, line, max_side_px, pose, patience, on_notes, estimator)


async def fit_counted(
    source: Source,
    server: ServerAccess | str,
    line: CountedFrames,
    max_side_px: int,
    pose: PoseChoice,
    patience: ServerPatience,
    on_notes: Callable[[Sequence[str]], None] = lambda notes: None,
    estimator: StartEstimator | None = None,
) -> tuple[BodyFit, int]:
    """Measure the body stats of a whole clip, as `fit`; `line` counts the frames that the server has taken."""
    most_frames = 0

    async def counted(feed: AsyncIterator[SentFrame]) -> AsyncIterator[SentFrame]:
        """Count each frame once the server has taken it. A frame beyond all earlier attempts is progress."""
        nonlocal most_frames
        taken = 0
        async for frame in feed:
            yield frame
            taken += 1
            line.advance()
            line.interrupted(None)
            patience.connected()
            if taken > most_frames:
                most_frames = taken
                patience.progress()

    while True:
        async with opened(source) as reader, AsyncExitStack() as closing:
            feed = source.feed(reader, FeedOptions(max_side_px=max_side_px))
            closing.callback(feed.close)
            frames: AsyncIterator[SentFrame] = feed
            if estimator is not None:
                thread = EstimatorThread(partial(estimator, PoseDetail.BODY))
                closing.callback(thread.close)
                frames = posed = PosedFeed(feed, thread, prepares_ahead=True)
                closing.callback(posed.close)
            try:
                async with DanceClient(server) as client:
                    fitted = await client.fit_body(counted(frames), pose)
                    on_notes(reader.notes)
                    return fitted, reader.lost_frames
            except ServerError as error:
                if error.status is grpc.StatusCode.FAILED_PRECONDITION:
                    raise NoBodyFound(f"{source.name}: {error}") from error
                wait_seconds = patience.wait_after(error)
                line.interrupted(error)
        await asyncio.sleep(wait_seconds)
        line.restart()


async def fitted_body(server: ServerAccess, job: TransferJob, display: Display) -> BodyStats:
    """Measure the body for a transfer whose server was reached. Raises CommandError, NoBodyFound."""
    patience = ServerPatience(job.patience_seconds, reached=True)
    try:
        fitted, _ = await fit(job.source, server, display, job.max_side_px, job.pose, patience, estimator=job.estimator)
    except NoBodyFound as error:
        raise NoBodyFound(
            f"{error}; use --body with the result of `dance fit` on another clip of the same person"
        ) from error
    if fitted.on_the_spot:
        display.note(
            "the dancer stays at one distance from the camera; the actor stays at the nearest one of their footage"
        )
    return fitted.body
