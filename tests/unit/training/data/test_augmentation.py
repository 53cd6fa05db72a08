"""Augmentation moves picture, mask, plate and pose of a pair by the same motion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.data.augmentation import Jitter, moved_picture, moved_pose


def test_pose_and_picture_move_alike(pose_at):
    """A dot drawn at a joint is still at that joint after both were moved."""
    pose = pose_at(16.0).transformed(4, 4)
    joint = np.flatnonzero(pose.seen)[0]
    picture = np.zeros((128, 128, 3), np.uint8)
    x_px, y_px = pose.joints_px[joint]
    cv2.circle(picture, (round(float(x_px) - 0.5), round(float(y_px) - 0.5)), 3, (255, 255, 255), -1)
    affine = Jitter(share=1.0).draw(np.random.default_rng(3), 128, 128)
    assert affine is not None
    rows, columns = np.nonzero(moved_picture(picture, affine)[..., 0] > 127)
    moved = moved_pose(pose, affine).joints_px[joint]
    assert np.allclose((columns.mean() + 0.5, rows.mean() + 0.5), moved, atol=1.0)


def test_a_share_of_the_pairs_stays():
    """The share of moved pairs is about as requested, and the same seed moves the same ones."""
    jitter = Jitter(share=0.25)
    drawn = [jitter.draw(np.random.default_rng(seed), 64, 64) for seed in range(400)]
    assert 60 < sum(affine is not None for affine in drawn) < 140
    again = jitter.draw(np.random.default_rng(7), 64, 64)
    assert (again is None) == (drawn[7] is None)


@pytest.mark.parametrize("wrong", [{"share": 1.5}, {"turn_deg": -1.0}, {"scale": 1.0}, {"shift": 2.0}])
def test_nonsense_is_refused(wrong):
    """Numbers out of range raise an error."""
    with pytest.raises(ValueError, match="out of range"):
        Jitter(**wrong)
