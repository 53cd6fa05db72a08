"""Prints on a shirt: a star, and words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import cv2
import numpy as np

from samples.renderer.geometry import Floats

_PX_PER_M: Final = 2000
_WIDTH_M: Final = 0.26
_LINE_M: Final = 0.085
"""Width of a print, and height of its star and of its words."""
_SOFT_M: Final = 0.0012
"""Blur of the edges: they lie inside a part, where a pixel has a single ray."""


@dataclass(frozen=True, slots=True)
class Print:
    """A star, words below it, or one of them, in one colour (sRGB, 0 to 255), centred on the chest or the back."""

    shape: Literal["star", ""]
    words: str
    rgb: tuple[int, int, int]

    def ink(self, x_m: Floats, y_m: Floats) -> Floats:
        """Return the opacity, `[N]` in [0, 1], at positions to the reader's right and above the print's centre."""
        texture = _texture(self.shape, self.words)
        height_px, width_px = texture.shape
        column = np.floor(x_m * _PX_PER_M + width_px / 2).astype(np.intp)
        row = np.floor(height_px / 2 - y_m * _PX_PER_M).astype(np.intp)
        inside = (column >= 0) & (column < width_px) & (row >= 0) & (row < height_px)
        return np.where(inside, texture[row * inside, column * inside], np.float32(0))


@lru_cache
def _texture(shape: str, words: str) -> Floats:
    """Return the print, `[H, W]` float32 in [0, 1]."""
    lines = []
    if shape == "star":
        lines.append(_star())
    if words:
        lines.append(_lettering(words))
    drawn = np.vstack(lines)
    return np.asarray(cv2.GaussianBlur(drawn, (0, 0), _SOFT_M * _PX_PER_M), np.float32)


def _star() -> Floats:
    height_px, width_px = round(1.5 * _LINE_M * _PX_PER_M), round(_WIDTH_M * _PX_PER_M)
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    radii_px = 0.5 * height_px * np.where(np.arange(10) % 2 == 0, 0.98, 0.42)
    points = np.stack([width_px / 2 + radii_px * np.cos(angles), 0.54 * height_px + radii_px * np.sin(angles)], axis=1)
    canvas = np.zeros((height_px, width_px), np.float32)
    return np.asarray(cv2.fillPoly(canvas, [points.round().astype(np.int32)], (1.0,)), np.float32)


def _lettering(words: str) -> Floats:
    """Draw the words as large as the print's width and, for few letters, twice a line's height allow."""
    font, scale, thickness_px = cv2.FONT_HERSHEY_DUPLEX, 10.0, 50
    (drawn_px, tall_px), base_px = cv2.getTextSize(words, font, scale, thickness_px)
    canvas = np.zeros((tall_px + 2 * base_px, drawn_px + base_px), np.uint8)
    cv2.putText(canvas, words, (base_px // 2, tall_px + base_px), font, scale, (255,), thickness_px, cv2.LINE_AA)
    rows, columns = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    canvas = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width_px = round(_WIDTH_M * _PX_PER_M)
    height_px = min(round(2 * _LINE_M * _PX_PER_M), round(canvas.shape[0] * width_px / canvas.shape[1] * 1.15))
    shown_px = min(width_px, round(canvas.shape[1] * height_px / canvas.shape[0]))
    small = cv2.resize((canvas / 255).astype(np.float32), (shown_px, height_px), interpolation=cv2.INTER_AREA)
    left = (width_px - shown_px) // 2
    return np.pad(small, ((8, 8), (left, width_px - shown_px - left))).astype(np.float32)
