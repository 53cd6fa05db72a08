"""`BodyStats`: how tall a body looks near the camera and far from it, fitted over a whole clip or while it streams.

Source: Chan et al. 2019, "Everybody Dance Now", pose normalisation: the near and far ankle positions of a clip and the
body's height at each. The statistics are robust: they ignore single bad frames, jumps and squats.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.documents import shortened
from motion.frame import FrameSize
from motion.pose import Pose

ON_THE_SPOT = 0.03
"""Ankle movement below this fraction of the body's height is jitter and says nothing about depth."""

_EXTREME_PERCENT = 2.0
"""Near and far are this percentile from either end, so that a few wrong ankles do not define them."""

_REACH_OF_RANGE, _REACH_OF_HEIGHT = 0.05, 0.02
"""A frame counts as near (or far) if its ankles are within this fraction of the ankles' range from near (or far), or
within this fraction of the body's height (jitter), whichever is larger."""

_SHRINK_PER_RISE = 0.25
"""A body that walks away shrinks by its ankles' rise times its height over the camera's height, and cameras higher
than four bodies are rare. If the height shrinks by less than this fraction of the rise, the body is in the air."""

_LONGEST_IN_THE_AIR = 0.25
"""A body that is up for a larger part of the clip, or from its first frame, is standing there: jumps start from the
ground."""

_SMALLEST_HEIGHT, _LARGEST = 1e-3, 10.0
"""Limits in frame heights (widths for hip_x): bodies that are smaller or farther out cannot have been seen."""

MOST_FRAMES = (1 << 32) - 1
"""The largest count of frames in body stats: messages store it in 32 bits."""

_STEPS = 1 << 14
"""Numbers are stored as whole multiples of 1/16384 of the frame, so two frame heights fit into 16 bits."""

_LEAST_STEPS = math.ceil(_SMALLEST_HEIGHT * _STEPS)

_ENOUGH_MEASURES = 60
"""Two seconds at 30 frames per second, about one dance movement."""

_UNSETTLED = 0.1
"""A change of this fraction of the body's height means zero certainty."""

_SNAPSHOTS = ("earlier", "latest")


@dataclass(frozen=True, slots=True)
class BodyMeasure:
    """One body in one frame, in fractions of the frame's height (hip_x: of its width); y points down.

    ankle_y: the lower ankle's position, read as depth. foot_y: where the body stands (also the lower ankle).
    height: from the nose, or the midpoint of the ears, to the midpoint of the ankles.
    hip_x: the midpoint of the hips.

    Raises ValueError for numbers that are not finite and for a height that is not positive.
    """

    ankle_y: float
    foot_y: float
    height: float
    hip_x: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.ankle_y, self.foot_y, self.height, self.hip_x)):
            raise ValueError(f"a body's measure must be finite, got {self}")
        if self.height <= 0:
            raise ValueError(f"a body's height must be positive, got {self.height}")


@dataclass(frozen=True, slots=True)
class BodyStats:
    """Where a body stands nearest to and farthest from the camera, and how tall it looks there.

    All lengths are fractions of the frame's height (hip_x: of its width); y points down, so near >= far.
    near_ankle_y, far_ankle_y: the lower ankle's position. near_height, far_height: nose to midpoint of the ankles.
    hip_x: median of the hips' midpoint. frames: how many measured frames the numbers are based on.

    Raises ValueError for positions beyond 10 frames, heights outside 0.001 to 10 frames, near above far, and frame
    counts outside 0 to `MOST_FRAMES`.
    """

    near_ankle_y: float
    far_ankle_y: float
    near_height: float
    far_height: float
    hip_x: float
    frames: int

    def __post_init__(self) -> None:
        if not all(abs(value) <= _LARGEST for value in (self.near_ankle_y, self.far_ankle_y, self.hip_x)):
            raise ValueError(f"a body's position must be within {_LARGEST:g} frames, got {self}")
        if not all(_SMALLEST_HEIGHT <= value <= _LARGEST for value in (self.near_height, self.far_height)):
            raise ValueError(f"a body's heights must lie in {_SMALLEST_HEIGHT:g} to {_LARGEST:g} frames, got {self}")
        if self.near_ankle_y < self.far_ankle_y:
            raise ValueError(f"near ankles must be at or below far ones, got {self.near_ankle_y} < {self.far_ankle_y}")
        if not 0 <= self.frames <= MOST_FRAMES:
            raise ValueError(f"frames must lie in 0 to {MOST_FRAMES}, got {self.frames}")

    @property
    def on_the_spot(self) -> bool:
        """Whether the body hardly moves in depth: the ankles' range is below 3 % of its height."""
        return self.near_ankle_y - self.far_ankle_y < ON_THE_SPOT * self.near_height

    def to_dict(self) -> dict[str, float]:
        """Return the numbers by name, for `from_dict`."""
        # `dataclasses.asdict` deep-copies each number, which takes longer than the rest of storing a state.
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BodyStats:
        """Restore `to_dict`'s numbers. Raises ValueError for missing, unknown or invalid ones."""
        names = [field.name for field in fields(cls)]
        if set(values) != set(names):
            raise ValueError(f"body stats take exactly {names}, got {', '.join(sorted(values))[:200]!a}")
        for name in names:
            value = values[name]
            # Infinity has no integer value, and a huge integer no float.
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST_FRAMES:
                raise ValueError(f"{name} of body stats must be a number, got {shortened(value)}")
        if values["frames"] != int(values["frames"]):
            raise ValueError(f"frames of body stats must be a whole number, got {values['frames']!r}")
        return cls(**{name: float(values[name]) for name in names if name != "frames"}, frames=int(values["frames"]))


