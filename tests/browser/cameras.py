"""Fake cameras: files that Chromium plays as if a camera saw them, from the sample clip."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np

from motion.frame import Picture

ROOT: Final = Path(__file__).resolve().parents[2]
SAMPLE_CLIP: Final = ROOT / "samples" / "source_clip.mp4"
SAMPLE_ACTORS: Final = ROOT / "samples" / "actors"
SAMPLE_PLATE: Final = SAMPLE_ACTORS / "sample" / "1" / "plate.png"
FRAMES_PER_SECOND: Final = 25


def sample_frames(first: int, count: int) -> list[Picture]:
    """Frames of the sample clip, each `[512, 512, 3]` uint8 RGB: one person, whole in every frame."""
    with av.open(str(SAMPLE_CLIP)) as container:
        frames = islice(container.decode(video=0), first, first + count)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def empty_room() -> Picture:
    """The sample's room without a person, `[H, W, 3]` uint8 RGB."""
    return np.asarray(cv2.cvtColor(cv2.imread(str(SAMPLE_PLATE)), cv2.COLOR_BGR2RGB), np.uint8)


def upper_body(frame: Picture) -> Picture:
    """What a camera on a desk sees of the person in a frame of the sample clip, in the same size."""
    height_px, width_px = frame.shape[:2]
    part = frame[height_px // 10 : height_px * 6 // 10, width_px // 4 : width_px * 3 // 4]
    return np.asarray(cv2.resize(part, (width_px, height_px), interpolation=cv2.INTER_CUBIC), np.uint8)


def write_camera(path: Path, frames: Sequence[Picture]) -> Path:
    """Write `frames`, `[H, W, 3]` uint8 RGB with even sides, as a Y4M file. Chromium repeats it for ever."""
    height_px, width_px = frames[0].shape[:2]
    rate = Fraction(FRAMES_PER_SECOND)
    with path.open("wb") as file:
        file.write(
            f"YUV4MPEG2 W{width_px} H{height_px} F{rate.numerator}:{rate.denominator} Ip A1:1 C420jpeg\n".encode()
        )
        for frame in frames:
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            file.write(b"FRAME\n" + planes.tobytes())
    return path
