import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from training.evaluation.baselines import NearestPose, grey_figure

PLATE = np.full((32, 32, 3), 250, np.uint8)


def test_nearest_pose_is_the_one_least_far_away(pose_at):
    """The pose beside the asked one is found, never a pose without a joint in common."""
    known = [pose_at(4), pose_at(17), pose_at(28)]
    assert NearestPose(known).index(pose_at(16)) == 1
    assert NearestPose([Pose.nothing_seen(), *known]).index(pose_at(16)) == 2
    assert NearestPose([*known, *known]).index(pose_at(16)) == 1
    with pytest.raises(ValueError, match="shares a body joint"):
        NearestPose([Pose.nothing_seen()]).index(pose_at(16))


def one_by_one(asked, known):
    """Computes the same as `NearestPose`, pose by pose."""
    distances_px = []
    for other in known:
        shared = (asked.seen & other.seen)[skeleton.BODY]
        offsets_px = (asked.joints_px - other.joints_px)[skeleton.BODY][shared]
        distances_px.append(np.linalg.norm(offsets_px, axis=1).mean() if shared.any() else np.inf)
    return int(np.argmin(distances_px))


def test_all_poses_at_once_are_compared_as_one_by_one():
    """The same pose is the nearest, whichever joints are missing."""
    random = np.random.default_rng(3)

    def pose():
        seen = random.random(skeleton.JOINT_COUNT) < random.choice([0.05, 0.5, 1])
        return Pose(500 * random.random((skeleton.JOINT_COUNT, 2), np.float32), seen.astype(np.float32))

    known = [pose() for _ in range(200)]
    nearest = NearestPose(known)
    asked = [one for one in (pose() for _ in range(100)) if one.seen[skeleton.BODY].any()]
    assert [nearest.index(one) for one in asked] == [one_by_one(one, known) for one in asked]


def test_grey_figure_stands_where_it_was_asked(pose_at):
    """Torso and head are grey, the rest is the plate, and the plate itself is not changed."""
    drawn = grey_figure(pose_at(16), PLATE)
    for y, x in ((13, 16), (6, 16)):
        assert (drawn[y, x] == 128).all()
    assert (drawn[:, :6] == 250).all()
    assert (PLATE == 250).all()


def test_nobody_is_drawn_without_a_torso():
    """A pose without neck and hips leaves only the plate."""
    np.testing.assert_array_equal(grey_figure(Pose.nothing_seen(), PLATE), PLATE)
