"""A mirrored pose swaps left and right."""

import numpy as np

from motion import skeleton
from motion.pose import Pose
from training.evaluation.unseen_poses.mirror import mirrored


def random_pose(seed=3):
    random = np.random.default_rng(seed)
    joints_px = random.uniform(0, 100, (skeleton.JOINT_COUNT, 2)).astype(np.float32)
    return Pose(joints_px, random.uniform(0.1, 1, skeleton.JOINT_COUNT).astype(np.float32))


def test_left_and_right_change_places():
    """The left wrist becomes the right one, on the other side of the line, with its confidence."""
    pose = random_pose()
    other = mirrored(pose, 50)
    left, right = skeleton.L_WRIST, skeleton.R_WRIST
    assert other.joints_px[right].tolist() == [100 - pose.joints_px[left, 0], pose.joints_px[left, 1]]
    assert other.confidence[right] == pose.confidence[left]
    assert other.joints_px[skeleton.NECK, 0] == 100 - pose.joints_px[skeleton.NECK, 0]
    thumb = skeleton.LEFT_HAND.start + 4
    assert other.joints_px[skeleton.RIGHT_HAND.start + 4, 1] == pose.joints_px[thumb, 1]


def test_a_pose_mirrored_twice_is_the_same():
    """Every joint has one place to go and one to come from, in body, face and hands."""
    pose = random_pose()
    twice = mirrored(mirrored(pose, 40), 40)
    assert np.allclose(twice.joints_px, pose.joints_px, atol=1e-4)
    assert np.array_equal(twice.confidence, pose.confidence)


def test_lines_of_the_face_stay_lines():
    """Every line that is drawn through a face is, mirrored, again such a line."""
    pose = random_pose()
    other = mirrored(pose, 0)

    def lines(of):
        face_px = of.joints_px[skeleton.FACE] * [1 if of is other else -1, 1]
        pairs = [path[i : i + 2] for path in skeleton.FACE_PATHS for i in range(len(path) - 1)]
        return {frozenset(tuple(np.round(face_px[end], 3)) for end in pair) for pair in pairs}

    assert lines(other) == lines(pose)
