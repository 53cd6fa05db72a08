"""Flicker: the difference between a picture and the one before it, moved along the true motion."""

from __future__ import annotations

from collections.abc import Sequence
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


def flicker_levels(drawn: Sequence[Picture], real: Sequence[Picture], poses: Sequence[Pose]) -> list[float]:
    """The flicker of each pair of consecutive frames, in levels of 255.

    This is the mean difference between a drawn picture and the drawn one before it, moved along the optical flow of the
    real pictures, in the box around the body where the flow is consistent.
    drawn, real: `[H, W, 3]` uint8 RGB. poses: in their pixels. The real pictures' own flicker is a floor, set by noise
    and errors of the flow. Pairs without consistent flow are left out.
    """
    values = []
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in real]
    for before, now in pairwise(range(len(real))):
        rows, columns = body_box(poses[now], real[now].shape[1], real[now].shape[0])
        flow_HW2 = _flow(grey[now], grey[before])
        holds = _holds(flow_HW2, _flow(grey[before], grey[now]))[rows, columns]
        if not holds.any():
            continue
        moved = _moved(drawn[before], flow_HW2)
        difference = np.abs(drawn[now].astype(np.float32) - moved)[rows, columns].mean(axis=2)
        values.append(float(difference[holds].mean()))
    return values


def _flow(start: NDArray[np.generic], end: NDArray[np.generic]) -> NDArray[np.float32]:
    """`[H, W, 2]` float32: the offset in pixels of each pixel of `start` to its place in `end`."""
    method = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(method.calc(start, end, None), np.float32)  # type: ignore[call-overload]


def _moved(picture: NDArray[np.generic], flow_HW2: NDArray[np.float32]) -> NDArray[np.float32]:
    height_px, width_px = flow_HW2.shape[:2]
    columns, rows = np.meshgrid(np.arange(width_px, dtype=np.float32), np.arange(height_px, dtype=np.float32))
    x, y = columns + flow_HW2[..., 0], rows + flow_HW2[..., 1]
    moved = cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _holds(there_HW2: NDArray[np.float32], back_HW2: NDArray[np.float32]) -> NDArray[np.bool_]:
    returned = there_HW2 + _moved(back_HW2, there_HW2)
    return np.asarray(np.linalg.norm(returned, axis=2) < _CONSISTENT_PX)
