"""Made-up poses: the actor's own body, with the arms elsewhere."""

from __future__ import annotations

import numpy as np

from motion import skeleton
from motion.pose import Pose
from training.data.made_up_poses import with_arms_elsewhere

ARMS = [skeleton.R_ELBOW, skeleton.R_WRIST, skeleton.L_ELBOW, skeleton.L_WRIST]


def standing():
    """A person of 100 pixels from neck to hips, arms hanging, with hands."""
    joints_px, seen = np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, place in {
        skeleton.NECK: (0, 0), skeleton.MID_HIP: (0, 100), skeleton.R_SHOULDER: (-30, 0), skeleton.L_SHOULDER: (30, 0),
        skeleton.R_ELBOW: (-40, 55), skeleton.L_ELBOW: (40, 55), skeleton.R_WRIST: (-40, 100),
        skeleton.L_WRIST: (40, 100),
    }.items():  # fmt: skip
        joints_px[joint], seen[joint] = place, 1
    for hand, wrist in ((skeleton.RIGHT_HAND, skeleton.R_WRIST), (skeleton.LEFT_HAND, skeleton.L_WRIST)):
        joints_px[hand] = joints_px[wrist] + np.linspace(0, 20, 21)[:, None] * (0, 1)
        seen[hand] = 1
    return Pose(joints_px, seen)


def moved(seed):
    return with_arms_elsewhere(standing(), 100.0, np.random.default_rng(seed))


def test_only_the_arms_move_and_keep_their_possible_lengths():
    """Shoulders, torso and everything else stay; no arm is longer than the body allows."""
    others = [joint for joint in range(skeleton.FACE.start) if joint not in ARMS]
    for seed in range(50):
        pose = moved(seed)
        np.testing.assert_array_equal(pose.joints_px[others], standing().joints_px[others])
        for shoulder, elbow, wrist in (
            (skeleton.R_SHOULDER, skeleton.R_ELBOW, skeleton.R_WRIST),
            (skeleton.L_SHOULDER, skeleton.L_ELBOW, skeleton.L_WRIST),
        ):
            assert np.linalg.norm(pose.joints_px[elbow] - pose.joints_px[shoulder]) <= 58.1
            assert np.linalg.norm(pose.joints_px[wrist] - pose.joints_px[elbow]) <= 50.1


def test_hands_follow_their_forearms():
    """A hand keeps its distance from the wrist and its angle to the forearm."""
    pose = moved(3)
    for hand, elbow, wrist in (
        (skeleton.RIGHT_HAND, skeleton.R_ELBOW, skeleton.R_WRIST),
        (skeleton.LEFT_HAND, skeleton.L_ELBOW, skeleton.L_WRIST),
    ):
        finger, forearm = (
            pose.joints_px[hand.stop - 1] - pose.joints_px[wrist],
            pose.joints_px[wrist] - pose.joints_px[elbow],
        )
        before = (standing().joints_px[hand.stop - 1] - standing().joints_px[wrist]) @ _unit(
            standing().joints_px[wrist] - standing().joints_px[elbow]
        )
        assert abs(float(finger @ _unit(forearm)) - before) < 0.01


def test_arms_rise_above_the_head_and_reach_outwards():
    """Over many draws, hands come to all heights, mostly on their own side; the same seed repeats a pose."""
    wrists = np.array([moved(seed).joints_px[skeleton.L_WRIST] for seed in range(200)])
    assert wrists[:, 1].min() < -80
    assert wrists[:, 1].max() > 80
    assert np.median(wrists[:, 0]) > 30
    np.testing.assert_array_equal(moved(7).joints_px, moved(7).joints_px)


def test_arms_that_are_not_seen_stay_unseen():
    """No joint is invented."""
    seen = standing().confidence.copy()
    seen[[skeleton.L_WRIST, *range(skeleton.LEFT_HAND.start, skeleton.LEFT_HAND.stop)]] = 0
    pose = Pose(standing().joints_px, seen)
    changed = with_arms_elsewhere(pose, 100.0, np.random.default_rng(0))
    assert changed.confidence[skeleton.L_WRIST] == 0
    np.testing.assert_array_equal(changed.joints_px[skeleton.L_ELBOW], pose.joints_px[skeleton.L_ELBOW])


def _unit(vector):
    return vector / np.linalg.norm(vector)
