"""Mirrors poses, to test that left and right are distinguished."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion import skeleton
from motion.pose import Pose


def _swapped(count: int, *pairs: tuple[int, int]) -> tuple[int, ...]:
    order = list(range(count))
    for a, b in pairs:
        order[a], order[b] = b, a
    return tuple(order)


BODY_FLIP: Final = _swapped(
    25, (2, 5), (3, 6), (4, 7), (9, 12), (10, 13), (11, 14), (15, 16), (17, 18), (19, 22), (20, 23), (21, 24)
)
FACE_FLIP: Final = _swapped(
    70,
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64), (61, 63), (67, 65), (68, 69),
)  # fmt: skip
_FLIP: Final = np.array(
    [
        *BODY_FLIP,
        *(skeleton.FACE.start + i for i in FACE_FLIP),
        *range(skeleton.RIGHT_HAND.start, skeleton.RIGHT_HAND.stop),
        *range(skeleton.LEFT_HAND.start, skeleton.LEFT_HAND.stop),
    ]
)


def flipped(pose: Pose, width_px: float) -> Pose:
    """Return the pose in the mirrored frame: x becomes `width_px - x`, and left and right joints change places."""
    mirrored = pose.joints_px * np.array([-1, 1], np.float32) + np.array([width_px, 0], np.float32)
    return Pose(mirrored[_FLIP], pose.confidence[_FLIP])
