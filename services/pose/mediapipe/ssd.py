"""Decode the detectors: boxes and key points relative to anchors, and non-maximum suppression that averages.

The method is that of BlazeFace (Bazarevsky et al., 2019, section 3), the numbers those of MediaPipe's graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.pose.mediapipe.networks import sigmoid

Floats = NDArray[np.float32]

_OVERLAP: Final = 0.3
"""Boxes whose intersection over union is larger belong to one thing."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One thing that was found. key_points: `[K, 2]` float32, fractions of the network's input. score: in [0, 1]."""

    key_points: Floats
    score: float


def anchors(side_px: int, strides: Sequence[int]) -> Floats:
    """Return the anchors' centres, `[N, 2]` float32, as fractions: two for each cell of each stride's grid."""
    layers = []
    for stride in dict.fromkeys(strides):
        cells = side_px // stride
        centres = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
        layers.append(np.repeat(grid, 2 * list(strides).count(stride), axis=0))
    return np.concatenate(layers)


def detections(values: Floats, logits: Floats, centres: Floats, side_px: int, min_score: float) -> list[Detection]:
    """Return what the detector is sure of, best first.

    values: `[N, 4 + 2 K]` float32: box centre, box size and key points in pixels from the anchors. logits: `[N]`.
    """
    scores = sigmoid(logits)
    likely = np.flatnonzero((scores >= min_score) & (values[:, 2:4] >= 0).all(axis=1))
    likely = likely[np.argsort(-logits[likely], kind="stable")]
    scores = scores[likely]
    values = values[likely] / side_px
    points = values.reshape(len(likely), values.shape[1] // 2, 2) + centres[likely][:, None]
    half = values[:, 2:4] / 2
    boxes = np.concatenate([points[:, 0] - half, points[:, 0] + half], axis=1)
    found = []
    left = np.arange(len(likely))
    while len(left):
        same = _overlap(boxes[left[0]], boxes[left]) > _OVERLAP
        same[0] = True  # a box without area does not overlap itself
        weights = scores[left[same]]
        averaged = np.average(points[left[same], 2:], axis=0, weights=weights)
        found.append(Detection(averaged.astype(np.float32), float(weights[0])))
        left = left[~same]
    return found


def _overlap(box: Floats, boxes: Floats) -> Floats:
    """Return the intersection over union of `box` with each of `boxes`, `[N]`; a box is left, top, right, bottom."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.clip(sides, 0, None).prod(axis=1)
    whole = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - common
    return np.asarray(common / np.maximum(whole, np.finfo(np.float32).tiny), np.float32)
