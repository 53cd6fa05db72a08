"""Poses out of the files that OpenPose's `--write_json` leaves: one file a frame, any number of people in it.

Source: OpenPose, doc/02_output.md. Read are BODY_25 and COCO-18 bodies, faces of 70 points and hands of 21.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose

_PARTS: Final = (
    ("face_keypoints_2d", skeleton.FACE),
    ("hand_left_keypoints_2d", skeleton.LEFT_HAND),
    ("hand_right_keypoints_2d", skeleton.RIGHT_HAND),
)
_BODY_KEY: Final = "pose_keypoints_2d"
_COCO_HIPS: Final = (8, 11)


def parse_poses(text: str | bytes, file: str = "keypoints") -> list[Pose]:
    """Everybody in one file, in its order; empty where nobody was found. file: its name, for messages.

    Raises ValueError, with the reason, for what is no such file, and for positions that are not in pixels.
    """
    try:
        return _people(text)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _people(text: str | bytes) -> list[Pose]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from error
    people = document.get("people") if isinstance(document, dict) else None
    if not isinstance(people, list):
        raise ValueError("has no list of people")
    return [_pose(person) for person in people]


def _pose(person: Any) -> Pose:
    if not isinstance(person, Mapping):
        raise ValueError(f"a person is {type(person).__name__}, expected an object")
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints[skeleton.BODY], confidence[skeleton.BODY] = _body(_points(person, _BODY_KEY))
    for key, part in _PARTS:
        points = _points(person, key)
        if len(points) == 0:
            continue
        if len(points) != part.stop - part.start:
            raise ValueError(f"{key} has {len(points)} points, expected {part.stop - part.start}")
        joints[part], confidence[part] = points[:, :2], points[:, 2]
    seen = confidence > 0
    if seen.sum() > 1 and np.abs(joints[seen]).max() <= 1:
        raise ValueError("its positions lie within 0 to 1: write pixels (OpenPose's --keypoint_scale 0)")
    return Pose(joints, np.clip(confidence, 0, 1))  # OpenPose's own scores pass 1 by a little


def _body(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if len(points) == skeleton.BODY_COUNT:
        return points[:, :2], points[:, 2]
    if len(points) != 18:
        raise ValueError(f"{_BODY_KEY} has {len(points)} points, expected 25 (BODY_25) or 18 (COCO)")
    joints = np.zeros((skeleton.BODY_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.BODY_COUNT, np.float32)
    for to, source in skeleton.COCO18_TO_BODY:
        joints[to], confidence[to] = points[source, :2], points[source, 2]
    hips = points[list(_COCO_HIPS)]
    joints[skeleton.MID_HIP], confidence[skeleton.MID_HIP] = hips[:, :2].mean(axis=0), hips[:, 2].min()
    return joints, confidence


def _points(person: Mapping[str, Any], key: str) -> NDArray[np.float32]:
    """`[N, 3]` float32: x, y and confidence."""
    try:
        values = np.array(person.get(key) or [], np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{key} is no list of numbers") from error
    if values.ndim != 1 or len(values) % 3 or not np.isfinite(values).all():
        raise ValueError(f"{key} must hold finite numbers in threes, got {values.size}")
    return values.reshape(-1, 3)
