"""Measures of a frame beside the pose: camera movement, light, sharpness, and cuts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from motion.pose import Pose
from serving.process.atomic_files import written_whole
from training.data.plate import PERSON_FROM, Mask, grown
from training.place.steady_camera import CameraTracker, corner_shift_px

MEASURES: Final = ("camera_shift_px", "light_levels", "change_levels", "sharpness")
"""The columns of `QualityMeter`'s measures, NaN for what was not, or could not be, measured.

camera_shift_px: the movement of the place relative to the first frame, in pixels of the footage, as the mean over the
four corners. light_levels: how much brighter the place is than in the first frame, in levels of 255. change_levels:
median difference of the place to the frame before, after their light is equalised. sharpness: the variance of the
Laplacian in the box around the body; comparable only within one footage.
"""
SHIFT, LIGHT, CHANGE, SHARPNESS = range(4)

_LONGEST_SIDE_PX: Final = 960
_SMALL_WIDTH_PX: Final = 96


class QualityMeter:
    """Measures the frames of one file against the first frame of the footage.

    reference_path: where that frame is kept, reduced; if it is missing, the first measured frame is written there.
    Frames must come in order. move: `[3, 3]`, the camera's movement in the frame measured last: the homography from
    its pixels to those of the first frame; NaN if unknown.
    """

    def __init__(self, reference_path: Path) -> None:
        self.move = np.full((3, 3), np.nan)
        self._path = reference_path
        self._tracker: CameraTracker | None = None
        self._small: NDArray[np.float32] | None = None
        self._before: NDArray[np.float32] | None = None

    def measured(self, picture: Picture, mask: Mask, pose: Pose | None) -> NDArray[np.float32]:
        """A frame's `MEASURES`, `[M]` float32. picture: `[H, W, 3]` uint8 RGB. mask: of the person, of any size."""
        grey = _grey(picture)
        reduced = _reduced(grey)
        if self._tracker is None:
            self._begin(reduced, mask)
        assert self._tracker is not None
        assert self._small is not None
        small = _small(grey)
        place = cv2.resize(mask, small.shape[::-1], interpolation=cv2.INTER_AREA) < PERSON_FROM
        values = np.full(len(MEASURES), np.nan, np.float32)
        if place.any() and small.shape == self._small.shape:
            values[LIGHT] = np.median((small - self._small)[place])
        if self._before is not None and place.any():
            difference = (small - self._before)[place]
            values[CHANGE] = np.median(np.abs(difference - np.median(difference)))
        hidden = cv2.resize(mask, reduced.shape[::-1], interpolation=cv2.INTER_LINEAR) >= PERSON_FROM
        scale = np.diag([grey.shape[1] / reduced.shape[1], grey.shape[0] / reduced.shape[0], 1])
        self.move = scale @ self._tracker.move(reduced, hidden) @ np.linalg.inv(scale)
        values[SHIFT] = corner_shift_px(self.move[None], FrameSize(grey.shape[1], grey.shape[0]))[0]
        if pose is not None:
            values[SHARPNESS] = _sharpness(grey, pose)
        self._before = small
        return values

    def skip(self, last: Picture) -> None:
        """Skip frames that are known already; `last` is the last of them."""
        self._before = _small(_grey(last))

    def _begin(self, reduced: NDArray[np.uint8], mask: Mask) -> None:
        if not self._path.is_file():
            hidden = cv2.resize(mask, reduced.shape[::-1], interpolation=cv2.INTER_LINEAR)
            with written_whole(self._path) as partial:
                np.savez_compressed(partial, grey=reduced, hidden=hidden)
        with np.load(self._path) as stored:
            reference, hidden = stored["grey"], stored["hidden"]
        self._small = _small(reference)
        self._tracker = CameraTracker(
            reference, grown(np.asarray(hidden, np.uint8), reference.shape[0] / 40) >= PERSON_FROM
        )


def _grey(picture: Picture) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _reduced(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = min(1.0, _LONGEST_SIDE_PX / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def _small(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    height_px = max(1, round(_SMALL_WIDTH_PX * grey.shape[0] / grey.shape[1]))
    return np.asarray(cv2.resize(grey, (_SMALL_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA), np.float32)


def _sharpness(grey: NDArray[np.uint8], pose: Pose) -> float:
    joints_px = pose.joints_px[pose.seen]
    low, high = joints_px.min(axis=0).astype(int), np.ceil(joints_px.max(axis=0)).astype(int) + 1
    box = grey[max(low[1], 0) : high[1], max(low[0], 0) : high[0]]
    return float(cv2.Laplacian(box, cv2.CV_32F).var()) if box.size else float("nan")
