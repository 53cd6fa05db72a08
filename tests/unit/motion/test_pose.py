"""A pose is validated when it is made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Joints, Pose
from tests.mirrored_pose import flipped

missing = hnp.arrays(bool, skeleton.JOINT_COUNT)
shifts = st.floats(-1000, 1000, width=32)


@given(missing=missing, shift_px=shifts, width_px=st.integers(1, 4096))
def test_flip_twice_is_the_identity(standing: Pose, missing: NDArray[np.bool_], shift_px: float, width_px: int):
    """Mirroring a pose twice restores it, whichever joints are missing."""
    pose = Pose(standing.joints_px + np.float32(shift_px), np.where(missing, 0, standing.confidence))
    twice = flipped(flipped(pose, width_px), width_px)
    np.testing.assert_allclose(twice.joints_px, pose.joints_px, atol=1e-3)
    np.testing.assert_array_equal(twice.confidence, pose.confidence)


def test_flip_moves_the_waving_hand(standing: Pose):
    """A left hand waving at the right of the frame becomes a right hand at its left."""
    mirrored = flipped(standing, 256)
    assert mirrored.joints_px[skeleton.R_WRIST].tolist() == [256 - 186, 72]
    assert mirrored.joints_px[skeleton.RIGHT_HAND][0].tolist() == [256 - 186, 72]


@given(missing=missing, line_x_px=shifts)
def test_a_mirrored_pose_exchanges_left_and_right(standing: Pose, missing: NDArray[np.bool_], line_x_px: float):
    """Body, face and hands go to the other side of the line under the other side's names."""
    pose = Pose(standing.joints_px, np.where(missing, 0, standing.confidence))
    mirrored, expected = pose.mirrored(line_x_px), flipped(pose, 2 * line_x_px)
    np.testing.assert_allclose(mirrored.joints_px, expected.joints_px, atol=1e-3)
    np.testing.assert_array_equal(mirrored.confidence, expected.confidence)


def test_unseen_joints_become_zero():
    """Positions of unseen joints are dropped, including NaN."""
    joints_px = np.full((skeleton.JOINT_COUNT, 2), np.nan, np.float32)
    joints_px[3] = 5
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    confidence[3] = 1
    pose = Pose(joints_px, confidence)
    assert np.isfinite(pose.joints_px).all()
    assert pose.joint(2) is None
    assert pose.joint(3) is not None
    assert np.isfinite(pose.transformed(2, 3, 4, 5).joints_px).all()


@pytest.mark.parametrize(
    ("joints_px", "confidence"),
    [
        (np.zeros((25, 2)), np.zeros(25)),
        (np.zeros((137, 2)), np.full(137, 1.5)),
        (np.zeros((137, 2)), np.full(137, np.nan)),
        (np.full((137, 2), np.inf), np.ones(137)),
    ],
)
def test_invalid_poses_are_rejected(joints_px: Joints, confidence: Joints):
    """Wrong shapes, confidences outside [0, 1] and seen joints at infinity raise ValueError."""
    with pytest.raises(ValueError, match=r"pose|joint"):
        Pose(joints_px, confidence)
