"""A person as poses: turned, with raised arms, with open and closed hands."""

from __future__ import annotations

import numpy as np

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose

SIZE = FrameSize(400, 400)
_TORSO_PX = 100.0
_BODY = {
    skeleton.NECK: (0, -100, 0), skeleton.MID_HIP: (0, 0, 0), skeleton.NOSE: (0, -130, 22),
    skeleton.L_SHOULDER: (34, -98, 0), skeleton.R_SHOULDER: (-34, -98, 0),
    skeleton.L_HIP: (18, 0, 0), skeleton.R_HIP: (-18, 0, 0),
    skeleton.L_KNEE: (20, 80, 0), skeleton.R_KNEE: (-20, 80, 0),
    skeleton.L_ANKLE: (20, 155, 0), skeleton.R_ANKLE: (-20, 155, 0), skeleton.L_HEEL: (20, 162, -5),
    skeleton.R_HEEL: (-20, 162, -5), skeleton.L_BIG_TOE: (20, 165, 25), skeleton.R_BIG_TOE: (-20, 165, 25),
    skeleton.L_EYE: (6, -137, 17), skeleton.R_EYE: (-6, -137, 17), skeleton.L_EAR: (13, -133, 0),
    skeleton.R_EAR: (-13, -133, 0),
}  # fmt: skip
"""x to the person's left, y down, z forward, in hundredths of a torso."""


def person(
    *,
    turn_deg: float = 0.0,
    left_arm_deg: float = 20.0,
    right_arm_deg: float = 20.0,
    left_reach: float = 1.9,
    right_reach: float = 1.9,
) -> Pose:
    """A person at the middle of a frame of `SIZE`.

    turn_deg: above 0 turns to the picture's right. arm_deg: 0 hangs down, 90 points to the side, 180 up.
    reach: wrist to fingertips as a multiple of wrist to knuckle.
    """
    points = np.zeros((skeleton.JOINT_COUNT, 3))
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, place in _BODY.items():
        points[joint], confidence[joint] = place, 1
    arms = (
        (1, left_arm_deg, left_reach, skeleton.L_SHOULDER, skeleton.L_ELBOW, skeleton.L_WRIST, skeleton.LEFT_HAND),
        (-1, right_arm_deg, right_reach, skeleton.R_SHOULDER, skeleton.R_ELBOW, skeleton.R_WRIST, skeleton.RIGHT_HAND),
    )
    for side, arm_deg, reach, shoulder, elbow, wrist, hand in arms:
        angle = np.radians(arm_deg)
        along = np.array([side * np.sin(angle), np.cos(angle), 0])
        points[elbow], points[wrist] = points[shoulder] + 57 * along, points[shoulder] + 107 * along
        confidence[[elbow, wrist]] = 1
        lengths = np.full(skeleton.HAND_COUNT, 20.0)
        lengths[0], lengths[[8, 12, 16, 20]] = 0, 20.0 * reach
        points[hand], confidence[hand] = points[wrist] + lengths[:, None] * along, 1
    turn = np.radians(turn_deg)
    x = points[:, 0] * np.cos(turn) + points[:, 2] * np.sin(turn)
    joints_px = np.stack([x, points[:, 1]], axis=1) * _TORSO_PX / 100 + [200, 215]
    return Pose(joints_px.astype(np.float32), confidence)
