"""The actor's footage, frame by frame: upright RGB pictures out of any file that PyAV reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import av
import av.error
import numpy as np

from motion.frame import Picture
from serving.errors import BadInput

_ANY_RATE_HZ = 25.0


def footage_frames(footage: Path) -> Iterator[Picture]:
    """Every frame, `[H, W, 3]` uint8 RGB, turned upright as the file says, all of the first frame's size.

    Raises BadInput for a file that is missing, empty or without video, and for a frame of another size. Footage that
    is cut off ends where it stops decoding.
    """
    first_shape: tuple[int, ...] | None = None
    with _opened(footage) as container:
        container.streams.video[0].thread_type = "AUTO"
        try:
            for frame in container.decode(video=0):
                picture = upright(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), frame.rotation)
                first_shape = first_shape or picture.shape
                if picture.shape != first_shape:
                    raise BadInput("footage", f"{footage} changes its size from {first_shape} to {picture.shape}")
                yield picture
        except av.error.FFmpegError as error:
            if first_shape is None:
                raise BadInput("footage", f"{footage}: not a single frame can be decoded") from error
    if first_shape is None:
        raise BadInput("footage", f"{footage}: not a single frame can be decoded")


def footage_rate_hz(footage: Path) -> float:
    """Frames per second as the file says it. Raises BadInput as `footage_frames` does."""
    with _opened(footage) as container:
        stream = container.streams.video[0]
        return float(stream.average_rate or stream.guessed_rate or _ANY_RATE_HZ)


def footage_fingerprint(footage: Path) -> str:
    """32 hexadecimal digits that tell this file's bytes from others. Raises BadInput for a file that is missing."""
    if not footage.is_file():
        raise BadInput("footage", f"there is no file {footage}")
    with footage.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def upright(picture: Picture, rotation_deg: int) -> Picture:
    """The picture turned counterclockwise by `rotation_deg`, rounded to quarter turns, as display matrices say."""
    return np.ascontiguousarray(np.rot90(picture, k=round(rotation_deg / 90)))


def _opened(footage: Path) -> av.container.InputContainer:
    if not footage.is_file():
        raise BadInput("footage", f"there is no file {footage}")
    try:
        container = av.open(str(footage))
    except (av.error.FFmpegError, ValueError) as error:
        raise BadInput("footage", f"{footage} is no video that can be read") from error
    if not container.streams.video:
        container.close()
        raise BadInput("footage", f"{footage} has no video in it")
    return container
