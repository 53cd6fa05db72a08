"""Smoothing removes jitter and keeps motion."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from motion.pose import Pose
from motion.skeleton import JOINT_COUNT
from services.normalize.rules import NormalizeRules
from services.normalize.smoothing import one_euro, table_of

RULES = NormalizeRules()


def table(x: float, confidence: float = 1.0) -> NDArray[np.float32]:
    """All joints at (x, 2x)."""
    rows = np.zeros((JOINT_COUNT, 3), np.float32)
    if confidence:
        rows[:] = (x, 2 * x, confidence)
    return rows


def filtered(positions_px: NDArray[np.float64], rate_hz: float, rules: NormalizeRules = RULES) -> NDArray[np.float32]:
    """The One-Euro filter over a `[T]` path in x, in a frame of height 1000."""
    last, speed = np.array([[positions_px[0], 0]], np.float32), np.zeros((1, 2), np.float32)
    path = [last[0, 0]]
    for position in positions_px[1:]:
        raw = np.array([[position, 0]], np.float32)
        last, speed = one_euro(raw, last, speed, np.array([1 / rate_hz]), 1000, rules)
        path.append(last[0, 0])
    return np.array(path)


def test_one_euro_by_hand():
    """One step with round numbers: cutoff 1 Hz, beta 0, 2 pi t = 1, so half of the step is taken."""
    rules = NormalizeRules(one_euro_min_cutoff_hz=1, one_euro_beta=1e-9, one_euro_speed_cutoff_hz=1)
    still = np.zeros((1, 2), np.float32)
    passed = np.array([1 / (2 * np.pi)])
    position, speed = one_euro(np.array([[8.0, -4.0]], np.float32), still, still, passed, 2, rules)
    np.testing.assert_allclose(position, [[4, -2]], rtol=1e-5)
    np.testing.assert_allclose(speed, [[4 * np.pi, -2 * np.pi]], rtol=1e-5)


def test_one_euro_calms_a_resting_joint():
    """Jitter of two pixels at rest is more than halved."""
    noise = np.random.default_rng(1).normal(0, 2, 300)
    assert np.diff(filtered(500 + noise, 60)).std() < 0.5 * np.diff(noise).std()


def test_one_euro_follows_a_fast_joint():
    """At one frame height a second it lags by less than 15 ms."""
    path = np.arange(60) * 1000 / 60
    assert (path - filtered(path, 60))[-1] < 15


def test_one_euro_leaves_what_does_not_move():
    """A joint at rest stays exactly where it is."""
    np.testing.assert_array_equal(filtered(np.full(20, 321.5), 25), 321.5)


def test_no_person_is_an_empty_table():
    """No person and a pose without visible joints give the same table."""
    np.testing.assert_array_equal(table_of(None), table_of(Pose.nothing_seen()))


@pytest.mark.parametrize(
    "nonsense", [{"hold_seconds": 0}, {"one_euro_beta": -1}, {"ease_seconds": float("nan")}, {"forget_seconds": 0.1}]
)
def test_nonsense_rules_are_refused_by_name(nonsense):
    """The message names the rule."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        NormalizeRules(**nonsense)
