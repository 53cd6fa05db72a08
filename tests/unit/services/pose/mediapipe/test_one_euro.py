"""The One-Euro filter steadies what is slow and follows what is fast."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.pose.mediapipe.one_euro import OneEuro, Smoothed

FILTER = OneEuro(min_cutoff=1.0, beta=0.5)


def point(x: float) -> np.ndarray:
    """One point, `[1, 2]` float32, at (x, 0)."""
    return np.array([[x, 0]], np.float32)


def test_the_first_points_are_not_smoothed():
    """Without anything before, points stay where they are and have no speed."""
    state = FILTER.step(None, point(3), 0.04, 10)
    np.testing.assert_array_equal(state.points, point(3))
    assert not state.speeds.any()


def test_a_step_follows_the_papers_equations():
    """One step by hand: the speed's weight, the cut-off it gives, and the weight of the new point."""
    seconds, size = 0.04, 10.0
    state = FILTER.step(Smoothed.first(point(0)), point(2), seconds, size)
    speed = 2 / size / seconds / (1 + 1 / (2 * math.pi * seconds * 1.0))
    cutoff = 1.0 + 0.5 * speed
    assert state.speeds[0, 0] == pytest.approx(speed, rel=1e-5)
    assert state.points[0, 0] == pytest.approx(2 / (1 + 1 / (2 * math.pi * seconds * cutoff)), rel=1e-5)
    np.testing.assert_array_equal(state.raw, point(2))


def test_a_resting_point_stops_shaking_and_a_fast_one_is_followed():
    """Jitter shrinks; a large move is followed more closely than a small one."""
    state = Smoothed.first(point(0))
    for index in range(40):
        state = FILTER.step(state, point(0.1 * (-1) ** index), 0.04, 10)
    assert abs(state.points[0, 0]) < 0.05
    small = FILTER.step(Smoothed.first(point(0)), point(1), 0.04, 10).points[0, 0] / 1
    large = FILTER.step(Smoothed.first(point(0)), point(500), 0.04, 10).points[0, 0] / 500
    assert large > 2 * small


def test_the_size_of_the_object_does_not_matter():
    """A person twice as large who moves twice as far is smoothed alike."""
    one = FILTER.step(Smoothed.first(point(0)), point(3), 0.04, 10)
    two = FILTER.step(Smoothed.first(point(0)), point(6), 0.04, 20)
    np.testing.assert_allclose(two.points, 2 * one.points, rtol=1e-6)
