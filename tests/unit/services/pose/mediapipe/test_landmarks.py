"""Conversion of MediaPipe's landmarks to our joints."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose
from services.pose.mediapipe.landmarks import body_extent_px, body_pose, carried, with_face_and_hands

SIZE = FrameSize(200, 100)


def body_landmarks() -> NDArray[np.float32]:
    """`[33, 3]`: landmark i at x = i / 100, y = i / 50, fully visible."""
    count = np.arange(33, dtype=np.float32)
    return np.stack([count / 100, count / 50, np.ones(33, np.float32)], axis=1)


def test_left_and_right_are_the_persons_own():
    """MediaPipe's 11 and 12 are the left and the right shoulder, its 31 and 32 the big toes."""
    pose = body_pose(body_landmarks(), SIZE, 0.3)
    for joint, landmark in (
        (skeleton.L_SHOULDER, 11),
        (skeleton.R_SHOULDER, 12),
        (skeleton.L_BIG_TOE, 31),
        (skeleton.R_BIG_TOE, 32),
        (skeleton.R_EYE, 5),
        (skeleton.NOSE, 0),
    ):
        np.testing.assert_allclose(pose.joints_px[joint], [landmark / 100 * 200, landmark / 50 * 100], rtol=1e-5)


def test_neck_and_middle_of_the_hips_are_means_with_the_smaller_visibility():
    """Joints that MediaPipe does not have are the midpoints of two that it has."""
    body = body_landmarks()
    body[23, 2] = 0.5
    pose = body_pose(body, SIZE, 0.3)
    np.testing.assert_allclose(pose.joints_px[skeleton.NECK], [23, 23], rtol=1e-5)
    np.testing.assert_allclose(pose.joints_px[skeleton.MID_HIP], [47, 47], rtol=1e-5)
    assert pose.confidence[skeleton.MID_HIP] == 0.5


def test_small_toes_are_never_seen():
    """MediaPipe has no small toes."""
    pose = body_pose(body_landmarks(), SIZE, 0.0)
    assert not pose.seen[[skeleton.L_SMALL_TOE, skeleton.R_SMALL_TOE]].any()


@pytest.mark.parametrize(("column", "value"), [(0, -0.01), (0, 1.01), (1, -0.01), (1, 1.2), (2, 0.29)])
def test_guessed_joints_are_unseen(column, value):
    """A joint outside the frame or with low visibility was guessed, and counts as unseen."""
    body = body_landmarks()
    body[16, column] = value
    pose = body_pose(body, SIZE, 0.3)
    assert not pose.seen[skeleton.R_WRIST]
    assert pose.seen[skeleton.L_WRIST]


def test_face_and_hands_are_added_to_the_body():
    """The selected mesh points and the hands' points have confidence 1; points outside the frame stay unseen."""
    body = body_pose(body_landmarks(), SIZE, 0.3)
    face = np.full((478, 3), 0.5, np.float32)
    face[127] = (1.5, 0.5, 0)
    left = np.full((21, 3), 0.25, np.float32)
    pose = with_face_and_hands(body, face, left, None, SIZE)
    assert not pose.seen[skeleton.FACE][0]
    assert (pose.confidence[skeleton.FACE][1:] == 1).all()
    np.testing.assert_allclose(pose.joints_px[skeleton.LEFT_HAND], [[50, 25]] * 21)
    assert not pose.seen[skeleton.RIGHT_HAND].any()
    np.testing.assert_array_equal(pose.joints_px[skeleton.BODY], body.joints_px[skeleton.BODY])


def test_the_extent_is_the_longer_side():
    """A person lying down is as large as one standing; a pose without joints has extent 0."""
    pose = body_pose(body_landmarks(), SIZE, 0.3)
    assert body_extent_px(pose) == pytest.approx(64)
    assert body_extent_px(pose.transformed(3, 1)) == pytest.approx(64 * 3, rel=0.2)
    assert body_extent_px(Pose.nothing_seen()) == 0


def whole_pose() -> Pose:
    face = np.full((478, 3), 0.1, np.float32)
    hand = np.full((21, 3), 0.4, np.float32)
    return with_face_and_hands(body_pose(body_landmarks(), SIZE, 0.3), face, hand, hand, SIZE)


def test_carried_parts_follow_head_and_wrists():
    """The face moves with the head, each hand with its own wrist; the body is this frame's."""
    before = whole_pose()
    joints = before.joints_px.copy()
    joints[[skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR]] += (5, 2)
    joints[skeleton.L_WRIST] += (-3, 4)
    confidence = before.confidence.copy()
    confidence[skeleton.BODY.stop :] = 0
    now = Pose(joints, confidence)
    result = carried(before, now)
    face = before.joints_px[skeleton.FACE] + np.array([5, 2], np.float32)
    np.testing.assert_allclose(result.joints_px[skeleton.FACE], face, rtol=1e-5)
    left = before.joints_px[skeleton.LEFT_HAND] + np.array([-3, 4], np.float32)
    np.testing.assert_allclose(result.joints_px[skeleton.LEFT_HAND], left, rtol=1e-5)
    np.testing.assert_allclose(result.joints_px[skeleton.RIGHT_HAND], before.joints_px[skeleton.RIGHT_HAND], rtol=1e-5)
    np.testing.assert_array_equal(result.joints_px[skeleton.BODY], now.joints_px[skeleton.BODY])


def test_a_hand_is_not_carried_without_its_wrist():
    """A hand whose wrist is unseen stays unseen."""
    before = whole_pose()
    confidence = before.confidence.copy()
    confidence[skeleton.R_WRIST] = 0
    confidence[skeleton.BODY.stop :] = 0
    result = carried(before, Pose(before.joints_px, confidence))
    assert not result.seen[skeleton.RIGHT_HAND].any()
    assert result.seen[skeleton.LEFT_HAND].all()
