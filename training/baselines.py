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


def nearest_pose(asked: Pose, known: Sequence[Pose]) -> int:
    """The index of the known pose that lies nearest: mean distance over the body joints seen in both.

    Raises ValueError where no known pose shares a joint.
    """
    distances = np.array([_mean_distance_px(asked, pose) for pose in known])
    if not np.isfinite(distances).any():
        raise ValueError("no known pose shares a body joint with the asked one")
    return int(distances.argmin())


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


def _mean_distance_px(asked: Pose, other: Pose) -> float:
    shared = (asked.seen & other.seen)[skeleton.BODY]
    if not shared.any():
        return float("inf")
    offsets_px = (asked.joints_px - other.joints_px)[skeleton.BODY][shared]
    return float(np.linalg.norm(offsets_px, axis=1).mean())


def _point(joint_px: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> tuple[int, int]:
    return round(float(joint_px[0])), round(float(joint_px[1]))
