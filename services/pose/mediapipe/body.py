"""The body: found by the person detector, then followed from picture to picture by its own landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import MAX_POSITION_PX
from services.pose.mediapipe.networks import Outputs, SharedNetwork, sigmoid
from services.pose.mediapipe.one_euro import OneEuro, Smoothed
from services.pose.mediapipe.regions import UPWARDS, Points, Region, region_about
from services.pose.mediapipe.ssd import anchors, detections

Floats = NDArray[np.float32]

_DETECTOR_STRIDES: Final = (8, 16, 32, 32, 32)
LANDMARKS: Final = 33
_GUIDES: Final = slice(33, 35)
"""The landmarks that place the next region: the middle of the hips, and a point on the circle around the person."""
_REGION_SCALE: Final = 1.25
_NEAR: Final = np.arange(-4, 5)
"""A landmark is refined by its heat map in nine by nine places. The graph's text says seven; nine is what it computes:
with nine, landmarks differ from the wheel's by 0.02 px on average, with seven by 0.3 px."""
_MIN_PEAK: Final = 0.5
"""A landmark is refined only if its heat map is at least this sure near it."""
_LANDMARK_FILTER: Final = OneEuro(min_cutoff=0.05, beta=80)
_GUIDE_FILTER: Final = OneEuro(min_cutoff=0.01, beta=10)
_VISIBILITY_WEIGHT: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class BodyTrack:
    """A body that is being followed, after a picture.

    landmarks, guides: the filters of the 33 landmarks and of the two guide points, in pixels. visibility: `[33]`
    float32, smoothed.
    """

    landmarks: Smoothed
    guides: Smoothed
    visibility: Floats

    @property
    def next_region(self) -> Region:
        """Where the body is looked for in the next picture."""
        hips, rim = self.guides.points
        return region_about(hips, rim, UPWARDS, scale=_REGION_SCALE)


def person_region(detector: SharedNetwork, picture: Picture, min_score: float) -> Region | None:
    """Find the person of whom the detector is most sure, anywhere in the picture; None without one."""
    height_px, width_px = picture.shape[:2]
    whole = Region(width_px / 2, height_px / 2, max(width_px, height_px), 0.0)
    outputs = detector.run(whole.crop(picture, detector.side_px, zeros_outside=True))
    values, logits = outputs["Identity"][0], outputs["Identity_1"].ravel()
    found = detections(values, logits, _detector_anchors(detector.side_px), detector.side_px, min_score)
    if not found:
        return None
    hips, rim = whole.in_picture(found[0].key_points[:2])
    return region_about(hips, rim, UPWARDS, scale=_REGION_SCALE)


def followed(
    outputs: Outputs, region: Region, before: BodyTrack | None, seconds: float, min_presence: float
) -> BodyTrack | None:
    """Return the body's track from the network's outputs for `region`; None if the body is not there, or nowhere near.

    before: the track after the last picture, `seconds` ago; None if the body was just found.
    """
    if not outputs["Identity_1"].item() > min_presence:
        return None
    values = outputs["Identity"].reshape(-1, 5)
    heat_maps = outputs["Identity_3"][0]
    # The landmarks are in pixels of the network's input, which has four times the side of its heat maps.
    inside = refined(values[: _GUIDES.stop, :2] / (4 * heat_maps.shape[0]), heat_maps)
    points = region.in_picture(inside)
    if not (np.abs(points) <= MAX_POSITION_PX).all():  # NaN is not
        return None
    visibility = sigmoid(values[:LANDMARKS, 3])
    guides = points[_GUIDES]
    size_px = max(2 * float(np.hypot(*(guides[1] - guides[0]))), 1e-6)
    if before is not None:
        visibility = before.visibility + _VISIBILITY_WEIGHT * (visibility - before.visibility)
    return BodyTrack(
        _LANDMARK_FILTER.step(None if before is None else before.landmarks, points[:LANDMARKS], seconds, size_px),
        _GUIDE_FILTER.step(None if before is None else before.guides, guides, seconds, size_px),
        visibility.astype(np.float32),
    )


def refined(inside: Floats, heat_maps: Floats) -> Floats:
    """Move landmarks to the centre of mass of their heat maps near them.

    inside: `[N, 2]` float32, fractions of the region. heat_maps: `[S, S, M]` logits with M >= N, one map each.
    """
    side = heat_maps.shape[0]
    centres = (inside * side).astype(np.int32)  # of the columns and rows that count
    numbers = np.flatnonzero(((centres >= 0) & (centres < side)).all(axis=1))
    columns_rows = centres[numbers, :, None] + _NEAR
    outside = (columns_rows < 0) | (columns_rows >= side)
    columns, rows = np.clip(columns_rows, 0, side - 1).transpose(1, 0, 2)
    sure = sigmoid(heat_maps[rows[:, :, None], columns[:, None], numbers[:, None, None]])
    sure[outside[:, 1, :, None] | outside[:, 0, None]] = 0
    peaks = sure.max(axis=(1, 2)) >= _MIN_PEAK
    numbers, columns, rows, sure = numbers[peaks], columns[peaks], rows[peaks], sure[peaks]
    result = inside.copy()
    if len(numbers):
        total = sure.sum(axis=(1, 2)) * side
        result[numbers, 0] = (sure.sum(axis=1) * columns).sum(axis=1) / total
        result[numbers, 1] = (sure.sum(axis=2) * rows).sum(axis=1) / total
    return result


@cache
def _detector_anchors(side_px: int) -> Points:
    return anchors(side_px, _DETECTOR_STRIDES)
