"""Pictures and frames in transit: encoded bytes, the size their sender claims, and how each stage processed them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""A decoded picture: `[H, W, 3]` uint8, RGB, rows from the top."""

RgbaPicture = NDArray[np.uint8]
"""`[H, W, 4]` uint8, RGB and opacity, rows from the top. Names and docstrings state whether RGB is premultiplied."""

ZERO_LEVEL: Final = 128
"""The uint8 level of 0 in the networks' range of -1 to 1; fills a session's first "previous picture"."""


class PictureEncoding(Enum):
    """How the bytes of a picture are encoded."""

    JPEG = "jpeg"
    PNG = "png"
    RAW = "raw"
    """RGB, one byte per channel, rows from the top: `width_px * height_px * 3` bytes."""
    RAW_RGBA = "raw_rgba"
    """RGB and opacity, one byte per channel, rows from the top: `width_px * height_px * 4` bytes, straight alpha."""


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture's bytes and the size its sender claims; `serving.pictures.codec` checks that size and decodes."""

    encoding: PictureEncoding
    width_px: int
    height_px: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Width and height of a frame in pixels."""

    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"a frame must be at least 1x1 pixels, got {self.width_px}x{self.height_px}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a video.

    sequence: counts from 0 and rises strictly.
    captured_at_s: capture time, or presentation time in a file, in seconds; None if unknown.
    """

    sequence: int
    picture: EncodedPicture
    captured_at_s: float | None = None


class NoPictureReason(Enum):
    """Why the answer to a frame has no picture."""

    NO_PERSON = "no_person"
    DROPPED = "dropped"
    BAD_FRAME = "bad_frame"
    NOT_PLACED = "not_placed"


@dataclass(frozen=True, slots=True)
class StageTime:
    """How long one frame spent in one stage.

    compute_seconds: the stage's own work. queue_seconds: in the link before the stage. total_seconds: from leaving that
    link to the stage's answer.
    """

    stage: str
    compute_seconds: float
    queue_seconds: float
    total_seconds: float
