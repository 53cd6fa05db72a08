import cv2
import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from training.evaluation.flicker import flicker_levels


@pytest.fixture
def walk():
    """Five frames of a textured place that moves by two pixels a frame, and a pose that spans most of the picture."""
    noise = np.random.default_rng(2).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    place = cv2.GaussianBlur(cv2.resize(noise, (240, 160), interpolation=cv2.INTER_CUBIC), (0, 0), 2)
    frames = [place[16:144, 16 + 2 * i : 144 + 2 * i].copy() for i in range(5)]
    joints, seen = np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints[:2], seen[:2] = [(30, 24), (98, 104)], 1
    return frames, [Pose(joints, seen)] * 5


def test_what_moves_with_the_motion_does_not_flicker(walk):
    """The real frames, and the same ones darker, are at the floor although every pixel changes."""
    frames, poses = walk
    assert np.abs(frames[1].astype(int) - frames[0]).mean() > 5
    assert np.mean(flicker_levels(frames, frames, poses)) < 1
    assert np.mean(flicker_levels([frame // 2 for frame in frames], frames, poses)) < 1


def test_light_that_changes_from_frame_to_frame_flickers(walk):
    """Light that changes by 20 levels and back gives a flicker of about 20 levels."""
    frames, poses = walk
    drawn = [np.clip(frame.astype(int) + 20 * (i % 2), 0, 255).astype(np.uint8) for i, frame in enumerate(frames)]
    values = flicker_levels(drawn, frames, poses)
    assert len(values) == 4
    assert np.mean(values) == pytest.approx(20, abs=2)


def test_a_picture_that_stands_still_flickers_where_it_should_move(walk):
    """A repeated picture lags behind the motion, which counts as flicker."""
    frames, poses = walk
    assert np.mean(flicker_levels([frames[0]] * 5, frames, poses)) > 3
    assert flicker_levels(frames[:1], frames[:1], poses[:1]) == []
