"""Map COCO-WholeBody's 133 points (Jin et al. 2020) to our 137 joints."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose, body_25

Floats = NDArray[np.float32]

_FACE_68: Final = slice(skeleton.FACE.start, skeleton.FACE.start + 68)


def whole_body_pose(points_px: Floats, scores: Floats, size: FrameSize, min_confidence: float) -> Pose:
    """Convert one person's points, `[133, 2]` in pixels of the frame, and their scores, `[133]`, to a pose.

    Points outside the frame or below `min_confidence` are unseen. Neck and mid-hip are the midpoints of shoulders and
    hips, the pupils the means of the eyes' outlines, each with the smallest confidence of its points.
    """
    inside = (points_px >= 0).all(axis=1) & (points_px <= (size.width_px, size.height_px)).all(axis=1)
    sure = np.where(inside & (scores >= min_confidence), np.clip(scores, 0, 1), 0)
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    points = np.column_stack([points_px, sure]).astype(np.float32)
    body = body_25(points, skeleton.WHOLE_BODY_TO_BODY, skeleton.WHOLE_BODY_MEANS_TO_BODY)
    joints_px[skeleton.BODY], confidence[skeleton.BODY] = body[:, :2], body[:, 2]
    for part, source in (
        (_FACE_68, skeleton.WHOLE_BODY_FACE),
        (skeleton.LEFT_HAND, skeleton.WHOLE_BODY_LEFT_HAND),
        (skeleton.RIGHT_HAND, skeleton.WHOLE_BODY_RIGHT_HAND),
    ):
        joints_px[part], confidence[part] = points_px[source], sure[source]
    for pupil, eye in skeleton.FACE_EYES:
        outline = slice(skeleton.FACE.start + eye.start, skeleton.FACE.start + eye.stop)
        joints_px[skeleton.FACE.start + pupil] = joints_px[outline].mean(axis=0)
        confidence[skeleton.FACE.start + pupil] = confidence[outline].min()
    return Pose(joints_px, confidence)
