"""The actor's footage, frame by frame: upright RGB pictures from any files that PyAV reads, one after another."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from motion.frame import Picture
from motion.keypoint_files.folder import keypoint_files
from serving.errors import BadInput, UnreadableVideo
from video.reader import VideoReader

_DIGITS = 32

OnEnd = Callable[[int, Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class FootageFacts:
    """The facts stated by a file. expected_frames: None if the format does not state it."""

    frame_rate_hz: float
    expected_frames: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Footage:
    """One or several files of one person in one place, in order.

    keypoints: a folder of OpenPose JSON files for every file, whose poses replace our own; or none.
    most_frames_per_second: files with a higher rate are thinned to every second, third, ... frame; None keeps all.

    Raises BadInput for no file, a number of folders that differs from that of files, or a rate that is not positive.
    """

    files: tuple[Path, ...]
    keypoints: tuple[Path, ...] = ()
    most_frames_per_second: float | None = None

    def __post_init__(self) -> None:
        if not self.files:
            raise BadInput("footage", "takes at least one file")
        if self.keypoints and len(self.keypoints) != len(self.files):
            raise BadInput(
                "keypoints", f"takes one folder for every file, got {len(self.keypoints)} for {len(self.files)}"
            )
        if self.most_frames_per_second is not None and not self.most_frames_per_second > 0:
            raise BadInput("frame rate", f"must be positive, got {self.most_frames_per_second}")

    @classmethod
    def of(cls, footage: Footage | Path | Sequence[Path]) -> Footage:
        """Footage of one file or of several."""
        if isinstance(footage, Footage):
            return footage
        return cls(files=(footage,) if isinstance(footage, Path) else tuple(footage))

    @property
    def title(self) -> str:
        """The files' names, for people."""
        names = [path.name for path in self.files]
        return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"

    def file_fingerprints(self) -> list[str]:
        """For each file 32 hexadecimal digits that identify its bytes. Raises UnreadableVideo."""
        return [footage_fingerprint(path) for path in self.files]

    def fingerprint(self) -> str:
        """32 hexadecimal digits that identify these bytes in this order. Raises UnreadableVideo."""
        parts = self.file_fingerprints()
        for folder in self.keypoints:
            digest = hashlib.sha256()
            for path in keypoint_files(folder):
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
            parts.append(digest.hexdigest()[:_DIGITS])
        if self.most_frames_per_second is not None:
            parts.append(f"at most {self.most_frames_per_second:g} a second")
        return parts[0] if len(parts) == 1 else hashlib.sha256("\n".join(parts).encode()).hexdigest()[:_DIGITS]

    def facts(self) -> FootageFacts:
        """The facts about all files together, with the first one's rate. Raises UnreadableVideo."""
        each = [self.facts_of(index) for index in range(len(self.files))]
        counts = [facts.expected_frames for facts in each if facts.expected_frames is not None]
        return FootageFacts(each[0].frame_rate_hz, sum(counts) if len(counts) == len(each) else None)

    def facts_of(self, index: int) -> FootageFacts:
        """The facts about one file, as it is read here. Raises UnreadableVideo."""
        facts = footage_facts(self.files[index])
        every = self._every(facts.frame_rate_hz)
        frames = facts.expected_frames
        return FootageFacts(facts.frame_rate_hz / every, None if frames is None else -(-frames // every))

    def frames_of(self, index: int, on_end: OnEnd = lambda lost_frames, notes: None) -> Iterator[Picture]:
        """The frames of one file; see `footage_frames`."""
        every = self.every_of(index)
        for number, picture in enumerate(footage_frames(self.files[index], on_end)):
            if number % every == 0:
                yield picture

    def every_of(self, index: int) -> int:
        """The step between the frames that are read: 1 for all frames, 2 for every second. Raises UnreadableVideo."""
        if self.most_frames_per_second is None:
            return 1
        return self._every(footage_facts(self.files[index]).frame_rate_hz)

    def _every(self, rate_hz: float) -> int:
        if self.most_frames_per_second is None:
            return 1
        # Cameras report 29.97 for 30.
        return max(1, math.ceil(rate_hz / self.most_frames_per_second - 0.05))


def footage_frames(footage: Path, on_end: OnEnd = lambda lost_frames, notes: None) -> Iterator[Picture]:
    """Every frame, `[H, W, 3]` uint8 RGB, as `VideoReader` returns them: upright, all of the first frame's size.

    Raises UnreadableVideo for a file that is missing, empty or without video. Footage that is cut off ends where it
    stops decoding. on_end: called after the last frame with the number of frames that the file promises beyond those
    that decode, and with the reader's decisions about the file that its owner should know.
    """
    with _opened(footage) as reader:
        for frame in reader.frames():
            yield frame.pixels
        on_end(reader.lost_frames, reader.notes)


def footage_facts(footage: Path) -> FootageFacts:
    """The facts about a file. Raises UnreadableVideo as `footage_frames` does."""
    with _opened(footage) as reader:
        return FootageFacts(reader.frame_rate_hz, reader.expected_frames)


def footage_fingerprint(footage: Path) -> str:
    """32 hexadecimal digits that identify this file's bytes. Raises UnreadableVideo for a missing file."""
    _check_file(footage)
    facts = footage.stat()
    return _fingerprint(footage, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _fingerprint(footage: Path, size_bytes: int, changed_at_ns: int) -> str:
    """Cached until the file changes, so that hours of video are not read again for every fingerprint."""
    with footage.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _opened(footage: Path) -> VideoReader:
    _check_file(footage)  # the reader would open a camera for "0"
    return VideoReader(str(footage.resolve()))


def _check_file(footage: Path) -> None:
    if not footage.is_file():
        raise UnreadableVideo(f"there is no file {footage}")
