"""A hand that vanishes for some frames moves with its wrist."""

from __future__ import annotations

import numpy as np

from motion import skeleton
from motion.body import BodyStats
from motion.frame import FrameSize
from motion.pose import Pose
from services.normalize.normalizer import Normalizer, NormalizerConfig, PoseFrame

SIZE = FrameSize(400, 300)
BODY = BodyStats(near_ankle_y=0.9, far_ankle_y=0.6, near_height=0.6, far_height=0.3, hip_x=0.5, frames=50)
HAND = skeleton.LEFT_HAND


def _pose(wrist_x_px: float, *, hand: bool) -> Pose:
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    seen = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, place in {
        skeleton.NOSE: (200, 90), skeleton.NECK: (200, 110), skeleton.MID_HIP: (200, 180),
        skeleton.L_ANKLE: (205, 270), skeleton.R_ANKLE: (195, 270), skeleton.L_WRIST: (wrist_x_px, 170),
    }.items():  # fmt: skip
        joints[joint], seen[joint] = place, 1
    joints[HAND] = (wrist_x_px + 3, 176)
    seen[HAND] = float(hand)
    return Pose(joints, seen)


def test_a_held_hand_stays_at_its_wrist():
    """In frames where only the wrist is seen, the distance between wrist and hand stays the same."""
    normalizer = Normalizer(NormalizerConfig(target_body=BODY, target_size=SIZE, source_body=BODY, frame_rate_hz=30.0))
    distances_px = []
    for frame in range(5):
        pose = _pose(230 + 6 * frame, hand=frame < 2)
        (answer,) = normalizer.push(PoseFrame(frame, SIZE, pose))
        assert answer.pose is not None
        assert answer.held_joints == (0 if frame < 2 else skeleton.HAND_COUNT)
        distances_px.append(float(answer.pose.joints_px[HAND][0, 0] - answer.pose.joints_px[skeleton.L_WRIST, 0]))
    assert np.ptp(distances_px[1:]) < 0.5
