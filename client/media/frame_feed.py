"""Feeds a session with every frame of a file: decodes, shrinks and encodes off the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from client.connection.types import SentFrame
from motion.crop import shrunk
from motion.frame import Frame, Picture, PictureEncoding
from serving.pictures.codec import encode_picture
from video.reader import SourceFrame

JPEG_QUALITY: Final = 95


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A frame in flight. pixels: what was sent, `[H, W, 3]` uint8 RGB, or None if no view needs it.

    warms_up: its answer is neither shown nor counted.
    """

    sequence: int
    pts: int
    pixels: Picture | None
    warms_up: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedOptions:
    """How frames are sent. max_side_px: longer sides are shrunk to it. keep_pixels: fill in `Shot.pixels`."""

    max_side_px: int
    keep_pixels: bool = False
    encoding: PictureEncoding = PictureEncoding.JPEG


class FileFeed:
    """Every frame of a video, in order, as an async iterator of `Frame`. frames: as from `VideoReader.frames`.

    in_flight: one `Shot` per frame handed out. The consumer takes it with `shot_of` when the answer arrives, so there
    are never more than the session has in flight. shrunk_from: the size (width, height) that was too large, or None.
    """

    def __init__(self, frames: Iterator[SourceFrame], options: FeedOptions) -> None:
        self.in_flight: deque[Shot] = deque()
        self.shrunk_from: tuple[int, int] | None = None
        self._options = options
        self._frames = frames
        # One thread: decoders are not thread-safe, and frames must stay in order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decode")

    def __aiter__(self) -> AsyncIterator[SentFrame]:
        return self

    async def __anext__(self) -> SentFrame:
        prepared = await asyncio.get_running_loop().run_in_executor(self._thread, self._prepare_next)
        if prepared is None:
            raise StopAsyncIteration
        return self._hand_out(*prepared)

    def shot_of(self, sequence: int) -> Shot:
        """Take the shot of frame `sequence` when its answer arrives. Drops earlier shots: they will get no answer."""
        while self.in_flight[0].sequence < sequence:
            self.in_flight.popleft()
        return self.in_flight.popleft()

    @property
    def max_side_px(self) -> int:
        """Longer sides are shrunk to this."""
        return self._options.max_side_px

    def close(self) -> None:
        """Wait for the frame that is being decoded."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _prepare_next(self) -> tuple[SourceFrame, SentFrame, Picture] | None:
        source = next(self._frames, None)
        return None if source is None else self._prepared(source)

    def _prepared(self, source: SourceFrame) -> tuple[SourceFrame, Frame, Picture]:
        pixels = shrunk(source.pixels, self._options.max_side_px)
        if pixels is not source.pixels:
            self.shrunk_from = (source.pixels.shape[1], source.pixels.shape[0])
        encoded = encode_picture(pixels, self._options.encoding, JPEG_QUALITY)
        return source, Frame(source.index, encoded, max(0.0, source.seconds)), pixels

    def _hand_out(self, source: SourceFrame, frame: SentFrame, pixels: Picture) -> SentFrame:
        self.in_flight.append(Shot(source.index, source.pts, pixels if self._options.keep_pixels else None))
        return frame
