"""What a trained actor must beat: the nearest training frame, and a flat grey figure on the plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose

_GREY: Final = (128, 128, 128)
_LIMB_WIDTH: Final = 0.16
_TORSO_WIDTH: Final = 0.62
_HEAD_RADIUS: Final = 0.24
"""As fractions of the torso's length, neck to middle of the hips: a plain mannequin."""


# Shapes: K known poses, J the body's joints.


class NearestPose:
    """Finds the nearest of many known poses: by the mean distance over the body joints seen in both.

    Raises ValueError for none.
    """

    def __init__(self, known: Sequence[Pose]) -> None:
        self._joints_KJ2 = np.stack([pose.joints_px[skeleton.BODY] for pose in known])
        self._seen_KJ = np.stack([pose.seen[skeleton.BODY] for pose in known])

    def index(self, asked: Pose) -> int:
        """Of the nearest known pose, the first one of several. Raises ValueError where none shares a joint."""
        shared_KJ = self._seen_KJ & asked.seen[skeleton.BODY]
        offsets_px_KJ2 = self._joints_KJ2 - asked.joints_px[skeleton.BODY]
        distances_px_KJ = np.sqrt(np.einsum("kji,kji->kj", offsets_px_KJ2, offsets_px_KJ2))  # faster than `norm`
        total_px_K = (distances_px_KJ * shared_KJ).sum(axis=1, dtype=np.float64)
        count_K = shared_KJ.sum(axis=1)
        if not count_K.any():
            raise ValueError("no known pose shares a body joint with the asked one")
        return int(np.where(count_K > 0, total_px_K / np.maximum(count_K, 1), np.inf).argmin())


def grey_figure(pose: Pose, plate: Picture) -> Picture:
    """A copy of the plate, `[H, W, 3]` uint8 RGB, with a flat grey figure in this pose, in the plate's pixels."""
    neck_px, hips_px = pose.joint(skeleton.NECK), pose.joint(skeleton.MID_HIP)
    result = plate.copy()
    if neck_px is None or hips_px is None:
        return result
    torso_px = float(np.linalg.norm(neck_px - hips_px))
    for start, end in skeleton.BODY_LIMBS:
        a, b = pose.joint(start), pose.joint(end)
        if a is not None and b is not None:
            is_torso = (start, end) == (skeleton.NECK, skeleton.MID_HIP)
            width_px = max(1, round((_TORSO_WIDTH if is_torso else _LIMB_WIDTH) * torso_px))
            cv2.line(result, _point(a), _point(b), _GREY, width_px, cv2.LINE_AA)
    nose_px = pose.joint(skeleton.NOSE)
    if nose_px is not None:
        cv2.circle(result, _point(nose_px), max(1, round(_HEAD_RADIUS * torso_px)), _GREY, -1, cv2.LINE_AA)
    return result


def _point(joint_px: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> tuple[int, int]:
    return round(float(joint_px[0])), round(float(joint_px[1]))
