"""Square, rotated regions of a picture: where a network looks, and where what it finds lies in the picture.

The rules are those of MediaPipe's graphs (holistic_landmark_cpu.binarypb in its wheel). All positions are in pixels of
the picture, x to the right and y downwards, so an angle turns clockwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture

Points = NDArray[np.float32]
"""`[N, 2]` float32: x and y in pixels of the picture."""

UPWARDS: Final = math.pi / 2


@dataclass(frozen=True, slots=True)
class Region:
    """A square around (x_px, y_px), turned by rotation_rad."""

    x_px: float
    y_px: float
    side_px: float
    rotation_rad: float

    def crop(self, picture: Picture, side_px: int, *, zeros_outside: bool = False) -> Picture:
        """Return the region as `[side_px, side_px, 3]` uint8 RGB; outside the picture its edge is repeated."""
        crop = cv2.warpAffine(
            picture,
            self._from_crop(side_px),
            (side_px, side_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT if zeros_outside else cv2.BORDER_REPLICATE,
        )
        return np.asarray(crop, np.uint8)

    def uncropped(self, crop: NDArray[np.float32], size: FrameSize) -> NDArray[np.float32]:
        """Return a picture of `size`, `[H, W]` float32, that shows the crop, `[S, S]`, in this region, and 0 around."""
        whole = (size.width_px, size.height_px)
        return np.asarray(cv2.warpAffine(crop, self._from_crop(crop.shape[0]), whole), np.float32)

    def in_picture(self, inside: NDArray[Any]) -> Points:
        """Convert `[N, 2]` fractions of the region to pixels of the picture."""
        turned = (np.asarray(inside, np.float64) - 0.5) * self.side_px @ self._turn().T
        return np.asarray(turned + np.array([self.x_px, self.y_px]), np.float32)

    def holds(self, points: Points, margin: float) -> bool:
        """Whether all points lie within the region, enlarged on each side by `margin` of its side."""
        offsets = (np.asarray(points, np.float64) - np.array([self.x_px, self.y_px])) @ self._turn()
        return bool((np.abs(offsets) < (0.5 + margin) * self.side_px).all())

    def like(self, other: Region, *, rotation_rad: float, shift: float, scale: float) -> bool:
        """Whether the region differs from `other` by no more than this.

        shift: of the centre, in x and in y, and scale: of the side; both as fractions of the other's side.
        """
        return (
            abs(normalized_rad(self.rotation_rad - other.rotation_rad)) <= rotation_rad
            and max(abs(self.x_px - other.x_px), abs(self.y_px - other.y_px)) <= shift * other.side_px
            and abs(self.side_px - other.side_px) <= scale * other.side_px
        )

    def _from_crop(self, side_px: int) -> NDArray[np.float64]:
        """Return the `[2, 3]` matrix from pixels of a crop with this side to pixels of the picture."""
        turn = self._turn() * (self.side_px / side_px)
        corner = np.array([self.x_px, self.y_px]) - turn @ np.full(2, side_px / 2)
        return np.column_stack([turn, corner])

    def _turn(self) -> NDArray[np.float64]:
        cosine, sine = math.cos(self.rotation_rad), math.sin(self.rotation_rad)
        return np.array([[cosine, -sine], [sine, cosine]])


def normalized_rad(angle_rad: float) -> float:
    """Return the angle in [-pi, pi)."""
    return angle_rad - 2 * math.pi * math.floor((angle_rad + math.pi) / (2 * math.pi))


def rotation_between(start: Points, end: Points, target_rad: float) -> float:
    """Return the rotation of a region in which the line from `start` to `end` has the angle `target_rad`."""
    x, y = (end - start).tolist()
    return normalized_rad(target_rad - math.atan2(-y, x))


def region_about(start: Points, end: Points, target_rad: float, *, scale: float, shift_y: float = 0.0) -> Region:
    """Return the region centred at `start` whose edge passes through `end`, then scaled and shifted."""
    side_px = 2 * math.hypot(*(end - start).tolist())
    rotation = rotation_between(start, end, target_rad)
    return squared(start, side_px, side_px, rotation, scale=scale, shift_y=shift_y)


def squared(
    centre: Points, width_px: float, height_px: float, rotation_rad: float, *, scale: float, shift_y: float = 0.0
) -> Region:
    """Return a box as a region: a square of its longer side.

    shift_y: moves the centre along the region's own vertical, as a fraction of the box's height.
    """
    x, y = centre.tolist()
    return Region(
        x - height_px * shift_y * math.sin(rotation_rad),
        y + height_px * shift_y * math.cos(rotation_rad),
        max(width_px, height_px) * scale,
        rotation_rad,
    )


def box_about(points: Points, rotation_rad: float, *, scale: float, shift_y: float = 0.0) -> Region:
    """Return the upright box of the points as a region turned about its centre."""
    lowest, highest = points.min(axis=0), points.max(axis=0)
    width_px, height_px = (highest - lowest).tolist()
    return squared((lowest + highest) / 2, width_px, height_px, rotation_rad, scale=scale, shift_y=shift_y)
