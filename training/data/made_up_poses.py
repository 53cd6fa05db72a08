"""Poses that the footage does not show: the actor's own, with the arms swung elsewhere."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose

_ARMS: Final = (
    (skeleton.R_SHOULDER, skeleton.R_ELBOW, skeleton.R_WRIST, skeleton.RIGHT_HAND),
    (skeleton.L_SHOULDER, skeleton.L_ELBOW, skeleton.L_WRIST, skeleton.LEFT_HAND),
)
_STAYS: Final = 0.25
"""How often an arm stays as it was."""
_HIGHEST_DEG, _LOWEST_DEG = 170.0, 110.0
"""From level outwards, an upper arm rises to beyond the head and falls to before the body."""
_BENT_DEG: Final = 110.0
_UPPER_ARM, _FOREARM = 0.58, 0.50
"""The lengths of arms that lie in the picture's plane, in torso lengths."""
_SHORTEST: Final = 0.75
"""Arms that point at the camera look shorter; this much of their length at least."""


def with_arms_elsewhere(pose: Pose, torso_px: float, random: np.random.Generator) -> Pose:
    """The pose with each arm turned about its shoulder and elbow, hands along; most arms move, some stay.

    torso_px: the length of the actor's torso in this pose's pixels. The same `random` state turns the arms of two poses
    to the same places. Arms that are not seen stay unseen.
    """
    joints_px, confidence = pose.joints_px.astype(np.float64), pose.confidence
    for shoulder, elbow, wrist, hand in _ARMS:
        stays, *turns = random.random(5)
        if stays < _STAYS or min(confidence[shoulder], confidence[elbow], confidence[wrist]) <= 0:
            continue
        outwards = _outwards(pose, shoulder)
        rise, bend = np.radians(-_HIGHEST_DEG + turns[0] * (_HIGHEST_DEG + _LOWEST_DEG)), np.radians(_BENT_DEG)
        along_forearm = rise + (2 * turns[1] - 1) * bend
        upper_px, fore_px = (
            torso_px * length * (_SHORTEST + (1 - _SHORTEST) * turn)
            for length, turn in zip((_UPPER_ARM, _FOREARM), turns[2:], strict=True)
        )
        before_px = joints_px[wrist] - joints_px[elbow]
        elbow_px = joints_px[shoulder] + upper_px * _direction(rise, outwards)
        wrist_px = elbow_px + fore_px * _direction(along_forearm, outwards)
        now_px = wrist_px - elbow_px
        turned = np.arctan2(now_px[1], now_px[0]) - np.arctan2(before_px[1], before_px[0])
        turn_22 = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
        joints_px[hand] = (joints_px[hand] - joints_px[wrist]) @ turn_22.T + wrist_px
        joints_px[elbow], joints_px[wrist] = elbow_px, wrist_px
    joints_px[confidence <= 0] = 0
    return Pose(joints_px.astype(np.float32), confidence)


def _outwards(pose: Pose, shoulder: int) -> float:
    """1 if the person's own side of this shoulder is to the right in the picture, else -1."""
    right_x, left_x = pose.joints_px[[skeleton.R_SHOULDER, skeleton.L_SHOULDER], 0]
    side = -1.0 if shoulder == skeleton.R_SHOULDER else 1.0
    return side if left_x >= right_x else -side


def _direction(angle: float, outwards: float) -> NDArray[np.float64]:
    return np.array([outwards * np.cos(angle), np.sin(angle)])