def measure_body(pose: Pose, size: FrameSize) -> BodyMeasure | None:
    """Measure a body in a frame of this size; None unless head, hips and both ankles were seen.

    The head is the nose, or the midpoint of the ears if the nose is missing. One ankle is not enough: it may be the
    raised one. A body collapsed onto a point has no height and therefore no measure.
    """
    head_px = _joint_or_middle(pose, skeleton.NOSE, skeleton.R_EAR, skeleton.L_EAR)
    hips_px = _joint_or_middle(pose, skeleton.MID_HIP, skeleton.R_HIP, skeleton.L_HIP)
    ankles_px = pose.middle(skeleton.R_ANKLE, skeleton.L_ANKLE)
    if head_px is None or hips_px is None or ankles_px is None:
        return None
    height_px = math.hypot(*(ankles_px - head_px).tolist())
    if height_px <= 0:
        return None
    lower_y = float(pose.joints_px[[skeleton.R_ANKLE, skeleton.L_ANKLE], 1].max()) / size.height_px
    return BodyMeasure(lower_y, lower_y, height_px / size.height_px, float(hips_px[0]) / size.width_px)


def fit_body(measures: Sequence[BodyMeasure]) -> BodyStats:
    """Fit the stats of a whole clip in two deterministic passes. Raises ValueError without any measure.

    measures: in time order, which is how jumps are recognised.
    First pass: near and far are the ankles' extremes, without two percent of the frames at either end and without
    jumps (ankles that rise for a while although the body stays as tall). Second pass: the height at each is the largest
    among the frames that stand there (within 5 % of the range), so a squat does not count as a small body; outliers
    are ignored. Values outside the limits of `BodyStats` are clipped to them.
    """
    if not measures:
        raise ValueError("body stats need at least one measure")
    table = np.array([(m.ankle_y, m.height, m.hip_x) for m in measures], dtype=np.float64)
    return _fit(np.clip(table, (-_LARGEST, _SMALLEST_HEIGHT, -_LARGEST), _LARGEST), len(measures))


