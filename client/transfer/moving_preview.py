"""Let an actor dance a few seconds of a clip, for the moving preview of its version."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from client.connection.resuming_session import ResumingSession
from client.connection.retry import PATIENCE_SECONDS, ServerPatience
from client.connection.server_access import ServerAccess
from client.connection.session import DanceClient
from client.connection.types import SentFrame, TransferOptions
from client.errors import CommandError
from client.media.frame_feed import FeedOptions
from client.media.source import Source
from client.terminal.display import Display
from client.transfer.body_pass import fit
from client.transfer.look_ahead import look_ahead_for
from motion.frame import Picture
from serving.actors.preview import PREVIEW_FRAMES, shown_every
from serving.pictures.codec import decode_picture

_MAX_SIDE_PX: Final = 1280
_CHECKPOINT_EVERY_FRAMES: Final = 25


@dataclass(frozen=True, slots=True)
class MovingPreview:
    """The pictures of a preview, `[H, W, 3]` uint8 RGB each, and their rate."""

    pictures: list[Picture]
    frames_per_second: float


async def danced_preview(
    server: ServerAccess, source: Source, actor: str, version: int, start_seconds: float, display: Display
) -> MovingPreview:
    """Return two seconds of the dance, from `start_seconds` of the source on, or the rest if it is shorter.

    Raises CommandError, also if fewer than two frames show the dancer.
    """
    fitted, _ = await fit(source, server, display, _MAX_SIDE_PX)
    with source.open() as reader:
        every = shown_every(reader.frame_rate_hz)
        first = math.ceil(start_seconds * reader.frame_rate_hz)
        options = TransferOptions(
            actor=actor,
            actor_version=version,
            source_body=fitted.body,
            look_ahead_frames=look_ahead_for(reader.frame_rate_hz),
            frame_rate_hz=reader.frame_rate_hz,
            checkpoint_every_frames=_CHECKPOINT_EVERY_FRAMES,
        )
        feed = source.feed(reader, FeedOptions(max_side_px=_MAX_SIDE_PX))
        try:
            async with DanceClient(server) as client:
                patience = ServerPatience(PATIENCE_SECONDS, reached=True)
                async with ResumingSession(client, options, patience) as session:
                    answers = session.answers(_stretch(feed, first, every * PREVIEW_FRAMES))
                    pictures = [
                        decode_picture(answer.picture, field=f"answer {answer.sequence}")
                        async for answer in answers
                        if answer.picture is not None and (answer.sequence - first) % every == 0
                    ]
        finally:
            feed.close()
    if len(pictures) < 2:
        raise CommandError(
            f"{source.name}: {len(pictures)} frames from {start_seconds:g} s on became a picture, a preview needs at "
            "least 2; choose another --start, or a clip that shows the whole dancer"
        )
    return MovingPreview(pictures, reader.frame_rate_hz / every)


async def _stretch(frames: AsyncIterator[SentFrame], first: int, count: int) -> AsyncIterator[SentFrame]:
    """The frames with the sequences from `first` on, `count` of them; the others are not sent."""
    async for frame in frames:
        if frame.sequence >= first:
            yield frame
        if frame.sequence >= first + count - 1:
            return
