"""Drawing a reference."""

from __future__ import annotations

import numpy as np

from motion.pose import Pose
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import Wardrobe
from tests.unit.motion.wardrobe.puppets import puppet


def test_a_key_frames_pose_returns_its_person(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """Asked for the pose of a key frame, the reference shows that frame's person."""
    for pose in poses:
        picture, mask = puppet(pose)
        reference = draw_reference(wardrobe, pose).picture
        shown = reference[..., 3] > 250
        assert (shown & (mask > 0)).sum() > 0.9 * (mask > 0).sum()
        difference = np.abs(reference[..., :3].astype(int) - picture)[shown].mean()
        assert difference < 12


def test_drawing_is_deterministic(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """The same pose and choice always become the same bytes."""
    first, second = draw_reference(wardrobe, poses[3]), draw_reference(wardrobe, poses[3])
    assert first.choice == second.choice
    assert first.picture.tobytes() == second.picture.tobytes()


def test_a_pose_without_joints_covers_nothing(wardrobe: Wardrobe) -> None:
    """A pose in which no joint was seen has an empty reference."""
    assert not draw_reference(wardrobe, Pose.nothing_seen()).picture.any()
