"""The plate without the person's own shadow, for a person who hardly ever leaves the place where it falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.floor_shadow import Shadow, draw_shadow
from motion.frame import Picture
from motion.pose import Pose
from training.data.plate import PERSON_FROM, Mask, grown, person_margin_px

_SHADED: Final = 10
"""Of 255: a shadow of this opacity is worth taking away."""
_MOST_SHADE: Final = 0.8
"""Darker places are too noisy to be lit again."""
_SOFT: Final = 1 / 60
"""Width of the transition to the plate around the shadows, as a fraction of the picture's height."""
_FRAMES: Final = 32


def lit_plate(
    plate: Picture, shadow: Shadow, pictures: Sequence[Picture], masks: Sequence[Mask], poses: Sequence[Pose]
) -> Picture:
    """Compute the plate again where the person's shadow fell, from pictures lit as if there were none.

    A median over pictures keeps a shadow that covers a place in most of them. plate, pictures: `[H, W, 3]` uint8 RGB of
    one camera that stands still. masks: `[H, W]` uint8, 255 on the person. poses: in their pixels. shadow: fitted to
    them by `motion.floor_shadow.fit_shadow`. Returns a plate of the same size; at most 32 pictures are read.
    """
    height_px = plate.shape[0]
    chosen = np.unique(np.linspace(0, len(pictures) - 1, _FRAMES).round().astype(int)).tolist()
    shades = [draw_shadow(shadow, np.asarray(masks[index]), poses[index]) for index in chosen]
    shaded = np.max(shades, axis=0) > _SHADED
    if not shaded.any():
        return plate
    rows, columns = _box(grown(shaded.astype(np.uint8), 2 * _SOFT * height_px) > 0)
    lit_NHW3 = np.empty((len(chosen), *plate[rows, columns].shape), np.float16)
    for at, index in enumerate(chosen):
        light = 1 - np.minimum(shades[at][rows, columns].astype(np.float32) / 255, _MOST_SHADE)
        hidden = grown(np.asarray(masks[index]), person_margin_px(height_px))[rows, columns] >= PERSON_FROM
        lit_NHW3[at] = np.where(hidden, np.nan, 1)[..., None] * pictures[index][rows, columns] / light[..., None]
    lit_NHW3.sort(axis=0)  # NaN comes last
    seen = np.isfinite(lit_NHW3[..., 0]).sum(axis=0)
    middle = np.maximum(seen - 1, 0)[None, ..., None] // 2
    lit = np.take_along_axis(lit_NHW3, middle, axis=0)[0].astype(np.float32)
    # Places that the person always hides keep the plate's filling.
    weight = (shaded[rows, columns] & (seen > 0)).astype(np.float32)
    weight = cv2.GaussianBlur(cv2.dilate(weight, np.ones((3, 3), np.uint8)), (0, 0), _SOFT * height_px / 2)
    weight = np.where(seen > 0, np.minimum(2 * weight, 1), 0)[..., None]
    result = plate.copy()
    mixed = plate[rows, columns] * (1 - weight) + np.nan_to_num(lit) * weight
    result[rows, columns] = np.clip(np.rint(mixed), 0, 255)
    return result


def _box(where: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns that hold all true values."""
    rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
