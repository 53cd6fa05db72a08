"""Sharpness falls with blur, which SSIM rewards."""

import cv2
import numpy as np
import pytest

from motion.face_region import FaceRule
from training.evaluation.metrics import score_pictures
from training.evaluation.sharpness import figure_mask, gradient, inner_gradient, sharpness


@pytest.fixture
def real(prepared):
    return np.ascontiguousarray(prepared.pictures[5])


def test_the_same_picture_is_as_sharp_and_a_blurred_one_less(real):
    """1 is as sharp as the real picture; blur lowers it, noise raises it."""
    noisy = np.clip(real + np.random.default_rng(1).normal(0, 60, real.shape), 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(real, (0, 0), 1.0)
    assert sharpness(real, real) == pytest.approx(1)
    assert (sharpness(blurred, real) or 1) < 0.7
    assert (sharpness(noisy, real) or 0) > 1.1


def test_only_the_person_counts(real, prepared):
    """Changes beside the mask do not change the sharpness of the person."""
    mask = np.zeros(real.shape[:2], np.uint8)
    mask[10:20, 10:20] = 255
    changed = real.copy()
    changed[:, 24:] = 0
    assert sharpness(changed, real, mask) == pytest.approx(1)
    assert sharpness(real, real, np.zeros_like(mask)) is None
    assert sharpness(real, np.zeros_like(real)) is None


def test_gradient_is_that_of_brightness():
    """A vertical edge of 100 levels has a Sobel gradient of 400 on either side, and none elsewhere."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, 4:] = 100
    assert gradient(picture)[4].tolist() == [0, 0, 0, 400, 400, 0, 0, 0]


def test_transfers_are_measured_inside_the_person(real, prepared):
    """Without a real picture, the mean gradient well inside the pose counts, the same way for drawn and real frames."""
    pose = prepared.poses[5]
    inside = figure_mask(pose, 32, 32, (0.1, 0.36, 0.16)) > 0
    assert inner_gradient([real], [pose]) == pytest.approx(float(gradient(real)[inside].mean()))
    assert inner_gradient([real], [pose.transformed(0, 0, -99, -99)]) is None


def test_scores_of_pictures_have_the_sharpness_of_person_and_face(prepared):
    """With masks, both; without, only the face's, whose square follows from the pose."""
    real = [np.ascontiguousarray(picture) for picture in prepared.pictures[:3]]
    drawn = [np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8) for picture in real]
    poses = prepared.poses[:3]
    rule = FaceRule(side_per_face_size=2.0, min_side_px=8, crop_px=16)
    scores = score_pictures(drawn, real, poses, rule, list(prepared.masks[:3]))
    assert 0 < (scores.sharpness or 0) < 1
    assert 0 < (scores.face_sharpness or 0) < 1
    assert score_pictures(drawn, real, poses, rule).sharpness is None
