"""Flicker: the difference between a picture and the one before it, moved along the motion between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose
from training.evaluation.metrics import body_box

_CONSISTENT_PX: Final = 1.0
"""A pixel that does not return to within this distance, there and back along the flow, was hidden in one frame."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How one frame moved to the next, in the box around the body of the next one.

    x_px, y_px: `[h, w]` float32, for each pixel of the box its place in the frame before. holds: `[h, w]` bool, where
    the flow is consistent.
    """

    rows: slice
    columns: slice
    x_px: NDArray[np.float32]
    y_px: NDArray[np.float32]
    holds: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FlickerScores:
    """The flicker of drawn frames beside the real frames' own, in levels of 255; None where it could not be measured.

    ratio: drawn over real, 1 is as steady as the film.
    """

    levels: float | None
    real_levels: float | None

    @property
    def ratio(self) -> float | None:
        """Drawn over real."""
        return self.levels / self.real_levels if self.levels is not None and self.real_levels else None

    def to_dict(self) -> dict[str, float | None]:
        """The numbers by name, rounded for people."""
        values = {"levels": self.levels, "real_levels": self.real_levels, "ratio": self.ratio}
        return {name: None if value is None else round(value, 3) for name, value in values.items()}


def motions(real: Sequence[Picture], poses: Sequence[Pose]) -> list[Motion | None]:
    """The motion of each pair of consecutive frames; None where no flow is consistent.

    real: `[H, W, 3]` uint8 RGB. poses: in their pixels.
    """
    found: list[Motion | None] = []
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in real]
    for before, now in pairwise(range(len(real))):
        height_px, width_px = grey[now].shape
        rows, columns = body_box(poses[now], width_px, height_px)
        there_HW2 = _flow(grey[now], grey[before])
        back_HW2 = _flow(grey[before], grey[now])
        across, down = np.meshgrid(np.arange(width_px, dtype=np.float32), np.arange(height_px, dtype=np.float32))
        x_px, y_px = (across + there_HW2[..., 0])[rows, columns], (down + there_HW2[..., 1])[rows, columns]
        returned = there_HW2[rows, columns] + _sampled(back_HW2, x_px, y_px)
        holds = np.asarray(np.linalg.norm(returned, axis=2) < _CONSISTENT_PX)
        found.append(Motion(rows, columns, x_px, y_px, holds) if holds.any() else None)
    return found


def levels_along(drawn: Sequence[Picture], moved: Sequence[Motion | None]) -> list[float]:
    """The flicker of each pair of consecutive drawn frames along known motions, in levels of 255.

    Pairs without consistent flow are left out. drawn: `[H, W, 3]` uint8 RGB, one more than there are motions.
    """
    levels = []
    for (before, now), motion in zip(pairwise(drawn), moved, strict=True):
        if motion is not None:
            was = _sampled(before, motion.x_px, motion.y_px)
            difference = np.abs(now[motion.rows, motion.columns].astype(np.float32) - was).mean(axis=2)
            levels.append(float(difference[motion.holds].mean()))
    return levels


def flicker_levels(drawn: Sequence[Picture], real: Sequence[Picture], poses: Sequence[Pose]) -> list[float]:
    """The flicker of each pair of consecutive frames, in levels of 255.

    This is the mean difference between a drawn picture and the drawn one before it, moved along the optical flow of the
    real pictures, in the box around the body where the flow is consistent.
    drawn, real: `[H, W, 3]` uint8 RGB. poses: in their pixels. The real pictures' own flicker is a floor, set by noise
    and errors of the flow. Pairs without consistent flow are left out.
    """
    return levels_along(drawn, motions(real, poses))


def own_flicker(runs: Iterable[Sequence[Picture]], asked: Iterable[Sequence[Pose]]) -> float | None:
    """The mean flicker of runs of frames along their own flow, in levels of 255; None if it cannot be measured.

    For transfers, which have no real frames: compare it with the real footage measured in the same way.
    """
    levels = [level for run, poses in zip(runs, asked, strict=True) for level in flicker_levels(run, run, poses)]
    return float(np.mean(levels)) if levels else None


def _flow(start: NDArray[np.generic], end: NDArray[np.generic]) -> NDArray[np.float32]:
    """`[H, W, 2]` float32: the offset in pixels of each pixel of `start` to its place in `end`."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(method.calc(start, end, None), np.float32)  # type: ignore[call-overload]


def _sampled(picture: NDArray[np.generic], x_px: NDArray[np.float32], y_px: NDArray[np.float32]) -> NDArray[np.float32]:
    sampled = cv2.remap(picture.astype(np.float32), x_px, y_px, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)
