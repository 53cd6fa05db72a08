"""Accuracy and AUC of scores with known answers."""

from __future__ import annotations

import pytest

from provenance.detector.scores import area_under_curve, balanced_accuracy


def test_the_area_counts_how_often_a_synthetic_score_is_higher():
    """A tie counts half."""
    assert area_under_curve([0.1, 0.2], [0.8, 0.9]) == 1
    assert area_under_curve([0.8, 0.9], [0.1, 0.2]) == 0
    assert area_under_curve([0.5, 0.5], [0.5]) == 0.5
    assert area_under_curve([0.1, 0.6], [0.5, 0.6]) == pytest.approx(2.5 / 4)


def test_the_accuracy_is_the_mean_over_both_classes():
    """Nine real scores count as much as one synthetic one; the threshold itself is synthetic."""
    assert balanced_accuracy([0.1] * 8 + [0.9], [0.5], 0.5) == pytest.approx((8 / 9 + 1) / 2)


def test_scores_of_one_class_have_neither():
    """Both need real and synthetic scores."""
    with pytest.raises(ValueError, match="real and synthetic"):
        area_under_curve([], [0.5])
    with pytest.raises(ValueError, match="real and synthetic"):
        balanced_accuracy([0.1], [], 0.5)
