"""Decoding of the detectors' boxes."""

from __future__ import annotations

import numpy as np
import pytest

from services.pose.mediapipe.ssd import anchors, detections


@pytest.mark.parametrize(
    ("side_px", "strides", "count"), [(224, (8, 16, 32, 32, 32), 2254), (128, (8, 16, 16, 16), 896)]
)
def test_each_value_of_the_networks_has_an_anchor(side_px, strides, count):
    """The networks' outputs have as many rows, and every anchor lies inside the picture."""
    centres = anchors(side_px, strides)
    assert centres.shape == (count, 2)
    assert 0 < centres.min() < centres.max() < 1


def boxes(*centres_px: tuple[float, float]) -> np.ndarray:
    """Boxes of 20 pixels around anchors at 0, with one key point in the centre of each, `[N, 6]` float32."""
    return np.array([(x, y, 20, 20, x, y) for x, y in centres_px], np.float32)


def test_boxes_of_one_thing_are_averaged_by_their_scores():
    """Two overlapping boxes are one thing between them, nearer to the surer one; a distant box is another."""
    values = boxes((40, 40), (44, 40), (90, 90))
    logits = np.array([2.0, 0.5, 1.0], np.float32)
    found = detections(values, logits, np.zeros((3, 2), np.float32), 100, 0.5)
    assert len(found) == 2
    assert 0.40 < found[0].key_points[0, 0] < 0.42
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-2.0)))
    np.testing.assert_allclose(found[1].key_points, [[0.9, 0.9]], rtol=1e-6)


def test_unsure_and_impossible_boxes_are_nothing():
    """A score below the limit, or a negative size, is not a detection."""
    values = boxes((40, 40), (90, 90))
    values[1, 2] = -1
    assert detections(values, np.array([-0.1, 3], np.float32), np.zeros((2, 2), np.float32), 100, 0.5) == []


@pytest.mark.parametrize(("min_score", "count"), [(0.0, 2), (1.0, 0)])
def test_the_limit_may_be_at_the_end_of_its_range(min_score, count):
    """The settings allow 0, which everything reaches, and 1, which nothing reaches."""
    values = boxes((40, 40), (90, 90))
    found = detections(values, np.array([-3, 3], np.float32), np.zeros((2, 2), np.float32), 100, min_score)
    assert len(found) == count
