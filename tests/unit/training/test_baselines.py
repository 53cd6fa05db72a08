import numpy as np
import pytest

from motion.pose import Pose
from training.baselines import grey_figure, nearest_pose

PLATE = np.full((32, 32, 3), 250, np.uint8)


def test_nearest_pose_is_the_one_least_far_away(pose_at):
    """Of several poses the one beside the asked one; poses without a joint in common never."""
    known = [pose_at(4), pose_at(17), pose_at(28)]
    assert nearest_pose(pose_at(16), known) == 1
    assert nearest_pose(pose_at(16), [Pose.nothing_seen(), *known]) == 2
    with pytest.raises(ValueError, match="shares a body joint"):
        nearest_pose(pose_at(16), [Pose.nothing_seen()])


def test_grey_figure_stands_where_it_was_asked(pose_at):
    """Grey at the torso and the head, the plate far from them, the plate itself untouched."""
    drawn = grey_figure(pose_at(16), PLATE)
    for y, x in ((13, 16), (6, 16)):
        assert (drawn[y, x] == 128).all()
    assert (drawn[:, :6] == 250).all()
    assert (PLATE == 250).all()


def test_nobody_is_drawn_without_a_torso():
    """A pose without neck and hips leaves the plate."""
    np.testing.assert_array_equal(grey_figure(Pose.nothing_seen(), PLATE), PLATE)
