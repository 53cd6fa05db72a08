import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from training.evaluation.keypoints import PARTS, part_scores


def pose(offset=0.0, unseen=()):
    joints = np.arange(2 * skeleton.JOINT_COUNT, dtype=np.float32).reshape(-1, 2) + offset
    confidence = np.ones(skeleton.JOINT_COUNT, np.float32)
    confidence[list(unseen)] = 0
    return Pose(joints, confidence)


def test_the_papers_joints_are_counted():
    """There are 23 joints of the body, 70 of the face, 21 of each hand and 135 in all, without the small toes."""
    assert {name: len(joints) for name, joints in PARTS.items()} == {
        "body": 23, "face": 70, "hands": 42, "overall": 135,
    }  # fmt: skip
    assert not {skeleton.L_SMALL_TOE, skeleton.R_SMALL_TOE} & set(PARTS["overall"].tolist())


def test_distances_are_means_over_the_joints_found_in_both():
    """The means equal those by hand, for a hand that was not found and a face that was not asked for."""
    left = range(skeleton.LEFT_HAND.start, skeleton.LEFT_HAND.stop)
    face = range(skeleton.FACE.start, skeleton.FACE.stop)
    scores = part_scores([pose(), pose(unseen=face)], [pose(3), pose(6, unseen=left)])
    one, two = 3 * np.sqrt(2), 6 * np.sqrt(2)
    assert scores["body"].distance_px == pytest.approx((one + two) / 2, rel=1e-5)
    assert scores["face"].distance_px == pytest.approx(one, rel=1e-5)
    assert scores["hands"].distance_px == pytest.approx((42 * one + 21 * two) / 63, rel=1e-5)
    assert (scores["hands"].missed, scores["face"].missed, scores["overall"].missed) == (10.5, 0, 10.5)
    assert scores["overall"].joints == 135 + 23 + 21
    assert (scores["hands"].asked, scores["hands"].frames) == (84, 2)
    assert (scores["face"].asked, scores["face"].frames) == (70, 1)


def test_nobody_found_is_everything_missed():
    """If no person is found there is no distance."""
    scores = part_scores([pose()], [None])
    assert scores["body"].distance_px is None
    assert scores["body"].missed == 23
    with pytest.raises(ValueError, match="0 asked poses"):
        part_scores([], [])