class RunningBody:
    """The stats of a running stream, from at most 256 measures spread evenly over all of it.

    Below 256 measures the stats equal `fit_body`'s, up to the rounding of a measure (1/16384 of the frame).
    """

    CAPACITY = 256

    def __init__(self) -> None:
        self._table = np.zeros((self.CAPACITY, 3), np.int16)
        self._kept = 0
        self._stride = 1
        self._seen = 0
        self._stats: BodyStats | None = None
        self._earlier: BodyStats | None = None
        self._latest: BodyStats | None = None

    def update(self, measure: BodyMeasure) -> None:
        """Add the stream's next measure. Values beyond two frame heights or widths are clipped to two."""
        kept = self._seen % self._stride == 0
        if kept:
            height = max(_steps(measure.height), _LEAST_STEPS)
            self._table[self._kept] = (_steps(measure.ankle_y), height, _steps(measure.hip_x))
            self._kept += 1
        self._seen += 1
        if self._kept == self.CAPACITY:
            half = self.CAPACITY // 2
            self._table[:half] = self._table[::2].copy()
            self._table[half:] = 0
            self._kept = half
            self._stride *= 2
        if kept or self._stats is None:
            self._stats = None
        else:
            self._stats = replace(self._stats, frames=self._seen)
        if self._seen & (self._seen - 1) == 0:
            self._earlier, self._latest = self._latest, self.stats()

    def stats(self) -> BodyStats | None:
        """Return the stats of all measures so far; None before the first."""
        if self._stats is None and self._kept:
            self._stats = _fit(self._table[: self._kept] / _STEPS, self._seen)
        return self._stats

    @property
    def certainty(self) -> float:
        """The certainty of the stats, in [0, 1].

        Certainty rises with the number of measures (60 are enough) and falls with the largest change since half of
        them, or fewer, were seen; a change of a tenth of the body's height makes it 0.
        """
        now = self.stats()
        if now is None or self._earlier is None:
            return 0.0
        before = self._earlier
        change = max(
            abs(now.near_ankle_y - before.near_ankle_y),
            abs(now.far_ankle_y - before.far_ankle_y),
            abs(now.near_height - before.near_height),
            abs(now.far_height - before.far_height),
        )
        settled = max(0.0, 1 - change / (_UNSETTLED * now.near_height))
        return min(1.0, self._seen / _ENOUGH_MEASURES) * settled

    def to_state(self) -> dict[str, Any]:
        """Return the state as JSON values, at most about 2.5 kB. An instance `from_state` continues identically."""
        return {
            "seen": self._seen,
            "stride": self._stride,
            "table": base64.b64encode(self._table[: self._kept].astype("<i2").tobytes()).decode("ascii"),
            "earlier": self._earlier and self._earlier.to_dict(),
            "latest": self._latest and self._latest.to_dict(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> RunningBody:
        """Restore `to_state`'s value. Raises ValueError for anything else: states travel through clients."""
        running = cls()
        try:
            seen, stride = state["seen"], state["stride"]
            table = np.frombuffer(base64.b64decode(state["table"], validate=True), "<i2").reshape(-1, 3)
            snapshots = [None if state[name] is None else BodyStats.from_dict(state[name]) for name in _SNAPSHOTS]
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise ValueError(f"not the state of a running body: {error}") from error
        if type(seen) is not int or type(stride) is not int or stride < 1 or stride & (stride - 1):
            raise ValueError(f"not the state of a running body: seen {seen!r}, stride {stride!r}")
        if seen > MOST_FRAMES // 2:  # a stream that long would take months
            raise ValueError(f"not the state of a running body: seen {seen}")
        if len(table) >= cls.CAPACITY or len(table) != -(-seen // stride) or (table[:, 1] < _LEAST_STEPS).any():
            raise ValueError(f"not the state of a running body: {len(table)} rows for {seen} measures")
        running._seen, running._stride, running._kept = seen, stride, len(table)
        running._table[: len(table)] = table
        running._earlier, running._latest = snapshots
        return running


def _joint_or_middle(pose: Pose, joint: int, right: int, left: int) -> NDArray[np.float64] | None:
    position_px = pose.joint(joint)
    return pose.middle(right, left) if position_px is None else position_px.astype(np.float64)


def _steps(value: float) -> int:
    return min(max(round(value * _STEPS), -2 * _STEPS + 1), 2 * _STEPS - 1)


def _fit(table: NDArray[np.float64], frames: int) -> BodyStats:
    """Fit the stats of a table `[N, 3]` of ankle_y, height and hip_x, N >= 1."""
    ankles, heights, hips = np.ascontiguousarray(table.T)
    risen = _in_the_air(ankles, heights)
    if risen is not None:
        ankles, heights = ankles[~risen], heights[~risen]
    ordered = np.sort(ankles)
    far, near = _percentile(ordered, _EXTREME_PERCENT), _percentile(ordered, 100 - _EXTREME_PERCENT)
    tallest = _largest(heights)
    if near - far < ON_THE_SPOT * tallest:
        near_height = far_height = tallest
    else:
        reach = max(_REACH_OF_RANGE * (near - far), _REACH_OF_HEIGHT * tallest)
        near_height = _largest(heights[ankles >= near - reach])
        far_height = _largest(heights[ankles <= far + reach])
    return BodyStats(near, far, near_height, far_height, _percentile(np.sort(hips), 50.0), frames)


def _in_the_air(ankles: NDArray[np.float64], heights: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """Return which rows, in time order, are jumps, as `[N]` bool; None if there are none."""
    near = _percentile(np.sort(ankles), 100 - _EXTREME_PERCENT)
    near_height = _largest(heights[ankles >= near - ON_THE_SPOT * _largest(heights)])
    rise = near - ankles
    risen = (rise > ON_THE_SPOT * near_height) & (near_height - heights < _SHRINK_PER_RISE * rise)
    if not risen.any():
        return None
    turns = np.flatnonzero(risen[1:] != risen[:-1]) + 1
    for start, end in zip((0, *turns), (*turns, len(ankles)), strict=True):
        if start == 0 or end - start > _LONGEST_IN_THE_AIR * len(ankles):
            risen[start:end] = False
    return risen


def _largest(heights: NDArray[np.float64]) -> float:
    """Return a robust maximum of at least one height: the median of the largest few.

    The few are a twentieth of the heights, and at least three of ten or more, so that one bad frame does not count.
    """
    few = max(len(heights) // 20, min(3, 1 + len(heights) // 5))
    return _percentile(np.sort(heights)[-few:], 50.0)


def _percentile(ordered: NDArray[np.float64], percent: float) -> float:
    """`np.percentile` of sorted numbers, at least one; NumPy's takes ten times as long for so few."""
    place = (len(ordered) - 1) * (percent / 100)
    below = int(place)
    lower, share = float(ordered[below]), place - below
    if share == 0:
        return lower
    upper = float(ordered[below + 1])
    # NumPy interpolates from the nearer of the two.
    return lower + (upper - lower) * share if share < 0.5 else upper - (upper - lower) * (1 - share)
