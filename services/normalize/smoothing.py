"""Smoothing of joints over time: a centred median with look-ahead, a One-Euro filter without.

A table of joints is `[J, 3]` float32: x and y in pixels, and the confidence, 0 if the joint was not seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from services.normalize.rules import NormalizeRules

Table = NDArray[np.float32]

MAX_WINDOW_FRAMES: Final = 7


def table_of(pose: Pose | None) -> Table:
    """Return the pose as a table; all zeros for no person."""
    table = np.zeros((skeleton.JOINT_COUNT, 3), np.float32)
    if pose is not None:
        table[:, :2] = pose.joints_px
        table[:, 2] = pose.confidence
    return table


def window_half_frames(frame_rate_hz: float, window_seconds: float) -> int:
    """Return how many frames the median uses on either side.

    The window is the odd number of frames nearest to `window_seconds`, at most 7. Of two equally near it is the wider
    one, so 0.1 s is 3 frames from 20 fps on. For a single frame the result is 0, no median: at 5 fps a wider window
    would erase the motion.
    """
    return min(math.floor(window_seconds * frame_rate_hz / 2), MAX_WINDOW_FRAMES // 2)


def centred_median(window: Sequence[Table]) -> Table:
    """Return the median of each joint over the tables in which it was seen.

    window: an odd number of tables, in any order. An even number of sightings takes the mean of the middle two. A joint
    seen in half of the tables or fewer is unseen in the result.
    """
    tables_NJ3 = np.stack(window)
    seen_NJ = tables_NJ3[..., 2] > 0
    count_J = seen_NJ.sum(axis=0)
    ordered_NJ3 = np.sort(np.where(seen_NJ[..., None], tables_NJ3, np.float32(np.inf)), axis=0)
    kept_J = np.flatnonzero(2 * count_J > len(window))
    median = np.zeros_like(tables_NJ3[0])
    last = count_J[kept_J] - 1
    median[kept_J] = (ordered_NJ3[last // 2, kept_J] + ordered_NJ3[(last + 1) // 2, kept_J]) / 2
    return np.asarray(median, np.float32)


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
