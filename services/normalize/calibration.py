"""The source's body: stats that were given, or estimated while the stream runs, and how a change is eased in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from motion.body import BodyMeasure, BodyStats, RunningBody
from motion.retarget import Transform


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


@dataclass(slots=True)
class Easing:
    """What the figure still lacks to where the newest calibration wants it. Dies away, so that nothing jumps.

    Only changes of the calibration are eased; the dancer's own movement passes at once.
    """

    log_scale: float = 0.0
    foot_y: float = 0.0
    hip_x: float = 0.0

    def change(self, before: Transform, after: Transform) -> None:
        """For one and the same measure the wanted transform changed from `before` to `after`."""
        self.log_scale += math.log(before.scale / after.scale)
        self.foot_y += before.foot_y - after.foot_y
        self.hip_x += before.hip_x - after.hip_x

    def pass_time(self, seconds: float, time_constant_seconds: float) -> None:
        """Lets what is left die away."""
        left = math.exp(-seconds / time_constant_seconds)
        self.log_scale *= left
        self.foot_y *= left
        self.hip_x *= left

    def eased(self, wanted: Transform) -> Transform:
        """The transform to use now."""
        return Transform(
            wanted.scale * math.exp(self.log_scale), wanted.foot_y + self.foot_y, wanted.hip_x + self.hip_x
        )
