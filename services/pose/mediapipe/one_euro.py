"""The One-Euro filter (Casiez, Roussel and Vogel, CHI 2012): smooths little when a point moves fast, much when slow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Smoothed:
    """What the filter knows of `N` points after a picture, each `[N, 2]` float32.

    points: the smoothed points. raw: the points as they were found. speeds: the smoothed speed of each coordinate, in
    sizes of the object a second.
    """

    points: Floats
    raw: Floats
    speeds: Floats

    @classmethod
    def first(cls, points: Floats) -> Smoothed:
        """Return the filter's state after its first points, which are not smoothed."""
        return cls(points, points, np.zeros_like(points))


@dataclass(frozen=True, slots=True)
class OneEuro:
    """The filter's parameters, in the paper's names. Cut-offs are in hertz."""

    min_cutoff: float
    beta: float
    derivative_cutoff: float = 1.0

    def step(self, before: Smoothed | None, points: Floats, seconds: float, object_size: float) -> Smoothed:
        """Return the state after `points`, `[N, 2]` float32, found `seconds` after those of `before`.

        object_size: in the unit of the points; speeds are measured in it, so that the filter treats a small person as
        it treats a large one.
        """
        if before is None:
            return Smoothed.first(points)
        speeds = (points - before.raw) / (object_size * seconds)
        speeds = before.speeds + self._weight(np.float64(self.derivative_cutoff), seconds) * (speeds - before.speeds)
        weight = self._weight(self.min_cutoff + self.beta * np.abs(speeds), seconds)
        smoothed = before.points + weight * (points - before.points)
        return Smoothed(smoothed.astype(np.float32), points, speeds.astype(np.float32))

    @staticmethod
    def _weight(cutoff_hz: Floats | np.float64, seconds: float) -> Floats:
        """Return the weight of the newest value in a first-order low-pass filter (the paper's equations 5 and 6)."""
        turn = 2 * math.pi * cutoff_hz * seconds
        return np.asarray(turn / (turn + 1), np.float32)
