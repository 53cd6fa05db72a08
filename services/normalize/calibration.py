"""The source's body: stats that were given, or estimated while the stream runs, and how a change is eased in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from motion.body import BodyMeasure, BodyStats, RunningBody
from motion.retarget import Transform

FARTHEST_LOG_SCALE: Final = 20.0
"""No two scales between bodies of legal stats are farther apart; sums of many changes could be, and overflow."""


class Calibration(Enum):
    """Where the source's body stats come from."""

    GIVEN = "given"
    RUNNING = "running"


class SourceBody:
    """The source's stats: given once and for all, or the running estimate of all measures so far."""

    def __init__(self, given: BodyStats | None, running: RunningBody | None = None) -> None:
        self._given = given
        self.running = None if given is not None else running or RunningBody()

    @property
    def calibration(self) -> Calibration:
        """Where `stats` come from."""
        return Calibration.RUNNING if self.running is not None else Calibration.GIVEN

    @property
    def stats(self) -> BodyStats | None:
        """The stats in use; None before the first measure of a running calibration.

        After one measure they say: a body of this height, on this spot. Which is what is assumed until more is known.
        """
        return self._given if self.running is None else self.running.stats()

    @property
    def certainty(self) -> float:
        """How sure the stats are, in [0, 1]; 1 where they were given."""
        return 1.0 if self.running is None else self.running.certainty

    def update(self, measure: BodyMeasure) -> None:
        """Takes the next measure; given stats do not change."""
        if self.running is not None:
            self.running.update(measure)


def on_one_spot(stats: BodyStats) -> BodyStats:
    """Somebody of these stats who never leaves the near stand. This holds as long as depth is not known for sure."""
    return BodyStats(
        near_ankle_y=stats.near_ankle_y,
        far_ankle_y=stats.near_ankle_y,
        near_height=stats.near_height,
        far_height=stats.near_height,
        hip_x=stats.hip_x,
        frames=stats.frames,
    )


def between(start: Transform, end: Transform, share: float) -> Transform:
    """`start` at a share of 0, `end` at 1; scales in equal ratios, so that they stay positive."""
    return Transform(
        scale=start.scale * (end.scale / start.scale) ** share,
        foot_y=start.foot_y + share * (end.foot_y - start.foot_y),
        hip_x=start.hip_x + share * (end.hip_x - start.hip_x),
    )


@dataclass(slots=True)
class Easing:
    """Lets changes of a running calibration reach the figure slowly; the dancer's own movement passes at once.

    trust: how far depth is believed, in [0, 1]; follows the calibration's certainty. A range of ankles that has only
    begun to show would turn half a step into a walk through the actor's whole room.
    log_scale, foot_y, hip_x: what the figure still lacks to where the newest stats want it; they die away.
    """

    trust: float = 0.0
    log_scale: float = 0.0
    foot_y: float = 0.0
    hip_x: float = 0.0

    def change(self, before: Transform, after: Transform) -> None:
        """For one and the same measure the wanted transform changed from `before` to `after`."""
        log_scale = self.log_scale + math.log(before.scale / after.scale)
        self.log_scale = min(max(log_scale, -FARTHEST_LOG_SCALE), FARTHEST_LOG_SCALE)
        self.foot_y += before.foot_y - after.foot_y
        self.hip_x += before.hip_x - after.hip_x

    def pass_time(self, seconds: float, time_constant_seconds: float, certainty: float) -> None:
        """Moves the trust towards the certainty, and lets what is lacking die away."""
        left = math.exp(-seconds / time_constant_seconds)
        self.trust = certainty + (self.trust - certainty) * left
        self.log_scale *= left
        self.foot_y *= left
        self.hip_x *= left

    def eased(self, wanted: Transform) -> Transform:
        """The transform to use now."""
        return Transform(
            wanted.scale * math.exp(self.log_scale), wanted.foot_y + self.foot_y, wanted.hip_x + self.hip_x
        )
