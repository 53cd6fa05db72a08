"""Standing people for tests with several people in a frame."""

from __future__ import annotations

import numpy as np

from motion import skeleton
from motion.pose import Pose

# BODY_25 of a standing person, in fractions of their height.
STANDING = np.array(
    [
        (0, 0.08), (0, 0.2), (-0.13, 0.2), (-0.2, 0.36), (-0.22, 0.5), (0.13, 0.2), (0.2, 0.36), (0.22, 0.5),
        (0, 0.52),
        (-0.08, 0.52), (-0.09, 0.74), (-0.1, 0.96), (0.08, 0.52), (0.09, 0.74), (0.1, 0.96), (-0.03, 0.05),
        (0.03, 0.05), (-0.06, 0.06), (0.06, 0.06), (0.14, 1), (0.16, 1), (0.08, 0.98),
        (-0.14, 1), (-0.16, 1), (-0.08, 0.98),
    ]
)  # fmt: skip


def standing(x_px: float, *, top_px: float = 60, height_px: float = 200, confidence: float = 0.8) -> Pose:
    """Return a standing person whose body is centred on x_px."""
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    seen = np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[skeleton.BODY] = STANDING * height_px + (x_px, top_px)
    seen[skeleton.BODY] = confidence
    return Pose(joints_px, seen)
