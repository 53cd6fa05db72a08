"""Turns, scales and moves training pairs a little, so that the network knows more poses than the footage shows.

With a plate this is exact: label map, picture, masks and plate are moved alike, and the opacity lays the person onto a
place that has moved with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose

Affine = NDArray[np.float64]
"""`[2, 3]`: takes (x, y, 1) in pixels to the moved (x, y)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Jitter:
    """How far pairs are moved. Raises ValueError for numbers out of their range.

    share: of the pairs that are moved at all, in [0, 1]; the others stay as they are, so that the footage's own place
    and size are learned best. turn_deg: at most so far, either way. scale: from 1 - scale to 1 + scale. shift: of the
    picture's height, in x and in y.
    """

    share: float = 0.5
    turn_deg: float = 15.0
    scale: float = 0.12
    shift: float = 0.06

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.turn_deg <= 180 and 0 <= self.scale < 1 and 0 <= self.shift <= 1):
            raise ValueError(f"jitter out of range: {self}")

    def draw(self, random: np.random.Generator, width_px: int, height_px: int) -> Affine | None:
        """A random motion about the picture's middle, or None for a pair that stays as it is."""
        stays = random.random() >= self.share
        turn_deg, scale, shift_x, shift_y = random.uniform(-1, 1, 4) * (
            self.turn_deg, self.scale, self.shift * height_px, self.shift * height_px
        )  # fmt: skip
        if stays:
            return None
        affine: Affine = cv2.getRotationMatrix2D((width_px / 2, height_px / 2), turn_deg, 1 + scale).astype(np.float64)
        affine[:, 2] += (shift_x, shift_y)
        return affine


def moved_pose(pose: Pose, affine: Affine) -> Pose:
    """The pose, moved like the picture that it is in."""
    return Pose(pose.joints_px @ affine[:, :2].T + affine[:, 2], pose.confidence)


def moved_picture(picture: Picture, affine: Affine) -> Picture:
    """`[H, W, 3]` or `[H, W]` uint8 of the same size; what comes in from outside repeats the edge."""
    # OpenCV counts from the middle of the first pixel, poses from its corner.
    centred = affine.copy()
    centred[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, centred, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
