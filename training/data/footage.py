"""The actor's footage, frame by frame: upright RGB pictures out of any file that PyAV reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from motion.frame import Picture
from serving.errors import BadInput, UnreadableVideo
from video.reader import VideoReader


@dataclass(frozen=True, slots=True)
class FootageFacts:
    """What a file says of itself. expected_frames: None where the format does not tell."""

    frame_rate_hz: float
    expected_frames: int | None


def footage_frames(footage: Path, on_end: Callable[[int], None] = lambda lost_frames: None) -> Iterator[Picture]:
    """Every frame, `[H, W, 3]` uint8 RGB, turned upright as the file says, all of the first frame's size.

    Raises UnreadableVideo for a file that is missing, empty or without video, BadInput for a frame of another size.
    Footage that is cut off ends where it stops decoding. on_end: told after the last frame how many frames the file
    promises beyond those that decode.
    """
    with _opened(footage) as reader:
        first_shape: tuple[int, ...] | None = None
        for frame in reader.frames():
            first_shape = first_shape or frame.pixels.shape
            if frame.pixels.shape != first_shape:
                raise BadInput("footage", f"{footage} changes its size from {first_shape} to {frame.pixels.shape}")
            yield frame.pixels
        on_end(reader.lost_frames)


def footage_facts(footage: Path) -> FootageFacts:
    """Raises UnreadableVideo as `footage_frames` does."""
    with _opened(footage) as reader:
        return FootageFacts(reader.frame_rate_hz, reader.expected_frames)


def footage_fingerprint(footage: Path) -> str:
    """32 hexadecimal digits that tell this file's bytes from others. Raises UnreadableVideo for a missing file."""
    _check_file(footage)
    with footage.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _opened(footage: Path) -> VideoReader:
    _check_file(footage)  # the reader would take "0" for a camera
    return VideoReader(str(footage.resolve()))


def _check_file(footage: Path) -> None:
    if not footage.is_file():
        raise UnreadableVideo(f"there is no file {footage}")
