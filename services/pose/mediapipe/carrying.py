"""Face and hands of an earlier frame, moved along with the head and the wrists of this one."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion import skeleton
from motion.pose import Pose

HEAD: Final = np.array([skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR])
_PARTS: Final = (
    (skeleton.FACE, HEAD),
    (skeleton.LEFT_HAND, np.array([skeleton.L_WRIST])),
    (skeleton.RIGHT_HAND, np.array([skeleton.R_WRIST])),
)


def carried(looked_at: Pose, body: Pose) -> Pose:
    """`body` with the face and the hands of `looked_at`, an earlier pose of the same person.

    The face moves by the mean shift of the head's joints that both poses have, each hand by the shift of its wrist.
    A part whose joints are missing from either pose stays unseen: there is nothing to carry it along with.
    """
    joints_px, confidence = body.joints_px.copy(), body.confidence.copy()
    for part, guides in _PARTS:
        common = guides[looked_at.seen[guides] & body.seen[guides]]
        if not len(common):
            continue
        shift_px = (body.joints_px[common] - looked_at.joints_px[common]).mean(axis=0)
        joints_px[part] = looked_at.joints_px[part] + shift_px
        confidence[part] = looked_at.confidence[part]
    return Pose(joints_px, confidence)
