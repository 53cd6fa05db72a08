"""The source's body stats, given or estimated while the stream runs, and the easing of their changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from motion.body import BodyMeasure, BodyStats, RunningBody
from motion.retarget import Transform

FARTHEST_LOG_SCALE: Final = 20.0
"""The largest log ratio of scales between valid bodies. Sums of changes are clamped to it, to avoid overflow."""


class SourceBody:
    """The source's body stats: given and constant, or the running estimate from all measures so far."""

    def __init__(self, given: BodyStats | None, running: RunningBody | None = None) -> None:
        self._given = given
        self.running = None if given is not None else running or RunningBody()

    @property
    def stats(self) -> BodyStats | None:
        """The stats in use; None before the first measure of a running calibration.

        After one measure they describe a body of the measured height that stays on one spot.
        """
        return self._given if self.running is None else self.running.stats()

    @property
    def certainty(self) -> float:
        """The certainty of the stats, in [0, 1]; 1 if they were given."""
        return 1.0 if self.running is None else self.running.certainty

    def update(self, measure: BodyMeasure) -> None:
        """Include the next measure; given stats do not change."""
        if self.running is not None:
            self.running.update(measure)


def on_one_spot(stats: BodyStats) -> BodyStats:
    """Return the stats of the same body that never leaves its near position; used until depth is certain."""
    return replace(stats, far_ankle_y=stats.near_ankle_y, far_height=stats.near_height)


def between(start: Transform, end: Transform, share: float) -> Transform:
    """Interpolate: `start` at a share of 0, `end` at 1. Scales are interpolated by ratio, so they stay positive."""
    return Transform(
        scale=start.scale * (end.scale / start.scale) ** share,
        foot_y=start.foot_y + share * (end.foot_y - start.foot_y),
        hip_x=start.hip_x + share * (end.hip_x - start.hip_x),
    )


@dataclass(slots=True)
class Easing:
    """Applies changes of a running calibration to the figure slowly, and the dancer's own movement at once.

    trust: how much of the measured depth is used, in [0, 1]; follows the calibration's certainty. While the range of
    ankle positions is still small, full trust would turn half a step into a walk through the actor's whole room.
    log_scale, foot_y, hip_x: the figure's remaining offset from the newest stats; it decays to zero.
    """

    trust: float = 0.0
    log_scale: float = 0.0
    foot_y: float = 0.0
    hip_x: float = 0.0

    def change(self, before: Transform, after: Transform) -> None:
        """Add a change of the calibration: for the same measure, the wanted transform went from `before` to `after`."""
        log_scale = self.log_scale + math.log(before.scale / after.scale)
        self.log_scale = min(max(log_scale, -FARTHEST_LOG_SCALE), FARTHEST_LOG_SCALE)
        self.foot_y += before.foot_y - after.foot_y
        self.hip_x += before.hip_x - after.hip_x

    def pass_time(self, seconds: float, time_constant_seconds: float, certainty: float) -> None:
        """Move the trust towards the certainty, and decay the offset."""
        left = math.exp(-seconds / time_constant_seconds)
        self.trust = certainty + (self.trust - certainty) * left
        self.log_scale *= left
        self.foot_y *= left
        self.hip_x *= left

    def eased(self, wanted: Transform) -> Transform:
        """Return the transform to use now."""
        return Transform(
            wanted.scale * math.exp(self.log_scale), wanted.foot_y + self.foot_y, wanted.hip_x + self.hip_x
        )
