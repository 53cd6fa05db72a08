"""What a dance is taken from: a video, a camera, a stream, or keypoints in a folder or a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from client.errors import UsageError
from client.media.frame_feed import FeedOptions, FileFeed, shrunk
from client.media.keypoints_source import GivenFacts, KeypointsFeed, KeypointsReader, drawn, followed_frames
from motion.frame import Picture
from motion.keypoint_files.folder import is_keypoints
from motion.keypoint_files.openpose_json import shrunk_size
from motion.people.dancer_choice import DancerChoice
from video.opening import is_endless
from video.reader import VideoReader

Reader = VideoReader | KeypointsReader


@dataclass(frozen=True, slots=True)
class Source:
    """The user's SOURCE, and what they say about it. dancer: for keypoints, which nobody else can choose from."""

    name: str
    given: GivenFacts = field(default_factory=GivenFacts)
    dancer: DancerChoice = field(default_factory=DancerChoice)

    @property
    def is_keypoints(self) -> bool:
        """Whether it is a folder, or a list in a .json file."""
        return not is_endless(self.name) and is_keypoints(Path(self.name))

    def open(self) -> Reader:
        """Raises UnreadableVideo, CommandError and UsageError; each says what is wrong in one line."""
        if self.is_keypoints:
            return KeypointsReader(self.name, self.given)
        if self.given != GivenFacts():
            raise UsageError(f"--frame-size and --frame-rate are for folders of keypoints; {self.name} is none")
        return VideoReader(self.name)

    def check(self) -> tuple[str, ...]:
        """As `open`, for what must be told before anything is started. Gives what was decided about it, in lines."""
        if is_endless(self.name):
            return ()
        with self.open() as reader:
            return reader.remarks if isinstance(reader, KeypointsReader) else ()

    def feed(self, reader: Reader, options: FeedOptions) -> FileFeed:
        """The frames, one after the other."""
        if isinstance(reader, KeypointsReader):
            return KeypointsFeed(reader, options, self.dancer)
        return FileFeed(reader.frames(), options)

    def pictures(self, max_side_px: int) -> Iterator[Picture]:
        """What is shown of each frame beside the actor, from the first one on."""
        with self.open() as reader:
            if isinstance(reader, KeypointsReader):
                size = shrunk_size(reader.size, max_side_px)
                for shown in followed_frames(reader, self.dancer, max_side_px):
                    yield drawn(shown, size)
            else:
                for frame in reader.frames():
                    yield shrunk(frame.pixels, max_side_px)
