"""Hands from other frames than the key frames, and mirrored ones."""

from __future__ import annotations

import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.limbs import HANDS, Limb
from motion.wardrobe.make import make_wardrobe
from motion.wardrobe.pieces import Wardrobe
from tests.unit.motion.wardrobe.puppets import dancing, puppet

FRAMES = 12


def with_hands(pose: Pose, step: int) -> Pose:
    """The pose with hands that open step by step, so that no two frames have the same."""
    joints_px = pose.joints_px.copy()
    for hand, side in ((skeleton.RIGHT_HAND, -1), (skeleton.LEFT_HAND, 1)):
        wrist = joints_px[hand.start].copy()
        for finger in range(5):
            angle = (finger - 2) * (0.05 + 0.03 * step) + 0.1 * side
            direction = np.array([np.sin(angle), np.cos(angle)])
            for part, length in enumerate((9, 12, 14, 16)):
                joints_px[hand.start + 1 + 4 * finger + part] = wrist + direction * length
    return Pose(joints_px, pose.confidence)


def made(poses: list[Pose], key_frames: int = 64, hands: int = 32) -> Wardrobe:
    """A wardrobe of puppets in these poses."""
    pictures, masks = zip(*map(puppet, poses), strict=True)
    return make_wardrobe(pictures, masks, poses, range(len(poses)), most_key_frames=key_frames, most_hands=hands)


@pytest.fixture(scope="module")
def hand_poses(standing: Pose) -> list[Pose]:
    """One pose of the body with many of the hands."""
    return [with_hands(dancing(standing, (0.5, -0.5)), step) for step in range(FRAMES)]


def test_further_frames_show_only_hands(hand_poses: list[Pose]) -> None:
    """Beyond the key frames, the wardrobe has frames with hands and nothing else."""
    wardrobe = made(hand_poses, key_frames=2, hands=4)
    whole = wardrobe.has[:, Limb.TORSO]
    assert whole.sum() == 2
    others = [limb for limb in Limb if limb not in HANDS]
    assert not wardrobe.has[~whole][:, others].any()
    assert 4 <= (~whole).sum() <= 8
    assert wardrobe.has[~whole][:, list(HANDS)].any(axis=1).all()


def test_a_hand_comes_from_a_frame_with_its_shape(hand_poses: list[Pose]) -> None:
    """Asked for a frame's hands, drawing takes them from a frame with about that shape, not from the key frames."""
    wardrobe = made(hand_poses, key_frames=2, hands=FRAMES)

    def frame_for(step: int) -> int:
        hand = draw_reference(wardrobe, hand_poses[step]).choice.key_frames[Limb.RIGHT_HAND]
        return int(wardrobe.frames[hand % wardrobe.key_frames])

    assert frame_for(1) < 5
    assert frame_for(10) > frame_for(1) + 3


def test_a_hand_is_cut_alike_in_any_frame(hand_poses: list[Pose]) -> None:
    """A hand cut alone, from the picture around it, is the piece that cutting the whole person returns."""
    alone, whole = made(hand_poses, key_frames=2, hands=FRAMES), made(hand_poses, hands=0)
    for frame in (4, 8):
        piece = alone.piece(int(np.flatnonzero(alone.frames == frame)[0]), Limb.RIGHT_HAND)
        same = whole.piece(int(np.flatnonzero(whole.frames == frame)[0]), Limb.RIGHT_HAND)
        assert piece is not None
        assert same is not None
        assert piece[..., 3].sum() == pytest.approx(same[..., 3].sum(), rel=0.1)


def test_the_other_hand_serves_mirrored(hand_poses: list[Pose]) -> None:
    """Where the footage never shows a right hand, the left one is drawn in its place, mirrored."""
    only_left = []
    for pose in hand_poses:
        confidence = pose.confidence.copy()
        confidence[skeleton.RIGHT_HAND] = 0
        only_left.append(Pose(pose.joints_px, confidence))
    wardrobe = made(only_left)
    asked = hand_poses[5]
    reference = draw_reference(wardrobe, asked)
    assert reference.choice.key_frames[Limb.RIGHT_HAND] >= wardrobe.key_frames
    x, y = np.rint(asked.joints_px[skeleton.RIGHT_HAND][[9, 12]].mean(axis=0)).astype(int)
    assert reference.picture[y, x, 3] > 100
