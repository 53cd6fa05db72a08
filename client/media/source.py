"""The source of a dance: a video, a camera, a stream, or keypoints in a folder or a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from client.errors import UsageError
from client.media.frame_feed import FeedOptions, FileFeed
from client.media.keypoints_source import GivenFacts, KeypointsFeed, KeypointsReader, drawn, followed_frames
from motion.crop import shrunk
from motion.frame import Picture
from motion.keypoint_files.folder import is_keypoints
from motion.keypoint_files.openpose_json import shrunk_size
from motion.people.dancer_choice import DancerChoice
from video.opening import check_camera, is_endless
from video.reader import VideoReader

Reader = VideoReader | KeypointsReader


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[Reader]:
    """Open `source` in a thread, since a file's start can take a while to read, and close it at the end.

    Raises as `Source.open`. If it is cancelled meanwhile, it ends once the thread has, and nothing stays open.
    """
    opening = asyncio.create_task(asyncio.to_thread(source.open))
    try:
        reader = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait({opening})
        if opening.exception() is None:
            opening.result().close()
        raise
    with reader:
        yield reader


@dataclass(frozen=True, slots=True)
class Source:
    """The user's SOURCE and the facts given about it. dancer: for keypoints, where the client chooses the dancer."""

    name: str
    given: GivenFacts = field(default_factory=GivenFacts)
    dancer: DancerChoice = field(default_factory=DancerChoice)

    @property
    def is_keypoints(self) -> bool:
        """Whether it is a folder of keypoints, or a list of them in a .json file."""
        return not is_endless(self.name) and is_keypoints(Path(self.name))

    def open(self) -> Reader:
        """Open the source. Raises UnreadableVideo, CommandError and UsageError, each with a one-line message."""
        if self.is_keypoints:
            return KeypointsReader(self.name, self.given)
        if self.given != GivenFacts():
            raise UsageError(f"--frame-size and --frame-rate are only for keypoints; {self.name} is a video")
        return VideoReader(self.name)

    def check(self) -> tuple[str, ...]:
        """Open and close the source to fail early. Returns what the reader assumed about it, in lines for the user.

        A camera or a stream is not opened: it may show that it is in use, or admit one viewer only.
        """
        if is_endless(self.name):
            check_camera(self.name)
            return ()
        with self.open() as reader:
            return reader.remarks if isinstance(reader, KeypointsReader) else ()

    def feed(self, reader: Reader, options: FeedOptions) -> FileFeed:
        """Every frame of the source, in order."""
        if isinstance(reader, KeypointsReader):
            return KeypointsFeed(reader, options, self.dancer)
        return FileFeed(reader.frames(), options)

    def pictures(self, max_side_px: int) -> Iterator[Picture]:
        """The pictures to show beside the actor, from the first frame on."""
        with self.open() as reader:
            if isinstance(reader, KeypointsReader):
                size = shrunk_size(reader.size, max_side_px)
                for shown in followed_frames(reader, self.dancer, max_side_px):
                    yield drawn(shown, size)
            else:
                for frame in reader.frames():
                    yield shrunk(frame.pixels, max_side_px)
