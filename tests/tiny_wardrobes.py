"""Small wardrobes of a striped figure, whose every key frame has colours of its own."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.make import make_wardrobe
from motion.wardrobe.pieces import Wardrobe

_ARMS = (
    (skeleton.R_SHOULDER, skeleton.R_ELBOW, skeleton.R_WRIST),
    (skeleton.L_SHOULDER, skeleton.L_ELBOW, skeleton.L_WRIST),
)
_BONES = (
    (skeleton.NECK, skeleton.MID_HIP), (skeleton.NECK, skeleton.NOSE),
    (skeleton.R_SHOULDER, skeleton.R_ELBOW), (skeleton.R_ELBOW, skeleton.R_WRIST),
    (skeleton.L_SHOULDER, skeleton.L_ELBOW), (skeleton.L_ELBOW, skeleton.L_WRIST),
    (skeleton.R_HIP, skeleton.R_KNEE), (skeleton.R_KNEE, skeleton.R_ANKLE),
    (skeleton.L_HIP, skeleton.L_KNEE), (skeleton.L_KNEE, skeleton.L_ANKLE),
)  # fmt: skip


def with_arms_turned(standing: Pose, angle: float) -> Pose:
    """Return a pose whose arms are turned about the shoulders, by an angle in radians, in opposite directions."""
    joints_px = standing.joints_px.copy()
    for (shoulder, *arm), turn in zip(_ARMS, (angle, -angle), strict=True):
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], np.float32)
        joints_px[arm] = (joints_px[arm] - joints_px[shoulder]) @ rotation.T + joints_px[shoulder]
    return Pose(joints_px, standing.confidence)


def tiny_wardrobe(poses: Sequence[Pose], side_px: int) -> Wardrobe:
    """Return the wardrobe of a figure in these poses, in pictures of `side_px` x `side_px`."""
    pictures, masks = [], []
    for number, pose in enumerate(poses):
        mask = np.zeros((side_px, side_px), np.uint8)
        for start, end in _BONES:
            ends = np.rint(pose.joints_px[[start, end]]).astype(int)
            cv2.line(mask, ends[0].tolist(), ends[1].tolist(), (255,), max(2, side_px // 12))
        stripes = np.random.default_rng(number).integers(0, 256, (side_px, 1, 3), np.uint8)
        pictures.append(np.broadcast_to(stripes, (side_px, side_px, 3)).copy())
        masks.append(mask)
    return make_wardrobe(pictures, masks, poses, range(len(poses)))
