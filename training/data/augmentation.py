"""Turn, scale and move training pairs a little, so that the network learns more poses than the footage shows.

With a plate this is exact: label map, picture, masks and plate move together, and the opacity lays the person onto a
place that has moved with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose

Affine = NDArray[np.float64]
"""`[2, 3]`: maps (x, y, 1) in pixels to the moved (x, y)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Jitter:
    """How far pairs are moved. Raises ValueError for numbers out of range.

    share: the fraction of pairs that are moved, in [0, 1]; the others stay, so that the footage's own place and size
    are learned best. turn_deg: the maximum turn, either way. scale: from 1 - scale to 1 + scale. shift: the maximum, as
    a fraction of the picture's height, in x and y.
    """

    share: float = 0.5
    turn_deg: float = 15.0
    scale: float = 0.12
    shift: float = 0.06

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.turn_deg <= 180 and 0 <= self.scale < 1 and 0 <= self.shift <= 1):
            raise ValueError(f"jitter out of range: {self}")

    def draw(self, random: np.random.Generator, width_px: int, height_px: int) -> Affine | None:
        """A random motion about the picture's centre, or None for a pair that is not moved."""
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
    """The pose, moved with its picture."""
    return Pose(pose.joints_px @ affine[:, :2].T + affine[:, 2], pose.confidence)


def moved_picture(picture: Picture, affine: Affine) -> Picture:
    """The moved picture, `[H, W, 3]` or `[H, W]` uint8 of the same size; areas from outside repeat the edge."""
    # OpenCV counts from the centre of the first pixel, poses from its corner.
    centred = affine.copy()
    centred[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, centred, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
