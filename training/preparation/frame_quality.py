"""Measures of a frame beside the pose: camera movement, light, sharpness, and cuts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose
from serving.process.atomic_files import written_whole
from training.data.plate import PERSON_FROM, Mask, grown

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
_MARKS: Final = 300
_FEWEST_MARKS: Final = 12
_STRAY_PX: Final = 1.0
"""A mark that does not return to within this distance, tracked there and back, was not tracked correctly."""
_FEWEST_FOLLOWED: Final = 0.2


class QualityMeter:
    """Measures the frames of one file against the first frame of the footage.

    reference_path: where that frame is kept, reduced; if it is missing, the first measured frame is written there.
    shift_every: the camera's movement is measured in every n-th frame. Frames must come in order.
    """

    def __init__(self, reference_path: Path, shift_every: int) -> None:
        self._path = reference_path
        self._every = max(1, shift_every)
        self._reference: NDArray[np.uint8] | None = None
        self._small: NDArray[np.float32] | None = None
        self._marks: NDArray[np.float32] | None = None
        self._before: NDArray[np.float32] | None = None

    def measured(self, frame: int, picture: Picture, mask: Mask, pose: Pose | None) -> NDArray[np.float32]:
        """A frame's `MEASURES`, `[M]` float32. picture: `[H, W, 3]` uint8 RGB. mask: of the person, of any size."""
        grey = _grey(picture)
        reduced = _reduced(grey)
        if self._reference is None:
            self._begin(reduced, mask)
        assert self._reference is not None
        assert self._small is not None
        small = _small(grey)
        place = cv2.resize(mask, small.shape[::-1], interpolation=cv2.INTER_AREA) < PERSON_FROM
        values = np.full(len(MEASURES), np.nan, np.float32)
        if place.any() and small.shape == self._small.shape:
            values[LIGHT] = np.median((small - self._small)[place])
        if self._before is not None and place.any():
            difference = (small - self._before)[place]
            values[CHANGE] = np.median(np.abs(difference - np.median(difference)))
        if frame % self._every == 0 and reduced.shape == self._reference.shape:
            values[SHIFT] = self._shift_px(reduced, mask) * grey.shape[1] / reduced.shape[1]
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
            self._reference, hidden = stored["grey"], stored["hidden"]
        self._small = _small(self._reference)
        free = np.where(grown(np.asarray(hidden, np.uint8), self._reference.shape[0] / 40) >= PERSON_FROM, 0, 255)
        marks = cv2.goodFeaturesToTrack(self._reference, _MARKS, 0.01, 7, mask=np.asarray(free, np.uint8), blockSize=5)
        self._marks = None if marks is None else np.asarray(marks, np.float32)

    def _shift_px(self, reduced: NDArray[np.uint8], mask: Mask) -> float:
        """Mean movement of the picture's corners, in pixels of `reduced`; NaN if too little can be tracked."""
        assert self._reference is not None
        if self._marks is None or len(self._marks) < _FEWEST_MARKS:
            return float("nan")
        options = {"winSize": (21, 21), "maxLevel": 4}
        moved, found, _ = cv2.calcOpticalFlowPyrLK(self._reference, reduced, self._marks, None, **options)  # type: ignore[call-overload]
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(reduced, self._reference, moved, None, **options)  # type: ignore[call-overload]
        returned = np.linalg.norm((back - self._marks).reshape(-1, 2), axis=1) < _STRAY_PX
        hidden = cv2.resize(mask, reduced.shape[::-1], interpolation=cv2.INTER_LINEAR) >= PERSON_FROM
        columns, rows = np.clip(moved.reshape(-1, 2), 0, np.array(reduced.shape[::-1]) - 1).astype(int).T
        good = (found.ravel() == 1) & (found_back.ravel() == 1) & returned & ~hidden[rows, columns]
        if good.sum() < max(_FEWEST_MARKS, _FEWEST_FOLLOWED * len(self._marks)):
            return float("nan")
        matrix, _ = cv2.estimateAffinePartial2D(self._marks[good], moved[good], ransacReprojThreshold=1.5)
        if matrix is None:
            return float("nan")
        height_px, width_px = reduced.shape
        corners = np.array([(0, 0, 1), (width_px, 0, 1), (0, height_px, 1), (width_px, height_px, 1)], np.float64)
        return float(np.linalg.norm(corners @ matrix.T - corners[:, :2], axis=1).mean())


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
