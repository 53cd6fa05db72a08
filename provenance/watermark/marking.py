"""`Watermark`: lays the pattern of one payload over pictures."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture, RgbaPicture
from provenance.watermark.code import TILE_PX, Payload, tile

_LEVELS: Final = 1.7
"""The pattern's standard deviation, in levels of 255 of Cb: 43 dB in RGB."""
_PEAK: Final = 2.2
"""Standard deviations at which it is cut off, so that no spot stands out."""
_GREEN, _BLUE = -0.344136, 1.772
"""What one level of Cb adds (ITU-R BT.601). Red has no part of it."""

_Pattern = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Watermark:
    """Marks pictures with one payload.

    The pattern is in the blue-yellow difference (Cb) only, where the eye sees little detail and pictures have little
    of their own. It stands still, so it adds no flicker, and depends on the payload and on nothing else: the same
    picture always becomes the same picture.
    """

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._patterns: dict[tuple[int, ...], _Pattern] = {}

    def marked(self, picture: Picture | RgbaPicture) -> Picture | RgbaPicture:
        """Return the marked picture, `[H, W, 3]` or `[H, W, 4]` uint8 as given. An opacity stays as it is."""
        if picture.shape not in self._patterns:  # kept here, so that they go with their session
            self._patterns[picture.shape] = _pattern(self.payload, *picture.shape)
        more, less = self._patterns[picture.shape]
        # Two saturating additions of bytes take a quarter of the time of one of 16 bits.
        marked = cv2.subtract(cv2.add(picture, more), less)
        if picture.shape[2] == 4:  # nothing is seen where nothing is, and a PNG of it stays small
            marked = cv2.copyTo(marked, picture[..., 3], picture.copy())
        return np.asarray(marked, np.uint8)


def _pattern(payload: Payload, height_px: int, width_px: int, channels: int) -> _Pattern:
    """What is added and what is subtracted, `[H, W, channels]` uint8 each."""
    cut = np.clip(tile(payload), -_PEAK, _PEAK)
    levels = cut / cut.std() * _LEVELS
    repeated = np.tile(levels, (-(-height_px // TILE_PX), -(-width_px // TILE_PX)))[:height_px, :width_px]
    change = np.zeros((height_px, width_px, channels), np.int16)
    change[..., 1] = np.round(_GREEN * repeated)
    change[..., 2] = np.round(_BLUE * repeated)
    return np.maximum(change, 0).astype(np.uint8), np.maximum(-change, 0).astype(np.uint8)
