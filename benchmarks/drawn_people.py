"""Confidence maps and part affinity fields drawn from known skeletons, as a perfect network would return them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.pose.models.card import Limb

Floats = NDArray[np.float64]
Maps = NDArray[np.float32]

PARTS = 18
PAIRS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17), (2, 16), (5, 17),
)  # fmt: skip
LIMBS = tuple(Limb(a, b, 2 * number, 2 * number + 1) for number, (a, b) in enumerate(PAIRS))
HEIGHT, WIDTH = 46, 82
PEAK_DEVIATION = 0.9
LIMB_HALF_WIDTH = 0.9

# COCO-18 of a standing person, in fractions of the height: x from the middle, y from the head down.
STANDING = np.array(
    [
        (0, 0.08), (0, 0.2), (-0.13, 0.2), (-0.2, 0.36), (-0.22, 0.5), (0.13, 0.2), (0.2, 0.36), (0.22, 0.5),
        (-0.08, 0.52), (-0.09, 0.74), (-0.1, 0.96), (0.08, 0.52), (0.09, 0.74), (0.1, 0.96), (-0.07, 0.03),
        (0.07, 0.03), (-0.14, 0.06), (0.14, 0.06),
    ],
    np.float64,
)  # fmt: skip


def draw_maps(people: Sequence[Floats], height: int = HEIGHT, width: int = WIDTH) -> tuple[Maps, Maps]:
    """Return maps `[P, H, W]` and fields `[2 L, H, W]`, float32, of people `[P, 2]` in cells; NaN is a missing part.

    Where people overlap, confidence is the maximum and the field is the mean, as in section 3 of the paper.
    """
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    heatmaps = np.zeros((PARTS, height, width))
    fields = np.zeros((2 * len(PAIRS), height, width))
    counts = np.zeros((len(PAIRS), height, width))
    for joints in people:
        for part, (x, y) in enumerate(joints):
            if not np.isnan(x):
                distance = (columns - x) ** 2 + (rows - y) ** 2
                heatmaps[part] = np.maximum(heatmaps[part], np.exp(-distance / (2 * PEAK_DEVIATION**2)))
        for number, (a, b) in enumerate(PAIRS):
            along = joints[b] - joints[a]
            length = np.hypot(*along)
            if np.isnan(length) or length < 1e-6:
                continue
            unit = along / length
            dx, dy = columns - joints[a][0], rows - joints[a][1]
            lengthwise, across = dx * unit[0] + dy * unit[1], np.abs(dx * unit[1] - dy * unit[0])
            on_it = (lengthwise >= -0.7) & (lengthwise <= length + 0.7) & (across <= LIMB_HALF_WIDTH)
            fields[2 * number][on_it] += unit[0]
            fields[2 * number + 1][on_it] += unit[1]
            counts[number][on_it] += 1
    fields /= np.repeat(np.maximum(counts, 1), 2, axis=0)
    return heatmaps.astype(np.float32), fields.astype(np.float32)
