"""Feeds a live session: the newest frame of a camera, of a stream, or of a file played at its own rate."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from client.connection.types import SentFrame
from client.media.frame_feed import FeedOptions, FileFeed, Shot
from motion.frame import Picture
from video.reader import SourceFrame, VideoReader

_LONGEST_WARM_UP_SECONDS: Final = 5.0


class LiveFeed(FileFeed):
    """The newest frame whenever the session has room.

    If a newer frame arrives before that, the older one is skipped and counted in `skipped`. `stop()` ends the feed as
    the end of the source would. `player_ended` is set after the last frame was played.

    warm_up_frames: how often the first frame is sent before the playback begins, so that the first frame that is shown
    finds everything open, loaded and warm, and the dancer found. Their shots say so. A file waits meanwhile; what a
    camera takes meanwhile is not counted. If their answers take too long, the playback begins without them.
    """

    def __init__(self, reader: VideoReader, options: FeedOptions, warm_up_frames: int = 0) -> None:
        super().__init__(reader.frames(), options)
        self.skipped = 0
        self._paced = not reader.plays_by_itself
        self._rate_hz = reader.frame_rate_hz
        self._warm_up_frames = warm_up_frames
        self._warm_ups_sent = 0
        self._first: SourceFrame | None = None
        self._first_shown: SourceFrame | None = None
        self._newest: SourceFrame | Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()
        self.player_ended = threading.Event()
        self._begun = threading.Event()
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()
        if not warm_up_frames:
            self._begun.set()
        self._player = threading.Thread(target=self._play, args=(self._frames,), name="camera", daemon=True)
        self._player.start()

    async def __anext__(self) -> SentFrame:
        while self._next_warm_up is None and (self._newest is None or not self._begun.is_set()):
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        source = self._next_warm_up
        if source is not None:
            if not self._warm_ups_sent:
                self._loop.call_later(_LONGEST_WARM_UP_SECONDS, self._begin)
            self._warm_ups_sent += 1
            return self._hand_out(*await self._loop.run_in_executor(self._thread, self._prepared, source))
        newest, self._newest = self._newest, None
        if isinstance(newest, Exception):
            raise newest
        assert newest is not None
        return self._hand_out(*await self._loop.run_in_executor(self._thread, self._prepared, self._after(newest)))

    def shot_of(self, sequence: int) -> Shot:
        """See `FileFeed.shot_of`. The playback begins with the answer to the last frame of the warm-up."""
        shot = super().shot_of(sequence)
        if sequence >= self._warm_up_frames - 1:
            self._begin()
        return shot

    def stop(self) -> None:
        """Hand out no more frames. Frames in flight still get their answers."""
        self._stopped.set()
        self._end()

    def close(self) -> None:
        """Stop the reading thread and wait for it."""
        self.stop()
        self._player.join()
        super().close()

    @property
    def _next_warm_up(self) -> SourceFrame | None:
        """The next frame of the warm-up, numbered; None after the last, and while there is no picture for it."""
        if self._first is None or self._stopped.is_set() or self._begun.is_set():
            return None
        number = self._warm_ups_sent
        if number >= self._warm_up_frames:
            return None
        return replace(self._first, index=number, seconds=number / self._rate_hz)

    def _after(self, source: SourceFrame) -> SourceFrame:
        """Return the frame as the warm-up's sequel: the first one follows it at once, whatever a camera took meanwhile.

        Servers take a gap in the numbers for frames that could not be sent in time.
        """
        if not self._warm_up_frames:
            return source
        if self._first_shown is None:
            self._first_shown = source
        index = source.index - self._first_shown.index + self._warm_up_frames
        seconds = source.seconds - self._first_shown.seconds + self._warm_up_frames / self._rate_hz
        return replace(source, index=index, seconds=seconds)

    def _hand_out(self, source: SourceFrame, frame: SentFrame, pixels: Picture) -> SentFrame:
        handed_out = super()._hand_out(source, frame, pixels)
        if source.index < self._warm_up_frames:
            self.in_flight[-1] = replace(self.in_flight[-1], warms_up=True)
        return handed_out

    def _begin(self) -> None:
        self._begun.set()
        self._changed.set()

    def _play(self, frames: Iterator[SourceFrame]) -> None:
        began: float | None = None
        last: Exception | None = None
        try:
            for frame in frames:
                if began is None:
                    self._loop.call_soon_threadsafe(self._warm_up_with, frame)
                    if self._paced:
                        self._begun.wait()
                    began = time.monotonic()
                wait_seconds = began + frame.seconds - time.monotonic() if self._paced else 0.0
                if self._stopped.wait(max(0.0, wait_seconds)) or self._stopped.is_set():
                    return
                self._loop.call_soon_threadsafe(self._offer, frame)
        except Exception as error:  # raised in `__anext__`
            last = error
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._end, last)
            self.player_ended.set()

    def _warm_up_with(self, frame: SourceFrame) -> None:
        self._first = frame
        self._changed.set()

    def _offer(self, frame: SourceFrame) -> None:
        if self._newest is not None and self._begun.is_set():
            self.skipped += 1
        self._newest = frame
        self._changed.set()

    def _end(self, error: Exception | None = None) -> None:
        self._ended = True
        self._begun.set()
        if error is not None and not self._stopped.is_set():
            self._newest = error
        elif self._stopped.is_set():
            self._newest = None
        self._changed.set()
