"""The person's shadow in training: a part of the pictures that the network should draw, and no part of the plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from motion.floor_shadow import Shadow, draw_shadow, fit_shadow
from motion.frame import Picture
from motion.pose import Pose
from training.data.lazy import Lazy
from training.data.plate import Mask, near

_SHADED: Final = 4
"""Of 255: a shadow of at least this opacity, and its edge beyond, is seen."""

_EDGE: Final = 1 / 40
"""Room for what the fitted shadow misses, as a fraction of the picture's height."""

_LONGER: Final = 1.25


def covered_with_shadow(shadow: Shadow, mask: Mask, pose: Pose) -> tuple[Mask, Mask]:
    """How much the person and the shadow cover of a picture, and the whole area that the shadow may touch.

    mask: `[H, W]` uint8, 255 on the person. pose: in its pixels. Both returned are `[H, W]` uint8, the second 0 or 255.
    """
    shade = draw_shadow(shadow, mask, pose)
    beside = cv2.multiply(shade, cv2.bitwise_not(mask), scale=1 / 255)
    touched = near(shade >= _SHADED, mask.shape[0] * _EDGE)
    return np.asarray(cv2.add(mask, beside), np.uint8), np.where(touched, np.uint8(255), np.uint8(0))


def masks_with_shadows(
    pictures: Sequence[Picture], masks: Sequence[Mask], poses: Sequence[Pose | None]
) -> Sequence[Mask]:
    """Masks that cover the person's shadow too, for the plate: a median keeps a shadow that hardly moves.

    pictures: `[H, W, 3]` uint8 RGB of a camera that stands still. masks: `[H, W]` uint8, 255 on the person. poses: in
    their pixels. Returns the masks themselves if the footage shows no shadow.
    """
    found = [Pose.nothing_seen() if pose is None else pose for pose in poses]
    shadow = fit_shadow(pictures, masks, found)
    if shadow is None:
        return masks

    # A near lamp throws the upper body's shadow farther than the fitted one.
    longer = replace(shadow, lean=_LONGER * shadow.lean, rise=_LONGER * shadow.rise)

    def with_shadow(index: int) -> Mask:
        mask = np.asarray(masks[index])
        areas = [covered_with_shadow(each, mask, found[index])[1] for each in (shadow, longer)]
        return np.maximum(mask, np.maximum(*areas))

    return Lazy(len(masks), with_shadow)
