"""Convert MediaPipe's landmarks to a `Pose`.

`N` is MediaPipe's number of landmarks: 33 for a body, 468 for a face (478 for a refined one), 21 for a hand. It always
returns all landmarks, and guesses those that are hidden or outside the picture. Landmarks are arrays `[N, 3]` float32:
x and y as fractions of the picture, and visibility, which only a body's have.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose, body_25

Landmarks = NDArray[np.float32]

_MESH: Final = np.array(skeleton.MEDIAPIPE_MESH_TO_FACE)
_OUTLINES: Final = slice(0, 68)
_REFINED_MESH: Final = 478
_CARRIED_PARTS: Final = (
    (skeleton.FACE, np.array([skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR])),
    (skeleton.LEFT_HAND, np.array([skeleton.L_WRIST])),
    (skeleton.RIGHT_HAND, np.array([skeleton.R_WRIST])),
)


def body_pose(body: Landmarks, size: FrameSize, min_visibility: float) -> Pose:
    """Convert MediaPipe's `[33, 3]` body landmarks; joints outside the frame or below `min_visibility` are unseen."""
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    found = body_25(body, skeleton.MEDIAPIPE_TO_BODY, skeleton.MEDIAPIPE_MEANS_TO_BODY)
    joints[skeleton.BODY], confidence[skeleton.BODY] = found[:, :2], found[:, 2]
    confidence[confidence < min_visibility] = 0
    return _in_frame(joints, confidence, size)


def with_face_and_hands(
    pose: Pose, face: Landmarks | None, left_hand: Landmarks | None, right_hand: Landmarks | None, size: FrameSize
) -> Pose:
    """Add MediaPipe's face, `[468, 2]` or `[478, 2]`, and hands, `[21, 2]`, to `pose`; more columns are not used.

    Their confidence is 1 where found inside the frame: MediaPipe has no confidence for single face or hand points.
    """
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for part, found in (
        (skeleton.FACE, None if face is None else _face_70(face)),
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


def carried(earlier: Pose, body: Pose) -> Pose:
    """Return `body` with the face and the hands of `earlier`, a pose of the same person, moved along.

    The face moves by the mean shift of the head's joints that both poses have, each hand by the shift of its wrist.
    A part whose joints are missing from either pose stays unseen.
    """
    joints_px, confidence = body.joints_px.copy(), body.confidence.copy()
    for part, guides in _CARRIED_PARTS:
        common = guides[earlier.seen[guides] & body.seen[guides]]
        if not len(common):
            continue
        shift_px = (body.joints_px[common] - earlier.joints_px[common]).mean(axis=0)
        joints_px[part] = earlier.joints_px[part] + shift_px
        confidence[part] = earlier.confidence[part]
    return Pose(joints_px, confidence)


def body_extent_px(pose: Pose) -> float:
    """Return the longer side of the upright box around the seen body joints, 0 for none.

    The longer side, so that a person lying down counts as large as one standing.
    """
    seen = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    if not len(seen):
        return 0.0
    return float((seen.max(axis=0) - seen.min(axis=0)).max())


def _face_70(mesh: Landmarks) -> Landmarks:
    """Return a face's 70 points. Only the refined mesh has pupils; else they are the means of the eyes' outlines."""
    if len(mesh) == _REFINED_MESH:
        return mesh[_MESH, :2]
    face = np.empty((skeleton.FACE_COUNT, 2), np.float32)
    face[_OUTLINES] = mesh[_MESH[_OUTLINES], :2]
    for pupil, eye in skeleton.FACE_EYES:
        face[pupil] = face[eye].mean(axis=0)
    return face


def _in_frame(joints: Landmarks, confidence: NDArray[np.float32], size: FrameSize) -> Pose:
    """Scale `[J, 2]` fractions of the frame to pixels; joints outside the frame become unseen."""
    inside = ((joints >= 0) & (joints <= 1)).all(axis=1)
    scale = np.array([size.width_px, size.height_px], np.float32)
    return Pose(joints * scale, np.clip(np.where(inside, confidence, 0), 0, 1))
