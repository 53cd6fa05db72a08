"""Similarity of two poses: object keypoint similarity (OKS) and the percentage of correct keypoints (PCK).

OKS follows the COCO keypoint challenge (cocodataset.org, "keypoints-eval"), with the deviations of COCO-WholeBody
(Jin et al. 2020) for the feet. Only body joints count, because only some backends find faces and hands.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose

Floats = NDArray[np.float64]

DEVIATIONS: Final[Floats] = np.array(
    [
        0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062, 0.107, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089,
        0.025, 0.025, 0.035, 0.035, 0.068, 0.066, 0.066, 0.068, 0.066, 0.066,
    ]
)  # fmt: skip
"""`[25]`: the annotators' deviation for each joint of BODY_25, as a fraction of the body's size. The neck has a
shoulder's."""

_FILLED: Final = 0.53
"""The fraction of its bounding box that a body fills, used because keypoints come without a segmentation."""
_FEWEST_JOINTS_FOR_SIZE: Final = 2
_PCK_TORSOS: Final = 0.2


def body_size_px(pose: Pose) -> float:
    """Return the square root of the body's area, estimated from its seen body joints' bounding box; 0 for one joint."""
    seen = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    if len(seen) < _FEWEST_JOINTS_FOR_SIZE:
        return 0.0
    width_px, height_px = np.ptp(seen, axis=0).tolist()
    # The box of a person seen from the side, or half hidden, is too narrow to measure their size.
    longer_px = max(width_px, height_px)
    return float(np.sqrt(_FILLED * longer_px * max(min(width_px, height_px), longer_px / 4)))


def oks(pose: Pose, truth: Pose) -> float:
    """Return the OKS, 0 to 1, over `truth`'s body joints; joints missing in `pose` count 0. NaN if `truth` has none."""
    known = truth.seen[skeleton.BODY]
    size_px = body_size_px(truth)
    if not known.any() or size_px == 0:
        return float("nan")
    both = known & pose.seen[skeleton.BODY]
    distance_px = np.hypot(*(pose.joints_px[skeleton.BODY] - truth.joints_px[skeleton.BODY]).T.astype(np.float64))
    similarity = np.exp(-((distance_px / (2 * DEVIATIONS * size_px)) ** 2) / 2)
    return float(similarity[both].sum() / known.sum())


def torso_px(pose: Pose) -> float:
    """Return the distance from neck to mid-hip; NaN if one of them is unseen."""
    if not pose.seen[[skeleton.NECK, skeleton.MID_HIP]].all():
        return float("nan")
    return float(np.hypot(*(pose.joints_px[skeleton.NECK] - pose.joints_px[skeleton.MID_HIP])))


def pck(pose: Pose, truth: Pose) -> float:
    """Return the fraction of the body joints seen in both poses that are within 0.2 torsos; NaN without any."""
    both = pose.seen[skeleton.BODY] & truth.seen[skeleton.BODY]
    torso = torso_px(truth)
    if not both.any() or not torso > 0:
        return float("nan")
    distance_px = np.hypot(*(pose.joints_px[skeleton.BODY] - truth.joints_px[skeleton.BODY]).T)
    return float((distance_px[both] <= _PCK_TORSOS * torso).mean())
