"""A pose as a mirror shows it: left and right change places, in the picture and in the names of the joints."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion import skeleton
from motion.pose import Pose


def _swapped() -> list[int]:
    """The joint that takes each joint's place."""
    place = {name: index for index, name in enumerate(skeleton.BODY_NAMES)}
    other = {"L": "R", "R": "L"}
    body = [place.get(other.get(name[0], "") + name[1:], index) for name, index in place.items()]
    face = [
        *range(16, -1, -1),  # jaw
        *range(26, 16, -1),  # brows
        *range(27, 31),  # bridge of the nose
        *range(35, 30, -1),  # base of the nose
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,  # eyes
        *range(54, 47, -1), *range(59, 54, -1),  # outer lip
        *range(64, 59, -1), *range(67, 64, -1),  # inner lip
        69, 68,  # pupils
    ]  # fmt: skip
    hands = [*range(skeleton.RIGHT_HAND.start, skeleton.RIGHT_HAND.stop)]
    hands += range(skeleton.LEFT_HAND.start, skeleton.LEFT_HAND.stop)
    return [*body, *(skeleton.FACE.start + joint for joint in face), *hands]


_SWAPPED: Final = _swapped()


def mirrored(pose: Pose, line_x_px: float) -> Pose:
    """The pose mirrored about the vertical line at `line_x_px`; the person's left becomes the right."""
    joints_px = np.array(pose.joints_px[_SWAPPED])
    joints_px[:, 0] = 2 * line_x_px - joints_px[:, 0]
    return Pose(joints_px, pose.confidence[_SWAPPED])
