"""MediaPipe's landmarks as a `Pose`, and what makes a pose believable.

`N` is MediaPipe's number of landmarks: 33 for a body, 478 for a refined face, 21 for a hand. MediaPipe's coordinates
are fractions of the picture; it always returns all of them, guessed where they are hidden or outside of the picture.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose

Landmarks = NDArray[np.float32]

_BODY_TO: Final = np.array([to for to, _ in skeleton.MEDIAPIPE_TO_BODY])
_BODY_FROM: Final = np.array([source for _, source in skeleton.MEDIAPIPE_TO_BODY])
_MESH: Final = np.array(skeleton.MEDIAPIPE_MESH_TO_FACE)


def landmarks_array(landmark_list: Any) -> Landmarks | None:
    """`[N, 3]` float32: x, y (fractions of the picture) and visibility, of MediaPipe's list; None for None.

    Only body landmarks have a visibility; for faces and hands it is 0.
    """
    if landmark_list is None:
        return None
    return np.array([(mark.x, mark.y, mark.visibility) for mark in landmark_list.landmark], np.float32)


def body_pose(body: Landmarks, size: FrameSize, min_visibility: float) -> Pose:
    """The body joints of MediaPipe's `[33, 3]` landmarks. Unseen: outside of the frame, or less visible than asked."""
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints[_BODY_TO] = body[_BODY_FROM, :2]
    confidence[_BODY_TO] = body[_BODY_FROM, 2]
    for to, first, second in skeleton.MEDIAPIPE_MEANS_TO_BODY:
        joints[to] = (body[first, :2] + body[second, :2]) / 2
        confidence[to] = min(body[first, 2], body[second, 2])
    confidence[confidence < min_visibility] = 0
    return _in_frame(joints, confidence, size)


def with_face_and_hands(
    pose: Pose, face: Landmarks | None, left_hand: Landmarks | None, right_hand: Landmarks | None, size: FrameSize
) -> Pose:
    """The pose with MediaPipe's face `[478, 3]` and hands `[21, 3]`; confidence 1 where found and inside of the frame.

    MediaPipe says nothing about how sure it is of a single point of a face or a hand.
    """
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for part, found in (
        (skeleton.FACE, None if face is None else face[_MESH]),
        (skeleton.LEFT_HAND, left_hand),
        (skeleton.RIGHT_HAND, right_hand),
    ):
        if found is not None:
            joints[part] = found[:, :2]
            confidence[part] = 1
    extras = _in_frame(joints, confidence, size)
    joints_px, confidence = extras.joints_px.copy(), extras.confidence.copy()
    joints_px[skeleton.BODY] = pose.joints_px[skeleton.BODY]
    confidence[skeleton.BODY] = pose.confidence[skeleton.BODY]
    return Pose(joints_px, confidence)


def body_extent_px(pose: Pose) -> float:
    """The longer side of the upright box around the seen body joints; 0 for none. Somebody lying down counts full."""
    seen = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    if not len(seen):
        return 0.0
    return float((seen.max(axis=0) - seen.min(axis=0)).max())


def _in_frame(joints: Landmarks, confidence: NDArray[np.float32], size: FrameSize) -> Pose:
    """`[J, 2]` fractions of the frame to pixels; joints outside of the frame become unseen."""
    inside = ((joints >= 0) & (joints <= 1)).all(axis=1)
    scale = np.array([size.width_px, size.height_px], np.float32)
    return Pose(joints * scale, np.clip(np.where(inside, confidence, 0), 0, 1))
