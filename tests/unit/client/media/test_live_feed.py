"""The newest frame of a live source, and the warm-up before it plays."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from client.media.frame_feed import FeedOptions
from client.media.live_feed import LiveFeed
from motion.frame import Frame, PictureEncoding
from serving.pictures.codec import decode_picture
from video.reader import SourceFrame, VideoReader

WARM_UPS = 3


@pytest.mark.parametrize("warm_up_frames", [0, WARM_UPS])
async def test_stopped_live_feed_ends(make_video, warm_up_frames):
    """stop() ends a live source like its own end, whatever frames remain, also before the first shown frame."""
    with VideoReader(str(make_video(frames=40, rate=10))) as reader:
        feed = LiveFeed(reader, FeedOptions(max_side_px=64), warm_up_frames)
        try:
            assert (await anext(feed)).sequence == 0
            feed.stop()
            with pytest.raises(StopAsyncIteration):
                await anext(feed)
        finally:
            feed.close()


async def test_live_feed_gives_the_newest_frame_and_counts_the_others(make_video):
    """While no frame is requested, newer frames replace older ones."""
    with VideoReader(str(make_video(frames=30, rate=240))) as reader:
        feed = LiveFeed(reader, FeedOptions(max_side_px=64))
        try:
            feed.player_ended.wait(5)
            newest = await anext(feed)
            assert newest.sequence > 0
            given = 1 + len([frame async for frame in feed])
        finally:
            feed.close()
    assert given + feed.skipped == 30


class Camera(VideoReader):
    """A camera that takes a frame whenever the test says so; frame n has the grey level 10 n."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.taken: asyncio.Queue[int | None] = asyncio.Queue()
        self._test = asyncio.get_running_loop()

    @property
    def plays_by_itself(self) -> bool:
        return True

    def frames(self) -> Iterator[SourceFrame]:
        while True:
            index = asyncio.run_coroutine_threadsafe(self.taken.get(), self._test).result()
            if index is None:
                return
            yield SourceFrame(index, 7 * index, index / 10, np.full((32, 32, 3), 10 * index, np.uint8))


def level(frame: object) -> int:
    assert isinstance(frame, Frame)
    assert frame.picture.encoding is PictureEncoding.JPEG
    return round(float(decode_picture(frame.picture).mean()) / 10)


async def test_a_file_waits_for_the_warm_up_and_loses_nothing(make_video):
    """Its first frame is sent again and again; once the last answer is there, it plays from the beginning."""
    with VideoReader(str(make_video(frames=5, rate=50))) as reader:
        feed = LiveFeed(reader, FeedOptions(max_side_px=64), WARM_UPS)
        try:
            first = [await anext(feed) for _ in range(WARM_UPS)]
            assert [frame.sequence for frame in first] == [0, 1, 2]
            assert len({frame.picture.data for frame in first if isinstance(frame, Frame)}) == 1
            waiting = asyncio.create_task(anext(feed))
            shots = [feed.shot_of(sequence) for sequence in range(WARM_UPS)]
            assert all(shot.warms_up for shot in shots)
            frame = await waiting
            rest = [frame, *[frame async for frame in feed]]
            assert rest[0].sequence == WARM_UPS
            assert rest[-1].sequence == WARM_UPS + 4
            assert len(rest) + feed.skipped == 5
            times_s = [frame.captured_at_s or 0.0 for frame in (*first, *rest)]
            assert times_s == sorted(set(times_s))
            shot = feed.shot_of(WARM_UPS)
            assert (shot.pts, shot.warms_up) == (0, False)
        finally:
            feed.close()


async def test_a_camera_goes_on_with_its_newest_frame(make_video):
    """What it takes during the warm-up is neither sent nor counted as skipped, here or by the server."""
    camera = Camera(str(make_video(frames=1)))
    with camera:
        feed = LiveFeed(camera, FeedOptions(max_side_px=64), WARM_UPS)
        try:
            camera.taken.put_nowait(1)
            assert [level(await anext(feed)) for _ in range(WARM_UPS)] == [1] * WARM_UPS
            waiting = asyncio.create_task(anext(feed))
            for index in (2, 3, 4, None):
                camera.taken.put_nowait(index)
            await asyncio.to_thread(feed.player_ended.wait, 10)
            feed.shot_of(WARM_UPS - 1)
            newest = await waiting
            assert (newest.sequence, level(newest)) == (WARM_UPS, 4)
            assert newest.captured_at_s == pytest.approx(WARM_UPS / camera.frame_rate_hz)
            assert feed.skipped == 0
        finally:
            camera.taken.put_nowait(None)
            feed.close()


async def test_a_warm_up_that_gets_no_answer_ends(make_video, monkeypatch):
    """If the answers are lost with a connection, the playback begins all the same."""
    monkeypatch.setattr("client.media.live_feed._LONGEST_WARM_UP_SECONDS", 0.01)
    with VideoReader(str(make_video(frames=2, rate=50))) as reader:
        feed = LiveFeed(reader, FeedOptions(max_side_px=64), WARM_UPS)
        try:
            sent = [frame.sequence async for frame in feed]
            assert sent[0] == 0
            assert WARM_UPS <= sent[-1] <= WARM_UPS + 1
        finally:
            feed.close()
