"""The baselines that an actor must beat: the nearest training frame, and a flat grey figure on the plate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose
from training.data.figure import draw_figure

_GREY: Final = (128, 128, 128)
_SIZES: Final = (0.16, 0.62, 0.24)
"""A plain mannequin; see `draw_figure`."""

# Shapes: K known poses, J the body's joints.


class NearestPose:
    """Finds the nearest of many known poses, by the mean distance over the body joints seen in both.

    Raises ValueError without known poses.
    """

    def __init__(self, known: Sequence[Pose]) -> None:
        self._joints_KJ2 = np.stack([pose.joints_px[skeleton.BODY] for pose in known])
        self._seen_KJ = np.stack([pose.seen[skeleton.BODY] for pose in known])

    def index(self, asked: Pose) -> int:
        """The index of the nearest known pose; the first of equals. Raises ValueError if none shares a joint."""
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
    draw_figure(result, pose, _GREY, torso_px, _SIZES, cv2.LINE_AA)
    return result
