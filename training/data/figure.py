"""Draw a person thickly around the joints: limbs, torso and head."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose


def draw_figure(
    picture: NDArray[np.uint8],
    pose: Pose,
    colour: Sequence[int],
    torso_px: float,
    sizes: tuple[float, float, float],
    line_type: int = cv2.LINE_8,
) -> None:
    """Draw a pose into `picture`, `[H, W]` or `[H, W, 3]`, in its pixels.

    torso_px: the torso's length, neck to middle of the hips. sizes: the limbs' width, the torso's width and the head's
    radius, as fractions of it.
    """
    limb_px, torso_width_px, head_px = (max(1, round(size * torso_px)) for size in sizes)
    for start, end in skeleton.BODY_LIMBS:
        a, b = pose.joint(start), pose.joint(end)
        if a is not None and b is not None:
            is_torso = (start, end) == (skeleton.NECK, skeleton.MID_HIP)
            cv2.line(picture, pixel(a), pixel(b), colour, torso_width_px if is_torso else limb_px, line_type)
    nose_px = pose.joint(skeleton.NOSE)
    if nose_px is not None:
        cv2.circle(picture, pixel(nose_px), head_px, colour, -1, line_type)


def pixel(joint_px: NDArray[np.float32]) -> tuple[int, int]:
    """The joint's place, x then y, as OpenCV takes it."""
    return round(float(joint_px[0])), round(float(joint_px[1]))
