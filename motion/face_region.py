"""The face region: a square around the nose, sized by the face, that is cut out and pasted back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.crop import cut_rectangle, overlap, resized
from motion.frame import Picture
from motion.pose import Pose

_LEAST_FACE_POINTS = 20
"""With fewer face points, their extent says nothing about the face's size."""

_SOFT_BORDER = 1 / 8
"""Width of the border over which a pasted face fades in, as a fraction of the square's side."""


@dataclass(frozen=True, slots=True)
class FaceRule:
    """How an actor's face square is sized; stored with the actor.

    side_per_face_size: the square's side divided by the face's size (the longer side of its points' bounding box).
    min_side_px: the smallest side, in pixels of the network's picture.
    crop_px: side of the face network's input picture.

    Raises ValueError for numbers that are not positive.
    """

    side_per_face_size: float
    min_side_px: int
    crop_px: int = 128

    def __post_init__(self) -> None:
        if not (math.isfinite(self.side_per_face_size) and self.side_per_face_size > 0):
            raise ValueError(f"side_per_face_size must be positive, got {self.side_per_face_size}")
        if self.min_side_px < 1 or self.crop_px < 1:
            raise ValueError(f"min_side_px and crop_px must be at least 1, got {self.min_side_px} and {self.crop_px}")


@dataclass(frozen=True, slots=True)
class FaceRegion:
    """A square, by its upper left corner; it may extend outside the picture."""

    x_px: int
    y_px: int
    side_px: int


def face_region(pose: Pose, rule: FaceRule, width_px: int, height_px: int) -> FaceRegion | None:
    """Return the square around the face, or None if the pose has no face in a `width_px` x `height_px` picture.

    pose: in pixels of that picture. The square is centred on the nose; if that is missing on the midpoint of the ears;
    else on the middle of the face points. None for fewer than 20 of the 70 face points, and for a centre outside the
    picture. The side never exceeds the picture's shorter side.

    Source: Chan et al. 2019 cut a fixed 128 x 128 out of 1024 x 512. Here the side scales with the face, so that
    smaller pictures and distant people keep the same part of the head.
    """
    points_px = pose.joints_px[skeleton.FACE][pose.confidence[skeleton.FACE] > 0]
    if len(points_px) < _LEAST_FACE_POINTS:
        return None
    low_px, high_px = points_px.min(axis=0), points_px.max(axis=0)
    size_px = float((high_px - low_px).max())
    centre_px: NDArray[Any] | None = pose.joint(skeleton.NOSE)
    if centre_px is None:
        centre_px = pose.middle(skeleton.R_EAR, skeleton.L_EAR)
    if centre_px is None:
        centre_px = (low_px + high_px) / 2
    x_px, y_px = centre_px.astype(np.float32).tolist()
    if not (0 <= x_px <= width_px and 0 <= y_px <= height_px):
        return None
    side_px = min(max(round(rule.side_per_face_size * size_px), rule.min_side_px), width_px, height_px)
    return FaceRegion(round(x_px - side_px / 2), round(y_px - side_px / 2), side_px)


def cut_face(picture: Picture, region: FaceRegion, crop_px: int) -> Picture:
    """Cut the region out of a `[H, W, 3]` uint8 picture, as `[crop_px, crop_px, 3]` uint8; repeat the edge outside."""
    cut = cut_rectangle(picture, region.x_px, region.y_px, region.side_px, region.side_px)
    return resized(cut, crop_px, crop_px)


def paste_face(picture: Picture, face: Picture, region: FaceRegion) -> Picture:
    """Return a copy of a `[H, W, 3]` uint8 picture with the face pasted over the region, with a soft border.

    face: `[S, S, 3]` uint8 of any size, the face network's output. The region's outermost pixels do not change.
    """
    result = picture.copy()
    on_picture_x, on_face_x = overlap(region.x_px, region.side_px, picture.shape[1])
    on_picture_y, on_face_y = overlap(region.y_px, region.side_px, picture.shape[0])
    below = result[on_picture_y, on_picture_x]
    above = resized(face, region.side_px, region.side_px)[on_face_y, on_face_x]
    mixed = above.astype(np.float32)
    mixed -= below
    mixed *= _fade(region.side_px)[on_face_y, on_face_x]
    mixed += below
    result[on_picture_y, on_picture_x] = np.rint(mixed, out=mixed).astype(np.uint8)
    return result


@lru_cache(maxsize=64)
def _fade(side_px: int) -> NDArray[np.float32]:
    """Return blending weights, `[side_px, side_px, 3]` float32: 0 at the outermost pixels, 1 inside the border.

    Equal for all channels. NumPy is several times slower when it repeats one weight for three of them.
    """
    from_edge_px = np.minimum(np.arange(side_px), np.arange(side_px)[::-1])
    ramp = np.clip(from_edge_px / max(side_px * _SOFT_BORDER, 1), 0, 1)
    smooth = ramp * ramp * (3 - 2 * ramp)
    return np.repeat(np.outer(smooth, smooth).astype(np.float32)[..., None], 3, axis=2)
