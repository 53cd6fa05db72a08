"""What happens to a clip on its way: it is scaled and compressed, once or twice.

The detector is trained and measured on clips that went through this, real and synthetic ones alike. So it cannot tell
them apart by their compression or by their size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Final, Literal

import cv2
import numpy as np

from motion.crop import resized
from motion.frame import Picture

Codec = Literal["none", "jpeg", "h264"]

_ENCODE: Final = int(cv2.IMWRITE_JPEG_QUALITY)
_RATE_HZ: Final = 25
_SMALLEST_SCALE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Compression:
    """One step: `scale` times the size, then a codec.

    quality: JPEG's, from 1 to 100, or H.264's CRF, from 0 to 51, where more is worse. Ignored without a codec.
    """

    codec: Codec = "none"
    quality: int = 0
    scale: float = 1.0

    @property
    def words(self) -> str:
        """The step in a few words."""
        named = {"none": "as drawn", "jpeg": f"JPEG quality {self.quality}", "h264": f"H.264 CRF {self.quality}"}
        codec = named[self.codec]
        if self.scale == 1:
            return codec
        size = f"scaled to {self.scale:.0%}"
        return size if self.codec == "none" else f"{size}, {codec}"


def random_compressions(random: np.random.Generator) -> list[Compression]:
    """Return the steps of one clip's way: nothing, or one or two of any strength that is common."""
    if random.random() < 0.1:
        return []
    steps = [_random_step(random)]
    if random.random() < 0.3:
        steps.append(_random_step(random))
    return steps


def compressed(pictures: Sequence[Picture], steps: Sequence[Compression]) -> list[Picture]:
    """Return consecutive pictures, `[H, W, 3]` uint8 RGB, after all steps. Sizes are even after H.264.

    Raises ModuleNotFoundError for H.264 without the package `av`.
    """
    passed = list(pictures)
    for step in steps:
        passed = _scaled(passed, step.scale)
        if step.codec == "jpeg":
            passed = [_through_jpeg(picture, step.quality) for picture in passed]
        elif step.codec == "h264":
            passed = _through_h264(passed, step.quality)
    return passed


def _random_step(random: np.random.Generator) -> Compression:
    scale = 1.0 if random.random() < 0.4 else float(random.uniform(_SMALLEST_SCALE, 1.0))
    if random.random() < 0.35:
        return Compression("jpeg", int(random.integers(50, 97)), scale)
    return Compression("h264", int(random.integers(16, 33)), scale)


def _scaled(pictures: Sequence[Picture], scale: float) -> list[Picture]:
    if scale == 1 or not pictures:
        return list(pictures)
    height_px, width_px = (max(2, round(side * scale)) for side in pictures[0].shape[:2])
    return [resized(picture, width_px, height_px) for picture in pictures]


def _through_jpeg(picture: Picture, quality: int) -> Picture:
    written, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), [_ENCODE, quality])
    if not written:
        raise ValueError(f"a picture of shape {picture.shape} cannot be written as JPEG")
    read = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(read[:, :, ::-1]).astype(np.uint8, copy=False)


def _through_h264(pictures: Sequence[Picture], crf: int) -> list[Picture]:
    """Encode and decode with x264, in yuv420p, which needs even sides: an odd one loses its last row or column."""
    import av  # the extra `client` has it; scores of pairs that are at hand do not need it

    if not pictures:
        return []
    height_px, width_px = (side - side % 2 for side in pictures[0].shape[:2])
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(_RATE_HZ))
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        for picture in pictures:
            even = np.ascontiguousarray(picture[:height_px, :width_px])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as encoded:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in encoded.decode(video=0)]
