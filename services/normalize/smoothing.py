"""Smoothing of joints over time without look-ahead: a One-Euro filter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from motion.smoothing.median import Table
from services.normalize.rules import NormalizeRules


def table_of(pose: Pose | None) -> Table:
    """Return the pose as a table; all zeros for no person."""
    table = np.zeros((skeleton.JOINT_COUNT, 3), np.float32)
    if pose is not None:
        table[:, :2] = pose.joints_px
        table[:, 2] = pose.confidence
    return table


def one_euro(
    raw_px: NDArray[np.float32],
    last_px: NDArray[np.float32],
    last_speed: NDArray[np.float32],
    passed_seconds: NDArray[np.float64],
    frame_height_px: int,
    rules: NormalizeRules,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Apply one step of the One-Euro filter to `K` joints, and return their new positions and speeds.

    raw_px, last_px: `[K, 2]`, measured now and filtered before. last_speed: `[K, 2]`, in frame heights a second.
    passed_seconds: `[K]`, since each joint's last step; positive.

    Casiez, Roussel, Vogel: "1 Euro Filter", CHI 2012, eq. 1 to 6. Both axes share the cutoff of their common speed, so
    that a straight movement stays straight.
    """
    passed_K1 = passed_seconds[:, None]
    speed_now = (raw_px - last_px) / (frame_height_px * passed_K1)
    speed = last_speed + _alpha(rules.one_euro_speed_cutoff_hz, passed_K1) * (speed_now - last_speed)
    cutoff_hz = rules.one_euro_min_cutoff_hz + rules.one_euro_beta * np.sqrt((speed * speed).sum(axis=1, keepdims=True))
    position = last_px + _alpha(cutoff_hz, passed_K1) * (raw_px - last_px)
    return position.astype(np.float32), speed.astype(np.float32)


def _alpha(cutoff_hz: float | NDArray[np.float64], passed_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of the newest value in a low-pass filter with that cutoff (eq. 3 and 5)."""
    turns = 2 * math.pi * cutoff_hz * passed_seconds
    return np.asarray(turns / (turns + 1))
